// A new story: a drawing, what is told to it, and a name.

import { limits, post, Problem, upload } from "./api.js";
import { announce, button, el, fileButton, heading, problemCard } from "./elements.js";
import { render } from "./router.js";
import { say } from "./words.js";

// What was entered for the next story; it outlives a change of language and a look at the gallery.
let draft = newDraft();

/** `artwork` is what its files have in common: they are uploaded for the same one. */
function newDraft() {
  return { title: "", story: "", image: null, audio: null, artwork: {} };
}

/** A chosen file with its upload, which begins at once so that the big button has little left to wait for. */
function chosen(file, type) {
  const { artwork } = draft;
  const choice = { file, url: URL.createObjectURL(file), send: () => (choice.sent ??= upload(file, type, artwork)) };
  choice.send().catch(() => (choice.sent = null)); // the big button tries again, and tells
  return choice;
}

export async function showNew(signal) {
  const { storyMaxCharacters, uploads } = await limits();
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
  const story = el("textarea", { id: "story", rows: 4, maxlength: storyMaxCharacters });
  for (const field of [title, story]) {
    field.value = draft[field.id];
    field.addEventListener("input", () => (draft[field.id] = field.value));
  }
  return [heading(say("new")), el("form", { onsubmit: send, novalidate: true },
    pictureField(uploads.image),
    el("fieldset", { class: "card" }, el("legend", {}, say("story")), el("p", { class: "hint" }, say("storyHint")),
      voiceField(uploads.audio, signal, make), el("label", { for: "story" }, say("typed")), story),
    el("fieldset", { class: "card" }, el("legend", {}, el("label", { for: "title" }, say("title"))),
      title, el("p", { class: "hint" }, say("titleHint"))),
    trouble, make, state)];
}

function pictureField({ mimeTypes }) {
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
  const types = mimeTypes.join(",");
  return el("fieldset", { class: "card" },
    el("legend", {}, say("drawing")), el("p", { class: "hint" }, say("pictureHint")), preview,
    el("div", { class: "row" },
      el("span", { class: "camera" }, fileButton("takePicture", { accept: "image/*", capture: "environment" }, take)),
      fileButton("choosePicture", { accept: types }, take)));
}

/** `make` has to wait while somebody is still telling. */
function voiceField({ maxSeconds }, signal, make) {
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
    const clock = countUp(state, maxSeconds - 1, () => recorder.stop());
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
