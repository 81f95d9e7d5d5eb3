// What went wrong, and the way forward.
import { make, show } from "./elements.js";
import { hasKey, useKey } from "./server.js";
import { knows, say } from "./words.js";

// `again` tries once more; `anyway` ignores the quality, where that is offered; `which` names the photo at fault.
export function tellTrouble(place, problem, { again, anyway = null, which = "" }) {
  const isKeyNeeded = problem.code === "unauthorized";
  const key = knows(`problem.${problem.code}`) ? problem.code : "other";
  const words = isKeyNeeded && hasKey() ? say("wrongKey") : say(`problem.${key}`);
  const isOfPhoto = problem.image && !isAboutKey(problem);
  const where = isOfPhoto && which ? say("inPhoto", { which }) : "";
  const typed = place.querySelector("[data-key=key]")?.value ?? ""; // while another request was still failing
  const buttons = isAboutKey(problem) ? keyForm(again, typed) : make("div", { class: "row" }, button("again", say("again"), again));
  if (anyway && ["low_quality", "face_covered"].includes(problem.code)) buttons.append(button("anyway", say("anyway"), anyway));
  const card = make(
    "section",
    { class: "card trouble", role: "alert" },
    make("h2", {}, say(isKeyNeeded ? "keyTitle" : "problemTitle")),
    make("p", {}, where + words),
    problem.detail && !isKeyNeeded ? make("p", { class: "fine" }, `${say("serverSays")} `, make("q", { lang: "en" }, problem.detail)) : null,
    problem.requestId && !isKeyNeeded ? make("p", { class: "fine" }, "id ", make("code", {}, problem.requestId)) : null,
    buttons,
  );
  show(place, card);
}

export const tellNoTrouble = (place) => show(place);

export const isAboutKey = (problem) => ["unauthorized", "forbidden"].includes(problem.code);

// A form, so that Enter sends the key.
function keyForm(again, typed) {
  const words = { "aria-label": say("keyLabel"), placeholder: say("keyLabel") };
  const field = make("input", { type: "password", autocomplete: "off", required: true, "data-key": "key", ...words });
  field.value = typed;
  const submit = (event) => {
    event.preventDefault();
    useKey(field.value.trim());
    again();
  };
  return make("form", { class: "row", onsubmit: submit }, field, make("button", { "data-key": "again" }, say("useKey")));
}

const button = (key, text, act) => make("button", { type: "button", "data-key": key, onclick: act }, text);
