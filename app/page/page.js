// The page of one family: the gallery, a new story, one artwork.

import { get, hasEnded, post, Problem, upload, watch } from "./api.js";
import { announce, button, el, fileButton, heading, problemCard } from "./elements.js";
import { showGrow } from "./grow.js";
import { showPrivacy } from "./privacy.js";
import { day, language, say, setLanguage } from "./words.js";

const main = document.getElementById("main");

let limits = null;
let leaving = new AbortController();
let mendedAt = 0;
// What was entered for the next story; it outlives a change of language and a look at the gallery.
let draft = newDraft();

// --- The gallery ---

async function showGallery() {
  const list = el("ul", { class: "gallery" });
  const more = button("more", () => add().catch((error) => more.before(problemCard(error))));
  let cursor = "";
  async function add() {
    const page = await get(`/gallery?limit=12${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    list.append(...page.items.map(galleryItem));
    cursor = page.nextCursor ?? "";
    more.hidden = !cursor;
  }
  await add();
  if (list.children.length) return [heading(say("gallery")), list, more];
  return [heading(say("gallery")), el("section", { class: "card empty" },
    el("h2", {}, say("emptyTitle")), el("p", {}, say("empty")),
    el("a", { class: "button big", href: "#/new" }, say("new")))];
}

function galleryItem(item) {
  const picture = item.posterUrl ?? item.coverUrl;
  const state = say(`status.${item.status}`);
  return el("li", {}, el("a", { class: "card sheet", href: `#/artworks/${item.artworkId}` },
    picture ? el("img", { src: picture, alt: "", loading: "lazy" }) : el("span", { class: "blank" }),
    el("h2", {}, item.title || say("untitled")),
    el("p", { class: "hint" },
      el("time", { datetime: item.createdAt }, day(item.createdAt)), state && ` · ${state}`)));
}

// --- A new story ---

function newDraft() {
  return { title: "", story: "", image: null, audio: null };
}

/** A chosen file with its upload, which begins at once so that the big button has little left to wait for. */
function chosen(file, type) {
  const choice = { file, url: URL.createObjectURL(file), send: () => (choice.sent ??= upload(file, type)) };
  choice.send().catch(() => (choice.sent = null)); // the big button tries again, and tells
  return choice;
}

async function showNew(signal) {
  limits ??= await post("/init");
  const state = el("p", { class: "hint", role: "status" });
  const trouble = el("div");
  const make = el("button", { class: "big" }, say("make"));

  async function send(event) {
    event.preventDefault();
    make.disabled = true;
    trouble.replaceChildren();
    try {
      if (!draft.image) throw Problem.of("needPicture");
      if (!draft.audio && !draft.story.trim()) throw Problem.of("needStory");
      state.textContent = say("sendingPicture");
      const coverAssetId = await draft.image.send();
      if (draft.audio) state.textContent = say("sendingStory");
      const audioAssetId = draft.audio && (await draft.audio.send());
      state.textContent = say("asking");
      const { title, story: text } = draft;
      const job = await post("/generation/jobs", { title, text, coverAssetId, audioAssetId });
      draft = newDraft();
      if (!signal.aborted) location.hash = `#/artworks/${job.artworkId}`;
    } catch (error) {
      trouble.replaceChildren(problemCard(error));
      state.textContent = "";
      make.disabled = false;
    }
  }

  const title = el("input", { id: "title", maxlength: 80, autocomplete: "off" });
  const story = el("textarea", { id: "story", rows: 4, maxlength: limits.storyMaxCharacters });
  for (const field of [title, story]) {
    field.value = draft[field.id];
    field.addEventListener("input", () => (draft[field.id] = field.value));
  }
  return [heading(say("new")), el("form", { onsubmit: send, novalidate: true },
    pictureField(),
    el("fieldset", { class: "card" }, el("legend", {}, say("story")), el("p", { class: "hint" }, say("storyHint")),
      voiceField(signal, make), el("label", { for: "story" }, say("typed")), story),
    el("fieldset", { class: "card" }, el("legend", {}, el("label", { for: "title" }, say("title"))),
      title, el("p", { class: "hint" }, say("titleHint"))),
    trouble, make, state)];
}

