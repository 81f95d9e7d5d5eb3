// Whom a photo shows: every face of it, with the people of the gallery who are nearest, and what is claimed.
import { bringUp, make, show } from "./elements.js";
import { chance, decimals, ofMany, percent, whole } from "./numbers.js";
import { Part } from "./part.js";
import { closePhoto, openPhoto } from "./photo.js";
import { leastFace } from "./picture.js";
import { Place } from "./place.js";
import { ask } from "./server.js";
import { say } from "./words.js";

const RATES = [1e-1, 1e-2, 1e-3, 1e-4]; // FPIRs to choose from
const DEFAULT_RATE = 1e-2;

export class Identification extends Part {
  constructor(gallery) {
    super();
    Object.assign(this, { gallery, photo: null, answer: null, rate: DEFAULT_RATE, running: new AbortController() });
    const chosen = (k) => this.choose(k);
    this.place = new Place("probe-photo", { nameKey: "gallery.probe", given: (file) => this.give(file), chosen });
    this.rates = make("div", {});
    this.result = make("div", { class: "identified" });
    const title = make("h2", { id: "identify-title", "data-text": "gallery.identify" }, say("gallery.identify"));
    const named = { class: "card", "aria-labelledby": "identify-title" };
    const told = make("section", named, title, this.rates, this.said, this.trouble, this.result);
    this.element = make("div", { class: "identification" }, this.place.element, told);
    this.render();
  }

  // Another gallery, or other people in it: what was found is no longer true.
  opened() {
    this.answer = null;
    if (this.photo) this.photo.faces = null;
    this.clear();
    this.render();
    this.ask();
  }

  async give(file) {
    this.running.abort();
    closePhoto(this.photo);
    Object.assign(this, { photo: null, answer: null });
    this.tell(() => say("gallery.identifying"), "busy");
    this.render();
    this.photo = await openPhoto(file);
    await this.ask();
  }

  // Ask about the photo that is there, if any.
  async ask() {
    this.running.abort();
    this.running = new AbortController();
    const { photo, rate } = this;
    if (!photo) return;
    const signal = AbortSignal.any([this.gallery.signal, this.running.signal]);
    this.tell(() => say("gallery.identifying"), "busy");
    this.place.render(photo, this.note());
    await this.attempt(
      async () => {
        const asked = { body: { probe: photo.file, face: "all", fpir: rate }, signal, waiting: this.waiting };
        this.take(photo, await ask(`${this.gallery.url}/identify`, asked));
      },
      { again: () => this.ask(), settle: () => this.take(photo, null) },
    );
  }

  // Show an answer, whose faces are numbered from the left; null = there is none. Never settles a problem.
  take(photo, answer) {
    this.answer = answer && { ...answer, faces: answer.faces.toSorted((a, b) => a.sample.box.x - b.sample.box.x) };
    photo.faces = this.answer && this.answer.faces.map((face) => face.sample);
    photo.chosen = null;
    this.tell(() => (answer ? this.summary() : ""), "unseen"); // the faces below say it to those who see them
    this.render();
    return false;
  }

  choose(k) {
    this.photo.chosen = k;
    this.render();
    bringUp(this.result.querySelector(`#identified-${k}`));
  }

  summary() {
    const { faces } = this.answer;
    if (faces.length === 0) return say("noFaceTitle");
    return faces.map((face) => face.person ?? say("gallery.nobody")).join(say("comma"));
  }

  note() {
    if (!this.photo?.faces) return null;
    const n = this.photo.faces.length;
    const advice = this.photo.width === null ? "" : say("noFace", leastFace(this.photo));
    if (n === 0) return { text: `${say("noFaceTitle")}. ${advice}`, kind: "bad" };
    return { text: n === 1 ? say("oneFace") : say("gallery.nFaces", { n }), kind: "good" };
  }

  render() {
    super.render();
    this.place.render(this.photo, this.note());
    show(this.rates, ratePicker(this.rate, (rate) => this.claim(rate)));
    show(this.result, this.answer?.faces.length > 0 ? toldOf(this.answer, this.photo.chosen) : null);
  }

  claim(rate) {
    this.rate = rate;
    this.render();
    return this.ask();
  }
}

function ratePicker(current, choose) {
  const choice = (rate) => {
    const id = `fpir-${rate}`;
    const input = make("input", { type: "radio", name: "fpir", id, "data-key": id, checked: rate === current });
    input.addEventListener("change", () => choose(rate));
    return make("div", {}, input, make("label", { for: id }, make("strong", {}, say("gallery.rate", ofMany(rate)))));
  };
  const legend = make("legend", {}, say("gallery.rates"));
  return make("fieldset", { class: "points" }, legend, make("div", { class: "segments" }, RATES.map(choice)));
}

function toldOf({ faces }, chosen) {
  const claim = faces.find((face) => face.claim)?.claim;
  const number = (k) => (faces.length === 1 ? null : k + 1);
  const told = faces.map((face, k) => faceOf(face, number(k), { id: `identified-${k}`, isChosen: k === chosen }));
  return [
    ...(claim ? claimInWords(claim) : []),
    make("ol", { class: "found-faces" }, told),
    claim ? make("p", { class: "fine" }, say("gallery.priorWhy")) : null,
  ];
}

function claimInWords({ n_templates: n, fpir, fpir_interval: interval, fnir, is_exact: isExact }) {
  const [low, high] = (interval ?? []).map(percent);
  const measured = interval ? say("gallery.claimMeasured", { fpir: percent(fpir), low, high }) : "";
  const missed = fnir === null ? "" : say("gallery.claimMissed", { share: percent(fnir) });
  const many = ofMany(fpir);
  return [
    make("p", { class: "claim" }, say(many.k === "1" ? "gallery.claimOne" : "gallery.claim", { templates: whole(n), ...many })),
    make("p", { class: "fine" }, `${measured} ${missed} ${isExact ? "" : say("gallery.claimProposed")}`),
  ];
}

function faceOf(face, number, { id, isChosen }) {
  const who = face.person ?? say("gallery.nobody");
  const title = make("h3", {}, number === null ? who : say("gallery.faceTitle", { number, who }));
  const kind = `found-face ${face.person === null ? "nobody" : "somebody"} ${isChosen ? "chosen" : ""}`;
  const told = face.candidates.length > 0 ? candidatesOf(face) : make("p", { class: "fine" }, whyNone(face));
  return make("li", { id, class: kind }, title, told);
}

const whyNone = ({ sample }) => say(sample.quality.is_too_poor ? "gallery.tooPoor" : "gallery.noTemplate");

function candidatesOf({ candidates, claim }) {
  const heads = ["candidate", "verdict", "probability", "normalized"].map((key) => make("th", { scope: "col" }, say(`gallery.${key}`)));
  const row = (each) =>
    make(
      "tr",
      { class: each.match ? "match" : "" },
      make("th", { scope: "row" }, each.person),
      make("td", {}, say(each.match ? "gallery.match" : "gallery.noMatch")),
      make("td", {}, each.probability === null ? say("gallery.unknown") : chance(each.probability)),
      make("td", {}, `${decimals(each.normalized_distance)} ${each.match ? "<" : "≥"} ${decimals(claim.threshold)}`),
    );
  return make("table", { class: "candidates" }, make("thead", {}, make("tr", {}, heads)), make("tbody", {}, candidates.map(row)));
}
