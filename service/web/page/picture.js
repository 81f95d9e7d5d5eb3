// A photo with what was found in it, or what was looked for.
import { draw, make } from "./elements.js";
import { say } from "./words.js";

// The smallest face that the server looks for; a test holds them against the detector's own settings.
export const LEAST_PX = 20;
export const LEAST_SHARE = 0.02; // of the picture's longer side

export const leastFace = ({ width, height }) => Math.max(LEAST_PX, Math.ceil(LEAST_SHARE * Math.max(width, height)));

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
  const side = leastFace({ width, height });
  const stroke = Math.max(width, height) / 150;
  const inset = stroke * 1.5;
  const area = { x: inset, y: inset, width: width - 2 * inset, height: height - 2 * inset };
  const least = { x: (width - side) / 2, y: (height - side) / 2, width: side, height: side };
  return [draw("rect", { ...area, class: "searched" }), draw("rect", { ...least, class: "least" })];
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
