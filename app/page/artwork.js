// One artwork: its film, its story, what was read in the drawing, and what can be done with it.

import { get, hasEnded, limits, patch, post, remove, watch } from "./api.js";
import { announce, button, el, heading, problemCard } from "./elements.js";
import { heart, offerUndo } from "./gallery.js";
import { complain, render } from "./router.js";
import { day, say } from "./words.js";

// What was typed and not saved yet, by artwork; it outlives the end of a film, and whatever else shows the view anew.
const unsaved = new Map();

export async function showArtwork(signal, id) {
  const artwork = await get(`/artworks/${id}`);
  const reading = artwork.analysisStatus === "ready" && (await get(`/ai/analyses/${id}`));
  const drawing = () => el("img", { class: "drawing", src: artwork.coverUrl, alt: say("drawing") });
  return [
    heading(artwork.title || say("untitled")),
    el("div", { class: "row" }, el("time", { class: "hint", datetime: artwork.createdAt }, day(artwork.createdAt)),
      heart(artwork), button("delete", () => throwAway(artwork), { class: "quiet" })),
    jobCard(artwork, signal),
    artwork.videoUrl ? filmCard(artwork) : artwork.coverUrl && drawing(),
    storyCard(artwork),
    changeCard(artwork, (await limits()).storyMaxCharacters),
    reading && readingCard(reading, artwork.coverUrl),
  ];
}

async function change(work) {
  try {
    await work();
    await render();
  } catch (error) {
    complain(error);
  }
}

const makeAgain = (artworkId, body = {}) => change(() => post(`/artworks/${artworkId}/regenerate`, body));

async function throwAway(artwork) {
  try {
    await remove(`/artworks/${artwork.artworkId}`);
    offerUndo(artwork);
    location.hash = "#/";
  } catch (error) {
    complain(error);
  }
}

function jobCard({ artworkId, job, videoUrl }, signal) {
  const makeFilm = (key) => button(key, () => makeAgain(artworkId), { class: "quiet" });
  if (!job) return makeFilm("makeFirst");
  if (["succeeded", "canceled"].includes(job.status)) return videoUrl ? null : makeFilm("makeFirst");
  if (job.status === "needs_attention") return doubtCard(job);
  if (job.error) {
    const retry = button("retry", () => change(() => post(`/generation/jobs/${job.jobId}/retry`)));
    // What was not let through would be stopped again: its story is changed instead, further down.
    return problemCard(job.error, job.error.code !== "CONTENT_REJECTED" && retry);
  }
  return progressCard(job, signal);
}

/** A paid call whose answer was lost. Only a person can say how it goes on. */
function doubtCard(job) {
  const decide = (body) => change(() => post(`/generation/jobs/${job.jobId}/resolve`, body));
  const askAgain = button("askAgain", () => decide({ decision: "ask_again" }));
  const giveUp = button("giveUp", () => decide({ decision: "give_up" }), { class: "quiet" });
  const asIds = { maxlength: 128, pattern: "[A-Za-z0-9_\\-]+", autocomplete: "off", autocapitalize: "off" };
  const knownAs = el("input", { id: "knownAs", required: true, ...asIds });
  const take = (event) => {
    event.preventDefault();
    decide({ decision: "accepted", knownAs: knownAs.value });
  };
  return problemCard(job.error,
    el("p", {}, say("doubt")),
    el("div", { class: "row" }, askAgain, giveUp),
    el("p", { class: "hint" }, say("doubtHint")),
    // Words that were lost are nowhere to be fetched; a film is, by whoever runs this.
    job.step === "submit_video" && el("details", {},
      el("summary", {}, say("wasMade")),
      el("form", { onsubmit: take },
        el("p", {}, el("label", { for: "knownAs" }, say("knownAs")), knownAs), el("button", {}, say("takeIt")))));
}

function progressCard(job, signal) {
  const bar = el("progress", { max: 100, value: job.progress, "aria-label": say("making") });
  const rows = job.steps.map(({ name }) =>
    el("li", {}, el("span", {}, say(`step.${name}`)), el("span", { class: "hint" })));
  let announced = "";
  function show({ status, step, progress, stepProgress }) {
    bar.value = progress;
    const current = status === "succeeded" ? rows.length : job.steps.findIndex(({ name }) => name === step);
    rows.forEach((row, position) => {
      const here = { queued: "waiting", running: "running", canceling: "running" }[status] ?? "failed";
      row.dataset.state = position < current ? "done" : position > current ? "waiting" : here;
      const percent = row.dataset.state === "running" && stepProgress ? ` ${stepProgress} %` : "";
      row.lastChild.textContent = say(`state.${row.dataset.state}`) + percent;
    });
    if (announced !== step) announce(say(`step.${step}`));
    announced = step;
    cancel.disabled = !["queued", "running"].includes(status);
  }
  const cancel = button("cancelFilm", () => change(() => post(`/generation/jobs/${job.jobId}/cancel`)),
    { class: "quiet" });
  show(job);
  const card = el("section", { class: "card" },
    el("h2", {}, say("making")), bar, el("ol", { class: "steps" }, rows),
    el("p", { class: "hint" }, say("makingHint")), cancel);
  watch(job.jobId, show, signal).then(async (ended) => {
    if (!ended || signal.aborted) return;
    await render();
    if (ended.status === "succeeded") announce(say("ready"));
  }, (error) => card.replaceWith(problemCard(error)));
  return card;
}

