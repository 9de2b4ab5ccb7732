// The growth page: what is told of the child, and what the works of past weeks and months show.

import { get, getFile, post, upload } from "./api.js";
import { announce, button, el, fileButton, heading, problemCard } from "./elements.js";
import { radar } from "./radar.js";
import { language, say } from "./words.js";

const PERIODS = { week: "weeks", month: "months" };
const AGE_BANDS = ["1-3", "4-6", "7-9", "10-12", "13-15", "16-18"];
const RANGE = 4;
const PICTURES = 4;

export async function showGrow(_signal, period = "week") {
  const zone = encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone);
  const query = `period=${period}&range=${RANGE}&tz=${zone}&lang=${language}`;
  const [profile, report] = await Promise.all([get("/grow/profile"), get(`/grow/report?${query}`)]);
  return [
    heading(say("grow")),
    profileCard(profile),
    el("nav", { class: "row", "aria-label": say("period") }, Object.keys(PERIODS).map((name) => periodLink(name, period))),
    ...report.periods.map((one, position) => periodCard(one, report.artworks, position === 0)),
    fileCard(period, query),
    el("section", { class: "card hint" }, report.notes.map((note) => el("p", {}, note))),
  ];
}

function periodLink(name, current) {
  const attributes = { class: "button quiet", href: `#/grow/${name}`, "aria-current": name === current && "page" };
  return el("a", attributes, say(PERIODS[name]));
}

// --- The child ---

function profileCard(profile) {
  const { nickname, age, ageBand, description, avatarUrl } = profile;
  const years = age ? say("years", { years: age }) : ageBand && say("years", { years: ageBand });
  const card = el("section", { class: "card child" },
    avatarUrl && el("img", { class: "avatar", src: avatarUrl, alt: "" }),
    el("div", {},
      el("h2", {}, nickname ?? say("child")),
      years && el("p", { class: "hint" }, years),
      description && el("p", { class: "told" }, description),
      button(profile.updatedAt ? "change" : "tell", () => card.replaceWith(profileForm(profile, card)), { class: "quiet" })));
  return card;
}

function profileForm(profile, card) {
  const trouble = el("div");
  const nickname = el("input", { id: "nickname", maxlength: 30, autocomplete: "off", value: profile.nickname });
  const description = el("textarea", { id: "description", rows: 3, maxlength: 500 }, profile.description ?? "");
  const age = el("select", { id: "age" }, el("option", { value: "" }, say("notTold")),
    AGE_BANDS.map((band) => el("option", { value: band, selected: band === profile.ageBand }, say("years", { years: band }))));
  const chosen = el("span", { class: "hint", role: "status" });
  let avatar = null;
  const choose = (file) => {
    avatar = upload(file, "image");
    avatar.catch((error) => trouble.replaceChildren(problemCard(error)));
    chosen.textContent = say("pictureChosen", { name: file.name });
  };
  async function save(event) {
    event.preventDefault();
    try {
      const told = { nickname: nickname.value || null, description: description.value || null };
      // An age in years, told elsewhere, is kept as long as its band is.
      if (age.value !== (profile.ageBand ?? "")) told.ageBand = age.value || null;
      if (avatar) told.avatarAssetId = await avatar;
      form.replaceWith(profileCard(await post("/grow/profile", told)));
      announce(say("saved"));
    } catch (error) {
      trouble.replaceChildren(problemCard(error));
    }
  }
  const form = el("form", { class: "card", onsubmit: save },
    el("h2", {}, say("child")), el("p", { class: "hint" }, say("childHint")),
    el("label", { for: "nickname" }, say("nickname")), nickname,
    el("label", { for: "age" }, say("age")), age,
    el("label", { for: "description" }, say("about")), description,
    el("div", { class: "row" }, fileButton("chooseAvatar", { accept: "image/*" }, choose), chosen),
    trouble,
    el("div", { class: "row" }, el("button", {}, say("save")),
      button("cancel", () => form.replaceWith(card), { class: "quiet" })));
  return form;
}

// --- The report ---

