"""Rounds as CSV: safe to open in a spreadsheet, and read back as they were.

A spreadsheet takes a cell that begins with = + - @ for a formula and runs it. Such a text, also
behind apostrophes, blanks, quotes, a tab or a line end, gets one apostrophe in front. So does what
stands behind a semicolon or a tab inside a text, where spreadsheets of many countries begin a new
cell. Reading takes the apostrophes off again.
The file is UTF-8 with a byte order mark, without which some spreadsheets garble letters. Half a
surrogate pair, which UTF-8 cannot hold, becomes the replacement character here, and only here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from softcam.common import SoftCAMError, atomic_path
from softcam.layerwise.records import COLUMNS, NUMBERS, rounds_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_rounds", "write_rounds"]

# The wide forms count as the narrow ones in some languages' spreadsheets.
_BEGINS = r"(?:^|(?<=[;\t\r\n]))"
_FORMULA = r"(?=[' \"]*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"
_OPEN, _GUARDED = re.compile(_BEGINS + _FORMULA), re.compile(f"{_BEGINS}'{_FORMULA}")
_SURROGATE = re.compile("[\ud800-\udfff]")


def write_rounds(path: str | Path, rounds: pd.DataFrame) -> Path:
    """Write a table with the columns of `RoundStore.rounds`, atomically; return the path."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8-sig", newline="") as file,
    ):
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for row in rounds[list(COLUMNS)].itertuples(index=False):
            table.writerow([_guarded(value) if isinstance(value, str) else value for value in row])
    return Path(path)


def read_rounds(path: str | Path) -> pd.DataFrame:
    """A file of `write_rounds` as the table that `RoundStore.rounds` gives.

    Raises:
        SoftCAMError: no such file, other columns, a row that is too short or a cell that is no
            number where one belongs; the message names the row.
    """
    before = csv.field_size_limit(2**31 - 1)  # a player may have typed more than 131072 characters
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            return rounds_frame(_rows(str(path), csv.reader(file)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SoftCAMError(
            f"{path} cannot be read ({error}): expected a CSV in UTF-8 that `export_csv` wrote."
        ) from error
    finally:
        csv.field_size_limit(before)


def _rows(place: str, table: Iterable[list[str]]) -> list[tuple[str | int, ...]]:
    rows = list(table)
    if not rows or tuple(rows[0]) != COLUMNS:
        raise SoftCAMError(
            f"{place} begins with {rows[:1]}: expected the columns {', '.join(COLUMNS)}."
        )
    out = []
    for number, cells in enumerate(rows[1:], 2):
        try:
            pairs = zip(COLUMNS, cells, strict=True)
            out.append(tuple(int(c) if name in NUMBERS else _plain(c) for name, c in pairs))
        except ValueError as error:
            raise SoftCAMError(
                f"{place}, row {number}: {error}; expected {len(COLUMNS)} cells, with whole "
                f"numbers for {', '.join(NUMBERS)}."
            ) from error
    return out


def _guarded(text: str) -> str:
    text = _SURROGATE.sub("\ufffd", text)
    return _OPEN.sub("'", text)


def _plain(cell: str) -> str:
    return _GUARDED.sub("", cell)
