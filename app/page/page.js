// The page of one family: the gallery, a new story, one artwork, the bin, growth.

import { showArtwork } from "./artwork.js";
import { showBin, showGallery } from "./gallery.js";
import { showGrow } from "./grow.js";
import { showPrivacy } from "./privacy.js";
import { render, start } from "./router.js";
import { showNew } from "./story.js";
import { language, say, setLanguage } from "./words.js";

const VIEWS = [
  [/^#\/new$/, showNew], [/^#\/artworks\/([\w-]+)$/, showArtwork], [/^#\/bin$/, showBin],
  [/^#\/grow(?:\/(week|month))?$/, showGrow], [/^#\/privacy$/, showPrivacy], [/^/, showGallery],
];

function speak() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = say(node.dataset.word);
  document.getElementById("language").lang = language === "zh" ? "en" : "zh-CN";
}

document.getElementById("language").addEventListener("click", () => {
  setLanguage(language === "zh" ? "en" : "zh");
  speak();
  render();
});

speak();
start(VIEWS);
