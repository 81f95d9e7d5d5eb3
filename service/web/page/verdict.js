// The verdict in words, its figures, how strict it is, and the scale.
import { draw, make, show } from "./elements.js";
import { judged } from "./judging.js";
import { chance, decimals, whole } from "./numbers.js";
import { pointPicker } from "./points.js";
import { scaleOf } from "./scale.js";
import { currentLanguage, say } from "./words.js";

export function tellVerdict(place, { answer, card, curves, choosePoint }) {
  show(
    place,
    make("div", { class: "verdict-head" }, heading(answer), figures(answer)),
    pointPicker(card, answer.operating_point, choosePoint),
    ...scaleOf(answer, card, curves),
  );
  place.dataset.same = String(answer.same);
}

function heading(answer) {
  const words = make("h2", { id: "verdict-words" }, sign(answer.same), say(answer.same ? "same" : "different"));
  const notes = answer.notes.map((note) => make("p", { lang: "en" }, note)); // the service writes English
  return make("div", {}, words, make("p", {}, why(answer)), ...notes, reason(answer));
}

function why({ same, distance, threshold }) {
  if (threshold <= 0) return say("never");
  return say(same ? "sameWhy" : "differentWhy", { distance: decimals(distance), threshold: decimals(threshold) });
}

function reason(answer) {
  const said = make("q", { lang: "en" }, answer.threshold_reason);
  const told = currentLanguage() === "en" ? said : make("span", {}, say("reasonZh"), said);
  return make("details", { class: "fine" }, make("summary", {}, say("reason")), make("p", {}, told));
}

// Two circles that lie over each other, or apart: the verdict for those who see no colour.
function sign(same) {
  const [left, right] = same ? [12, 18] : [8, 23];
  const circle = (cx) => draw("circle", { cx, cy: 15, r: 6.5 });
  return draw("svg", { viewBox: "0 0 31 30", class: "sign", "aria-hidden": "true" }, circle(left), circle(right));
}

function figures(answer) {
  const { value, limit } = judged(answer);
  const rows = [
    answer.probability === null ? null : [say("probability"), chance(answer.probability), say("probabilityWhy")],
    [say("distance"), decimals(answer.distance), say("distanceWhy", { threshold: decimals(answer.threshold) })],
    value > answer.distance ? [say("normalised"), decimals(value), say("normalisedWhy", { threshold: decimals(limit) })] : null,
    [say("took"), `${whole(answer.timings_ms.total)} ms`, say("tookWhy")],
  ];
  const figure = ([name, number, note]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, make("strong", {}, number), make("span", {}, note)));
  return make("dl", { class: "figures" }, rows.filter(Boolean).map(figure));
}