function filmCard({ artworkId, versions, videoVersion, job }) {
  const film = el("video", { controls: true, playsinline: true, preload: "metadata", "aria-label": say("film") });
  const maker = el("span");
  const keep = button("showThis", () => change(() => patch(`/artworks/${artworkId}`, { videoVersion: chosen })));
  let chosen = videoVersion;
  const choices = versions.map((version) => {
    const words = say("version", { version: version.version, date: day(version.createdAt) });
    return el("button", { type: "button", class: "quiet", onclick: () => choose(version) }, words);
  });
  function choose(version) {
    chosen = version.version;
    film.src = version.videoUrl;
    film.poster = version.posterUrl ?? "";
    const { provider, model } = version;
    const key = provider === "local" ? "madeHere" : provider ? "madeBy" : "madeByProgram";
    maker.textContent = say(key, { maker: [provider, model].filter(Boolean).join(" · ") });
    choices.forEach((choice, position) => choice.setAttribute("aria-pressed", versions[position] === version));
    keep.hidden = chosen === videoVersion;
  }
  choose(versions.find(({ version }) => version === videoVersion) ?? versions[0]);
  const again = button("makeNew", () => makeAgain(artworkId), { class: "quiet" });
  return el("section", {},
    el("figure", { class: "film" }, film,
      el("figcaption", {}, el("strong", { class: "mark" }, say("aiMark")), " ", maker)),
    versions.length > 1 && el("h2", {}, say("versions")),
    el("div", { class: "row" }, versions.length > 1 && [...choices, keep], (!job || hasEnded(job)) && again));
}

/** Another name or another story, to be kept, or to be filmed as well. */
function changeCard({ artworkId, title, description, job }, mostCharacters) {
  const typed = unsaved.get(artworkId);
  const name = el("input", { id: "title", maxlength: 80, autocomplete: "off", value: typed?.title ?? title });
  const story = el("textarea", { id: "story", rows: 4, maxlength: mostCharacters }, typed?.description ?? description);
  const entered = () => ({ title: name.value, description: story.value });
  for (const field of [name, story]) field.addEventListener("input", () => unsaved.set(artworkId, entered()));
  const save = async () => {
    await patch(`/artworks/${artworkId}`, entered());
    unsaved.delete(artworkId);
  };
  const submit = (event) => {
    event.preventDefault();
    change(save);
  };
  const film = button("saveAndMake", () => change(async () => {
    await save();
    await post(`/artworks/${artworkId}/regenerate`);
  }), { class: "quiet" });
  const isAskedFor = typed !== undefined || job?.error?.code === "CONTENT_REJECTED";
  return el("details", { class: "card", open: isAskedFor },
    el("summary", {}, el("h2", {}, say("edit"))),
    el("form", { onsubmit: submit },
      el("p", {}, el("label", { for: "title" }, say("title")), name),
      el("p", {}, el("label", { for: "story" }, say("typed")), story),
      el("div", { class: "row" }, el("button", {}, say("save")), (!job || hasEnded(job)) && film)));
}

function storyCard({ audioUrl, description, transcript, transcriptStatus, refinedText, job }) {
  const squeezed = (text) => (text ?? "").replace(/\s/g, "");
  const isRetold = squeezed(refinedText) !== squeezed(description || transcript);
  const part = (key, text) => text && [el("h3", {}, say(key)), el("p", { class: "told" }, text)];
  const voice = () => el("audio", { controls: true, preload: "metadata", src: audioUrl, "aria-label": say("voice") });
  return el("section", { class: "card" },
    el("h2", {}, say("story")),
    audioUrl && [el("h3", {}, say("voice")), voice()],
    transcriptStatus === "none" && job && hasEnded(job) && el("p", { class: "hint" }, say("noTranscript")),
    part("asTyped", description), part("asHeard", transcript),
    isRetold && part("retold", refinedText));
}

function readingCard(reading, coverUrl) {
  const overlay = el("div", { class: "boxes" }, el("img", { src: coverUrl, alt: say("drawing") }));
  const places = reading.boxes.map(({ box, label, color }, position) => {
    const frame = el("span", { "aria-hidden": "true" }, el("b", {}, String(position + 1)));
    const [left, top, width, height] = box.map((fraction) => `${100 * fraction}%`);
    Object.assign(frame.style, { left, top, width, height, borderColor: color });
    overlay.append(frame);
    return el("li", {}, label);
  });
  const swatches = reading.palette.map(({ color, name, share }) => {
    const spot = el("span", { class: "spot" });
    spot.style.background = color;
    return el("li", {}, spot, `${name} ${Math.round(100 * share)} %`);
  });
  const measures = Object.values(reading.scores).map(({ value, label, method }) => el("li", {},
    el("span", {}, label), el("span", {}, say("measure", { value })),
    el("meter", { min: 0, max: 100, value, "aria-label": label }), el("span", { class: "hint" }, method)));
  return el("section", { class: "card" },
    el("h2", {}, say("reading")), el("p", {}, reading.summary),
    el("ul", { class: "tags" }, reading.tags.map((tag) => el("li", {}, tag))),
    overlay,
    places.length > 0 && [el("h3", {}, say("parts")), el("ol", { class: "places" }, places)],
    el("h3", {}, say("palette")), el("ul", { class: "tags" }, swatches),
    el("h3", {}, say("measures")), el("p", { class: "hint" }, say("measuresHint")),
    el("ul", { class: "measures" }, measures));
}
