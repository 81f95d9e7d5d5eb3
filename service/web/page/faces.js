// Both aligned faces: the points they were aligned by, what mattered, and how good the photos are.
import { draw, make, show } from "./elements.js";
import { percent } from "./numbers.js";
import { qualityOf } from "./quality.js";
import { currentLanguage, say } from "./words.js";

const SIDES = [["probe", "first"], ["reference", "second"]];
const POINT = 2.6 / 150; // radius of a landmark's dot, of the chip's side
const TOWARD = [13, 148, 136], APART = [234, 88, 12];

// `looks` is "landmarks" or "why"; `choose` is called with the other one.
export function tellFaces(place, { answer, card, looks, saliency, choose }) {
  const isWhy = looks === "why";
  show(
    place,
    make("h2", { id: "faces-title" }, say("facesTitle")),
    make("p", { class: "lead" }, say(isWhy ? "whyLead" : "facesLead", { side: card.alignment.chip_size_px })),
    make("div", { class: "row" }, toggle("landmarks", looks, choose), toggle("why", looks, choose)),
    isWhy ? key(saliency) : null,
    make("div", { class: "pair-of-faces" }, SIDES.map(([side, which]) => face(side, which, { answer, card, isWhy, saliency }))),
  );
}

function toggle(name, looks, choose) {
  const pressed = String(name === looks);
  return make("button", { type: "button", "aria-pressed": pressed, "data-key": name, onclick: () => choose(name) }, say(name));
}

function key(saliency) {
  if (!saliency) return make("p", { class: "fine busy", role: "status" }, say("whyBusy"));
  const entry = (kind) => make("span", { class: `key ${kind}` }, say(kind));
  return make("div", { class: "legend fine" }, entry("toward"), entry("apart"));
}

function face(side, which, { answer, card, isWhy, saliency }) {
  const chip = answer.chips[side], width = card.alignment.chip_size_px;
  const of = saliency?.[side];
  const shows = isWhy && of;
  const words = shows ? say("chipAltWhy", { which: say(which), regions: regionsInWords(of) }) : say("chipAlt", { which: say(which) });
  const image = make("img", { src: chip.picture, alt: words, width, height: width });
  const over = isWhy ? of && heat(of.map) : points(chip.landmarks, width);
  return make(
    "figure",
    {},
    make("div", { class: "chip" }, image, over),
    make("figcaption", {}, make("h3", {}, say(which)), shows ? regions(of) : qualityOf(answer[side].quality, card)),
  );
}

function points(landmarks, width) {
  const svg = draw("svg", { viewBox: `0 0 ${width} ${width}`, "aria-hidden": "true" });
  svg.append(...landmarks.map(([cx, cy]) => draw("circle", { cx, cy, r: width * POINT, class: "point" })));
  return svg;
}

function heat(rows) {
  const canvas = make("canvas", { width: rows[0].length, height: rows.length, "aria-hidden": "true", class: "heat" });
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  rows.flat().forEach((value, k) => {
    image.data.set([...(value > 0 ? TOWARD : APART), 215 * Math.abs(value) ** 0.8], 4 * k);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

const strongest = ({ regions }) => regions.slice(0, 4);

const regionsInWords = (saliency) =>
  strongest(saliency)
    .map(({ region, share }) => `${say(`region.${region}`)} ${percent(share)}`)
    .join(say("comma"));

function regions(saliency) {
  const row = ({ region, share, toward }) => {
    const bar = make("span", { class: `bar ${toward >= 0 ? "toward" : "apart"}` });
    bar.style.width = `${100 * Math.min(1, share * 3)}%`;
    const name = `${say(`region.${region}`)} ${percent(share)}`;
    return make("li", {}, make("span", {}, name), bar);
  };
  return make("ul", { class: "regions", lang: currentLanguage() }, strongest(saliency).map(row));
}
