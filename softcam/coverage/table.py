"""The rows as CSV and as Markdown, and their totals for the README."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from softcam.blocks import with_block
from softcam.common import SoftCAMError, write_text
from softcam.coverage.architecture import CONVERTED, LIBRARIES, Row

__all__ = ["BLOCK", "insert_block", "read_table", "refresh", "totals", "write_tables"]

BLOCK = "coverage"
KINDS = (*CONVERTED, "none", "failed")
NAMED = 5  # so many are named in a sentence; more are counted
HEADINGS = (
    "library", "version", "architecture", "kind", "spatial map", "logit difference", "stride",
    "map at 224 px", "map at 512 px", "receptive field (px)", "parameters", "forward ratio",
    "notes",
)  # fmt: skip
_NUMBERS = {"logit_difference": float, "stride": int, "parameters": int, "forward_ratio": float}
_ANSWERS = {True: "yes", False: "no", None: "-"}
_DIGITS = {"logit_difference": ".1e", "forward_ratio": ".3f"}


def write_tables(folder: str | Path, rows: Sequence[Row]) -> tuple[Path, Path]:
    """`coverage.csv`, with a line for each row, and `coverage.md`.

    The page also has the totals, and why networks with a map did not convert.
    """
    folder = Path(folder)
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_texts(row) for row in rows)
    table = write_text(folder / "coverage.csv", text.getvalue())
    lines = (_line(_texts(row).values()) for row in rows)
    head = f"{_line(HEADINGS)}\n{_line('---' for _ in HEADINGS)}"
    left = [f"- `{row.architecture}` ({row.kind}): {_texts(row)['notes']}" for row in _left(rows)]
    reasons = ["", "## With a spatial map, and not converted", "", *left] if left else []
    page = "\n".join(["# Coverage", "", totals(rows), *reasons, "", "## All", "", head, *lines])
    return table, write_text(folder / "coverage.md", page + "\n")


def read_table(path: str | Path) -> list[Row]:
    """The rows of a `coverage.csv`.

    Raises:
        SoftCAMError: no such file, or one with other columns or values.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return [_row(texts) for texts in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SoftCAMError(
            f"{path} is no coverage table ({error}): write one with `softcam convert --all`."
        ) from error


def totals(rows: Iterable[Row]) -> str:
    """How many architectures of each library are of each kind, and what share converts.

    The share is that of timm's architectures with a spatial map; one of which that is not known,
    as its process broke before, counts among them.
    """
    rows = list(rows)
    lines = [_line(("library", "architectures", *KINDS)), _line("---" for _ in (*KINDS, "", ""))]
    for library in LIBRARIES:
        own = [row for row in rows if row.library == library]
        if own:
            names = f"{library} {', '.join(sorted({row.version for row in own}))}"
            lines.append(_line((names, len(own), *_counts(own))))
    lines.append(_line(("both", len(rows), *_counts(rows))))
    return "\n".join([*lines, *_share(rows), *_largest(rows)])


def _with_map(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.library == "timm" and row.spatial_map is not False]


def _left(rows: Iterable[Row]) -> list[Row]:
    return [row for row in _with_map(rows) if row.kind not in CONVERTED]


def _share(rows: list[Row]) -> list[str]:
    having, left = len(_with_map(rows)), [f"`{row.architecture}`" for row in _left(rows)]
    if not having:
        return []
    done = having - len(left)
    text = f"Of timm's {having} architectures with a spatial map, {done} convert"
    others = f"; {', '.join(left)} did not" if left else ""
    if len(left) > NAMED:
        others = f"; what stood in the way of the other {len(left)} is said in the table"
    return ["", f"{text} ({100 * done / having:.1f} %){others}."]


def _largest(rows: list[Row]) -> list[str]:
    found = [row.logit_difference for row in rows if row.kind == "exact"]
    known = [each for each in found if each is not None]
    text = "The largest logit difference of an exact conversion, as a share of the logit scale"
    return ["", f"{text}: {max(known):.1e}."] if known else []


def insert_block(page: str, rows: Iterable[Row]) -> str:
    """`page` with the totals in its block `coverage`.

    Raises:
        SoftCAMError: the page does not have both marks of the block, once each and in this order.
    """
    return with_block(page, BLOCK, totals(rows))


def refresh(page: str | Path, table: str | Path, new: str | Path | None = None) -> Path:
    """Bring the totals in a Markdown file up to date with a `coverage.csv`.

    Args:
        page: with both marks of the block.
        table: the one that is kept beside it.
        new: takes the place of `table` first.
    """
    if new is not None:
        read_table(new)  # no other file may take that place
        write_text(table, Path(new).read_text(encoding="utf-8"))
    text = Path(page).read_text(encoding="utf-8")
    return write_text(page, insert_block(text, read_table(table)))


def _counts(rows: list[Row]) -> list[int]:
    kinds = [row.kind for row in rows]
    return [kinds.count(kind) for kind in KINDS]


def _texts(row: Row) -> dict[str, str]:
    """Every field as it stands in both tables; `-` for what is not known."""
    texts = {}
    for name, value in asdict(row).items():
        if name == "spatial_map":
            value = _ANSWERS[value]
        text = "-" if value is None else format(value, _DIGITS.get(name, ""))
        texts[name] = " ".join(text.split())  # a reason may have several lines
    return texts


def _row(texts: dict[str, str]) -> Row:
    answer = {text: value for value, text in _ANSWERS.items()}[texts["spatial_map"]]
    values: dict[str, Any] = {**texts, "spatial_map": answer}
    for name, kind in _NUMBERS.items():
        values[name] = None if texts[name] == "-" else kind(texts[name])
    return Row(**values)


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
