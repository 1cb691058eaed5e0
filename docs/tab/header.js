// What a file is, read from its first bytes: a browser would decode 200 megapixels without asking.

export const MOST_PIXELS = 50_000_000; // a browser holds four bytes a pixel, on a phone too
export const LONGEST_SIDE = 16_384; // wider canvases stay empty in some browsers
export const LEAST_SIDE = 8;
export const MOST_ASPECT = 20;
export const MOST_BYTES = 100_000_000;

const text = (bytes, start, length) =>
  String.fromCharCode(...bytes.subarray(start, start + length));

function png(bytes, view) {
  if (text(bytes, 1, 3) !== "PNG" || text(bytes, 12, 4) !== "IHDR") return null;
  return { kind: "PNG", width: view.getUint32(16), height: view.getUint32(20), bits: bytes[24] };
}

/** Walks from marker to marker up to the frame; a thumbnail inside a segment is stepped over. */
function jpeg(bytes, view) {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  for (let at = 2; at + 9 < bytes.length; ) {
    if (bytes[at] !== 0xff) break;
    const marker = bytes[at + 1];
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) {
      const [height, width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
      return { kind: "JPEG", width, height, bits: bytes[at + 4] };
    }
    const bare = marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    at += bare ? (marker === 0xff ? 1 : 2) : 2 + view.getUint16(at + 2);
  }
  return { kind: "JPEG", width: 0, height: 0, bits: 8 };
}

function gif(bytes, view) {
  if (!["GIF87a", "GIF89a"].includes(text(bytes, 0, 6))) return null;
  return { kind: "GIF", width: view.getUint16(6, true), height: view.getUint16(8, true), bits: 8 };
}

function bmp(bytes, view) {
  if (text(bytes, 0, 2) !== "BM") return null;
  const [width, height] = [view.getInt32(18, true), Math.abs(view.getInt32(22, true))];
  return { kind: "BMP", width, height, bits: 8 };
}

function webp(bytes, view) {
  if (text(bytes, 0, 4) !== "RIFF" || text(bytes, 8, 4) !== "WEBP") return null;
  const kind = text(bytes, 12, 4);
  const three = (at) => view.getUint16(at, true) + bytes[at + 2] * 65536;
  let size = [0, 0];
  if (kind === "VP8X") size = [three(24) + 1, three(27) + 1];
  if (kind === "VP8 ") size = [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
  if (kind === "VP8L") {
    const packed = view.getUint32(21, true);
    size = [(packed & 0x3fff) + 1, ((packed >>> 14) & 0x3fff) + 1];
  }
  return { kind: "WebP", width: size[0], height: size[1], bits: 8, turned: turnedWebp(bytes, view) };
}

/** Whether an EXIF note in a WebP says that the picture lies on its side, or stands on its head. */
function turnedWebp(bytes, view) {
  let at = 12; // chunks: name, length, content, padded to an even length
  while (at + 8 <= bytes.length && text(bytes, at, 4) !== "EXIF") {
    const length = view.getUint32(at + 4, true);
    at += 8 + length + (length % 2);
  }
  let tiff = at + 8;
  if (text(bytes, tiff, 6) === "Exif\0\0") tiff += 6;
  if (tiff + 10 > bytes.length) return false;
  const little = text(bytes, tiff, 2) === "II";
  const entries = tiff + view.getUint32(tiff + 4, little);
  if (entries + 2 > bytes.length) return false;
  for (let i = 0; i < view.getUint16(entries, little); i += 1) {
    const entry = entries + 2 + 12 * i;
    if (entry + 12 > bytes.length) return false;
    if (view.getUint16(entry, little) === 274) return view.getUint16(entry + 8, little) > 1;
  }
  return false;
}

/** { kind, width, height, bits } of a picture, not yet turned by EXIF; null if it is none. */
export function sniff(bytes) {
  if (bytes.length < 32) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const reader of [png, jpeg, gif, bmp, webp]) {
    const found = reader(bytes, view);
    if (found) return found;
  }
  return null;
}

/** Why a file cannot be used, in a sentence; empty if it can be tried. */
export function refusal(bytes) {
  if (bytes.length === 0) return "The file is empty.";
  const found = sniff(bytes);
  if (!found) {
    return "This is not a picture that the page reads. Save it as PNG or JPEG first (DICOM, TIFF and HEIC are not read here; the Python package reads TIFF).";
  }
  const { kind, width, height, bits, turned } = found;
  const size = `${width.toLocaleString("en")} x ${height.toLocaleString("en")} pixels`;
  if (width < 1 || height < 1) return `The ${kind} file does not say how large it is: it is damaged.`;
  if (width * height > MOST_PIXELS || Math.max(width, height) > LONGEST_SIDE) {
    return `The picture has ${size}. At most ${MOST_PIXELS / 1e6} million, and ${LONGEST_SIDE.toLocaleString("en")} a side, are read here, so that a phone can hold it: make it smaller.`;
  }
  if (Math.min(width, height) < LEAST_SIDE) {
    return `The picture has ${size}; at least ${LEAST_SIDE} a side are needed.`;
  }
  if (Math.max(width, height) > MOST_ASPECT * Math.min(width, height)) {
    return `The picture has ${size}: a strip. The long side may be at most ${MOST_ASPECT} times the short one.`;
  }
  if (turned) {
    return "This WebP picture says that it has to be turned, and browsers do not do that as Python does: save it upright, or as JPEG.";
  }
  if (bits > 8) {
    return `The picture has ${bits} bits a colour. A browser would cut them to 8 in its own way, unlike Python: save it with 8 bits first.`;
  }
  return "";
}
