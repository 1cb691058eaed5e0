// From a file to the pixels that the network gets. Everything stays in this tab.

import { MOST_BYTES, refusal } from "./header.js";
import { squared } from "./resize.js";

/** What is shown to the reader instead of a picture. */
export class PictureError extends Error {}

/** Rows of a bitmap as RGBA bytes, transparent parts on black. */
function reader(bitmap) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  canvas.width = bitmap.width;
  return (top, rows) => {
    if (canvas.height !== rows) canvas.height = rows;
    context.fillStyle = "black";
    context.fillRect(0, 0, bitmap.width, rows);
    context.drawImage(bitmap, 0, top, bitmap.width, rows, 0, 0, bitmap.width, rows);
    return context.getImageData(0, 0, bitmap.width, rows).data;
  };
}

/** A decoded picture as size x size RGB bytes. */
async function decoded(blob, size) {
  // Python leaves colour profiles alone and turns the picture by its EXIF; so is it here.
  const bitmap = await createImageBitmap(blob, {
    colorSpaceConversion: "none",
    imageOrientation: "from-image",
  });
  try {
    return squared(reader(bitmap), bitmap.height, bitmap.width, size);
  } finally {
    bitmap.close();
  }
}

/** A file of the reader's own as size x size RGB bytes; a PictureError says why not. */
export async function opened(file, size) {
  if (file.size > MOST_BYTES) {
    throw new PictureError(`The file has more than ${MOST_BYTES / 1e6} MB: make it smaller.`);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const reason = refusal(bytes);
  if (reason) throw new PictureError(reason);
  try {
    return await decoded(new Blob([bytes]), size);
  } catch {
    throw new PictureError("The picture cannot be decoded: it is damaged, cut short or too large.");
  }
}

/** A picture that came with the page. */
export async function shipped(address, size) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address} is missing from this page.`);
  return decoded(await answer.blob(), size);
}

/** RGB bytes to the network's input: three planes of floats in [0, 1]. */
export function planes(rgb) {
  const pixels = rgb.length / 3;
  const out = new Float32Array(rgb.length);
  for (let i = 0; i < pixels; i += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      out[channel * pixels + i] = rgb[i * 3 + channel] / 255;
    }
  }
  return out;
}

/** The planes with a rectangle, or all but it, painted in one colour (three floats in [0, 1]). */
export function painted(input, size, rectangle, outside, colour) {
  const { x, y, width, height } = rectangle;
  return input.map((value, i) => {
    const [column, row] = [i % size, Math.floor(i / size) % size];
    const inside = column >= x && column < x + width && row >= y && row < y + height;
    return inside === outside ? value : colour[Math.floor(i / (size * size))];
  });
}
