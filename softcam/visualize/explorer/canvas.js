// What a reader does with the picture of `picture.js`: point, drag, and go from cell to cell. The
// value of a cell is looked up here, so that the readout follows the pointer at once.

const HELP = [
  "Picture: arrow keys go from cell to cell, Enter makes the cell the region, Escape drops it.",
  "Region: arrow keys move it by a cell, with Shift they make it wider or narrower, higher or lower.",
  "Mouse or finger: drag over the picture for a region, drag the region to move it, its corner to " +
    "resize it.",
];

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

class Board extends Picture {
  constructor(model, el) {
    super(model);
    this.waiting = null; // the newest region that Python has not been told of
    this.inFlight = false;
    this.build(el);
    this.listen();
    this.readRegion();
    this.draw();
  }

  build(el) {
    this.root = make("div", "softcam-board", el);
    const helpId = `softcam-help-${this.model.get("name")}`;
    this.stage = make("div", "softcam-stage", this.root, {
      tabindex: "0", role: "application", "aria-roledescription": "evidence map",
      "aria-describedby": helpId,
    });
    this.canvas = make("canvas", "", this.stage, { "aria-hidden": "true" });
    this.box = make("div", "softcam-box", this.stage, {
      tabindex: "0", role: "group", "aria-roledescription": "region", hidden: "",
    });
    this.grip = make("div", "softcam-grip", this.box, { "aria-hidden": "true" });
    this.readout = make("p", "softcam-readout", this.root);
    this.live = make("p", "softcam-hidden", this.root, { role: "status", "aria-live": "polite" });
    const label = make("label", "", this.root);
    label.append("Strength of the colours");
    this.opacity = make("input", "", label, { type: "range", min: "0", max: "1", step: "0.05" });
    this.opacity.value = this.model.get("opacity");
    const details = make("details", "", this.root);
    make("summary", "", details).textContent = "How to use it with keys, mouse or finger";
    const help = make("div", "", details, { id: helpId });
    for (const line of HELP) make("p", "", help).textContent = line;
  }

  listen() {
    const { model, stage, box, opacity } = this;
    this.handlers = {
      "change:frame": () => this.draw(),
      "change:region": () => { if (!this.inFlight) this.readRegion(); },
      "change:answered": () => this.answered(),
    };
    for (const [name, handler] of Object.entries(this.handlers)) model.on(name, handler);
    opacity.addEventListener("input", () => {
      model.set("opacity", Number(opacity.value));
      model.save_changes();
      this.paint();
    });
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    stage.addEventListener("pointerup", (event) => this.up(event));
    stage.addEventListener("pointercancel", () => { this.drag = null; this.readRegion(); });
    stage.addEventListener("pointerleave", () => this.hover(null));
    stage.addEventListener("keydown", (event) => {
      if (event.target === stage) this.stageKey(event);
    });
    box.addEventListener("keydown", (event) => this.boxKey(event));
    this.resized = new ResizeObserver(() => { this.guard(); this.paint(); });
    this.resized.observe(stage);
  }

  // JupyterLab would take keys for itself, of all fields of the explorer: it reads the attribute,
  // and listens further up. Only once the picture is laid out does it have parents.
  guard() {
    const whole = this.root.closest(".softcam-explorer") ?? this.root;
    if (whole.dataset.lmSuppressShortcuts) return;
    whole.dataset.lmSuppressShortcuts = "true";
    whole.addEventListener("keydown", (event) => event.stopPropagation());
  }

  remove() {
    for (const [name, handler] of Object.entries(this.handlers)) this.model.off(name, handler);
    this.resized.disconnect();
    this.close();
  }

  // The value of the cell under the pointer, or under the cursor.
  say(cell = this.cursor, aloud = false) {
    const [rows, columns] = this.grid;
    let text = this.model.get("hint");
    if (cell && rows) {
      const value = this.cells[cell[0] * columns + cell[1]];
      const digits = Math.abs(value).toFixed(4);
      const sign = Number(digits) === 0 ? "" : value > 0 ? "+" : "\u2212";
      const [w, h] = this.pitch, [x, y] = [cell[1] * w, cell[0] * h];
      const where = `x ${Math.round(x)} to ${Math.round(x + w)}, y ${Math.round(y)} to ` +
        `${Math.round(y + h)}`;
      text = `Row ${cell[0] + 1}, column ${cell[1] + 1} of ${rows} \u00d7 ${columns} ` +
        `(${where} px): ${sign}${digits}${this.model.get("unit")}`;
    }
    this.readout.textContent = text;
    if (aloud) this.live.textContent = text;
  }

  point(event) {
    const bounds = this.canvas.getBoundingClientRect(), [width, height] = this.size;
    return [
      clamp(((event.clientX - bounds.left) / bounds.width) * width, 0, width),
      clamp(((event.clientY - bounds.top) / bounds.height) * height, 0, height),
    ];
  }

  hover(cell) {
    if (String(cell) !== String(this.pointed)) {
      this.pointed = cell;
      this.paint();
    }
    this.say(cell ?? this.cursor);
  }

