// From the network's answers and the reader's choices to the numbers that are shown; no page here.

import {
  cellsOf, centred, contrast, face, flat, furthest, mapped, mean, moved, parts, regionSum, rival,
  softmax,
} from "./numbers.js";

const average = (numbers) => mean({ values: numbers });

/** What can be added to the maps of all classes. */
export function shapes(classes) {
  const own = classes.map((name, c) => ({ value: `class-${c}`, title: `the map of “${name}”` }));
  const drawn = [
    { value: "face", title: "a smiling face" },
    { value: "flat", title: "the same number everywhere" },
  ];
  return [...drawn, ...own];
}

/** The cells behind a name of `shapes`; `unit`, in logits, is the strength of a drawn one. */
export function shapeMap(name, maps, unit, biases) {
  if (name.startsWith("class-")) {
    const c = Number(name.slice("class-".length));
    return cellsOf(maps[c], biases[c]);
  }
  const drawn = name === "face" ? face(maps[0]) : flat(maps[0]);
  return mapped(drawn, (value) => value * unit);
}

/** The maps of an answer after the zero was moved; the biases stay as they are. */
export function movedMaps(answer, state, model) {
  const unit = model.limit * answer.maps[0].values.length; // limit: image share at full colour
  return moved(answer.maps, shapeMap(state.shape, answer.maps, unit, model.bias), state.g);
}

/**
 * What the page shows of an answer.
 *
 * @returns { maps, logits, probabilities, other, drawn, name, about, lines }: the maps after the
 *   zero was moved and what follows from them, the rival of the class, the line to draw, its name
 *   and what it adds up to, and the lines of the sum, each { name, cells, bias }
 */
export function seen(answer, state, model) {
  const { target, view } = state;
  const maps = movedMaps(answer, state, model);
  const logits = maps.map(mean);
  const other = rival(logits, target);
  const label = model.classes;
  const found = { maps, logits, probabilities: softmax(logits), other };
  if (view === "contrast") {
    const name = `${label[target]} − ${label[other]}`;
    const bias = model.bias[target] - model.bias[other];
    const drawn = { name, cells: cellsOf(contrast(maps, target, other), bias), bias };
    const title = `Evidence for ${label[target]} rather than ${label[other]}`;
    return { ...found, drawn, name: title, about: `the difference ${name}`, lines: [drawn] };
  }
  const level = view === "centred" ? average(model.bias) : 0;
  const all = view === "centred" ? centred(maps) : maps;
  const lines = label.map((name, c) => {
    const bias = model.bias[c] - level;
    return { name, cells: cellsOf(all[c], bias), bias };
  });
  const [before, after] = view === "centred" ? ["centred ", ", centred"] : ["", ""];
  return {
    ...found, drawn: lines[target], name: `Evidence for ${label[target]}${after}`,
    about: `the ${before}logit of ${label[target]}`, lines,
  };
}

/**
 * What becomes of each logit, and of the difference of two, once a part is erased or kept.
 *
 * @returns rows { name, now, map, network }, in logits; `network` is null before it answered
 */
export function regionRows(answer, occluded, state, model) {
  const { maps, logits, other } = seen(answer, state, model);
  const inside = maps.map((map, c) => regionSum(cellsOf(map, model.bias[c]), state.rectangle, model.size));
  // The bias is in no cell: it stays, whatever is erased.
  const byMap = logits.map((logit, c) => (state.how === "erase" ? logit - inside[c] : model.bias[c] + inside[c]));
  const byNetwork = occluded ? movedMaps(occluded, state, model).map(mean) : null;
  const [zero, after] = state.view === "centred" ? [average, ", centred"] : [() => 0, ""];
  const rows = model.classes.map((name, c) => ({
    name: name + after,
    now: logits[c] - zero(logits),
    map: byMap[c] - zero(byMap),
    network: byNetwork && byNetwork[c] - zero(byNetwork),
  }));
  const [own, rest] = [rows[state.target], rows[other]];
  rows.push({
    name: `${model.classes[state.target]} − ${model.classes[other]}`,
    now: own.now - rest.now,
    map: own.map - rest.map,
    network: byNetwork && own.network - rest.network,
  });
  return rows;
}

/** The `count` cells with the largest image shares, for or against: { row, column, value } from 1. */
export function strongest(cells, count = 5) {
  const { values, width } = cells;
  const order = Array.from(values.keys());
  order.sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
  return order.slice(0, count).map((i) => ({
    row: Math.floor(i / width) + 1,
    column: (i % width) + 1,
    value: values[i] / values.length,
  }));
}

/** The largest difference between an answer and what Python gave, in logits. */
export function difference(answer, expected) {
  const maps = answer.maps.map((map, c) => furthest(map.values, expected.maps[c]));
  return Math.max(furthest(answer.logits, expected.logits), ...maps);
}

/** The sum of a line spelled out; see `parts`. */
export const spelled = ({ cells, bias }) => parts(cells, bias);
