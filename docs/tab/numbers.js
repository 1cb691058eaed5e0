// The arithmetic of evidence maps, without a page: what `softcam.evidence` does in Python.
//
// A map is { values, height, width }: signed logits, row by row. A SoftCAM gives one map a class,
// and the mean of a map is the logit of its class.

/** Mean of a map in logits: the logit of its class. */
export function mean(map) {
  let sum = 0;
  for (const value of map.values) sum += value;
  return sum / map.values.length;
}

/** Logits to probabilities that sum to 1. */
export function softmax(logits) {
  const top = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** The same map with f(value, index) in each cell. */
export function mapped(map, f) {
  return { ...map, values: Float64Array.from(map.values, f) };
}

/** g times one map, added to the maps of all classes: another zero, the same prediction. */
export function moved(maps, shape, g) {
  return maps.map((map) => mapped(map, (value, i) => value + g * shape.values[i]));
}

/** Each map minus the mean over classes at each cell. */
export function centred(maps) {
  const shared = mapped(maps[0], (_, i) => maps.reduce((sum, map) => sum + map.values[i], 0));
  return moved(maps, shared, -1 / maps.length);
}

/** The class with the highest logit but for class c. */
export function rival(logits, c) {
  const others = logits.map((_, i) => i).filter((i) => i !== c);
  return others.reduce((best, i) => (logits[i] > logits[best] ? i : best));
}

/** Map c minus map other: the evidence for c rather than the other, whatever the zero. */
export function contrast(maps, c, other) {
  return mapped(maps[c], (value, i) => value - maps[other].values[i]);
}

/**
 * What the picture puts into each cell: the map without its bias, which every picture gets.
 *
 * The page shows cells, never maps with the bias in them, so that bias + sum of the image shares
 * is the logit wherever a number stands.
 */
export function cellsOf(map, bias) {
  return mapped(map, (value) => value - bias);
}

/** A logit spelled out: the image shares above 0, those below, and the bias. */
export function parts(cells, bias) {
  const found = { positive: 0, negative: 0, bias, cellsFor: 0, cellsAgainst: 0 };
  for (const value of cells.values) {
    if (value > 0) {
      found.positive += value / cells.values.length;
      found.cellsFor += 1;
    } else if (value < 0) {
      found.negative += value / cells.values.length;
      found.cellsAgainst += 1;
    }
  }
  return { ...found, logit: found.positive + found.negative + bias };
}

/**
 * The image share of a cell: (A - bias) / number of cells, what the picture adds to the logit there.
 *
 * Its contribution, as `Explanation.contributions` has it, is that + bias / number of cells.
 */
export function imageShare(cells, row, column) {
  return cells.values[row * cells.width + column] / cells.values.length;
}

/** The cell under the pixel (x, y) of a picture of that size. */
export function cellAt(map, x, y, size) {
  const at = (value, cells) => Math.min(cells - 1, Math.max(0, Math.floor((value / size) * cells)));
  return { row: at(y, map.height), column: at(x, map.width) };
}

/**
 * What a map says of a rectangle { x, y, width, height } in pixels: its image shares. A cell
 * that is partly inside counts with the share of its area.
 */
export function regionSum(cells, rectangle, size) {
  const share = (cell, count, start, length) => {
    const [from, to] = [(cell * size) / count, ((cell + 1) * size) / count];
    const inside = Math.min(to, start + length) - Math.max(from, start);
    return Math.max(0, inside) / (to - from);
  };
  let sum = 0;
  for (let row = 0; row < cells.height; row += 1) {
    const down = share(row, cells.height, rectangle.y, rectangle.height);
    for (let column = 0; column < cells.width; column += 1) {
      const across = share(column, cells.width, rectangle.x, rectangle.width);
      sum += down * across * imageShare(cells, row, column);
    }
  }
  return sum;
}

/** A rectangle in whole pixels inside the picture, at least one pixel large. */
export function clipped({ x, y, width, height }, size) {
  const whole = (value, least, most) => Math.min(most, Math.max(least, Math.round(value) || 0));
  const [left, top] = [whole(x, 0, size - 1), whole(y, 0, size - 1)];
  return {
    x: left,
    y: top,
    width: whole(width, 1, size - left),
    height: whole(height, 1, size - top),
  };
}

/** The smallest rectangle around the marked pixels of a mask; null where none is marked. */
export function frame(mask, size) {
  let [left, top, right, bottom] = [size, size, -1, -1];
  mask.forEach((marked, i) => {
    if (!marked) return;
    const [x, y] = [i % size, Math.floor(i / size)];
    [left, right] = [Math.min(left, x), Math.max(right, x)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
  });
  return right < 0 ? null : { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

const FACE = [
  "............",
  "............",
  "..##....##..",
  "..##....##..",
  "............",
  "............",
  ".#........#.",
  ".##......##.",
  "..##....##..",
  "...######...",
  "............",
  "............",
];

/** A map of ones. */
export function flat({ height, width }) {
  return { height, width, values: new Float64Array(height * width).fill(1) };
}

/** A smiling face whose mean is 0, so that it moves no logit; its strongest cell is 1. */
export function face(like) {
  const drawn = mapped(flat(like), (_, i) => {
    const row = Math.floor(((Math.floor(i / like.width) + 0.5) / like.height) * FACE.length);
    const column = Math.floor((((i % like.width) + 0.5) / like.width) * FACE[0].length);
    return FACE[row][column] === "#" ? 1 : 0;
  });
  const level = mean(drawn);
  return mapped(drawn, (value) => (value - level) / (1 - level));
}

/** A map enlarged to size x size, bilinear with half-pixel centres: for drawing only. */
export function enlarged(map, size) {
  const line = (cells) =>
    Array.from({ length: size }, (_, i) => {
      const at = Math.min(cells - 1, Math.max(0, ((i + 0.5) * cells) / size - 0.5));
      const low = Math.min(Math.floor(at), Math.max(0, cells - 2));
      return { low, high: Math.min(low + 1, cells - 1), share: at - low };
    });
  const [rows, columns] = [line(map.height), line(map.width)];
  const values = new Float64Array(size * size);
  const at = (row, column) => map.values[row * map.width + column];
  rows.forEach((r, y) => {
    columns.forEach((c, x) => {
      const upper = at(r.low, c.low) * (1 - c.share) + at(r.low, c.high) * c.share;
      const lower = at(r.high, c.low) * (1 - c.share) + at(r.high, c.high) * c.share;
      values[y * size + x] = upper * (1 - r.share) + lower * r.share;
    });
  });
  return { height: size, width: size, values };
}

/** The largest |value| of two lists' differences. */
export function furthest(one, two) {
  if (one.length !== two.length) return Infinity;
  return one.reduce((most, value, i) => Math.max(most, Math.abs(value - two[i])), 0);
}

/** A number with its sign, "+1.25" or "−0.50"; zero has none. */
export function signed(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "\u2212" : "+") + text;
}
