"""Pages that are made from tables: converted architectures, and messages with their mend."""

from __future__ import annotations

import csv
import html
import tomllib
from pathlib import Path

from softcam.common import SoftCAMError

__all__ = ["coverage_page", "message_sections", "read_messages", "sort_rows"]

HEADS = {
    "logit_difference": "largest logit difference",
    "map_224": "map at 224 px",
    "map_512": "map at 512 px",
    "forward_ratio": "time of a forward pass, to the original",
}
FIRST = ("architecture", "kind", "notes")  # of the table's columns
SHORT = 110  # characters of a note
SAYS = ("says", "means", "mend")


def coverage_page(path: Path) -> str:
    """`docs/coverage.csv` as a page with one table to search and sort by eye.

    The table is plain HTML, and a small script of our own hides the rows that do not match.
    """
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    order = [head.index(name) for name in (*FIRST, *head) if name in head]
    order = list(dict.fromkeys(order))  # what is looked for comes first, so that a phone shows it
    names = "".join(f'<th scope="col">{html.escape(_head(head[i]))}</th>' for i in order)
    lines = "\n".join(
        "<tr>" + "".join(f"<td>{_cell(row[i])}</td>" for i in order) + "</tr>" for row in rows
    )
    return f"""# Which networks convert

{len(rows)} architectures of timm and torchvision, with random weights, as `softcam convert --all`
found them. What the kinds mean stands [here](../use.md#which-networks-convert). The notes say what
was changed, and why a network was refused; open the long ones.

<div class="finder">
<label for="finder">Show rows that contain</label>
<input id="finder" type="search" autocomplete="off" data-table="coverage"
 placeholder="resnet, pointwise, vgg ...">
<span id="finder-count" role="status">{len(rows)} of {len(rows)} rows</span>
</div>

<div class="scroll" tabindex="0" role="region" aria-label="Table of architectures">
<table id="coverage" class="docutils">
<thead><tr>{names}</tr></thead>
<tbody>
{lines}
</tbody>
</table>
</div>
<script src="../_static/finder.js" defer></script>
"""


def _cell(text: str) -> str:
    """A cell; of a long note the beginning, and all of it when it is opened."""
    if len(text) <= SHORT:
        return html.escape(text)
    start = text[:SHORT].rsplit(" ", 1)[0]
    return f"<details><summary>{html.escape(start)} ...</summary>{html.escape(text)}</details>"


def _head(name: str) -> str:
    return HEADS.get(name, name.replace("_", " "))


def read_messages(path: Path) -> list[dict[str, str]]:
    """The messages of `messages.toml`, in the order of their first fixed words.

    Raises:
        SoftCAMError: one lacks what it says, what it means, or the mend.
    """
    found = tomllib.loads(path.read_text(encoding="utf-8")).get("message", [])
    for each in found:
        if sorted(each) != sorted(SAYS) or not all(each.values()):
            raise SoftCAMError(f"{path.name}: expected {', '.join(SAYS)} in {each}.")
    # What is filled in comes first in many; a reader looks for the first word that is fixed.
    return sorted(found, key=lambda each: each["says"].lstrip("… :,()x").lower())


def sort_rows(text: str) -> str:
    """A page whose tables of messages are in the order of the alphabet.

    Such a table has code in its first column.
    """
    found: list[str] = []
    rows: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("| `"):
            rows.append(line)
            continue
        found += [*sorted(rows, key=lambda row: row.lstrip("|` '").lower()), line]
        rows = []
    return "\n".join(found)


def message_sections(path: Path) -> str:
    """A heading for each message, what it means, and what to do."""
    parts = []
    for each in read_messages(path):
        parts.append(
            f"### `{each['says']}`\n\n**What it means.** {each['means'].strip()}\n\n"
            f"**What to do.** {each['mend'].strip()}\n"
        )
    return "\n".join(parts)
