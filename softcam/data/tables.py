"""CSV files as people write them: a reader that tolerates what is harmless and names the rest.

Tolerated: a byte-order mark, semicolons or tabs, CRLF, blank lines, spaces around values, a
decimal comma where the separator is a semicolon. Every error names file, row and column; a row
is the line number that an editor shows.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from softcam.common import DataError

__all__ = ["Row", "Table", "is_blank", "parse_table", "read_table"]

KNOWN = 1000  # different values that are held once each
BLANK = ("", "nan", "na", "n/a", "null")


def is_blank(value: str) -> bool:
    """Whether a field says nothing: empty, nan, na, n/a or null."""
    return value.strip().lower() in BLANK


@dataclass(frozen=True, slots=True)
class Head:
    """What all rows of a table share: its file, its columns and their places, the decimal sign."""

    path: Path
    columns: tuple[str, ...]
    places: dict[str, int]
    decimal: str = "."


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: its line number and its fields, stripped.

    A hundred thousand rows take some tens of megabytes, so what they share is held once.
    """

    head: Head
    line: int
    values: tuple[str, ...]

    @property
    def path(self) -> Path:
        return self.head.path

    @property
    def fields(self) -> dict[str, str]:
        """The fields by column."""
        return dict(zip(self.head.columns, self.values, strict=True))

    def __getitem__(self, column: str) -> str:
        return self.values[self.head.places[column]]

    def get(self, column: str) -> str:
        """The field, or '' where it is blank or the table has no such column."""
        place = self.head.places.get(column)
        value = "" if place is None else self.values[place]
        return "" if is_blank(value) else value

    def error(self, column: str, message: str) -> DataError:
        """An error at this place; raise it."""
        return DataError(f"{self.path}, row {self.line}, column {column!r}: {message}")

    def number(self, column: str) -> float:
        """The field as a number; a blank field is NaN."""
        text = self.get(column)
        if self.head.decimal == ",":
            text = text.replace(",", ".")
        try:
            if "_" in text:  # Python takes 1_0 for 10
                raise ValueError
            return float(text) if text else math.nan
        except ValueError:
            raise self.error(column, f"{text!r} is not a number.") from None


@dataclass(frozen=True)
class Table:
    """A CSV file: its columns and rows."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def require(self, columns: Iterable[str]) -> None:
        """Raise unless the table has all of these columns."""
        missing = [column for column in columns if column not in self.columns]
        if missing:
            names = ", ".join(map(repr, missing))
            raise DataError(
                f"{self.path}, row 1: column {names} is missing; "
                f"found {', '.join(map(repr, self.columns))}."
            )


def read_table(path: Path) -> Table:
    """Read a CSV file with a header.

    Raises:
        DataError: the file is missing, not UTF-8, without rows, with a column twice, or with a
            row of another length than the header.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    return parse_table(data, path)


def parse_table(data: bytes, path: Path) -> Table:
    """Like `read_table` for bytes that are in memory, of an archive; `path` is for messages."""
    text = _text(data, path)
    header = text.lstrip().split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    head: Head | None = None
    rows: list[Row] = []
    known: dict[str, str] = {}  # short words come again and again: each is held once
    try:
        for values in reader:
            fields = [value.strip() for value in values]
            if not any(fields):
                continue
            if head is None:
                columns = _header(path, fields)
                places = {name: place for place, name in enumerate(columns)}
                head = Head(path, columns, places, "," if separator == ";" else ".")
                continue
            _check_length(path, reader.line_num, fields, len(head.columns))
            once = (
                known.setdefault(v, v) if len(known) < KNOWN else known.get(v, v) for v in fields
            )
            rows.append(Row(head, reader.line_num, tuple(once)))
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: {error}.") from error
    if head is None:
        raise DataError(f"{path}: the file is empty, expected a header and rows.")
    return Table(path, head.columns, tuple(rows))


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8.") from error


def _header(path: Path, fields: list[str]) -> tuple[str, ...]:
    twice = sorted({name for name in fields if name and fields.count(name) > 1})
    if twice:
        raise DataError(f"{path}, row 1: column {', '.join(map(repr, twice))} appears twice.")
    return tuple(fields)


def _check_length(path: Path, line: int, fields: list[str], expected: int) -> None:
    if len(fields) != expected:
        raise DataError(
            f"{path}, row {line}: {len(fields)} fields, the header has {expected}; "
            "a field that holds the separator must stand in quotes."
        )
