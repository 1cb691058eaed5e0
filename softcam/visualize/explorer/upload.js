// A file of the reader's own, sent to Python in parts: one large message would end the connection.

const PART = 1 << 20;

function render({ model, el }) {
  const label = document.createElement("label");
  label.className = "softcam-upload";
  label.append("Your own image (it stays on the machine that runs this)");
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "image/*,.tif,.tiff,.jp2";
  label.append(input);
  el.append(label);
  input.addEventListener("change", async () => {
    const file = input.files[0];
    if (!file) return;
    const { name, size } = file;
    if (size > model.get("most")) {
      model.send({ kind: "large", name, size });
    } else {
      const count = Math.max(1, Math.ceil(size / PART));
      try {
        for (let part = 0; part < count; part += 1) {
          const bytes = await file.slice(part * PART, (part + 1) * PART).arrayBuffer();
          model.send({ kind: "part", name, part, count }, undefined, [bytes]);
        }
      } catch (error) {
        model.send({ kind: "lost", name });
      }
    }
    input.value = ""; // so that the same file can be chosen again
  });
}

export default { render };
