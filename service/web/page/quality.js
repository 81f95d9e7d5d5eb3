// How good a photo is, in words: by the card's own rule where it has one, and by what anyone can see.
import { make } from "./elements.js";
import { decimals, percent, whole } from "./numbers.js";
import { say } from "./words.js";

// What is worth saying beside the card's rule, which does not count these.
const SMALL_PX = 30, TURNED = 0.3, DARK = 60, BRIGHT = 200, CLIPPED = 0.15;
const BLURRED = 0.25, BLOCKY = 3; // what is plain to see, for cards without a rule for it
const FAIR = 0.1, POOR = 0.5; // penalties as shares of the largest that a photo can have, whose face is not covered
const OF_COVERS = ["eyes_visible", "mouth_visible"];

export function qualityOf(quality, card) {
  const rule = card.quality_penalties ?? [];
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
  if (rule.length === 0 || penalty === null) return "unknown";
  if (is_too_poor) return "unusable";
  const ofPhoto = rule.filter(({ measure }) => !OF_COVERS.includes(measure));
  const share = penalty / (ofPhoto.length > 0 ? ofPhoto : rule).reduce((sum, { penalties }) => sum + penalties[0], 0);
  return share < FAIR ? "good" : share < POOR ? "fair" : "poor";
}

function faultsOf(quality, rule) {
  const isCostly = (curve) => costOf(quality, curve) >= FAIR * curve.penalties[0];
  const costly = rule.filter(isCostly).map((curve) => curve.measure);
  const isSeen = (measure, seen) => costly.includes(measure) || (seen && !rule.some((curve) => curve.measure === measure));
  const found = [
    isSeen("sharpness", quality.sharpness < BLURRED) && say("fault.sharpness"),
    quality.blockiness > BLOCKY && say("fault.blockiness"),
    isSeen("eye_distance_px", quality.eye_distance_px < SMALL_PX) && say("fault.eye_distance_px", { n: whole(quality.eye_distance_px) }),
    ["eyes", "both"].includes(quality.covered_part) && say("fault.eyes_covered"),
    ["mouth", "both"].includes(quality.covered_part) && say("fault.mouth_covered"),
    quality.turn > TURNED && say("fault.turned"),
    quality.brightness < DARK && say("fault.dark"),
    quality.brightness > BRIGHT && say("fault.bright"),
    quality.clipped > CLIPPED && say("fault.clipped"),
  ];
  return found.filter(Boolean);
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
  eyes_visible: percent,
  mouth_visible: percent,
  covered: percent,
};

function measures(quality) {
  const known = Object.entries(quality).filter(([name, value]) => typeof value === "number");
  const row = ([name, value]) =>
    make("div", {}, make("dt", {}, say(`measure.${name}`)), make("dd", {}, (WRITTEN[name] ?? ((n) => decimals(n, 2)))(value)));
  return make("dl", { class: "measures" }, known.map(row));
}
