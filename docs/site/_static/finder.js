// Hide the rows of a table that do not hold every word that was typed.
"use strict";
const field = document.getElementById("finder");
const said = document.getElementById("finder-count");
const rows = [...document.querySelectorAll(`#${field.dataset.table} tbody tr`)];
const texts = rows.map((row) => row.textContent.toLowerCase());

function find() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  rows.forEach((row, i) => {
    row.hidden = !words.every((word) => texts[i].includes(word));
    shown += row.hidden ? 0 : 1;
  });
  said.textContent = `${shown} of ${rows.length} rows`;
}

field.addEventListener("input", find);
find(); // a browser may bring back what was typed before
