// The picture of the explorer: draws the layers that Python sends. `canvas.js`, which is put behind
// it, knows what a reader does with it.

function make(tag, className, parent, attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}

// The bytes of a trait as an array of a type; a DataView may lie anywhere in its buffer.
function asArray(view, Type) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
  return new Type(bytes.buffer);
}

async function asBitmap(view) {
  if (!view || !view.byteLength) return null;
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  return createImageBitmap(new Blob([bytes], { type: "image/png" }));
}

const LAYERS = ["grey", "colour", "overlay"];

class Picture {
  constructor(model) {
    this.model = model;
    this.cursor = null; // [row, column], of the keys
    this.pointed = null; // likewise, under the pointer
    this.region = null; // [x, y, width, height] in image pixels
    this.layers = {}; // bitmaps
    this.sources = {}; // the bytes that they were decoded from
  }

  get size() { return [this.model.get("width"), this.model.get("height")]; }
  get grid() { return [this.model.get("rows"), this.model.get("columns")]; }
  get pitch() {
    const [width, height] = this.size, [rows, columns] = this.grid;
    return rows ? [width / columns, height / rows] : [width / 8, height / 8];
  }

  // Fetch the layers of the newest frame, then paint; of several frames the last one counts. Only
  // layers whose bytes were sent anew are decoded; a bitmap that is not needed is let go at once.
  async draw() {
    const frame = this.model.get("frame");
    this.cells = asArray(this.model.get("cells"), Float32Array);
    this.edges = asArray(this.model.get("edges"), Int16Array);
    this.stage.setAttribute("aria-label", this.model.get("label"));
    const views = LAYERS.map((name) => [name, this.model.get(name)]);
    const sent = views.filter(([name, view]) => view !== this.sources[name]);
    const decoded = await Promise.allSettled(sent.map(([, view]) => asBitmap(view)));
    const failed = decoded.find((each) => each.status === "rejected");
    const stale = this.removed || frame !== this.model.get("frame");
    if (failed || stale) {
      for (const each of decoded) each.value?.close();
      if (!stale) this.readout.textContent = `The picture cannot be drawn: ${failed.reason.message}`;
      return;
    }
    sent.forEach(([name, view], i) => {
      this.layers[name]?.close();
      [this.layers[name], this.sources[name]] = [decoded[i].value, view];
    });
    this.pointed = null;
    if (this.cursor && (this.cursor[0] >= this.grid[0] || this.cursor[1] >= this.grid[1])) {
      this.cursor = null;
    }
    this.paint();
    this.say();
    this.stage.dataset.frame = frame; // what a test waits for
  }

  close() {
    this.removed = true;
    for (const each of Object.values(this.layers)) each?.close();
    this.layers = {};
  }

  paint() {
    const [width, height] = this.size;
    const { grey, colour, overlay } = this.layers;
    if (!grey || !width) return;
    const shown = this.stage.clientWidth || 480;
    const wide = Math.max(1, Math.round(shown * (window.devicePixelRatio || 1)));
    const high = Math.max(1, Math.round((wide * height) / width));
    const { canvas } = this;
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    const context = canvas.getContext("2d");
    const opacity = Number(this.opacity.value);
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = true;
    context.drawImage(opacity === 0 || !overlay ? colour : grey, 0, 0, wide, high);
    if (overlay) {
      context.globalAlpha = opacity;
      context.imageSmoothingEnabled = this.model.get("smooth");
      context.drawImage(overlay, 0, 0, wide, high);
      context.globalAlpha = 1;
    }
    this.outline(context, wide / width);
    this.shade(context, wide / width);
    this.mark(context, wide / width, this.pointed, 1);
    this.mark(context, wide / width, this.cursor, 2);
    this.placeBox();
  }

  // The border of what is marked: a bright line on a dark one, visible on anything.
  outline(context, scale) {
    const { edges } = this;
    if (!edges?.length) return;
    context.beginPath();
    for (let i = 0; i < edges.length; i += 4) {
      context.moveTo(edges[i] * scale, edges[i + 1] * scale);
      context.lineTo(edges[i + 2] * scale, edges[i + 3] * scale);
    }
    context.lineCap = "square";
    for (const [colour, width] of [["#000", 3.5], ["#f0e442", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * (window.devicePixelRatio || 1);
      context.stroke();
    }
  }

  // Hatches over what is gone: the region, or all but it.
  shade(context, scale) {
    if (!this.region) return;
    const [x, y, width, height] = this.region.map((each) => each * scale);
    const { canvas } = this;
    context.save();
    context.beginPath();
    if (this.model.get("keep")) context.rect(0, 0, canvas.width, canvas.height);
    context.rect(x, y, width, height);
    context.clip("evenodd");
    context.strokeStyle = "rgba(0, 0, 0, 0.55)";
    const density = window.devicePixelRatio || 1;
    context.lineWidth = 1.5 * density;
    context.beginPath();
    for (let d = -canvas.height; d < canvas.width; d += 9 * density) {
      context.moveTo(d, 0);
      context.lineTo(d + canvas.height, canvas.height);
    }
    context.stroke();
    context.restore();
  }

  mark(context, scale, cell, thickness) {
    if (!cell) return;
    const [w, h] = this.pitch.map((each) => each * scale);
    for (const [colour, width] of [["#fff", 2 * thickness], ["#000", thickness]]) {
      context.lineWidth = width * (window.devicePixelRatio || 1);
      context.strokeStyle = colour;
      context.strokeRect(cell[1] * w, cell[0] * h, w, h);
    }
  }

  placeBox() {
    this.box.hidden = !this.region;
    if (!this.region) return;
    const [x, y, width, height] = this.region;
    const [whole, high] = this.size;
    Object.assign(this.box.style, {
      left: `${(100 * x) / whole}%`, top: `${(100 * y) / high}%`,
      width: `${(100 * width) / whole}%`, height: `${(100 * height) / high}%`,
    });
    this.box.setAttribute(
      "aria-label", `Region: ${width} by ${height} pixels from x ${x}, y ${y}`,
    );
  }
}
