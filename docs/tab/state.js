// From the network's answers and the reader's choices to the numbers that are shown; no page here.

import {
  centred, contrast, face, flat, furthest, mapped, mean, moved, parts, regionSum, rival, softmax,
} from "./numbers.js";

/** What can be added to the maps of all classes. */
export function shapes(classes) {
  const own = classes.map((name, c) => ({ value: `class-${c}`, title: `the map of “${name}”` }));
  const drawn = [
    { value: "face", title: "a smiling face" },
    { value: "flat", title: "the same number everywhere" },
  ];
  return [...drawn, ...own];
}

/** The map behind a name of `shapes`; `unit`, in logits, is the strength of a drawn one. */
export function shapeMap(name, maps, unit) {
  if (name.startsWith("class-")) return maps[Number(name.slice("class-".length))];
  const drawn = name === "face" ? face(maps[0]) : flat(maps[0]);
  return mapped(drawn, (value) => value * unit);
}

/** The maps of an answer after the zero was moved. */
export function movedMaps(answer, state, model) {
  const unit = model.limit * answer.maps[0].values.length; // limit: contribution at full colour
  return moved(answer.maps, shapeMap(state.shape, answer.maps, unit), state.g);
}

/**
 * What the page shows of an answer.
 *
 * @returns { maps, logits, probabilities, other, drawn, name, lines }: the maps after the zero was
 *   moved and what follows from them, the rival of the class, the map to draw and its name, and
 *   the lines of the sum, each { name, map, bias }
 */
export function seen(answer, state, model) {
  const { target, view } = state;
  const maps = movedMaps(answer, state, model);
  const logits = maps.map(mean);
  const other = rival(logits, target);
  const label = model.classes;
  const about = { maps, logits, probabilities: softmax(logits), other };
  if (view === "contrast") {
    const drawn = contrast(maps, target, other);
    const name = `${label[target]} − ${label[other]}`;
    const line = { name, map: drawn, bias: model.bias[target] - model.bias[other] };
    return { ...about, drawn, name: `Evidence for ${label[target]} rather than ${label[other]}`, lines: [line] };
  }
  const level = view === "centred" ? mean({ values: model.bias }) : 0;
  const all = view === "centred" ? centred(maps) : maps;
  const lines = label.map((name, c) => ({ name, map: all[c], bias: model.bias[c] - level }));
  const after = view === "centred" ? ", centred" : "";
  return { ...about, drawn: all[target], name: `Evidence for ${label[target]}${after}`, lines };
}

/**
 * What becomes of each logit, and of the difference of two, once a part is erased or kept.
 *
 * @returns rows { name, now, map, network }, in logits; `network` is null before it answered
 */
export function regionRows(answer, occluded, state, model) {
  const { maps, logits, other } = seen(answer, state, model);
  const inside = maps.map((map) => regionSum(map, state.rectangle, model.size));
  const byMap = logits.map((logit, c) => (state.how === "erase" ? logit - inside[c] : inside[c]));
  const byNetwork = occluded ? movedMaps(occluded, state, model).map(mean) : null;
  const rows = model.classes.map((name, c) => ({
    name,
    now: logits[c],
    map: byMap[c],
    network: byNetwork && byNetwork[c],
  }));
  const [own, rest] = [rows[state.target], rows[other]];
  rows.push({
    name: `${own.name} − ${rest.name}`,
    now: own.now - rest.now,
    map: own.map - rest.map,
    network: byNetwork && own.network - rest.network,
  });
  return rows;
}

/** The `count` cells that add most, for or against: { row, column, value } from 1. */
export function strongest(map, count = 5) {
  const order = Array.from(map.values.keys());
  order.sort((a, b) => Math.abs(map.values[b]) - Math.abs(map.values[a]) || a - b);
  return order.slice(0, count).map((i) => ({
    row: Math.floor(i / map.width) + 1,
    column: (i % map.width) + 1,
    value: map.values[i] / map.values.length,
  }));
}

/** The largest difference between an answer and what Python gave, in logits. */
export function difference(answer, expected) {
  const maps = answer.maps.map((map, c) => furthest(map.values, expected.maps[c]));
  return Math.max(furthest(answer.logits, expected.logits), ...maps);
}

/** The sum of a map spelled out; see `parts`. */
export const spelled = ({ map, bias }) => parts(map, bias);
