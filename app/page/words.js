// The page's language and its words.

const everything = await (await fetch("/page/words.json")).json();

export let language = remembered("language", () => (navigator.language.startsWith("zh") ? "zh" : "en"));

export function setLanguage(chosen) {
  language = chosen;
  localStorage.setItem("huaban.language", chosen);
}

/** What this browser keeps under a name; made the first time. */
export function remembered(name, make) {
  const key = `huaban.${name}`;
  if (!localStorage.getItem(key)) localStorage.setItem(key, make());
  return localStorage.getItem(key);
}

export const keep = (name, value) => localStorage.setItem(`huaban.${name}`, value);

export const kept = (name) => localStorage.getItem(`huaban.${name}`);

export const forget = (name) => localStorage.removeItem(`huaban.${name}`);

export function say(key, values = {}) {
  return everything[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function day(moment) {
  return new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en", { dateStyle: "medium" }).format(new Date(moment));
}
