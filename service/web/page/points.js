// The card's operating points, to choose from by how many strangers pass.
import { make } from "./elements.js";
import { percent, whole } from "./numbers.js";
import { say } from "./words.js";

export function pointPicker(card, current, choose) {
  const points = card.operating_points;
  if (points.length === 0) return null;
  const choices = make("div", { class: "segments" }, points.map((point) => choice(point, current, choose)));
  const note = make("p", { class: "fine" }, current ? explained(current) : "");
  return make("fieldset", { class: "points" }, make("legend", {}, say("points")), choices, note);
}

// FMRs are near round numbers, and were chosen to be: 0.000999 is meant as one in 1,000.
export function pointName({ fmr, name }) {
  if (fmr === null) return name;
  const n = 1 / fmr;
  const digit = 10 ** Math.floor(Math.log10(n));
  return say("oneIn", { n: whole(Math.round(n / digit) * digit) });
}

function choice(point, current, choose) {
  const id = `point-${point.name}`;
  const isCurrent = current?.name === point.name;
  const input = make("input", { type: "radio", name: "point", id, value: point.name, "data-key": id, checked: isCurrent });
  input.addEventListener("change", () => choose(point.name));
  const misses = point.fnmr === null ? "" : say("pointMisses", { share: percent(point.fnmr) });
  const label = make("label", { for: id }, make("strong", {}, pointName(point)), make("span", {}, misses));
  return make("div", {}, input, label);
}

function explained(point) {
  if (point.fmr === null || point.fnmr === null || !point.fmr_interval) return say("pointUnmeasured");
  const [low, high] = point.fmr_interval.map(percent);
  return say("pointWhy", { oneIn: pointName(point), fmr: percent(point.fmr), low, high, fnmr: percent(point.fnmr) });
}
