// The gallery's tab: choose a gallery or create one; then identify, enrol and forget people in it.
import { make, show } from "./elements.js";
import { Enrolment } from "./enrolment.js";
import { Identification } from "./identification.js";
import { field, NAMED, Part } from "./part.js";
import { People } from "./people.js";
import { ask } from "./server.js";
import { say } from "./words.js";

export class Gallery extends Part {
  // `about` has the card of the model, once that is known.
  constructor(place, about) {
    super();
    Object.assign(this, { about, url: null, name: null, running: new AbortController() });
    this.input = make("input", { ...NAMED });
    this.missing = make("div", {});
    this.parts = make("div", { class: "gallery", hidden: true });
    this.identification = new Identification(this);
    this.enrolment = new Enrolment(this);
    this.people = new People(this);
    show(this.parts, this.identification.element, this.enrolment.element, this.people.element);
    show(place, this.opening(), this.trouble, this.parts);
  }

  get signal() {
    return this.running.signal;
  }

  opening() {
    const open = make("button", { class: "main", "data-key": "open-gallery", "data-text": "gallery.open" }, say("gallery.open"));
    const submit = (event) => {
      event.preventDefault();
      this.open(this.input.value.trim());
    };
    const named = field("gallery-name", "gallery.name", this.input, "gallery.nameWhy");
    const line = make("div", { class: "row" }, open);
    this.input.replaceWith(line);
    line.prepend(this.input);
    return make("form", { class: "card", onsubmit: submit }, named, this.said, this.missing);
  }

  open(name) {
    this.running.abort();
    this.running = new AbortController();
    Object.assign(this, { name, url: `/v1/galleries/${encodeURIComponent(name)}` });
    this.parts.hidden = true;
    show(this.missing);
    return this.attempt(() => this.enter(), { settle: (problem) => this.offer(problem) });
  }

  async enter() {
    const { name } = this;
    await ask(this.url, { signal: this.signal, waiting: this.waiting });
    this.reveal(name);
  }

  // A gallery that is missing can be created; a key that may not read who is enrolled may perhaps identify.
  offer({ code }) {
    if (code === "forbidden") this.reveal(this.name);
    if (code === "no_such_gallery") this.renderMissing();
    return ["forbidden", "no_such_gallery"].includes(code);
  }

  create() {
    return this.attempt(async () => {
      await ask(this.url, { method: "PUT", signal: this.signal, waiting: this.waiting });
      show(this.missing);
      this.reveal(this.name);
      this.input.focus({ preventScroll: true }); // the button that had it is gone
    });
  }

  reveal(name) {
    this.tell(() => say("gallery.opened", { name }), "good");
    this.parts.hidden = false;
    for (const part of [this.identification, this.enrolment, this.people]) part.opened();
  }

  // Someone was enrolled or forgotten.
  async changed() {
    this.identification.opened(); // what it shows may name somebody who is forgotten
    await this.people.load();
  }

  renderMissing() {
    const { name } = this;
    this.tell(() => say("gallery.missing", { name }), "ask");
    const create = { type: "button", "data-key": "create", "data-text": "gallery.create", onclick: () => this.create() };
    show(this.missing, make("button", create, say("gallery.create")));
  }

  render() {
    super.render();
    for (const part of [this.identification, this.enrolment, this.people]) part.render();
  }
}
