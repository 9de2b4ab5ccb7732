// The privacy page: what is kept and why, what was agreed to, everything in one file, and the end of everything.

import { forgetCaller, get, post, Problem, put, remove } from "./api.js";
import { announce, button, el, heading, problemCard } from "./elements.js";
import { render } from "./router.js";
import { day, forget, keep, kept, say } from "./words.js";

const EXPORT = "/api/v1/privacy/export";
const LOOK_AGAIN_MS = 2000;

export async function showPrivacy(signal) {
  const [notice, consents] = await Promise.all([get("/api/v1/privacy/notice"), get("/api/v1/privacy/consents")]);
  const receipt = kept("receipt");
  return [
    heading(notice.title),
    receipt && receiptCard(receipt, signal),
    ...notice.sections.map((section) => el("section", { class: "card" },
      el("h2", {}, section.heading), section.paragraphs.map((text) => el("p", {}, text)))),
    consentCard(notice, consents),
    exportCard(signal),
    eraseCard(),
  ];
}

/** Ask again and again until `isOver` says so of an answer, which is then the result; null when the view was left. */
async function watchFor(path, isOver, signal) {
  while (!signal.aborted) {
    const answer = await get(path);
    if (isOver(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
  return null;
}

// --- Consents ---

function consentCard(notice, { consents }) {
  const card = el("section", { class: "card" }, el("h2", {}, say("consents")), el("p", { class: "hint" }, say("consentsHint")));
  for (const { purpose, heading: title, text } of notice.purposes) {
    const { given, at } = consents.find((consent) => consent.purpose === purpose);
    const since = (moment, isGiven) => (moment ? say(isGiven ? "agreedOn" : "withdrawnOn", { date: day(moment) }) : "");
    const state = el("span", { class: "hint", role: "status" }, since(at, given));
    const box = el("input", { type: "checkbox", id: `consent-${purpose}`, checked: given === true });
    box.addEventListener("change", async () => {
      box.disabled = true;
      try {
        const decisions = [{ purpose, given: box.checked }];
        const recorded = await put("/api/v1/privacy/consents", { noticeVersion: notice.version, decisions });
        const now = recorded.consents.find((consent) => consent.purpose === purpose);
        state.textContent = since(now.at, now.given);
      } catch (error) {
        box.checked = !box.checked;
        card.append(problemCard(error));
      }
      box.disabled = false;
    });
    card.append(el("div", { class: "choice" }, box, el("label", { for: box.id }, el("strong", {}, title), " ", text), state));
  }
  return card;
}

// --- Everything in one file ---

function exportCard(signal) {
  const place = el("div");
  const ask = button("makeExport", () => prepare(() => get(EXPORT)));

  async function prepare(begin) {
    ask.disabled = true;
    place.replaceChildren(el("p", { role: "status" }, say("preparingExport")));
    try {
      await begin();
      const made = await watchFor(EXPORT, ({ status }) => status !== "preparing", signal);
      if (made) place.replaceChildren(...ready(made));
    } catch (error) {
      place.replaceChildren(problemCard(error));
      ask.disabled = false;
    }
  }
  function ready({ status, url, size, sha256, createdAt, expiresAt }) {
    const again = button("newExport", () => prepare(() => post(EXPORT)), { class: "quiet" });
    if (status !== "ready") return [problemCard(Problem.of("exportFailed"), again)];
    announce(say("exportReady"));
    const amount = size < 1e6 ? `${Math.ceil(size / 1e3)} kB` : `${(size / 1e6).toFixed(1)} MB`;
    const facts = { size: amount, made: day(createdAt), gone: day(expiresAt) };
    return [
      el("div", { class: "row" }, el("a", { class: "button", href: url, download: true }, say("saveExport")), again),
      el("p", { class: "hint" }, say("exportFacts", facts)),
      el("p", { class: "hint digest" }, `SHA-256 ${sha256}`),
    ];
  }
  return el("section", { class: "card" },
    el("h2", {}, say("export")), el("p", {}, say("exportHint")), ask, place);
}

// --- The end of everything ---

function eraseCard() {
  const trouble = el("div");
  const word = el("input", { id: "eraseWord", autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
  const erase = el("button", { disabled: true }, say("erase"));
  word.addEventListener("input", () => (erase.disabled = word.value.trim() !== say("eraseWord")));

  async function send(event) {
    event.preventDefault();
    erase.disabled = true;
    try {
      const { receiptId } = await (await remove("/api/v1/privacy/data")).json();
      keep("receipt", receiptId);
      // Now, while nothing new is there: what is drawn from here on must neither be erased with the rest, nor be lost
      // by a look at the receipt.
      forgetCaller();
      await render();
      scrollTo(0, 0);
    } catch (error) {
      trouble.replaceChildren(problemCard(error));
      erase.disabled = false;
    }
  }
  const card = el("section", { class: "card problem" },
    el("h2", {}, say("eraseAll")), el("p", {}, say("eraseHint")),
    el("form", { onsubmit: send },
      el("label", { for: "eraseWord" }, say("eraseConfirm", { word: say("eraseWord") })), word, trouble, erase));
  return card;
}

function receiptCard(receiptId, signal) {
  const state = el("div", { role: "status" }, el("p", {}, say("erasing")));
  watchFor(`/api/v1/privacy/receipts/${receiptId}`, ({ status }) => status === "erased", signal).then((receipt) => {
    if (!receipt) return;
    const documents = Object.values(receipt.documents).reduce((sum, count) => sum + count, 0);
    state.replaceChildren(
      el("p", {}, el("strong", {}, say("erased", { date: day(receipt.finishedAt) }))),
      el("p", {}, say("erasedCounts", { documents, objects: receipt.objects, messages: receipt.messages })),
      button("forgetReceipt", () => {
        forget("receipt");
        card.remove();
      }, { class: "quiet" }));
  }, (error) => state.replaceChildren(problemCard(error)));
  const card = el("section", { class: "card" },
    el("h2", {}, say("receipt")), state,
    el("p", { class: "hint" }, say("receiptHint")), el("p", { class: "digest" }, receiptId));
  return card;
}
