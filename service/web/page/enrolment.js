// Enrolling a person: an id, photos, and what is known of consent. The server takes all photos or none.
import { bringUp, button, make, show } from "./elements.js";
import { Intake } from "./intake.js";
import { field, NAMED, Part } from "./part.js";
import { closePhoto, openPhoto } from "./photo.js";
import { ask } from "./server.js";
import { knows, say } from "./words.js";

const MOST_PHOTOS = 16; // of one request; a test holds it against the server's own

export class Enrolment extends Part {
  constructor(gallery) {
    super();
    Object.assign(this, { gallery, photos: [], refusal: null, isSending: false });
    this.inputs = {
      person: make("input", { ...NAMED }),
      note: make("input", { type: "text", maxlength: 2000, autocomplete: "off" }),
      reference: make("input", { type: "text", maxlength: 2000, autocomplete: "off" }),
      given: make("input", { type: "date" }),
      forget: make("input", { type: "date" }),
    };
    Object.assign(this, { picks: make("div", {}), shown: make("div", {}), ways: make("div", {}) });
    this.element = this.form();
    this.intake = new Intake(this.element, {
      id: "enrol-photos",
      multiple: true,
      given: (files) => this.add(files),
      refused: (why) => this.tell(() => say("cameraRefused", { why }), "bad"),
    });
    this.render();
  }

  form() {
    const { person, note, reference, given, forget } = this.inputs;
    const facts = make(
      "div",
      { class: "fields" },
      field("enrol-reference", "gallery.reference", reference, "gallery.referenceWhy"),
      field("enrol-given", "gallery.givenOn", given),
      field("enrol-forget", "gallery.forgetOn", forget, "gallery.forgetOnWhy"),
      field("enrol-note", "gallery.note", note),
    );
    const submit = (event) => {
      event.preventDefault();
      this.enrol();
    };
    return make(
      "form",
      { class: "card enrolment", "aria-labelledby": "enrol-title", onsubmit: submit },
      make("h2", { id: "enrol-title", "data-text": "gallery.enrol" }, say("gallery.enrol")),
      field("enrol-person", "gallery.person", person, "gallery.personWhy"),
      this.picks,
      this.shown,
      facts,
      make("button", { class: "main", "data-key": "enrol", "data-text": "gallery.enrolNow" }, say("gallery.enrolNow")),
      this.said,
      this.ways,
      this.trouble,
    );
  }

  opened() {
    this.inputs.given.max = dayOf(new Date());
    this.inputs.forget.min = dayOf(new Date(Date.now() + 24 * 3600 * 1000));
    this.clear();
    this.empty();
  }

  // More photos of someone who is enrolled.
  begin(person) {
    this.inputs.person.value = person;
    bringUp(this.element);
    this.picks.querySelector("[data-key=pick]").focus();
  }

  async add(files) {
    const photos = await Promise.all(files.map(openPhoto));
    const kept = photos.slice(0, MOST_PHOTOS - this.photos.length);
    for (const photo of photos.slice(kept.length)) closePhoto(photo);
    this.photos = [...this.photos, ...kept.map((photo) => ({ ...photo, refusals: [] }))];
    this.forgetRefusal();
    this.tell(() => (kept.length < photos.length ? say("gallery.tooMany", { n: MOST_PHOTOS }) : ""), "ask");
    this.render();
  }

  remove(photo) {
    closePhoto(photo);
    this.photos = this.photos.filter((each) => each !== photo);
    this.forgetRefusal();
    this.render();
    this.picks.querySelector("[data-key=pick]").focus({ preventScroll: true }); // the button that had it is gone
  }

  // Where the photos or the person change, a refusal is about neither.
  forgetRefusal() {
    this.refusal = null;
    for (const photo of this.photos) photo.refusals = [];
    this.clear();
  }

  async enrol(more = {}) {
    if (this.isSending) return;
    if (this.photos.length === 0) {
      this.tell(() => say("gallery.noPhoto"), "bad");
      this.picks.querySelector("[data-key=pick]").focus();
      return;
    }
    this.isSending = true;
    this.forgetRefusal();
    this.tell(() => say("gallery.enrolling"), "busy");
    this.render();
    const url = `${this.gallery.url}/people/${encodeURIComponent(this.values.person)}`;
    const sent = this.photos;
    const settle = (problem) => this.refuse(problem, sent);
    await this.attempt(() => this.send(url, sent, more), { settle }).finally(() => (this.isSending = false));
  }

