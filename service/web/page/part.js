// What the gallery's parts share: a line on what is going on in each, and what went wrong there.
import { bringUp, make } from "./elements.js";
import { tellNoTrouble, tellTrouble } from "./trouble.js";
import { say } from "./words.js";

export class Part {
  constructor() {
    this.said = make("p", { class: "note", role: "status" }); // stays, so that it is read out when it changes
    this.trouble = make("div", {});
    Object.assign(this, { words: () => "", problem: null, again: null });
    this.waiting = (seconds) => this.tell(() => say("busy", { n: seconds }));
  }

  // `words` is a function, because the language may change.
  tell(words, kind = "") {
    this.words = words;
    this.said.className = `note ${kind}`;
    this.renderSaid();
  }

  // Do something with the server. `settle` says whether it dealt with a problem; others are told, with a way to do
  // `again`. Resolves to whether all went well.
  async attempt(act, { again = act, settle = () => false } = {}) {
    this.problem = null;
    tellNoTrouble(this.trouble);
    try {
      await act();
      return true;
    } catch (problem) {
      if (problem.name === "AbortError") return false;
      if (!problem.code) throw problem;
      this.tell(() => "");
      if (!settle(problem)) this.fail(problem, () => this.attempt(again, { settle }));
      return false;
    }
  }

  fail(problem, again) {
    Object.assign(this, { problem, again });
    this.renderTrouble();
    bringUp(this.trouble);
  }

  // What was said and what went wrong is no longer of interest.
  clear() {
    this.problem = null;
    tellNoTrouble(this.trouble);
    this.tell(() => "");
  }

  renderTrouble() {
    if (this.problem) tellTrouble(this.trouble, this.problem, { again: this.again });
  }

  renderSaid() {
    if (this.said.textContent !== this.words()) this.said.textContent = this.words();
  }

  render() {
    this.renderSaid();
    this.renderTrouble();
  }
}

// A field with its label, whose words follow the language.
export function field(id, key, input, hintKey = null) {
  input.id = id;
  const label = make("label", { for: id, "data-text": key }, say(key));
  if (!hintKey) return make("div", { class: "field" }, label, input);
  input.setAttribute("aria-describedby", `${id}-hint`);
  const hint = make("p", { id: `${id}-hint`, class: "fine", "data-text": hintKey }, say(hintKey));
  return make("div", { class: "field" }, label, input, hint);
}

// What names of galleries and ids of people may be, as far as a browser can check it: the address must stay what it is.
const PATTERN = "(?!\\s*\\.{0,2}\\s*$)[^\\/]+";
export const NAMED = { type: "text", required: true, maxlength: 200, pattern: PATTERN, autocomplete: "off" };
