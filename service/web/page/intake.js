// How photos come in: by the window for files, by drop, by paste, or from the camera.
import { hasCamera, photograph } from "./camera.js";
import { make } from "./elements.js";
import { say } from "./words.js";

const intakes = []; // in the order of the page
let lastUsed = null;

export class Intake {
  // `element` takes drops; `given` is called with files, and `refused` with the reason why there is no camera. A pasted
  // photo goes first to where `isWaiting` says that one is missing.
  constructor(element, { id, multiple = false, given, refused, isWaiting = () => false }) {
    Object.assign(this, { element, given, refused, isWaiting });
    this.input = make("input", { type: "file", accept: "image/*", hidden: true, id, multiple });
    this.input.addEventListener("change", () => {
      const files = [...this.input.files];
      this.input.value = ""; // so that the same file can be chosen again
      this.take(files);
    });
    this.acceptDrops();
    for (const name of ["focusin", "pointerdown"]) element.addEventListener(name, () => (lastUsed = this));
    element.append(this.input);
    intakes.push(this);
  }

  take(files) {
    if (files.length > 0) this.given(files);
  }

  pick() {
    this.input.click();
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
      this.take([...event.dataTransfer.files]);
    });
  }

  async fromCamera() {
    if (!hasCamera()) return this.refused(say("cameraUnknown"));
    try {
      const photo = await photograph();
      this.take(photo ? [photo] : []);
    } catch (error) {
      this.refused(error.message || error.name);
    }
  }
}

// A pasted photo goes to where one is missing, or else to what was used last. Pasted text is left to its field.
document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
  const shown = intakes.filter(({ element }) => element.checkVisibility());
  const place = shown.find((each) => each.isWaiting()) ?? (shown.includes(lastUsed) ? lastUsed : shown[0]);
  if (files.length === 0 || !place || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  place.take(files);
});
