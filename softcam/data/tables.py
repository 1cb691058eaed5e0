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

__all__ = ["Row", "Table", "is_blank", "read_table"]

BLANK = ("", "nan", "na", "n/a", "null")


def is_blank(value: str) -> bool:
    """Whether a field says nothing: empty, nan, na, n/a or null."""
    return value.strip().lower() in BLANK


@dataclass(frozen=True)
class Row:
    """One line of a table: its line number and its fields by column, stripped."""

    path: Path
    line: int
    fields: dict[str, str]
    decimal: str = "."

    def __getitem__(self, column: str) -> str:
        return self.fields[column]

    def get(self, column: str) -> str:
        """The field, or '' where it is blank or the table has no such column."""
        value = self.fields.get(column, "")
        return "" if is_blank(value) else value

    def error(self, column: str, message: str) -> DataError:
        """An error at this place; raise it."""
        return DataError(f"{self.path}, row {self.line}, column {column!r}: {message}")

    def number(self, column: str) -> float:
        """The field as a number; a blank field is NaN."""
        text = self.get(column)
        if self.decimal == ",":
            text = text.replace(",", ".")
        try:
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
    text = _text(path)
    header = text.lstrip().split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    columns: tuple[str, ...] = ()
    rows: list[Row] = []
    try:
        for values in reader:
            fields = [value.strip() for value in values]
            if not any(fields):
                continue
            if not columns:
                columns = _header(path, fields)
                continue
            _check_length(path, reader.line_num, fields, columns)
            decimal = "," if separator == ";" else "."
            rows.append(
                Row(path, reader.line_num, dict(zip(columns, fields, strict=False)), decimal)
            )
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: {error}.") from error
    if not columns:
        raise DataError(f"{path}: the file is empty, expected a header and rows.")
    return Table(path, columns, tuple(rows))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error


def _header(path: Path, fields: list[str]) -> tuple[str, ...]:
    twice = sorted({name for name in fields if name and fields.count(name) > 1})
    if twice:
        raise DataError(f"{path}, row 1: column {', '.join(map(repr, twice))} appears twice.")
    return tuple(fields)


def _check_length(path: Path, line: int, fields: list[str], columns: tuple[str, ...]) -> None:
    if len(fields) != len(columns):
        raise DataError(
            f"{path}, row {line}: {len(fields)} fields, the header has {len(columns)}; "
            "a field that holds the separator must stand in quotes."
        )
