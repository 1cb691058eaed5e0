// A file of the reader's own, sent to Python in parts: one large message would end the connection.

const PART = 1 << 20;

function render({ model, el }) {
  const label = document.createElement("label");
  label.className = "softcam-upload";
  label.append("Your own image, or drop it here (it stays on the machine that runs this)");
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "image/*,.tif,.tiff,.jp2";
  label.append(input);
  el.append(label);
  let newest = 0; // of two files the later one counts; parts of both would not make one
  async function bring(files) {
    if (!files.length) return;
    if (files.length > 1) {
      model.send({ kind: "several", name: files[0].name, count: files.length });
      return;
    }
    const [file] = files;
    const { name, size } = file;
    const own = (newest += 1);
    if (size > model.get("most")) {
      model.send({ kind: "large", name, size });
      return;
    }
    const count = Math.max(1, Math.ceil(size / PART));
    try {
      for (let part = 0; part < count; part += 1) {
        const bytes = await file.slice(part * PART, (part + 1) * PART).arrayBuffer();
        if (own !== newest) return;
        model.send({ kind: "part", name, part, count }, undefined, [bytes]);
      }
    } catch (error) {
      if (own === newest) model.send({ kind: "lost", name });
    }
  }
  input.addEventListener("change", () => {
    bring([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  return dropped(label, bring);
}

// A file that is let fall on the explorer; beside it the browser would leave the page for it.
function dropped(label, bring) {
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const over = (event) => { if (carries(event)) event.preventDefault(); };
  const drop = (event) => {
    if (!carries(event) || event.defaultPrevented) return;
    event.preventDefault();
    const whole = label.closest(".softcam-explorer");
    if (whole?.contains(event.target)) bring([...event.dataTransfer.files]);
  };
  document.addEventListener("dragover", over);
  document.addEventListener("drop", drop);
  return () => {
    document.removeEventListener("dragover", over);
    document.removeEventListener("drop", drop);
  };
}

export default { render };