function pictureField() {
  const preview = el("div", { class: "preview" });
  function take(file) {
    draft.image = chosen(file, "image");
    show();
    announce(say("pictureChosen", { name: file.name }));
  }
  function show() {
    preview.replaceChildren(...(draft.image ? [el("img", { src: draft.image.url, alt: draft.image.file.name })] : []));
  }
  show();
  // Listed types, because phones then turn their own formats into one of these.
  const types = limits.uploads.image.mimeTypes.join(",");
  return el("fieldset", { class: "card" },
    el("legend", {}, say("drawing")), el("p", { class: "hint" }, say("pictureHint")), preview,
    el("div", { class: "row" },
      el("span", { class: "camera" }, fileButton("takePicture", { accept: "image/*", capture: "environment" }, take)),
      fileButton("choosePicture", { accept: types }, take)));
}

/** `make` has to wait while somebody is still telling. */
function voiceField(signal, make) {
  const state = el("p", { class: "hint", role: "status" });
  const player = el("audio", { controls: true });
  const record = button("record", () => (recorder ? recorder.stop() : start()));
  const remove = button("removeAudio", () => keep(null), { class: "quiet" });
  let recorder = null;

  function keep(file) {
    draft.audio = file && chosen(file, "audio");
    state.textContent = file ? say("recorded") : "";
    show();
  }
  function show() {
    record.textContent = say(draft.audio ? "recordAgain" : "record");
    player.hidden = remove.hidden = !draft.audio;
    if (draft.audio) player.src = draft.audio.url;
    else player.removeAttribute("src");
  }
  async function start() {
    record.disabled = true; // while the browser asks for permission
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true }).catch(() => null);
    record.disabled = false;
    if (!stream || signal.aborted) {
      stream?.getTracks().forEach((track) => track.stop());
      state.textContent = say("micDenied");
      return;
    }
    const parts = [];
    recorder = new MediaRecorder(stream);
    const clock = countUp(state, limits.uploads.audio.maxSeconds - 1, () => recorder.stop());
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onstop = () => {
      clearInterval(clock);
      stream.getTracks().forEach((track) => track.stop());
      record.classList.remove("on");
      make.disabled = false;
      const file = new File(parts, "story", { type: recorder.mimeType });
      recorder = null;
      keep(file);
      if (signal.aborted) render(); // another language: that form does not know of the recording yet
    };
    signal.addEventListener("abort", () => recorder?.stop());
    recorder.start();
    record.textContent = say("stop");
    record.classList.add("on");
    make.disabled = true;
  }

  show();
  if (!navigator.mediaDevices || !window.MediaRecorder) {
    record.disabled = true;
    state.textContent = say("micMissing");
  }
  return [el("div", { class: "row" }, record, fileButton("chooseAudio", { accept: "audio/*" }, keep)), state,
    el("div", { class: "row" }, player, remove)];
}

function countUp(place, mostSeconds, atEnd) {
  const began = Date.now();
  const tick = () => {
    const seconds = Math.floor((Date.now() - began) / 1000);
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    place.textContent = say("recording", { time });
    if (seconds >= mostSeconds) atEnd();
  };
  tick();
  return setInterval(tick, 500);
}

// --- One artwork ---

async function showArtwork(signal, id) {
  const artwork = await get(`/artworks/${id}`);
  const reading = artwork.analysisStatus === "ready" && (await get(`/ai/analyses/${id}`));
  const drawing = () => el("img", { class: "drawing", src: artwork.coverUrl, alt: say("drawing") });
  return [
    heading(artwork.title || say("untitled")),
    el("p", { class: "hint" }, el("time", { datetime: artwork.createdAt }, day(artwork.createdAt))),
    jobCard(artwork, signal),
    artwork.videoUrl ? filmCard(artwork) : artwork.coverUrl && drawing(),
    storyCard(artwork),
    reading && readingCard(reading, artwork.coverUrl),
  ];
}

async function order(path, body) {
  try {
    await post(path, body);
    await render();
  } catch (error) {
    main.prepend(problemCard(error));
  }
}

