// The scale: where this pair lies between measured pairs of one person and of two.
import { draw, make } from "./elements.js";
import { judged } from "./judging.js";
import { decimals, whole } from "./numbers.js";
import { pointName } from "./points.js";
import { say } from "./words.js";

const HEIGHT = 230, TOP = 46, BASE = 190;
const WIDE = 940, NARROW = 350; // as the page is, so that letters keep their size

export function scaleOf(answer, card, curves) {
  const width = matchMedia("(max-width: 600px)").matches ? NARROW : WIDE;
  const { isNormalised, value, limit } = judged(answer);
  const kind = isNormalised ? "normalized" : "plain";
  const fitting = curves?.card_digest === answer.model.card_digest && curves.scores === kind ? curves : null;
  const points = card.operating_points.filter((point) => point.name !== answer.operating_point?.name);
  const axis = axisOf([value, limit, ...points.map((point) => point.threshold)], fitting, width);
  const verdict = say(answer.same ? "same" : "different");
  const alt = say("scaleAlt", { value: decimals(value), threshold: decimals(limit), verdict });
  const svg = draw("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": alt, class: "scale" });
  if (fitting) svg.append(...hills(fitting, axis));
  svg.append(baseline(width), ...ticks(axis), ...points.map((point) => otherPoint(point, axis)));
  svg.append(limitAt(limit, axis), pairAt(value, axis, answer.same));
  const scroll = make("div", { class: "scale-frame" }, svg);
  return [make("h3", {}, say("scale")), make("p", { class: "lead" }, say(isNormalised ? "scaleNormalised" : "scalePlain")), scroll, legend(fitting)];
}

function axisOf(values, curves, width) {
  const ends = curves ? [curves.edges[0], curves.edges.at(-1)] : [0];
  const low = Math.min(...values, ...ends), high = Math.max(...values, ...ends);
  const margin = (high - low) * 0.03 || 1;
  const from = low - margin, to = high + margin;
  return { from, to, width, x: (value) => ((value - from) / (to - from)) * width };
}

// Each kind as shares of its own comparisons; the square root keeps the thin slopes, where errors are, to be seen.
function hills(curves, axis) {
  const shares = ["genuine", "impostor"].map((kind) => {
    const all = curves[kind].reduce((sum, n) => sum + n, 0);
    return curves[kind].map((n) => n / all);
  });
  const peak = Math.max(...shares.flat());
  return shares.map((share, k) => hill(share, peak, curves.edges, axis, k === 0 ? "genuine" : "impostor"));
}

function hill(shares, peak, edges, axis, kind) {
  const y = (share) => BASE - Math.sqrt(share / peak) * (BASE - TOP);
  const middles = shares.map((share, k) => [axis.x((edges[k] + edges[k + 1]) / 2), y(share)]);
  const along = [[axis.x(edges[0]), BASE], ...middles, [axis.x(edges.at(-1)), BASE]];
  return draw("path", { d: smooth(along), class: `hill ${kind}` });
}

// Halfway points joined by quadratic curves: smooth, and never beyond the measured values.
function smooth(points) {
  const halves = points.slice(1).map(([x, y], k) => [(x + points[k][0]) / 2, (y + points[k][1]) / 2]);
  const curves = halves.slice(1).map((half, k) => `Q${place(points[k + 1])} ${place(half)}`);
  return `M${place(points[0])} L${place(halves[0])} ${curves.join(" ")} L${place(points.at(-1))} Z`;
}

const place = ([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`;
const baseline = (width) => draw("line", { x1: 0, x2: width, y1: BASE, y2: BASE, class: "base" });

function ticks(axis) {
  const step = stepOf(axis.to - axis.from);
  const first = Math.ceil(axis.from / step) * step;
  const values = Array.from({ length: Math.floor((axis.to - first) / step) + 1 }, (_, k) => first + k * step);
  const n = step < 1 ? 1 : 0;
  return values.map((value) => label(axis, value, BASE + 32, decimals(value, n)));
}

function stepOf(length) {
  const rough = length / 6;
  const size = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((times) => times * size).find((step) => step >= rough);
}

// Words near an end are written inwards.
function label(axis, value, y, text, kind = "tick") {
  const x = axis.x(value);
  const anchor = x < 50 ? "start" : x > axis.width - 50 ? "end" : "middle";
  return draw("text", { x, y, class: kind, "text-anchor": anchor }, text);
}

function otherPoint(point, axis) {
  const x = axis.x(point.threshold);
  return draw("g", { class: "other-point" }, draw("title", {}, pointName(point)), draw("line", { x1: x, x2: x, y1: BASE - 26, y2: BASE + 5 }));
}

function limitAt(limit, axis) {
  const x = axis.x(limit);
  return draw("g", { class: "limit" }, draw("line", { x1: x, x2: x, y1: TOP - 20, y2: BASE + 5 }), label(axis, limit, TOP - 26, say("limit"), "name"));
}

function pairAt(value, axis, same) {
  const x = axis.x(value);
  const pin = draw("path", { d: `M${x},${BASE} l-9,14 a9.5,9.5 0 1 0 18,0 Z` });
  const stem = draw("line", { x1: x, x2: x, y1: TOP - 4, y2: BASE });
  return draw("g", { class: `pair ${same ? "same" : "different"}` }, stem, pin, label(axis, value, TOP - 10, say("thisPair"), "name"));
}

function legend(curves) {
  if (!curves) return make("p", { class: "fine" }, say("noCurves"));
  const key = (kind, text) => make("span", { class: `key ${kind}` }, text);
  const counts = { genuine: whole(curves.n_genuine), impostor: whole(curves.n_impostor), data: curves.data };
  return make("div", { class: "legend fine" }, key("genuine", say("onePerson")), key("impostor", say("twoPeople")), make("span", {}, say("curvesFrom", counts)));
}
