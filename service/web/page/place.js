// A place for one photo: take it in by drop, file or camera; show it with the faces found in it.
import { hasCamera, photograph } from "./camera.js";
import { make, show } from "./elements.js";
import { pictureOf } from "./picture.js";
import { say } from "./words.js";

export class Place {
  // `side` is probe or reference; `given` is called with a file, `chosen` with the number of a face.
  constructor(side, { given, chosen }) {
    Object.assign(this, { side, given, chosen, note: null, refusal: null });
    this.input = make("input", { type: "file", accept: "image/*", hidden: true, id: `${side}-file` });
    this.input.addEventListener("change", () => this.take(this.input.files[0]));
    Object.assign(this, { view: make("div", { class: "place-view" }), below: make("div", {}) });
    this.said = make("p", { class: "note", role: "status" }); // stays, so that it is read out when it changes
    const title = { id: side, "aria-labelledby": `${side}-title` };
    this.element = make("section", { class: "place", ...title }, this.view, this.said, this.below, this.input);
    this.acceptDrops();
    this.render(null);
  }

  get name() {
    return say(this.side === "probe" ? "first" : "second");
  }

  take(file) {
    this.input.value = "";
    if (file) this.given(file);
  }

  acceptDrops() {
    const over = (is) => (event) => {
      event.preventDefault();
      this.element.classList.toggle("over", is);
    };
    for (const name of ["dragenter", "dragover"]) this.element.addEventListener(name, over(true));
    this.element.addEventListener("dragleave", over(false));
    this.element.addEventListener("drop", (event) => {
      over(false)(event);
      this.take(event.dataTransfer.files[0]);
    });
  }

  async fromCamera() {
    this.refusal = null;
    if (!hasCamera()) return this.refuse(say("cameraUnknown"));
    try {
      this.take(await photograph());
    } catch (error) {
      this.refuse(error.message || error.name);
    }
  }

  refuse(why) {
    this.refusal = say("cameraRefused", { why });
    this.render(this.photo);
  }

  // `note` is what is to be said of the photo: {text, kind} or null.
  render(photo, note = null) {
    if (photo !== this.photo) this.refusal = null;
    Object.assign(this, { photo, note });
    const title = make("h2", { id: `${this.side}-title` }, this.name);
    const view = photo ? pictureOf(photo, this.name, this.chosen) : this.invitation();
    const said = this.refusal ? { text: this.refusal, kind: "bad" } : note;
    this.said.className = `note ${said?.kind ?? ""}`;
    if (this.said.textContent !== (said?.text ?? "")) this.said.textContent = said?.text ?? "";
    show(this.view, title, view);
    show(this.below, photo ? this.buttons("pickOther") : null);
    this.element.classList.toggle("wide", Boolean(photo?.faces?.length > 1 && photo.chosen === null));
  }

  invitation() {
    const face = make("div", { class: "outline", "aria-hidden": "true" });
    return make("div", { class: "invitation" }, face, make("p", { class: "drop-here" }, say("drop")), this.buttons("pick"));
  }

  buttons(pickText) {
    const named = (text) => `${text}: ${this.name}`;
    const button = (key, text, kind, act) =>
      make("button", { type: "button", class: kind, "data-key": key, "aria-label": named(text), onclick: act }, text);
    return make(
      "div",
      { class: "row" },
      button("pick", say(pickText), pickText === "pick" ? "main" : "", () => this.input.click()),
      button("camera", say("camera"), "", () => this.fromCamera()),
    );
  }
}
