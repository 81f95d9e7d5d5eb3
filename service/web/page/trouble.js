// What went wrong with a comparison, and the way forward.
import { make, show } from "./elements.js";
import { useKey } from "./server.js";
import { knows, say } from "./words.js";

export function tellTrouble(place, problem, { again, anyway }) {
  const key = knows(`problem.${problem.code}`) ? problem.code : "other";
  const where = problem.image ? say("inPhoto", { which: say(problem.image === "probe" ? "first" : "second") }) : "";
  const field = problem.code === "unauthorized" ? keyField() : null;
  const retry = () => {
    if (field) useKey(field.value.trim());
    again();
  };
  const buttons = make("div", { class: "row" }, field, button("again", say("again"), retry));
  if (["low_quality", "face_covered"].includes(problem.code)) buttons.append(button("anyway", say("anyway"), anyway));
  const card = make(
    "section",
    { class: "card trouble", role: "alert" },
    make("h2", {}, say("problemTitle")),
    make("p", {}, where + say(`problem.${key}`)),
    problem.detail ? make("p", { class: "fine" }, `${say("serverSays")} `, make("q", { lang: "en" }, problem.detail)) : null,
    problem.requestId ? make("p", { class: "fine" }, "id ", make("code", {}, problem.requestId)) : null,
    buttons,
  );
  show(place, card);
}

export const tellNoTrouble = (place) => show(place);

const keyField = () => make("input", { type: "password", autocomplete: "off", "data-key": "key", "aria-label": say("keyLabel"), placeholder: say("keyLabel") });

const button = (key, text, act) => make("button", { type: "button", "data-key": key, onclick: act }, text);
