// Ask whether something is wanted that cannot be undone.
import { make } from "./elements.js";
import { say } from "./words.js";

// Resolve to whether it is; `act` is what its button says.
export function confirmed({ title, text, act }) {
  return new Promise((done) => {
    const yes = make("button", { type: "button", class: "danger", "data-key": "confirm", onclick: () => window.close("yes") }, act);
    const no = make("button", { type: "button", autofocus: true, "data-key": "cancel", onclick: () => window.close("") }, say("cancel"));
    const window = make("dialog", { class: "asking", "aria-labelledby": "asking-title" });
    window.append(make("h2", { id: "asking-title" }, title), make("p", {}, text), make("div", { class: "row" }, yes, no));
    window.addEventListener("close", () => {
      window.remove();
      done(window.returnValue === "yes");
    });
    document.body.append(window);
    window.showModal();
  });
}
