// A photo from the camera, which is on only while its window is open.
import { make } from "./elements.js";
import { say } from "./words.js";

// Resolve to a photo as a file, or to null where none was taken.
export async function photograph() {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } });
  const video = make("video", { autoplay: true, playsinline: true, muted: true });
  video.srcObject = stream;
  try {
    return await takenIn(video);
  } finally {
    for (const track of stream.getTracks()) track.stop();
  }
}

export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

function takenIn(video) {
  return new Promise((done) => {
    const take = make("button", { type: "button", class: "main" }, say("take"));
    const cancel = make("button", { type: "button" }, say("cancel"));
    const title = make("h2", { id: "camera-title" }, say("cameraTitle"));
    const buttons = make("div", { class: "row" }, take, cancel);
    const window = make("dialog", { class: "camera", "aria-labelledby": "camera-title" });
    window.append(title, video, make("p", { class: "fine" }, say("cameraWhy")), buttons);
    take.disabled = !video.videoWidth;
    video.addEventListener("loadeddata", () => (take.disabled = false));
    take.addEventListener("click", async () => window.close((done(await pictureOf(video)), "taken")));
    cancel.addEventListener("click", () => window.close());
    window.addEventListener("close", () => {
      window.remove();
      done(null);
    });
    document.body.append(window);
    window.showModal();
  });
}

function pictureOf(video) {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
}
