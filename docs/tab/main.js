// The page: what was chosen, the network's answer to it, and everything drawn from the two.

import { find, held, listen, listenDrop, listenMap, listenRectangle, make, radios } from "./controls.js";
import { bytesOf, composed, mark, opaque, put, scaleBar, unpackMask } from "./draw.js";
import { frame } from "./numbers.js";
import { PictureError, opened, painted, planes, shipped } from "./picture.js";
import { showCell, showGauge, showRegion, showScale, showSums, showTruth } from "./panels.js";
import { difference, seen, shapes } from "./state.js";

const TOLERANCE = 1e-3; // logits, between this page and Python
const FILLS = { black: [0, 0, 0], white: [1, 1, 1] };

const state = {
  model: null, picture: null, own: null, twin: "", target: 1, view: "raw", strength: 0.85, smooth: false,
  outlines: true, ownScale: false, cell: null, rectangle: null, how: "erase", fill: "mean",
  shape: "face", g: 0,
};
const networks = new Map(); // name to a promise of a Network
const squares = new Map(); // address to a promise of RGB bytes
let about, expected, Network, colours;
let now = null; // { chosen, model, net, rgb, answer, masks, occluded }
let asked = 0; // the latest question; an older answer is dropped
let opening = 0; // the latest file; one that is opened after another choice is dropped

