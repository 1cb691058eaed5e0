// A slider over named positions whose name and position a screen reader can say.

function render({ model, el }) {
  const label = document.createElement("label");
  label.className = "softcam-slider";
  const name = document.createElement("span");
  const input = document.createElement("input");
  const output = document.createElement("output");
  label.append(name, input, output);
  el.append(label);
  input.type = "range";
  input.min = 0;
  input.step = 1;
  const draw = () => {
    const labels = model.get("labels");
    name.textContent = model.get("description");
    input.max = labels.length - 1;
    input.value = model.get("value");
    output.textContent = labels[model.get("value")] ?? "";
    input.setAttribute("aria-label", model.get("description"));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => {
    model.set("value", Number(input.value));
    model.save_changes();
  });
  const names = ["change:labels", "change:value", "change:description"];
  for (const each of names) model.on(each, draw);
  draw();
  return () => names.forEach((each) => model.off(each, draw));
}

export default { render };