function periodCard(period, artworks, isNewest) {
  if (!period.counts.works) {
    return el("section", { class: "card" }, el("h2", {}, period.label), el("p", { class: "hint" }, period.summary));
  }
  const content = [
    el("p", { class: "hint" }, period.summary),
    period.isCut && el("p", { class: "hint" }, say("manyWorks")),
    el("div", { class: "charts" }, radar(period.radar), dayBars(period.days)),
    period.radar.some(({ earlier }) => earlier !== null) && el("p", { class: "hint" }, say("dashed")),
    ...palette(period.palette),
    el("h3", {}, say("shown")), el("ul", { class: "insights" }, period.insights.map((one) => insight(one, artworks))),
    el("h3", {}, say("measures")), el("ul", { class: "measures" }, period.radar.map(measure)),
  ];
  if (isNewest) return el("section", { class: "card" }, el("h2", {}, period.label), content);
  return el("details", { class: "card" },
    el("summary", {}, el("h2", {}, period.label), el("span", { class: "hint" }, period.summary)), content.slice(1));
}

function dayBars(days) {
  const most = Math.max(4, ...days.map(({ works }) => works));
  const weekday = new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en", { weekday: "short", timeZone: "UTC" });
  const label = ({ date }) => (days.length > 7 ? String(Number(date.slice(8))) : weekday.format(new Date(date)));
  const bars = days.map((day) => {
    const bar = el("span", { class: "bar", "aria-hidden": "true" });
    bar.style.height = `calc((100% - 1.6rem) * ${day.works / most})`;
    const words = say("worksOn", { works: day.works, date: day.date });
    return el("li", { title: words }, el("span", { class: "unseen" }, words), bar,
      el("span", { class: "hint", "aria-hidden": "true" }, label(day)));
  });
  return el("ul", { class: days.length > 7 ? "bars many" : "bars", "aria-label": say("eachDay") }, bars);
}

function palette(uses) {
  const spots = uses.map(({ name, color, share }) => {
    const spot = el("span", { class: "spot" });
    spot.style.background = color;
    return el("li", {}, spot, `${name} ${Math.round(100 * share)} %`);
  });
  return spots.length ? [el("h3", {}, say("palette")), el("ul", { class: "tags" }, spots)] : [];
}

function insight({ text, method, sampleSize, artworkIds }, artworks) {
  const pictures = artworkIds.slice(0, PICTURES).map((id) => {
    const { title, thumbUrl } = artworks[id];
    const name = title || say("untitled");
    return el("a", { href: `#/artworks/${id}`, title: name },
      thumbUrl ? el("img", { src: thumbUrl, alt: name, loading: "lazy" }) : name);
  });
  const more = artworkIds.length - pictures.length;
  return el("li", {},
    el("div", {}, el("p", {}, text), el("p", { class: "hint" }, say("sample", { method, count: sampleSize }))),
    el("div", { class: "thumbs" }, pictures, more > 0 && el("span", { class: "hint" }, `+${more}`)));
}

function measure({ label, value, earlier, note, method, sampleSize }) {
  return el("li", {},
    el("span", {}, label), el("span", {}, value === null ? note : say("measure", { value })),
    value !== null && el("meter", { min: 0, max: 100, value, "aria-label": label }),
    el("span", { class: "hint" }, say("sample", { method, count: sampleSize }), " ",
      earlier !== null && say("earlier", { value: earlier })));
}

function fileCard(period, query) {
  const trouble = el("div");
  const fetchAs = (kind) => async () => {
    try {
      // A link could not say who is asking.
      const href = URL.createObjectURL(await getFile(`/grow/report.${kind}?${query}`));
      el("a", { href, download: `huaban-${period}.${kind}` }).click();
      setTimeout(() => URL.revokeObjectURL(href), 60_000);
    } catch (error) {
      trouble.replaceChildren(problemCard(error));
    }
  };
  return el("section", {}, trouble, el("div", { class: "row" },
    button("asPrint", fetchAs("pdf"), { class: "quiet" }), button("asPicture", fetchAs("png"), { class: "quiet" })));
}
