// Feature maps, layer by layer, of either photo; nothing is asked for before it is opened.
import { make, show } from "./elements.js";
import { decimals, short, whole } from "./numbers.js";
import { say } from "./words.js";

export class Maps {
  // `layers` asks for the layers, `maps` for those of a side and a layer; `failed` is told of problems.
  constructor(place, { layers, maps, failed }) {
    Object.assign(this, { place, ask: { layers, maps }, failed, layers: null });
    this.close();
  }

  close() {
    Object.assign(this, { isOpen: false, layer: 0, side: "probe", made: null });
    this.render();
  }

  async open() {
    this.isOpen = true;
    this.render();
    try {
      this.layers ??= (await this.ask.layers()).layers;
    } catch (problem) {
      this.isOpen = false;
      this.render();
      return this.failed(problem, () => this.open());
    }
    return this.look();
  }

  async look() {
    const wanted = [this.side, this.layer];
    const isStill = () => this.isOpen && wanted[0] === this.side && wanted[1] === this.layer;
    this.made = null;
    this.render();
    try {
      const made = await this.ask.maps(this.side, this.layers[this.layer].name);
      if (isStill()) this.made = made;
    } catch (problem) {
      if (isStill()) this.failed(problem, () => this.look());
    }
    this.render();
  }

  turnTo(change) {
    Object.assign(this, change);
    this.look();
  }

  render() {
    const title = make("h2", { id: "maps-title" }, say("mapsTitle"));
    const lead = make("p", { class: "lead" }, say("mapsLead"));
    if (!this.isOpen) {
      show(this.place, title, lead, make("button", { type: "button", class: "main", "data-key": "open", onclick: () => this.open() }, say("openMaps")));
      return;
    }
    show(this.place, title, lead, this.layers && this.controls(), this.layers && facts(this.layers[this.layer]), this.picture());
  }

  controls() {
    const options = this.layers.map(({ name, kind, shape }, k) => make("option", { value: k, selected: k === this.layer }, `${name} · ${shape[0]} × ${shape[1]} × ${shape[2]}`));
    const select = make("select", { id: "layer", "data-key": "layer" }, options);
    select.addEventListener("change", () => this.turnTo({ layer: Number(select.value) }));
    const step = (key, by, sign) => {
      const to = this.layer + by;
      const isEnd = to < 0 || to >= this.layers.length;
      const act = () => isEnd || this.turnTo({ layer: to });
      return make("button", { type: "button", "data-key": key, "aria-label": say(key), "aria-disabled": String(isEnd), onclick: act }, sign);
    };
    const side = (name, which) =>
      make("button", { type: "button", "data-key": name, "aria-pressed": String(this.side === name), onclick: () => this.turnTo({ side: name }) }, say(which));
    return make(
      "div",
      { class: "row maps-controls" },
      make("div", { class: "row" }, make("label", { for: "layer" }, say("layer")), step("before", -1, "←"), select, step("next", 1, "→")),
      make("div", { class: "row" }, side("probe", "first"), side("reference", "second")),
    );
  }

  picture() {
    if (!this.made) return make("p", { class: "fine busy maps-wait", role: "status" }, say("mapsBusy"));
    const { picture, layer, maps, scale, colors } = this.made;
    const alt = say("mapsAlt", { n: maps.length, layer: layer.name });
    const gradient = make("span", { class: "gradient" }, colors.map((color) => colored(color)));
    return make(
      "div",
      {},
      make("div", { class: "maps-picture", tabindex: 0, role: "group", "aria-label": alt }, make("img", { src: picture, alt })),
      make("p", { class: "fine colors" }, decimals(scale[0], 1), gradient, decimals(scale[1], 1)),
    );
  }
}

function colored(color) {
  const piece = make("span", {});
  piece.style.background = color;
  return piece;
}

function facts(layer) {
  const said = [
    say("sees", { px: whole(layer.receptive_field_px) }),
    say(`mixes.${layer.mixes}`),
    layer.parameters ? say("nParameters", { n: whole(layer.parameters) }) : null,
    layer.macs ? say("nMacs", { n: short(layer.macs) }) : null,
  ];
  return make("div", { class: "layer-facts" }, make("code", {}, layer.notation), make("p", { class: "fine" }, said.filter(Boolean).join(" · ")));
}
