// Where the page's parts are joined: two photos, a comparison, and what is shown of it.
import { tellBarcodes } from "./barcodes.js";
import { cutOut } from "./cut.js";
import { bringUp, show } from "./elements.js";
import { tellFaces } from "./faces.js";
import { Maps } from "./maps.js";
import { closePhoto, openPhoto, sent } from "./photo.js";
import { leastFace } from "./picture.js";
import { Place } from "./place.js";
import { ask, hasKey } from "./server.js";
import { installTabs, renderGallery } from "./tabs.js";
import { installThemeSwitch } from "./theme.js";
import { isAboutKey, tellNoTrouble, tellTrouble } from "./trouble.js";
import { tellVerdict } from "./verdict.js";
import { installLanguageSwitch, say } from "./words.js";

const SIDES = ["probe", "reference"];
const NAME_KEYS = { probe: "first", reference: "second" };
const at = (id) => document.getElementById(id);

const photos = { probe: null, reference: null };
const about = { card: null, curves: null }; // the model that is served
const wish = { point: null, quality: "refuse" }; // what the user asks for beside the photos
let found = null; // {answer, saliency, looks, all}
let trouble = null; // {problem, ways}
let status = () => "";
let running = new AbortController();

const places = Object.fromEntries(
  SIDES.map((side) => [side, new Place(side, {
    nameKey: NAME_KEYS[side],
    given: (file) => give(side, file),
    chosen: (k) => choose(side, k),
    isWaiting: () => !photos[side],
  })]),
);
const maps = new Maps(at("maps"), {
  layers: () => ask("/v1/layers"),
  maps: (side, layer) => ask("/v1/maps", { body: { image: sent(photos[side]), face: rule(), layer }, waiting }),
  failed: (problem, again) => fail(problem, { again }),
});

async function give(side, file) {
  forget();
  closePhoto(photos[side]);
  const photo = await openPhoto(file);
  photos[side] = photo;
  wish.quality = "refuse";
  await lookForFaces(side, photo);
}

async function lookForFaces(side, photo) {
  renderPlaces();
  try {
    const { faces } = await ask("/v1/faces", { body: { image: photo.file }, waiting });
    if (photos[side] !== photo) return;
    photo.faces = fromLeft(faces);
  } catch (problem) {
    problem.image = side;
    fail(problem, { again: askWhatIsMissing });
    return;
  }
  renderPlaces();
  await compare();
}

// One key, or one answer of a server that was gone, helps with everything that failed for the lack of it.
const askWhatIsMissing = () => {
  const looks = SIDES.filter((side) => photos[side] && !photos[side].faces).map((side) => lookForFaces(side, photos[side]));
  return Promise.all([...looks, about.card ? null : learnModel()]);
};

const learnModel = () =>
  attempt(async () => {
    [about.card, about.curves] = await Promise.all([ask("/v1/model"), ask("/page/distributions.json")]);
    renderModel();
  }, askWhatIsMissing);

const fromLeft = (faces) => faces.toSorted((a, b) => a.box.x - b.box.x);

async function choose(side, k) {
  const photo = photos[side];
  forget();
  photo.chosen = k;
  photo.cut = await cutOut(photo, photo.faces[k]);
  renderPlaces();
  await compare();
}

// A cut shows its face in the middle; and one rule holds for both photos of a request.
const rule = () => (SIDES.some((side) => photos[side]?.cut) ? "center" : "dominant");
const isOpen = (side) => photos[side].faces.length > 1 && photos[side].chosen === null;

function asked(more) {
  const images = { probe: sent(photos.probe), reference: sent(photos.reference) };
  return { body: { ...images, face: rule(), operating_point: wish.point, quality: wish.quality, ...more }, signal: running.signal, waiting };
}

async function compare() {
  const given = SIDES.filter((side) => photos[side]);
  if (given.some((side) => !photos[side].faces)) return;
  if (given.length < 2) return tell(() => (photos[given[0]].faces.length ? say("oneMore") : ""));
  if (given.some((side) => !photos[side].faces.length)) return tell(() => "");
  if (rule() === "center" && SIDES.some(isOpen)) return tell(() => say("severalTitle"));
  await attempt(async () => {
    tell(() => say("comparing"));
    const answer = await ask("/v1/explain", asked({ saliency: false }));
    found = { answer, saliency: null, looks: "landmarks", all: false };
    maps.close();
    render();
    bringUp(at("verdict"));
  }, compare);
}

