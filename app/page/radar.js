// The radar of abilities, as a drawing.

import { svg } from "./elements.js";
import { say } from "./words.js";

const RADIUS = 100;

/** `abilities` come from a report; one without a value has no point. */
export function radar(abilities) {
  const at = (position, value) => {
    const angle = (2 * Math.PI * position) / abilities.length - Math.PI / 2;
    return [(RADIUS * value * Math.cos(angle)) / 100, (RADIUS * value * Math.sin(angle)) / 100];
  };
  const ring = (value) => svg("polygon", { class: "grid", points: abilities.map((_, position) => at(position, value)).join(" ") });
  const spoke = ({ value }, position) => {
    const [x2, y2] = at(position, RADIUS);
    return svg("line", { class: value === null ? "grid unknown" : "grid", x2, y2 });
  };
  const points = (field) => abilities.map((ability, position) => (ability[field] === null ? null : at(position, ability[field])));
  // A side is only drawn where both of its ends are known.
  const sides = (corners, kind) => corners.map((corner, position) => {
    const next = corners[(position + 1) % corners.length];
    return corner && next && svg("line", { class: kind, x1: corner[0], y1: corner[1], x2: next[0], y2: next[1] });
  });
  const values = points("value");
  return svg("svg", { class: "radar", viewBox: "-205 -135 410 270", role: "img", "aria-label": say("radar") },
    [25, 50, 75, 100].map(ring), abilities.map(spoke),
    sides(points("earlier"), "earlier"),
    !values.includes(null) && svg("polygon", { class: "area", points: values.join(" ") }),
    sides(values, "side"),
    values.map((point) => point && svg("circle", { cx: point[0], cy: point[1], r: 3.5 })),
    abilities.map((ability, position) => name(ability, at(position, RADIUS))));
}

function name({ label, value }, [x, y]) {
  const anchor = Math.abs(x) < 1 ? "middle" : x > 0 ? "start" : "end";
  return svg("text", { x: 1.08 * x, y: y > 0 ? 1.08 * y + 12 : 1.08 * y - 4, "text-anchor": anchor }, `${label} ${value ?? "–"}`);
}
