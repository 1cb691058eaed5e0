// The picture, the map over it, and what is marked on it. Colours and opacity as in Python:
// red for, blue against, and where there is no evidence the picture shows through.

import { enlarged } from "./numbers.js";

const YELLOW = "#F0E442";

/** Bytes of a base64 text. */
export function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** A mask from its packed bits, one number a pixel. */
export function unpackMask(text, size) {
  const bytes = bytesOf(text);
  return Array.from({ length: size * size }, (_, i) => (bytes[i >> 3] >> (7 - (i & 7))) & 1);
}

/** Cells as they are, each the block of pixels that it stands over. */
function blocks(map, size) {
  const values = new Float64Array(size * size);
  for (let y = 0; y < size; y += 1) {
    const row = Math.floor(((y + 0.5) * map.height) / size);
    for (let x = 0; x < size; x += 1) {
      const column = Math.floor(((x + 0.5) * map.width) / size);
      values[y * size + x] = map.values[row * map.width + column];
    }
  }
  return { height: size, width: size, values };
}

/**
 * A map over a grey copy of a picture, as size x size RGBA bytes.
 *
 * @param rgb bytes of the picture
 * @param map cells, in logits
 * @param limit image share of a cell at full colour
 * @param look { strength (0 to 1), smooth, colours: 256 x RGB bytes }
 */
export function composed(rgb, size, map, limit, { strength, smooth, colours }) {
  const large = smooth ? enlarged(map, size) : blocks(map, size);
  const cells = map.values.length;
  const out = new Uint8ClampedArray(size * size * 4);
  for (let i = 0; i < size * size; i += 1) {
    const value = Math.min(1, Math.max(-1, large.values[i] / cells / limit));
    const grey = 0.299 * rgb[i * 3] + 0.587 * rgb[i * 3 + 1] + 0.114 * rgb[i * 3 + 2];
    const ground = strength > 0 ? 0.25 * 255 + 0.75 * grey : null; // paler, so that colours show
    const opacity = strength * Math.sqrt(Math.abs(value));
    const colour = Math.min(255, Math.floor(((value + 1) / 2) * 256)) * 3;
    for (let channel = 0; channel < 3; channel += 1) {
      const below = ground ?? rgb[i * 3 + channel];
      out[i * 4 + channel] = below * (1 - opacity) + colours[colour + channel] * opacity;
    }
    out[i * 4 + 3] = 255;
  }
  return out;
}

/** RGB bytes as RGBA bytes. */
export function opaque(rgb) {
  const out = new Uint8ClampedArray((rgb.length / 3) * 4).fill(255);
  for (let i = 0; i < rgb.length / 3; i += 1) out.set(rgb.subarray(i * 3, i * 3 + 3), i * 4);
  return out;
}

/** Put size x size RGBA bytes on a canvas, pixels as squares. */
export function put(canvas, rgba, size) {
  const small = document.createElement("canvas");
  [small.width, small.height] = [size, size];
  small.getContext("2d").putImageData(new ImageData(rgba, size, size), 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/** A line on a wider one of another brightness: visible on anything. */
function stroke(context, path, width, { below = "black", above = YELLOW, dash = [] } = {}) {
  context.setLineDash([]);
  context.strokeStyle = below;
  context.lineWidth = width * 2;
  context.stroke(path);
  context.setLineDash(dash);
  context.strokeStyle = above;
  context.lineWidth = width;
  context.stroke(path);
}

function border(mask, size, scale) {
  const path = new Path2D();
  const at = (x, y) => x >= 0 && y >= 0 && x < size && y < size && mask[y * size + x];
  const line = (x1, y1, x2, y2) => {
    path.moveTo(x1 * scale, y1 * scale);
    path.lineTo(x2 * scale, y2 * scale);
  };
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      if (!at(x, y)) continue;
      if (!at(x, y - 1)) line(x, y, x + 1, y);
      if (!at(x, y + 1)) line(x, y + 1, x + 1, y + 1);
      if (!at(x - 1, y)) line(x, y, x, y + 1);
      if (!at(x + 1, y)) line(x + 1, y, x + 1, y + 1);
    }
  }
  return path;
}

function box({ x, y, width, height }, scale) {
  const path = new Path2D();
  path.rect(x * scale, y * scale, width * scale, height * scale);
  return path;
}

/**
 * Mark things on the canvas.
 *
 * @param marks { masks: [{ mask, dashed }], rectangle, cell, map }, each may be missing
 */
export function mark(canvas, size, { masks = [], rectangle, cell, map }) {
  const context = canvas.getContext("2d");
  const scale = canvas.width / size;
  for (const { mask, dashed } of masks) {
    stroke(context, border(mask, size, scale), 3, { dash: dashed ? [8, 6] : [] });
  }
  if (rectangle) {
    stroke(context, box(rectangle, scale), 3.5, { above: "white" });
  }
  if (cell) {
    const [height, width] = [size / map.height, size / map.width];
    const place = { x: cell.column * width, y: cell.row * height, width, height };
    stroke(context, box(place, scale), 3, { below: "white", above: "black" });
  }
}

/** The colour scale, from blue on the left to red on the right. */
export function scaleBar(canvas, colours) {
  const rgba = new Uint8ClampedArray(256 * 4).fill(255);
  for (let i = 0; i < 256; i += 1) rgba.set(colours.subarray(i * 3, i * 3 + 3), i * 4);
  canvas.getContext("2d").putImageData(new ImageData(rgba, 256, 1), 0, 0);
}
