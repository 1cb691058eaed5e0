// Buttons, fields and the picture under the finger: what the reader does becomes a change.

import { cellAt, clipped } from "./numbers.js";

export const find = (id) => document.getElementById(id);

/** An element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A choice of one, as radio buttons with `title` after them, and a picture where there is one. */
export function radios(place, name, choices, chosen, change) {
  const old = [...place.querySelectorAll("label")];
  const same = (label, { value, title }) =>
    label.firstChild.value === value && label.textContent === ` ${title}`;
  if (old.length === choices.length && old.every((label, i) => same(label, choices[i]))) {
    for (const { firstChild: input } of old) input.checked = input.value === chosen;
    return; // the one that has the focus keeps it
  }
  const labels = choices.map(({ value, title, image }) => {
    const input = make("input", { type: "radio", name, value, checked: value === chosen });
    input.addEventListener("change", () => change(value));
    const shown = image ? [make("img", { src: image, alt: "", width: 96, height: 96 })] : [];
    return make("label", {}, input, ...shown, ` ${title}`);
  });
  old.forEach((label) => label.remove());
  place.append(...labels);
}

const checkboxes = { smooth: "smooth", outlines: "outlines", "own-scale": "ownScale" };

/** What the fields hold at the start: a browser may keep them while a page is loaded again. */
export function held() {
  const checked = (name) => document.querySelector(`input[name=${name}]:checked`).value;
  const boxes = Object.entries(checkboxes).map(([id, key]) => [key, find(id).checked]);
  return {
    ...Object.fromEntries(boxes), view: checked("view"), how: checked("how"),
    strength: find("strength").value / 100, g: Number(find("g").value), fill: find("fill").value,
  };
}

/** A file that is let fall anywhere on the page; the browser would leave the page for it. */
export function listenDrop(open) {
  for (const name of ["dragover", "drop"]) {
    document.addEventListener(name, (event) => event.preventDefault());
  }
  document.addEventListener("drop", (event) => open([...(event.dataTransfer?.files ?? [])]));
}

/** The fields that look the same whatever model is loaded. */
export function listen(change) {
  for (const name of ["view", "how"]) {
    document.querySelectorAll(`input[name=${name}]`).forEach((input) => {
      input.addEventListener("change", () => change({ [name]: input.value }));
    });
  }
  for (const [id, key] of Object.entries(checkboxes)) {
    find(id).addEventListener("change", (event) => change({ [key]: event.target.checked }));
  }
  const range = (id, key, factor) =>
    find(id).addEventListener("input", (event) => change({ [key]: event.target.value * factor }));
  range("strength", "strength", 0.01);
  range("g", "g", 1);
  find("g-zero").addEventListener("click", () => change({ g: 0 }));
  find("shape").addEventListener("change", (event) => change({ shape: event.target.value }));
  find("fill").addEventListener("change", (event) => change({ fill: event.target.value }));
  find("clear").addEventListener("click", () => change({ rectangle: null }));
  const drawing = () => find("map").classList.toggle("drawing", find("finger").checked);
  find("finger").addEventListener("change", drawing);
  drawing();
}

/** The four numbers of the rectangle. */
export function listenRectangle(size, change) {
  const fields = ["x", "y", "width", "height"].map((id) => [id, find(id)]);
  for (const [, field] of fields) {
    field.max = size;
    field.onchange = () => {
      const given = fields.map(([id, own]) => [id, own.value === "" ? NaN : Number(own.value)]);
      const { x, y, width, height } = Object.fromEntries(given);
      const some = (value, otherwise) => (Number.isNaN(value) ? otherwise : value);
      const whole = { x: some(x, 0), y: some(y, 0), width: some(width, size / 4), height: some(height, size / 4) };
      const rectangle = clipped(whole, size);
      field.value = rectangle[field.id]; // the one that has the focus is otherwise left alone
      change({ rectangle });
    };
  }
}

/** Pointer and arrow keys on the map. `now()` gives { map, size, cell }. */
export function listenMap(canvas, now, change) {
  let from = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const at = (value, start, length) => ((value - start) / length) * now().size;
    return { x: at(event.clientX, box.left, box.width), y: at(event.clientY, box.top, box.height) };
  };
  const draws = (event) => event.pointerType !== "touch" || find("finger").checked;
  const point = (event) => {
    const { map, size } = now();
    if (!map) return;
    const to = place(event);
    const cell = cellAt(map, to.x, to.y, size);
    const dragged = from && Math.hypot(to.x - from.x, to.y - from.y) > size / 60;
    change(dragged ? { cell, rectangle: between(from, to, size) } : { cell });
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (draws(event)) {
      from = place(event);
      canvas.setPointerCapture(event.pointerId);
    }
    point(event);
  });
  canvas.addEventListener("pointermove", point);
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      from = null;
    });
  }
  canvas.addEventListener("keydown", (event) => step(event, now(), change));
}

function between(one, two, size) {
  const [left, top] = [Math.floor(Math.min(one.x, two.x)), Math.floor(Math.min(one.y, two.y))];
  const [right, bottom] = [Math.ceil(Math.max(one.x, two.x)), Math.ceil(Math.max(one.y, two.y))];
  const [x, y] = [Math.max(0, left), Math.max(0, top)];
  return clipped({ x, y, width: right - x, height: bottom - y }, size);
}

/** The pixels that a cell stands over. */
function squareOf({ row, column }, map, size) {
  const edge = (cell, count) => Math.round((cell * size) / count);
  const [x, y] = [edge(column, map.width), edge(row, map.height)];
  const [right, bottom] = [edge(column + 1, map.width), edge(row + 1, map.height)];
  return clipped({ x, y, width: right - x, height: bottom - y }, size);
}

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function step(event, { map, cell, size }, change) {
  if (event.key === "Escape") change({ cell: null, rectangle: null });
  if (map && cell && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    change({ rectangle: squareOf(cell, map, size) });
  }
  if (!map || !STEPS[event.key]) return;
  event.preventDefault();
  const [down, right] = STEPS[event.key];
  const kept = (value, cells) => Math.min(cells - 1, Math.max(0, value));
  const at = cell ?? { row: Math.floor(map.height / 2) - down, column: Math.floor(map.width / 2) - right };
  change({ cell: { row: kept(at.row + down, map.height), column: kept(at.column + right, map.width) } });
}