  async send(url, photos, more) {
    const { signal } = this.gallery;
    const body = { image: photos.map(({ file }) => file), ...this.facts, ...more };
    const done = await ask(`${url}/photos`, { body, signal, waiting: this.waiting });
    const values = { person: done.person.id, n: done.enrolled.length, known: done.already_there.length };
    this.empty();
    await this.gallery.changed();
    this.tell(() => say("gallery.enrolled", values), "good");
  }

  get values() {
    return Object.fromEntries(Object.entries(this.inputs).map(([name, { value }]) => [name, value.trim()]));
  }

  // What is said in the form; the server keeps what is known of the person and left out here.
  get facts() {
    const { note, reference, given, forget } = this.values;
    const consent = { reference, given_on: given || dayOf(new Date()) };
    return {
      note: note || null,
      consent: reference ? JSON.stringify(consent) : null,
      forget_at: forget ? new Date(`${forget}T00:00`).toISOString() : null,
    };
  }

  // Tell each refused photo why; other problems are not settled here.
  refuse({ refusals }, photos) {
    if (refusals.length === 0) return false;
    for (const refusal of refusals) photos[refusal.photo].refusals.push(refusal);
    this.refusal = refusals;
    const n = new Set(refusals.map((refusal) => refusal.photo)).size;
    this.tell(() => say("gallery.refused", { n, of: photos.length }), "bad");
    this.render();
    bringUp(this.shown);
    return true;
  }

  // Enrolled, or another gallery: what was given is used up.
  empty() {
    for (const photo of this.photos) closePhoto(photo);
    Object.assign(this, { photos: [], refusal: null });
    for (const input of Object.values(this.inputs)) input.value = "";
    this.render();
  }

  render() {
    super.render();
    show(this.picks, this.pickers());
    const thumbs = this.photos.map((photo, k) => this.thumb(photo, k + 1));
    show(this.shown, thumbs.length > 0 ? make("ul", { class: "thumbs" }, thumbs) : null);
    show(this.ways, this.refusal?.every(({ code }) => code === "already_enrolled") ? this.waysOn() : null);
  }

  pickers() {
    const pick = button("pick", () => this.intake.pick(), say("gallery.pickMany"), say("gallery.enrol"));
    const camera = button("camera", () => this.intake.fromCamera(), say("camera"), say("gallery.enrol"));
    const words = make("p", { class: "drop-here" }, say("gallery.dropMany", { n: MOST_PHOTOS }));
    return make("div", { class: "invitation low" }, words, make("div", { class: "row" }, pick, camera));
  }

  thumb(photo, number) {
    const name = say("gallery.photoName", { number });
    const hasPicture = photo.width !== null;
    const picture = hasPicture ? make("img", { src: photo.url, alt: name }) : make("p", { class: "fine" }, say("noPreview"));
    const remove = button(`remove-${number}`, () => this.remove(photo), say("gallery.remove"), name);
    return make("li", { class: photo.refusals.length > 0 ? "refused" : "" }, picture, remove, photo.refusals.flatMap(reasonOf));
  }

  // Somebody who is enrolled already: as whom, or as another person all the same.
  waysOn() {
    const people = [...new Set(this.refusal.map(({ person }) => person))];
    const as = (person) => {
      this.inputs.person.value = person;
      return this.enrol();
    };
    return make(
      "div",
      { class: "row" },
      people.length === 1 ? button("enrol-as", () => as(people[0]), say("gallery.enrolAs", { person: people[0] })) : null,
      button("insist", () => this.enrol({ allow_duplicate: true }), say("gallery.insist")),
    );
  }
}

function reasonOf({ code, person, detail }) {
  const key = `gallery.refusal.${code}`;
  const isKnown = knows(key);
  const words = make("p", { class: "reason" }, say(isKnown ? key : "gallery.refusal.other", { person }));
  return isKnown ? words : [words, make("q", { class: "fine", lang: "en" }, detail)];
}

const two = (number) => String(number).padStart(2, "0");
const dayOf = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
