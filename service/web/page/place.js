// A place for one photo: take it in, and show it with the faces found in it.
import { make, show } from "./elements.js";
import { Intake } from "./intake.js";
import { pictureOf } from "./picture.js";
import { say } from "./words.js";

export class Place {
  // `id` is the element's, `nameKey` that of its name; `given` is called with a file, `chosen` with the number of a face.
  constructor(id, { nameKey, given, chosen, isWaiting }) {
    Object.assign(this, { id, nameKey, chosen, note: null, refusal: null });
    Object.assign(this, { view: make("div", { class: "place-view" }), below: make("div", {}) });
    this.said = make("p", { class: "note", role: "status" }); // stays, so that it is read out when it changes
    const title = { id, "aria-labelledby": `${id}-title` };
    this.element = make("section", { class: "place", ...title }, this.view, this.said, this.below);
    this.intake = new Intake(this.element, {
      id: `${id}-file`,
      given: ([file]) => given(file),
      refused: (why) => this.refuse(why),
      isWaiting,
    });
    this.render(null);
  }

  get name() {
    return say(this.nameKey);
  }

  refuse(why) {
    this.refusal = say("cameraRefused", { why });
    this.render(this.photo);
  }

  // `note` is what is to be said of the photo: {text, kind} or null.
  render(photo, note = null) {
    if (photo !== this.photo) this.refusal = null;
    Object.assign(this, { photo, note });
    const title = make("h2", { id: `${this.id}-title` }, this.name);
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
      button("pick", say(pickText), pickText === "pick" ? "main" : "", () => this.intake.pick()),
      button("camera", say("camera"), "", () => this.fromCamera()),
    );
  }

  fromCamera() {
    this.refusal = null;
    return this.intake.fromCamera();
  }
}