function jobCard({ artworkId, job, videoUrl }, signal) {
  const makeFilm = (key) => button(key, () => order("/generation/jobs", { artworkId }), { class: "quiet" });
  if (!job) return makeFilm("makeFirst");
  if (job.status === "succeeded") return videoUrl ? null : makeFilm("makeFirst");
  if (job.error) {
    const retry = button("retry", () => order(`/generation/jobs/${job.jobId}/retry`));
    return problemCard(job.error, job.status === "failed" && retry);
  }
  return progressCard(job, signal);
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
      const here = { queued: "waiting", running: "running" }[status] ?? "failed";
      row.dataset.state = position < current ? "done" : position > current ? "waiting" : here;
      const percent = row.dataset.state === "running" && stepProgress ? ` ${stepProgress} %` : "";
      row.lastChild.textContent = say(`state.${row.dataset.state}`) + percent;
    });
    if (announced !== step) announce(say(`step.${step}`));
    announced = step;
  }
  show(job);
  const card = el("section", { class: "card" },
    el("h2", {}, say("making")), bar, el("ol", { class: "steps" }, rows),
    el("p", { class: "hint" }, say("makingHint")));
  watch(job.jobId, show, signal).then(async (ended) => {
    if (!ended || signal.aborted) return;
    await render();
    if (ended.status === "succeeded") announce(say("ready"));
  }, (error) => card.replaceWith(problemCard(error)));
  return card;
}

function filmCard({ artworkId, versions, job }) {
  const film = el("video", { controls: true, playsinline: true, preload: "metadata", "aria-label": say("film") });
  const maker = el("span");
  const choices = versions.map((version) => {
    const words = say("version", { version: version.version, date: day(version.createdAt) });
    return el("button", { type: "button", class: "quiet", onclick: () => choose(version) }, words);
  });
  function choose(version) {
    film.src = version.videoUrl;
    film.poster = version.posterUrl ?? "";
    // The newest job is the only one whose provider is told.
    const provider = job?.version === version.version && job.provider;
    const key = provider === "local" ? "madeHere" : provider ? "madeBy" : "madeByProgram";
    maker.textContent = say(key, { provider });
    choices.forEach((choice, position) => choice.setAttribute("aria-pressed", versions[position] === version));
  }
  choose(versions[0]);
  const again = button("makeNew", () => order("/generation/jobs", { artworkId }), { class: "quiet" });
  return el("section", {},
    el("figure", { class: "film" }, film,
      el("figcaption", {}, el("strong", { class: "mark" }, say("aiMark")), " ", maker)),
    versions.length > 1 && el("h2", {}, say("versions")),
    el("div", { class: "row" }, versions.length > 1 && choices, (!job || hasEnded(job)) && again));
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

// --- Which view is shown ---

const VIEWS = [
  [/^#\/new$/, showNew], [/^#\/artworks\/([\w-]+)$/, showArtwork],
  [/^#\/grow(?:\/(week|month))?$/, showGrow], [/^#\/privacy$/, showPrivacy], [/^/, showGallery],
];

async function render() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  main.setAttribute("aria-busy", "true");
  const [pattern, show] = VIEWS.find(([candidate]) => candidate.test(location.hash));
  const content = await show(signal, ...pattern.exec(location.hash).slice(1))
    .catch((error) => [problemCard(error, button("retry", render))]);
  if (signal.aborted) return;
  main.replaceChildren(...content.filter(Boolean));
  main.setAttribute("aria-busy", "false");
}

function speak() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = say(node.dataset.word);
  document.getElementById("language").lang = language === "zh" ? "en" : "zh-CN";
  return render();
}

document.getElementById("language").addEventListener("click", () => {
  setLanguage(language === "zh" ? "en" : "zh");
  speak();
});

addEventListener("hashchange", async () => {
  await render();
  scrollTo(0, 0);
  main.querySelector("h1")?.focus();
});

// Addresses of media live for ten minutes. One that fails is taken for an old one, at most once a minute.
main.addEventListener("error", (event) => {
  if (!/^http/.test(event.target.src) || Date.now() - mendedAt < 60_000) return;
  mendedAt = Date.now();
  render();
}, true);

speak();
