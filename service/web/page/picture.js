// A photo with what was found in it, or what was looked for.
import { draw, make } from "./elements.js";
import { say } from "./words.js";

// The smallest face that is found, on a picture of one of these sizes; a test holds both against the detector's own.
export const LEAST_PX = 24;
export const SIDES_PX = [160, 320, 640];

const least = (longer, side) => Math.ceil((LEAST_PX * longer) / side);

// The smallest face that is found upright, and the smallest one that is found however it lies, in px of the photo.
export function leastFace({ width, height }) {
  const longer = Math.max(width, height);
  const finest = Math.max(SIDES_PX[0], ...SIDES_PX.filter((side) => side < longer));
  return { upright: least(longer, finest), turned: least(longer, SIDES_PX[0]) };
}

export function pictureOf(photo, name, chosen) {
  if (photo.width === null) return make("div", { class: "invitation" }, make("p", {}, say("noPreview")));
  const image = make("img", { src: photo.url, alt: say("photoAlt", { which: name }) });
  const stage = make("div", { class: "stage" }, image, overlay(photo));
  stage.style.setProperty("--ratio", photo.width / photo.height);
  if (photo.faces?.length > 1) stage.append(...photo.faces.map((face, k) => faceButton(photo, face, k, chosen)));
  return make("div", { class: "frame" }, stage);
}

function overlay(photo) {
  const { width, height, faces } = photo;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", class: "found" });
  if (faces?.length === 0) svg.append(...lookedAt(photo));
  if (faces?.length === 1) svg.append(frameOf(faces[0].box), ...faces[0].landmarks.map(point(faces[0].box)));
  return svg;
}

function lookedAt({ width, height }) {
  const side = leastFace({ width, height }).upright;
  const stroke = Math.max(width, height) / 150;
  const inset = stroke * 1.5;
  const area = { x: inset, y: inset, width: width - 2 * inset, height: height - 2 * inset };
  const smallest = { x: (width - side) / 2, y: (height - side) / 2, width: side, height: side };
  return [draw("rect", { ...area, class: "searched" }), draw("rect", { ...smallest, class: "least" })];
}

const frameOf = ({ x, y, width, height }) => draw("rect", { x, y, width, height, rx: width * 0.08, class: "box" });
const point = (box) => ([cx, cy]) => draw("circle", { cx, cy, r: Math.max(1, box.width / 45), class: "point" });

function faceButton(photo, { box }, k, chosen) {
  const isChosen = photo.chosen === k;
  const values = { k: k + 1, n: photo.faces.length };
  const label = say(isChosen ? "faceButtonChosen" : "faceButton", values);
  const button = make("button", { type: "button", class: "face", "data-key": `face-${k}`, "aria-label": label });
  button.append(make("span", { "aria-hidden": "true" }, String(k + 1)));
  button.setAttribute("aria-pressed", String(isChosen));
  button.addEventListener("click", () => chosen(k));
  button.style.left = `${(100 * box.x) / photo.width}%`;
  button.style.top = `${(100 * box.y) / photo.height}%`;
  button.style.width = `${(100 * box.width) / photo.width}%`;
  button.style.height = `${(100 * box.height) / photo.height}%`;
  return button;
}
