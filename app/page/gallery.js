// The gallery with its search, and the bin.

import { get, patch, post } from "./api.js";
import { announce, button, el, heading, problemCard } from "./elements.js";
import { complain, render } from "./router.js";
import { day, say } from "./words.js";

const PAUSE_MS = 300;

// What is looked for; it outlives a look at an artwork.
const wish = { q: "", favourite: false };
let deleted = null;

/** Tell the gallery what was just deleted, so that it can offer to undo that. */
export function offerUndo(artwork) {
  deleted = artwork;
}

export async function showGallery(signal) {
  const pages = pagesOf(() => ({ q: wish.q, favourite: wish.favourite || "" }), galleryItem);
  const found = await pages.begin();
  const isSearch = wish.q || wish.favourite;
  return [
    heading(say("gallery")),
    undoCard(),
    (found > 0 || isSearch) && searchForm(signal, pages),
    ...(found > 0 || isSearch ? pages.content : [emptyCard()]),
    el("p", { class: "row" }, el("a", { class: "button quiet", href: "#/bin" }, say("bin"))),
  ];
}

export async function showBin() {
  const pages = pagesOf(() => ({ deleted: true }), binItem);
  const found = await pages.begin();
  return [
    heading(say("bin")),
    el("p", { class: "hint" }, say(found > 0 ? "binHint" : "binEmpty")),
    ...pages.content,
    el("p", { class: "row" }, el("a", { class: "button quiet", href: "#/" }, say("gallery"))),
  ];
}

export const restore = (artworkId) => post(`/artworks/${artworkId}/restore`);

/** A button that marks an artwork as a favourite, or no more. */
export function heart({ artworkId, title, favourite }) {
  const words = say("favourite", { title: title || say("untitled") });
  const mark = el("button", { type: "button", class: "quiet heart", "aria-label": words, onclick: toggle });
  function show() {
    mark.textContent = favourite ? "♥" : "♡";
    mark.setAttribute("aria-pressed", favourite);
  }
  async function toggle() {
    try {
      ({ favourite } = await patch(`/artworks/${artworkId}`, { favourite: !favourite }));
      show();
    } catch (error) {
      complain(error);
    }
  }
  show();
  return mark;
}

// --- Lists ---

/** A list that grows page by page. `query` is asked anew whenever it begins. */
function pagesOf(query, item) {
  const list = el("ul", { class: "gallery" });
  const none = el("p", { class: "hint", hidden: true }, say("nothingFound"));
  const more = button("more", () => add().catch(complain));
  let cursor = "";
  let turn = 0;

  async function add() {
    const mine = turn;
    let page = { items: [] };
    // A search looks only so deep at a time; an empty page is the end of the list only when nothing follows it.
    do {
      const asked = Object.entries({ ...query(), cursor, limit: 12 }).filter(([, value]) => value !== "");
      page = await get(`/gallery?${new URLSearchParams(asked)}`);
      if (mine !== turn) return;
      cursor = page.nextCursor ?? "";
    } while (cursor && !page.items.length);
    list.append(...page.items.map(item));
    more.hidden = !cursor;
    none.hidden = list.children.length > 0;
  }
  /** Show the list from its beginning, and return how many are on its first page. */
  async function begin() {
    turn += 1;
    cursor = "";
    list.replaceChildren();
    await add();
    return list.children.length;
  }
  return { content: [none, list, more], begin };
}

function galleryItem(item) {
  const picture = item.posterUrl ?? item.thumbUrl ?? item.coverUrl;
  const state = say(`status.${item.status}`);
  return el("li", {}, el("a", { class: "card sheet", href: `#/artworks/${item.artworkId}` },
    picture ? el("img", { src: picture, alt: "", loading: "lazy" }) : el("span", { class: "blank" }),
    el("h2", {}, item.title || say("untitled")),
    el("p", { class: "hint" },
      el("time", { datetime: item.createdAt }, day(item.createdAt)), state && ` · ${state}`)), heart(item));
}

function binItem(item) {
  const row = el("li", { class: "card sheet" },
    item.thumbUrl ? el("img", { src: item.thumbUrl, alt: "", loading: "lazy" }) : el("span", { class: "blank" }),
    el("h2", {}, item.title || say("untitled")),
    el("p", { class: "hint" }, say("keptUntil", { date: day(item.restorableUntil) })),
    button("restore", async () => {
      try {
        await restore(item.artworkId);
        row.remove();
        announce(say("restored"));
      } catch (error) {
        complain(error);
      }
    }, { class: "quiet" }));
  return row;
}

// --- Above the list ---

function searchForm(signal, pages) {
  const attributes = { type: "search", value: wish.q, maxlength: 100, autocomplete: "off" };
  const words = el("input", { ...attributes, "aria-label": say("search"), placeholder: say("search") });
  const only = button("onlyFavourites", () => {
    wish.favourite = !wish.favourite;
    search();
  }, { class: "quiet", "aria-pressed": wish.favourite });
  let pause;
  async function search() {
    clearTimeout(pause);
    wish.q = words.value.trim();
    only.setAttribute("aria-pressed", wish.favourite);
    try {
      const found = await pages.begin();
      if (!signal.aborted && !found) announce(say("nothingFound"));
    } catch (error) {
      complain(error);
    }
  }
  words.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(search, PAUSE_MS);
  });
  signal.addEventListener("abort", () => clearTimeout(pause));
  const submit = (event) => {
    event.preventDefault();
    search();
  };
  return el("form", { role: "search", class: "row", onsubmit: submit }, words, only);
}

/** What was deleted a moment ago, and the way back. It is offered once. */
function undoCard() {
  if (!deleted) return null;
  const { artworkId, title } = deleted;
  deleted = null;
  const undo = button("undo", async () => {
    try {
      await restore(artworkId);
      await render();
      announce(say("restored"));
    } catch (error) {
      complain(error);
    }
  });
  return el("section", { class: "card row", role: "status" },
    el("span", {}, say("deleted", { title: title || say("untitled") })), undo);
}

function emptyCard() {
  return el("section", { class: "card empty" },
    el("h2", {}, say("emptyTitle")), el("p", {}, say("empty")),
    el("a", { class: "button big", href: "#/new" }, say("new")));
}
