// Both embeddings as stripes, one for each channel, their difference, and the channels that make it.
import { make, show } from "./elements.js";
import { decimals, percent } from "./numbers.js";
import { currentLanguage, say } from "./words.js";

const LOW = [30, 58, 138], MIDDLE = [245, 241, 232], HIGH = [194, 65, 12];
const FEW = 6;

// `all` says whether every channel is listed; `chooseAll` is called with the opposite.
export function tellBarcodes(place, { answer, all, chooseAll }) {
  const channels = answer.channels, n = channels.length;
  const inOrder = [...channels].sort((a, b) => a.channel - b.channel);
  const most = Math.max(...channels.flatMap(({ probe, reference }) => [Math.abs(probe), Math.abs(reference)]));
  const values = (side) => inOrder.map((each) => signed(each[side] / most));
  const differences = inOrder.map(({ share }) => between(MIDDLE, [120, 20, 90], Math.sqrt(share / (channels[0].share || 1))));
  const stripes = make(
    "div",
    { class: "stripes" },
    row(say("first"), values("probe"), say("barcodeAlt", { which: say("first"), n })),
    row(say("second"), values("reference"), say("barcodeAlt", { which: say("second"), n })),
    row(say("difference"), differences, say("differenceAlt", { channel: channels[0].channel })),
    finger(inOrder, channels[0].channel),
  );
  const list = make("ol", { class: "channels" }, channels.slice(0, all ? channels.length : FEW).map((each) => entry(each, channels[0])));
  const more = make("button", { type: "button", "data-key": "all", onclick: () => chooseAll(!all) }, say(all ? "fewChannels" : "allChannels", { n }));
  const unknown = channels.every(({ sentences }) => sentences === null) ? make("p", { class: "fine" }, say("noAtlas")) : null;
  show(
    place,
    make("h2", { id: "barcodes-title" }, say("barcodesTitle", { n })),
    make("p", { class: "lead" }, say("barcodesLead")),
    stripes,
    make("h3", {}, say("channelsTitle")),
    unknown,
    list,
    more,
  );
}

const between = (from, to, share) => from.map((value, k) => Math.round(value + (to[k] - value) * share));
const signed = (value) => between(MIDDLE, value < 0 ? LOW : HIGH, Math.abs(value) ** 0.8);

function row(name, colors, alt) {
  const canvas = make("canvas", { width: colors.length, height: 1, role: "img", "aria-label": alt });
  const context = canvas.getContext("2d");
  const image = context.createImageData(colors.length, 1);
  colors.forEach((color, k) => image.data.set([...color, 255], 4 * k));
  context.putImageData(image, 0, 0);
  return [make("span", { class: "stripes-name", "aria-hidden": "true" }, name), canvas];
}

// One slider along the stripes: by pointer or keys, it says what a channel holds.
function finger(inOrder, first) {
  const told = make("output", { class: "fine", for: "finger" });
  const slider = make("input", { type: "range", id: "finger", min: 0, max: inOrder.length - 1, "data-key": "finger", "aria-label": say("channel", { n: "" }).trim() });
  const tell = () => {
    const channel = inOrder[slider.value];
    told.textContent = inWords(channel);
    slider.setAttribute("aria-valuetext", told.textContent);
  };
  slider.value = first;
  slider.addEventListener("input", tell);
  tell();
  return [make("span", {}), slider, make("span", {}), told];
}

const values = ({ probe, reference }) => say("channelValues", { probe: decimals(probe), reference: decimals(reference) });
const name = ({ channel }) => say("channel", { n: channel });
const share = (each) => say("channelShare", { share: percent(each.share) });
const inWords = (each) => [name(each), values(each), share(each), sentence(each)].filter(Boolean).join(" · ");
const sentence = ({ sentences }) => sentences?.[currentLanguage()] ?? "";

function entry(each, first) {
  const bar = make("span", { class: "bar", "aria-hidden": "true" });
  bar.style.width = `${(100 * each.share) / (first.share || 1)}%`;
  const said = sentence(each) ? make("p", {}, sentence(each)) : null;
  const figures = make("span", { class: "fine" }, `${share(each)} · ${values(each)}`);
  return make("li", {}, make("div", { class: "channel-head" }, make("strong", {}, name(each)), figures), bar, said);
}