// Do something with the server; what goes wrong is told with a way to do it again.
async function attempt(act, again) {
  tellNoTrouble(at("trouble"));
  trouble = null;
  try {
    await act();
  } catch (problem) {
    if (problem.name !== "AbortError") settle(problem, again);
  }
}

function settle(problem, again) {
  const photo = photos[problem.image];
  if (problem.code === "several_faces" && photo?.faces?.length > 1) return tell(() => say("several", { which: places[problem.image].name }));
  if (problem.code === "no_face" && photo && !photo.cut) {
    photo.faces = [];
    renderPlaces();
    return tell(() => "");
  }
  return fail(problem, { again });
}

function fail(problem, { again }) {
  if (!problem.code) throw problem;
  const anyway = () => {
    wish.quality = "ignore";
    compare();
  };
  const once = (act) => () => {
    trouble = null;
    tellNoTrouble(at("trouble"));
    act();
  };
  trouble = { problem, ways: { again: once(again), anyway: once(anyway) } };
  tell(() => "");
  renderTrouble();
  bringUp(at("trouble"));
  renderPlaces();
}

const choosePoint = (name) =>
  attempt(async () => {
    wish.point = name;
    const { answer } = found;
    found.answer = { ...answer, ...(await ask("/v1/verify", asked({}))) };
    render();
  }, () => choosePoint(name));

function lookAt(looks) {
  found.looks = looks;
  renderFaces();
  if (looks !== "why" || found.saliency) return;
  const mine = found;
  attempt(async () => {
    mine.saliency = (await ask("/v1/explain", asked({ saliency: true }))).saliency;
    if (found === mine) renderFaces();
  }, () => lookAt("why"));
}

// What was found is no longer about the photos that are there.
function forget() {
  running.abort();
  running = new AbortController();
  found = null;
  trouble = null;
  tellNoTrouble(at("trouble"));
  at("result").hidden = true;
  tell(() => "");
}

function tell(words) {
  status = words;
  at("status").textContent = words();
  at("status").classList.toggle("unseen", !at("result").hidden); // then it is there for those who listen
}

const waiting = (seconds) => tell(() => say("busy", { n: seconds }));

function note(photo) {
  if (!photo) return null;
  if (!photo.faces) return trouble ? null : { text: say("looking"), kind: "busy" };
  const n = photo.faces.length;
  if (n === 0) return { text: `${say("noFaceTitle")}. ${noFaceAdvice(photo)}`, kind: "bad" };
  if (n === 1) return { text: say("oneFace"), kind: "good" };
  if (photo.chosen === null) return { text: say("nFaces", { n }), kind: "ask" };
  return { text: say("chosenOf", { k: photo.chosen + 1, n }), kind: "good" };
}

const noFaceAdvice = (photo) => (photo.width === null ? "" : say("noFace", leastFace(photo)));

function renderPlaces() {
  for (const side of SIDES) places[side].render(photos[side], note(photos[side]));
}

function renderTrouble() {
  const which = places[trouble.problem.image]?.name;
  tellTrouble(at("trouble"), trouble.problem, { ...trouble.ways, which });
}

function renderFaces() {
  tellFaces(at("faces"), { ...found, card: about.card, choose: lookAt });
}

function renderBarcodes() {
  const chooseAll = (all) => {
    found.all = all;
    renderBarcodes();
  };
  tellBarcodes(at("barcodes"), { ...found, chooseAll });
}

function render() {
  renderPlaces();
  at("status").textContent = status();
  if (trouble) renderTrouble();
  renderModel();
  maps.render();
  at("result").hidden = !found;
  if (!found) return;
  tellVerdict(at("verdict"), { answer: found.answer, ...about, choosePoint });
  renderFaces();
  renderBarcodes();
  tell(() => say(found?.answer.same ? "same" : "different"));
}

function renderModel() {
  const { card } = about;
  if (!card) return;
  const values = { name: card.name, digest: card.card_digest.slice(0, 19), data: card.calibration?.data.name };
  at("model").textContent = say(card.calibration ? "model" : "modelPlain", values);
}

// A key that was given in the other tab helps here too.
function useKeyOfGallery() {
  if (trouble && isAboutKey(trouble.problem) && hasKey()) trouble.ways.again();
}

async function start() {
  show(at("photos"), places.probe.element, places.reference.element);
  installThemeSwitch(at("theme"));
  installLanguageSwitch(at("language"), () => (render(), renderGallery()));
  await installTabs(about, useKeyOfGallery);
  matchMedia("(max-width: 600px)").addEventListener("change", render);
  render();
  await learnModel();
}

await start();