async function json(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address} is missing from this page (${answer.status}).`);
  return answer.json();
}
const modelOf = (name) => about.models.find((model) => model.name === name);
const phantom = () => about.pictures.find((picture) => picture.name === state.picture);

function network(name) {
  if (!networks.has(name)) {
    const opening = Network.open(modelOf(name));
    opening.catch(() => networks.delete(name)); // to be tried again
    networks.set(name, opening);
  }
  return networks.get(name);
}

function square(file, size) {
  const key = `${file} ${size}`;
  if (!squares.has(key)) {
    const reading = shipped(file, size);
    reading.catch(() => squares.delete(key)); // to be tried again
    squares.set(key, reading);
  }
  return squares.get(key);
}

function say(problem) {
  find("problem").textContent = problem;
  find("problem").hidden = !problem;
}

/** Ask the network about the chosen picture, then show everything. */
async function ask() {
  const question = (asked += 1);
  const wanted = () => question === asked;
  const { model: name, picture: shownOne, own, twin } = state;
  const [model, picture] = [modelOf(name), phantom()];
  const started = performance.now();
  find("status").textContent = "Loading …";
  document.body.dataset.shown = "";
  try {
    const [net, rgb] = await Promise.all([network(name), pixels(picture, model)]);
    const answer = await net.answer(planes(rgb), wanted);
    if (!answer || !wanted()) return;
    const masks = picture ? parts(picture, model).filter(({ part }) => part !== twin) : [];
    const chosen = { model: name, picture: shownOne, own, twin };
    now = { chosen, model, net, rgb, answer, masks, occluded: null };
    ready();
    show();
    performance.measure("map", { start: started }); // for the benchmark
    check(picture);
  } catch (error) {
    if (wanted()) goBack(error);
    return;
  }
  try {
    await Promise.all([occlude(), truth(picture)]);
  } catch (error) {
    if (wanted()) say(`The page cannot answer all of it: ${error.message}`);
  }
  if (wanted()) document.body.dataset.shown = shownName(model);
}

function ready() {
  const { model, answer } = now;
  find("status").textContent =
    `Ready: ${model.title}. The pass took ${Math.round(answer.milliseconds)} ms in this tab.`;
}

/** What was chosen cannot be shown: choose again what is. */
function goBack(error) {
  say(`The page cannot answer: ${error.message}`);
  find("status").textContent = "";
  if (!now) return;
  Object.assign(state, now.chosen);
  choose();
  ready();
  show();
  document.body.dataset.shown = shownName(now.model);
}

/** What the page shows in full, as one word a test can wait for. */
const shownName = (model) => [model.name, state.own?.name ?? state.picture, state.twin].join(" ").trim();

const parts = (picture, model) =>
  picture.parts.map(({ part, mask }) => ({ part, mask: unpackMask(mask, model.size), dashed: part === "marker" }));

function pixels(picture, model) {
  if (!picture) return state.own.rgb;
  const twin = picture.parts.find(({ part }) => part === state.twin);
  return square((twin ?? picture).file, model.size);
}

/** The network's answer to the picture with the rectangle painted over. */
async function occlude() {
  if (!state.rectangle || !now) return;
  const { model, net, rgb } = now;
  const own = now;
  const question = (own.occlusion = {});
  const wanted = () => now === own && own.occlusion === question;
  const colour = FILLS[state.fill] ?? model.mean;
  const input = painted(planes(rgb), model.size, state.rectangle, state.how === "keep", colour);
  const occluded = await net.answer(input.slice(), wanted);
  if (!occluded || !wanted()) return;
  now.occluded = occluded;
  const bytes = new Uint8ClampedArray(rgb.length);
  const count = rgb.length / 3;
  for (let i = 0; i < count; i += 1) {
    for (let c = 0; c < 3; c += 1) bytes[i * 3 + c] = Math.round(input[c * count + i] * 255);
  }
  put(find("occluded"), opaque(bytes), model.size);
  showRegion(now.answer, occluded, state, model);
}

/** What the parts of a phantom are worth: its twins, drawn by Python, asked one by one. */
async function truth(picture) {
  const own = now;
  showTruth(own.answer, [], own.model);
  if (!picture || state.twin) return;
  const asks = picture.parts.map(async ({ part, file }) => {
    const rgb = await square(file, own.model.size);
    return { part, answer: await own.net.answer(planes(rgb), () => own === now) };
  });
  const twins = await Promise.all(asks);
  if (own === now) showTruth(own.answer, twins, own.model);
}

function show() {
  if (!now) return;
  const { model, rgb, answer, masks, occluded } = now;
  const view = { ...seen(answer, state, model), labels: model.classes };
  const { cells } = view.drawn;
  const most = cells.values.reduce((top, value) => Math.max(top, Math.abs(value)), 0) / cells.values.length;
  const limit = state.ownScale ? most || 1 : model.limit;
  const look = { strength: state.strength, smooth: state.smooth, colours };
  put(find("map"), composed(rgb, model.size, cells, limit, look), model.size);
  const marks = { rectangle: state.rectangle, cell: state.cell, map: cells };
  mark(find("map"), model.size, { ...marks, masks: state.outlines ? masks : [] });
  showScale(view, limit, state, model);
  showCell(view, state.cell);
  showSums(view);
  showRegion(answer, occluded, state, model);
  const before = seen(answer, { ...state, g: 0 }, model);
  showGauge(before, view, state);
  now.map = cells;
}

/** The numbers of a shipped picture beside those that Python gave. */
function check(picture) {
  const name = state.twin ? `${state.picture} ${state.twin}` : state.picture;
  const far = picture ? difference(now.answer, expected[state.model][name]) : null;
  find("check").textContent =
    far === null ? "Self-check: your own picture has no answer from Python to compare with." : verdict(far);
}

function verdict(far) {
  const most = `The largest difference to Python, over logits and all cells, is ${far.toExponential(1)} logits`;
  return far <= TOLERANCE
    ? `Self-check: passed. ${most}.`
    : `Self-check: FAILED. ${most}; at most ${TOLERANCE} is expected. A browser that blurs canvases against tracking does this: do not trust the numbers.`;
}

async function checkAll() {
  let [worst, count] = [0, 0];
  for (const { name, size } of about.models) {
    const net = await network(name);
    for (const { name: picture, file, parts: taken } of about.pictures) {
      const twins = taken.map(({ part, file: twin }) => [`${picture} ${part}`, twin]);
      for (const [key, address] of [[picture, file], ...twins]) {
        const answer = await net.answer(planes(await square(address, size)));
        worst = Math.max(worst, difference(answer, expected[name][key]));
        count += 1;
        find("check-all-says").textContent = `${count} …`;
      }
    }
  }
  find("check-all-says").textContent = `${count} answers. ${verdict(worst)}`;
}

/** A change by the reader; `ask` where the network has to answer again. */
function change(values) {
  const before = { ...state };
  Object.assign(state, values);
  const changed = (...keys) => keys.some((key) => before[key] !== state[key]);
  if (changed("model", "picture", "twin", "own")) {
    opening += 1;
    say("");
    choose();
    ask();
    return;
  }
  const painting = changed("how", "fill") || JSON.stringify(before.rectangle) !== JSON.stringify(state.rectangle);
  if (painting && now) now.occluded = null;
  show();
  if (painting) occlude().catch((error) => say(`The page cannot answer: ${error.message}`));
}

/** The controls that depend on model and picture. */
function choose() {
  const [model, picture] = [modelOf(state.model), phantom()];
  find("model-says").textContent = model.says;
  const classes = model.classes.map((title, c) => ({ value: String(c), title }));
  radios(find("targets"), "target", classes, String(state.target), (c) => change({ target: Number(c) }));
  const taken = (picture?.parts ?? []).map(({ part }) => ({ value: part, title: `without the ${part}` }));
  radios(find("twins"), "twin", [{ value: "", title: "as it is" }, ...taken], state.twin, (twin) => change({ twin }));
  find("twins").hidden = taken.length === 0;
  const names = (picture?.parts ?? []).map(({ part, mask }) => {
    const button = make("button", { type: "button" }, `Frame the ${part}`);
    button.addEventListener("click", () => change({ rectangle: frame(unpackMask(mask, model.size), model.size) }));
    return button;
  });
  find("frames").replaceChildren(...names.flatMap((button) => [button, " "]));
  find("outline-says").textContent = taken.length ? "Outlines: the opacity as a line, the marker (a letter burnt into the picture) dashed." : "";
  for (const name of ["model", "picture"]) {
    document.querySelectorAll(`input[name=${name}]`).forEach((input) => {
      input.checked = input.value === state[name];
    });
  }
  find("own").textContent = state.own ? `Shown: ${state.own.name}. The models know chest phantoms only: their answer to anything else means nothing.` : find("own").dataset.says;
}

/** A file of the reader's own; one that cannot be used leaves the page as it was. */
async function open(files) {
  if (!about || files.length === 0) return;
  if (files.length > 1) return say(`One picture at a time: there were ${files.length} files.`);
  const [file] = files;
  const turn = (opening += 1);
  find("status").textContent = `Opening ${file.name} …`;
  try {
    const rgb = await opened(file, modelOf(state.model).size);
    if (turn === opening) change({ own: { name: file.name, rgb }, picture: null, twin: "" });
  } catch (error) {
    if (turn !== opening) return;
    find("status").textContent = "";
    if (now) ready();
    say(error instanceof PictureError ? `${file.name}: ${error.message}` : error.message);
  }
}

async function start() {
  [about, expected, { Network }] = await Promise.all([
    json("explorer.json"), json("expected.json"), import("./network.js"),
  ]);
  colours = bytesOf(about.colours);
  scaleBar(find("scale"), colours);
  const titles = about.models.map(({ name, title }) => ({ value: name, title }));
  const first = about.pictures.find(({ parts: own }) => own.length === 2) ?? about.pictures[0];
  Object.assign(state, held(), { model: about.models[0].name, picture: first.name });
  radios(find("models"), "model", titles, state.model, (model) => change({ model }));
  const grid = make("div");
  find("pictures").append(grid);
  const thumbnails = about.pictures.map(({ name, title, file }) => ({ value: name, title, image: file }));
  radios(grid, "picture", thumbnails, state.picture, (picture) => change({ picture, twin: "", own: null }));
  const choices = shapes(about.models[0].classes).map(({ value, title }) => make("option", { value }, title));
  find("shape").append(...choices);
  find("own").dataset.says = find("own").textContent;
  find("file").addEventListener("change", (event) => {
    open([...event.target.files]);
    event.target.value = ""; // so that the same file can be chosen again
  });
  listenDrop(open);
  find("versions").textContent = about.versions;
  find("check-all").addEventListener("click", () => checkAll().catch((error) => say(error.message)));
  listen(change);
  listenRectangle(about.models[0].size, change);
  listenMap(find("map"), () => ({ map: now?.map, size: about.models[0].size, cell: state.cell }), change);
  choose();
  await ask();
}

start().catch((error) => {
  find("status").textContent = "";
  say(`The page cannot start: ${error.message}`);
});
