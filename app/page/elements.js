// What the views are made of.

import { Problem } from "./api.js";
import { say } from "./words.js";

/** An element; children that are null or false are left out, strings become text nodes. */
export const el = (tag, attributes, ...children) => furnished(document.createElement(tag), attributes, children);

/** The same inside of a drawing. */
export const svg = (tag, attributes, ...children) =>
  furnished(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function furnished(node, attributes = {}, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== false));
  return node;
}

export function button(key, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, say(key));
}

export function heading(text) {
  document.title = `${text} · ${say("name")}`;
  return el("h1", { tabindex: -1 }, text);
}

/** An error of the API, of a job or of the page itself, and what can be done about it. */
export function problemCard(problem, ...actions) {
  if (problem instanceof Error && !(problem instanceof Problem)) {
    console.error(problem);
    problem = Problem.of("unexpected");
  }
  return el("section", { class: "card problem", role: "alert" },
    el("p", {}, el("strong", {}, problem.message)),
    el("p", {}, problem.nextStep),
    problem.status >= 500 && el("p", { class: "hint" }, say("requestId", { id: problem.requestId })),
    actions);
}

export function announce(text) {
  document.getElementById("news").textContent = text;
}

/** A file input that looks like a button. */
export function fileButton(key, attributes, use) {
  const onchange = () => input.files[0] && use(input.files[0]);
  const input = el("input", { type: "file", class: "unseen", id: key, onchange, ...attributes });
  return [input, el("label", { class: "button quiet", for: key }, say(key))];
}
