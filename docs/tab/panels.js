// What the page says beside the picture: numbers as words, tables and bars.

import { find, make } from "./controls.js";
import { imageShare, signed } from "./numbers.js";
import { regionRows, spelled, strongest } from "./state.js";

const VIEWS = {
  raw: "Raw: the numbers whose mean is the logit. Their zero is not fixed by training (see 5).",
  centred: "Centred: at each cell minus the mean over the classes. One zero, agreed upon.",
  contrast: "Contrast: one class minus its strongest rival. The same whatever the zero.",
};

/** A text for screen readers, too, who hear it again only when it changed. */
function tell(id, text) {
  if (find(id).textContent !== text) find(id).textContent = text;
}

/** A share in percent; one that rounding would call sure or impossible is not called so. */
export function percent(share) {
  const unit = "\u00a0%";
  if (share > 0.99999) return `over 99.999${unit}`;
  if (share < 0.00001) return `under 0.001${unit}`;
  return (share * 100).toFixed(share > 0.9995 || share < 0.0005 ? 3 : 1) + unit;
}

/** The logits of the map that is shown, each spelled out. */
export function showSums(view) {
  const lines = view.lines.map((line) => ({ ...line, ...spelled(line) }));
  const ends = lines.flatMap(({ positive, negative, bias, logit }) => [positive, negative, bias, logit]);
  const reach = Math.max(...ends.map(Math.abs), 1e-9);
  find("sums").replaceChildren(...lines.flatMap((line) => sumRows(line, reach)));
  const chances = view.probabilities.map((p, c) => [p, view.labels[c]]);
  const said = chances.map(([p, label]) => `${label} ${percent(p)}`).join(", ");
  find("chances").textContent = `The network answers: ${said}.`;
  const cells = strongest(view.drawn.cells);
  find("strongest").replaceChildren(
    ...cells.map(({ row, column, value }) => make("li", {}, `row ${row}, column ${column}: ${signed(value, 4)}`)),
  );
}

function sumRows(line, reach) {
  const cells = [
    `${signed(line.positive)} (${line.cellsFor})`,
    `${signed(line.negative)} (${line.cellsAgainst})`,
    signed(line.bias),
    signed(line.logit),
  ];
  const numbers = make("tr", {}, make("th", { scope: "row" }, line.name));
  numbers.append(...cells.map((text) => make("td", {}, text)));
  const drawing = make("tr", {}, make("td", { colSpan: 5, className: "bars" }, sumBar(line, reach)));
  drawing.setAttribute("aria-hidden", "true"); // the row above says it in numbers
  return [numbers, drawing];
}

function sumBar({ positive, negative, bias, logit }, reach) {
  const bar = make("div", { className: "bar" });
  const at = (value) => 50 + (value / reach) * 49;
  const piece = (kind, one, two) => {
    const part = make("i", { className: kind });
    part.style.left = `${Math.min(at(one), at(two))}%`;
    part.style.width = `${Math.abs(at(two) - at(one))}%`;
    bar.append(part);
  };
  piece("for", 0, positive);
  piece("against", 0, negative);
  const end = bias < 0 ? negative : positive;
  piece("bias", end, end + bias);
  for (const [kind, value] of [["zero", 0], ["logit", logit]]) {
    const line = make("i", { className: kind });
    line.style.left = `calc(${at(value)}% - 1px)`;
    bar.append(line);
  }
  return bar;
}

/** The cell under the finger, in words. */
export function showCell(view, cell) {
  if (!cell) {
    tell("readout", "Point at a cell, tap it, or use the arrow keys on the map.");
    return;
  }
  const { cells, bias } = view.drawn;
  const value = imageShare(cells, cell.row, cell.column);
  const own = cells.values[cell.row * cells.width + cell.column];
  const side = value > 0 ? "for" : value < 0 ? "against" : "neither for nor against";
  tell(
    "readout",
    `Row ${cell.row + 1}, column ${cell.column + 1}: image share ${signed(value, 4)} of ${view.about} (${side}). ` +
      `The map holds ${signed(own + bias)} there; without the bias, ${signed(bias)}, that is ` +
      `${signed(own)}, shared by ${cells.values.length} cells.`,
  );
}

/** Title, scale and the sentence about the view. */
export function showScale(view, limit, state, model) {
  find("map-title").textContent = view.name;
  find("scale-low").textContent = signed(-limit, 3);
  find("scale-high").textContent = signed(limit, 3);
  find("view-says").textContent = VIEWS[state.view];
  find("sum-name").textContent = { raw: "= logit", centred: "= centred logit", contrast: "= difference" }[state.view];
  const label =
    `${view.name}, ${view.drawn.cells.height} by ${view.drawn.cells.width} cells, of ${model.title}. ` +
    "Arrow keys move from cell to cell, Enter puts the rectangle around one, Escape takes both away.";
  find("map").setAttribute("aria-label", label);
}

/** What the map and the network say of the rectangle. */
export function showRegion(answer, occluded, state, model) {
  find("answer").hidden = !state.rectangle;
  for (const id of ["x", "y", "width", "height"]) {
    const field = find(id);
    if (document.activeElement !== field) field.value = state.rectangle?.[id] ?? "";
  }
  if (!state.rectangle) return;
  const rows = regionRows(answer, occluded, state, model);
  const number = (value) => (value === null ? "…" : signed(value));
  find("region").replaceChildren(
    ...rows.map((row, i) => {
      const cells = [row.now, row.map, row.network].map((value) => make("td", {}, number(value)));
      const line = make("tr", {}, make("th", { scope: "row" }, row.name), ...cells);
      line.className = i === model.classes.length ? "strong" : "";
      return line;
    }),
  );
  if (occluded) tell("region-says", sentence(rows, state, model));
}

function sentence(rows, state, model) {
  const [own, contrast] = [rows[state.target], rows.at(-1)];
  const what = state.how === "erase" ? "Without this part" : "With only this part";
  const change = (row, key) => signed(row[key] - row.now);
  return (
    `${what}, the map lets the ${state.view === "centred" ? "centred " : ""}logit of ${model.classes[state.target]} change by ${change(own, "map")}, ` +
    `the network by ${change(own, "network")}; the difference ${contrast.name} by ` +
    `${change(contrast, "map")} and ${change(contrast, "network")}.`
  );
}

/** What a phantom's parts are truly worth: the network's answers to its twins. */
export function showTruth(answer, twins, model) {
  const said = twins.map(({ part, answer: twin }) => {
    const changes = model.classes.map((name, c) => `${name} ${signed(twin.logits[c] - answer.logits[c])}`);
    return `without the ${part}, ${changes.join(", ")}`;
  });
  find("truth").textContent = said.length
    ? `The truth, known because this phantom can be drawn again: ${said.join("; ")} (change of the network's logits).`
    : "";
}

/** What moving the zero did, and did not do. */
export function showGauge(before, view, state) {
  find("g").value = state.g;
  find("g").setAttribute("aria-valuetext", `${state.g.toFixed(2)} times`);
  find("g-value").textContent = signed(state.g);
  const shift = view.logits[0] - before.logits[0];
  const list = (probabilities) => probabilities.map(percent).join(" / ");
  tell(
    "gauge-says",
    `Every logit moved by ${signed(shift)}. Probabilities of ${view.labels.join(" / ")}: ` +
      `before ${list(before.probabilities)}, now ${list(view.probabilities)}.`,
  );
}