  cellAt([x, y]) {
    const [rows, columns] = this.grid, [w, h] = this.pitch;
    if (!rows) return null;
    return [clamp(Math.floor(y / h), 0, rows - 1), clamp(Math.floor(x / w), 0, columns - 1)];
  }

  down(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.stage.setPointerCapture(event.pointerId);
    const inside = this.box.contains(event.target);
    (inside ? this.box : this.stage).focus({ preventScroll: true });
    const kind = event.target === this.grip ? "resize" : inside ? "move" : "new";
    this.drag = { kind, from: this.point(event), before: this.region, far: false, at: [
      event.clientX, event.clientY] };
  }

  move(event) {
    const at = this.point(event);
    if (!this.drag) return this.hover(this.cellAt(at));
    const { kind, from, before } = this.drag;
    const [dx, dy] = [event.clientX - this.drag.at[0], event.clientY - this.drag.at[1]];
    this.drag.far ||= Math.hypot(dx, dy) > 4; // less than that is a click
    if (!this.drag.far) return;
    const [width, height] = this.size;
    if (kind === "new") {
      const [left, right] = [Math.min(from[0], at[0]), Math.max(from[0], at[0])].map(Math.round);
      const [top, bottom] = [Math.min(from[1], at[1]), Math.max(from[1], at[1])].map(Math.round);
      const [x, y] = [Math.min(left, width - 1), Math.min(top, height - 1)];
      this.region = [x, y, Math.max(1, right - x), Math.max(1, bottom - y)];
    } else {
      const by = [Math.round(at[0] - from[0]), Math.round(at[1] - from[1])];
      this.region = kind === "move" ? this.moved(before, by) : this.grown(before, by);
    }
    this.paint();
  }

  up(event) {
    if (!this.drag) return;
    const { kind, far } = this.drag;
    this.drag = null;
    if (far) return this.tell();
    const cell = this.cellAt(this.point(event));
    if (kind === "new" && cell) {
      this.cursor = cell;
      this.paint();
      this.say(cell, true);
    }
  }

  moved([x, y, width, height], [dx, dy]) {
    const [whole, high] = this.size;
    return [clamp(x + dx, 0, whole - width), clamp(y + dy, 0, high - height), width, height];
  }

  grown([x, y, width, height], [dx, dy]) {
    const [whole, high] = this.size;
    return [x, y, clamp(width + dx, 1, whole - x), clamp(height + dy, 1, high - y)];
  }

  stageKey(event) {
    const step = arrow(event), [rows, columns] = this.grid;
    if (step && rows) {
      event.preventDefault();
      const [row, column] = this.cursor ?? [Math.floor(rows / 2), Math.floor(columns / 2)];
      this.cursor = this.cursor === null ? [row, column]
        : [clamp(row + step[1], 0, rows - 1), clamp(column + step[0], 0, columns - 1)];
      this.paint();
      this.say(this.cursor, true);
    } else if ((event.key === "Enter" || event.key === " ") && this.cursor) {
      event.preventDefault();
      const [w, h] = this.pitch, [row, column] = this.cursor;
      const [x, y] = [Math.round(column * w), Math.round(row * h)];
      this.region = [x, y, Math.max(1, Math.round((column + 1) * w) - x),
        Math.max(1, Math.round((row + 1) * h) - y)];
      this.paint();
      this.tell();
    } else if (event.key === "Escape") {
      this.drop();
    }
  }

  boxKey(event) {
    const step = arrow(event);
    if (event.key === "Escape" || event.key === "Delete") {
      event.stopPropagation();
      this.drop();
      this.stage.focus();
    } else if (step && this.region) {
      event.preventDefault();
      const by = [0, 1].map((i) => step[i] * Math.max(1, Math.round(this.pitch[i])));
      this.region = event.shiftKey ? this.grown(this.region, by) : this.moved(this.region, by);
      this.paint();
      this.live.textContent = this.box.getAttribute("aria-label");
      this.tell();
    }
  }

  drop() {
    this.region = null;
    this.paint();
    this.tell();
  }

  // One question at a time: while Python computes, only the newest region waits.
  tell() {
    this.waiting = this.region ?? [];
    if (this.inFlight) return;
    this.inFlight = true;
    this.model.send({ kind: "region", region: this.waiting });
    this.waiting = null;
  }

  answered() {
    this.inFlight = false;
    if (this.waiting) {
      this.inFlight = true;
      this.model.send({ kind: "region", region: this.waiting });
      this.waiting = null;
    } else {
      this.readRegion();
    }
  }

  readRegion() {
    if (this.drag) return;
    const region = this.model.get("region");
    this.region = region.length ? [...region] : null;
    this.paint();
  }
}

function arrow(event) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  return event.altKey || event.ctrlKey || event.metaKey ? undefined : steps[event.key];
}

function render({ model, el }) {
  const board = new Board(model, el);
  return () => board.remove();
}

export default { render };
