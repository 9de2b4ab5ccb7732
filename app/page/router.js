// Which view is shown.

import { button, problemCard } from "./elements.js";

const main = document.getElementById("main");

let views = [];
let leaving = new AbortController();
let mendedAt = 0;

/** Show the view of the address, and of every address that follows. Each is a pattern and what makes its content. */
export function start(list) {
  views = list;
  addEventListener("hashchange", async () => {
    await render();
    scrollTo(0, 0);
    main.querySelector("h1")?.focus();
  });
  return render();
}

/** Show the view of the address anew. The signal that a view is given tells it that it was left. */
export async function render() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  main.setAttribute("aria-busy", "true");
  const [pattern, show] = views.find(([candidate]) => candidate.test(location.hash));
  const content = await show(signal, ...pattern.exec(location.hash).slice(1))
    .catch((error) => [problemCard(error, button("retry", render))]);
  if (signal.aborted) return;
  main.replaceChildren(...content.filter(Boolean));
  main.setAttribute("aria-busy", "false");
}

export function complain(error) {
  main.prepend(problemCard(error));
}

// Addresses of media live for ten minutes. One that fails is taken for an old one, at most once a minute.
main.addEventListener("error", (event) => {
  if (!/^http/.test(event.target.src) || Date.now() - mendedAt < 60_000) return;
  mendedAt = Date.now();
  render();
}, true);
