// From a picture of any size to a small square, as `softcam.data.geometry` does it with Pillow:
// the short side becomes `size` (bilinear with antialiasing), then the middle is cut out.
//
// Pillow computes with whole numbers: weights times 2^22, rounded after each of the two passes.
// The same is done here, so that the bytes are the same.

const PRECISION = 22;

/** Half-way cases go to the even neighbour, as in Python. */
export function roundHalfEven(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

/** { height, width } after the resize, and { top, left } of the square in it. */
export function geometry(height, width, size) {
  const short = Math.min(height, width);
  const resized = {
    height: Math.floor((size * height) / short),
    width: Math.floor((size * width) / short),
  };
  return {
    ...resized,
    top: roundHalfEven((resized.height - size) / 2),
    left: roundHalfEven((resized.width - size) / 2),
  };
}

/** For each place of the output: the first place of the input, and whole-number weights. */
export function weights(from, to) {
  const scale = from / to;
  const reach = Math.max(scale, 1); // the triangle's half width
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(from, Math.trunc(centre + reach + 0.5));
    const raw = [];
    for (let i = first; i < end; i += 1) {
      raw.push(Math.max(0, 1 - Math.abs((i - centre + 0.5) / reach)));
    }
    const sum = raw.reduce((a, b) => a + b, 0) || 1;
    const whole = raw.map((value) => Math.trunc(0.5 + (value / sum) * 2 ** PRECISION));
    return { first, weights: Int32Array.from(whole) };
  });
}

function rounded(sum) {
  return Math.min(255, Math.max(0, (sum + (1 << (PRECISION - 1))) >> PRECISION));
}

/**
 * The first pass, over rows of RGBA bytes.
 *
 * @param rgba bytes of `rows` rows that are `width` pixels wide
 * @param plan `weights(width, new width)`
 * @param out RGB bytes, new width * 3 a row
 * @param top row of `out` to begin at
 */
export function acrossRows(rgba, rows, width, plan, out, top) {
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < plan.length; column += 1) {
      const { first, weights: own } = plan[column];
      const start = (row * width + first) * 4;
      const goal = ((top + row) * plan.length + column) * 3;
      for (let channel = 0; channel < 3; channel += 1) {
        let sum = 0;
        for (let i = 0; i < own.length; i += 1) sum += rgba[start + i * 4 + channel] * own[i];
        out[goal + channel] = rounded(sum);
      }
    }
  }
}

/** The second pass, down the columns of RGB bytes; only columns left to left + size are made. */
export function downColumns(rgb, width, plan, left, top, size) {
  const out = new Uint8ClampedArray(size * size * 3);
  for (let row = 0; row < size; row += 1) {
    const { first, weights: own } = plan[top + row];
    for (let column = 0; column < size; column += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        const start = (first * width + left + column) * 3 + channel;
        let sum = 0;
        for (let i = 0; i < own.length; i += 1) sum += rgb[start + i * width * 3] * own[i];
        out[(row * size + column) * 3 + channel] = rounded(sum);
      }
    }
  }
  return out;
}

/**
 * A picture as a square of RGB bytes.
 *
 * @param read (top, rows) to the RGBA bytes of these rows, so that never all of it is in memory
 */
export function squared(read, height, width, size, strip = 256) {
  const goal = geometry(height, width, size);
  const across = weights(width, goal.width);
  const middle = new Uint8ClampedArray(height * goal.width * 3);
  for (let top = 0; top < height; top += strip) {
    const rows = Math.min(strip, height - top);
    acrossRows(read(top, rows), rows, width, across, middle, top);
  }
  return downColumns(middle, goal.width, weights(height, goal.height), goal.left, goal.top, size);
}
