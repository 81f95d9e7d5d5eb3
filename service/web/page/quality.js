// How good a photo is, in words: by the card's own rule where it has one, and by what anyone can see.
import { make } from "./elements.js";
import { decimals, percent, whole } from "./numbers.js";
import { say } from "./words.js";

// What is worth saying beside the card's rule, which does not count these: it was not found to cost anything.
const SMALL_PX = 30, TURNED = 0.3, DARK = 60, BRIGHT = 200, CLIPPED = 0.15;
const BLURRED = 0.25, BLOCKY = 3; // what is plain to see, for cards without a rule
const NOTABLE = 0.3; // of a penalty, in units of the normalised distance
const FAIR = 0.1, POOR = 0.4; // penalties as shares of the floor

export function qualityOf(quality, card) {
  const rule = card.own_threshold?.quality;
  const grade = gradeOf(quality, rule);
  const faults = faultsOf(quality, rule);
  return make(
    "div",
    { class: `quality ${grade}` },
    make("p", {}, make("strong", {}, say(`quality.${grade}`)), say("colon"), faults.join(say("comma")) || say("faultless")),
    make("details", { class: "fine" }, make("summary", {}, say("measures")), measures(quality)),
  );
}

function gradeOf({ penalty, is_too_poor }, rule) {
  if (!rule || penalty === null) return "unknown";
  if (is_too_poor) return "unusable";
  const share = penalty / rule.floor;
  return share < FAIR ? "good" : share < POOR ? "fair" : "poor";
}

function faultsOf(quality, rule) {
  const costly = (rule?.curves ?? []).filter((curve) => quality[curve.measure] !== null && costOf(quality, curve) > NOTABLE);
  const seen = [
    !rule && quality.sharpness < BLURRED && say("fault.sharpness"),
    !rule && quality.blockiness > BLOCKY && say("fault.blockiness"),
    quality.eye_distance_px < SMALL_PX && say("fault.small", { n: whole(quality.eye_distance_px) }),
    quality.turn > TURNED && say("fault.turned"),
    quality.brightness < DARK && say("fault.dark"),
    quality.brightness > BRIGHT && say("fault.bright"),
    quality.clipped > CLIPPED && say("fault.clipped"),
  ];
  return [...costly.map((curve) => say(`fault.${curve.measure}`)), ...seen.filter(Boolean)];
}

// A curve goes straight from one of its values to the next, and is level beyond its ends.
function costOf(quality, { measure, values, penalties }) {
  const value = quality[measure];
  const next = values.findIndex((each) => each > value);
  if (next === 0) return penalties[0];
  if (next < 0) return penalties.at(-1);
  const share = (value - values[next - 1]) / (values[next] - values[next - 1]);
  return penalties[next - 1] + share * (penalties[next] - penalties[next - 1]);
}

const WRITTEN = {
  eye_distance_px: (value) => `${whole(value)} px`,
  brightness: whole,
  contrast: whole,
  clipped: percent,
  detector_score: percent,
};

function measures(quality) {
  const known = Object.entries(quality).filter(([name, value]) => typeof value === "number");
  const row = ([name, value]) =>
    make("div", {}, make("dt", {}, say(`measure.${name}`)), make("dd", {}, (WRITTEN[name] ?? ((n) => decimals(n, 2)))(value)));
  return make("dl", { class: "measures" }, known.map(row));
}
