"""The table for readers: each trap, and its effects predicted and measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softcam.blocks import with_block
from softcam.common import write_text
from softcam.reproduce.deviations.reading import read_traps
from softcam.reproduce.deviations.records import AGREES, NOT_HERE, Effect, Trap

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BLOCK", "page_of", "refresh_deviations", "traps_in_words"]

BLOCK = "deviations"
_PREDICTED = "| what | predicted |\n|---|---|"
_HEAD = "| what | predicted | measured | on | agrees |\n|---|---|---|---|---|"
_TITLES = {
    "loss": "Loss", "network": "Networks", "training": "Training", "selection": "Selection",
    "gauge": "The zero of a map", "resizing": "Resizing", "patches": "Patches",
    "masks": "Masks", "mass": "Mass, sign and game", "deletion": "Deletion", "data": "Data",
    "code": "Code and names",
}  # fmt: skip


def page_of(traps: Sequence[Trap], table: pd.DataFrame, name: str) -> str:
    """`deviations.md` of a folder."""
    return f"# Deviations: {name}\n\n{traps_in_words(traps, table)}\n"


def refresh_deviations(
    page: str | Path, table: str | Path | None = None, file: str | Path | None = None
) -> Path:
    """Bring the block `deviations` of a page up to date.

    Args:
        page: a Markdown file with both marks of the block.
        table: a deviations.csv; None leaves out what was measured.
        file: the predictions; None takes those of the checkout.

    Raises:
        SoftCAMError: the page does not have both marks, once each and in this order, or there
            is no such table.
    """
    from softcam.reproduce.deviations.writing import read_deviations

    page = Path(page)
    text = page.read_text(encoding="utf-8")
    found = None if table is None else read_deviations(table)
    block = traps_in_words(read_traps(file), found)
    return write_text(page, with_block(text, BLOCK, block, page=page))


def traps_in_words(traps: Sequence[Trap], table: pd.DataFrame | None) -> str:
    """Every trap under its topic, with its effects; of no table what was predicted alone."""
    lines = [_summary(traps, table), ""]
    for topic in dict.fromkeys(trap.topic for trap in traps):
        lines += [f"## {_TITLES.get(topic, topic.capitalize())}", ""]
        for trap in traps:
            if trap.topic == topic:
                lines += _section(trap, table)
    return "\n".join(lines).rstrip()


def _summary(traps: Sequence[Trap], table: pd.DataFrame | None) -> str:
    effects = sum(len(trap.effects) for trap in traps)
    dates = sorted({trap.committed.isoformat() for trap in traps})
    said = f"{len(traps)} traps, {effects} predictions, written down on {' and '.join(dates)}."
    if table is None:
        return said
    asked = table[table["quantity"] != "-"]
    counts = [f"{(asked['agrees'] == word).sum()} {word}" for word in AGREES]
    return (
        f"{said} Of {len(asked)} measurements (a quantity on several data sets counts for each) "
        f"these agree: {', '.join(counts)}."
    )


def _section(trap: Trap, table: pd.DataFrame | None) -> list[str]:
    lines = [
        f"### {trap.id}", "", f"- *The paper:* {trap.paper}", f"- *Its code:* {trap.code}",
        f"- *Here:* {trap.ours}", "",
    ]  # fmt: skip
    if not trap.effects:
        return [*lines, f"{NOT_HERE.capitalize()}: {trap.not_measured}.", ""]
    lines.append(_PREDICTED if table is None else _HEAD)
    for effect in trap.effects:
        if table is None:
            lines.append(_line(_cells(effect)))
        else:
            rows = table[table["id"] == effect.id].to_dict("records")
            said = [_cells(effect), *([["", ""]] * (len(rows) - 1))]  # said once
            lines += [_line([*a, *_found(b)]) for a, b in zip(said, rows, strict=True)]
    return [*lines, ""]


def _cells(effect: Effect) -> list[str]:
    return [effect.quantity, f"{effect.predicted} (because {effect.reason})"]


def _found(row: dict[Any, Any]) -> list[str]:
    agrees = str(row["agrees"])
    return [_value(row), _data(row), f"**{agrees}**" if agrees == "no" else agrees]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(row: dict[Any, Any]) -> str:
    value, low, high = (float(row[name]) for name in ("measured", "ci_low", "ci_high"))
    if math.isnan(value):
        return "-"
    text = f"{value:.3g}"
    return text if math.isnan(low) or math.isnan(high) else f"{text} [{low:.3g}, {high:.3g}]"


def _data(row: dict[Any, Any]) -> str:
    n = int(row["n"])
    return f"{row['data']}, {n} {row['unit']}" if n else str(row["data"])
