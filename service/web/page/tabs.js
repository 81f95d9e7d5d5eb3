// The page's two tabs, each with an address: comparing two photos, and the gallery, if this server keeps any.
import { show } from "./elements.js";
import { Part } from "./part.js";
import { ask } from "./server.js";
import { writeTexts } from "./words.js";

const GALLERY = "#gallery";
const at = (id) => document.getElementById(id);
const hasGalleries = () => document.body.dataset.galleries === "on"; // the server writes this

let gallery = null; // is loaded when it is first looked at
let opening = null;

export const renderGallery = () => gallery?.render();

// `about` has the card of the model, once that is known; `comparing` is called when the first tab is turned to.
export async function installTabs(about, comparing) {
  at("tabs").hidden = !hasGalleries();
  addEventListener("hashchange", async () => {
    await turn(about);
    if (location.hash !== GALLERY) comparing();
  });
  await turn(about);
}

async function turn(about) {
  const isGallery = location.hash === GALLERY;
  at("comparison").hidden = isGallery;
  at("gallery").hidden = !isGallery;
  at("skip").hash = isGallery ? GALLERY : "#photos";
  at("skip").dataset.text = isGallery ? "gallery.skip" : "skip";
  for (const tab of at("tabs").children) tab.setAttribute("aria-current", String((tab.hash === GALLERY) === isGallery));
  writeTexts();
  if (isGallery) await (opening ??= openGallery(about));
}

async function openGallery(about) {
  const place = at("gallery-parts");
  gallery = hasGalleries() ? new (await import("./gallery.js")).Gallery(place, about) : new NoGalleries(place);
}

// A server without galleries says itself how to turn them on.
class NoGalleries extends Part {
  constructor(place) {
    super();
    show(place, this.trouble);
    this.attempt(() => ask("/v1/galleries/any"));
  }
}
