"""The labels of a folder data set: one class an image, or several findings an image.

| in labels.csv | becomes |
|---|---|
| integers 0 to C-1 | one class an image |
| names | one class an image, sorted and numbered |
| names with bars between, `edema|effusion`, and `none` | several findings: one 0 or 1 a finding |
| several columns of 0 and 1 | the same; the columns are the findings |

Several findings are read as such: a softmax over them would say that an image shows exactly one.
What could be meant in two ways is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from softcam.common import DataError
from softcam.data.splitting import Labelling
from softcam.data.tables import Table

__all__ = ["Classes", "label_columns", "name_classes", "read_classes"]

BAR = "|"
NOTHING = ("none", "no finding")  # in a list of findings: there is none
UNCLEAR = ("normal", "healthy", "negative")  # a finding, or that there is none?


@dataclass(frozen=True)
class Classes:
    """The label of every row, the class names, and what a reader should know."""

    labels: Labelling
    names: tuple[str, ...]
    multi_label: bool = False
    notes: list[str] = field(default_factory=list)


def label_columns(label_column: str | Sequence[str]) -> list[str]:
    """The option `label_column` as a list of names."""
    several = isinstance(label_column, (list, tuple))
    columns = list(label_column) if several else [str(label_column)] * isinstance(label_column, str)
    if not columns or not all(isinstance(name, str) and name for name in columns):
        raise DataError(f"label_column is {label_column!r}, expected a name or a list of names.")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(f"label_column names {', '.join(map(repr, twice))} twice.")
    return columns


def read_classes(table: Table, columns: Sequence[str]) -> Classes:
    """The labels of a table.

    Raises:
        DataError: a label that is blank, fits no row of the table above, or is ambiguous; it
            names row and column.
    """
    if len(columns) > 1:
        return _flags(table, columns)
    column = columns[0]
    texts = [row.get(column) for row in table.rows]
    for row, text in zip(table.rows, texts, strict=True):
        if not text:
            raise row.error(column, f"{row[column]!r}, expected a label.")
    if any(BAR in text for text in texts):
        return _findings(table, column, texts)
    numeric = [_is_number(text) for text in texts]
    if not any(numeric):
        _check_class_count(table, column, tuple(sorted(set(texts))))
        return name_classes(texts)
    for row, text, is_number in zip(table.rows, texts, numeric, strict=True):
        if not is_number or not float(text).is_integer() or float(text) < 0:
            raise row.error(column, f"{text!r}, expected an integer from 0 as in the other rows.")
    labels = [int(float(text)) for text in texts]
    found = sorted(set(labels))
    _check_class_count(table, column, tuple(map(str, found)))
    if found != list(range(len(found))):
        raise DataError(
            f"{table.path}, column {column!r}: labels {_some(found)}, expected 0 to "
            f"{len(found) - 1} without gaps for {len(found)} classes; renumber or name them."
        )
    return Classes(labels, tuple(map(str, found)))


def name_classes(texts: Sequence[str]) -> Classes:
    """One class an image from names, which are sorted and numbered."""
    names = tuple(sorted(set(texts)))
    number = {name: i for i, name in enumerate(names)}
    return Classes(
        [number[text] for text in texts], names, notes=[f"labels are names: {_list(names)}."]
    )


def _flags(table: Table, columns: Sequence[str]) -> Classes:
    """One column a finding, 0 or 1."""
    labels = []
    for row in table.rows:
        flags = []
        for column in columns:
            text = row.get(column)
            if not _is_number(text) or float(text) not in (0, 1):
                raise row.error(
                    column,
                    f"{row[column]!r}, expected 0 or 1; what is uncertain or missing must be "
                    "decided, or its image left out.",
                )
            flags.append(int(float(text)))
        labels.append(tuple(flags))
    return Classes(labels, tuple(columns), True, [_several(labels, tuple(columns))])


def _findings(table: Table, column: str, texts: Sequence[str]) -> Classes:
    """Names with bars between them."""
    lists: list[list[str]] = []
    spelling: dict[str, str] = {}
    for row, text in zip(table.rows, texts, strict=True):
        pieces = [piece.strip() for piece in text.split(BAR)]
        lowered = [piece.lower() for piece in pieces]
        problem = _ambiguity(pieces, lowered)
        for piece, low in zip(pieces, lowered, strict=True):
            if low not in NOTHING and spelling.setdefault(low, piece) != piece:
                problem = problem or (
                    f"{piece!r} is {spelling[low]!r} in another row; spell it one way."
                )
        if problem:
            raise row.error(column, f"{text!r}: {problem}")
        lists.append([] if lowered[0] in NOTHING else pieces)
    names = tuple(sorted(spelling.values()))
    labels = [tuple(int(name in pieces) for name in names) for pieces in lists]
    return Classes(labels, names, True, [_several(labels, names)])


def _ambiguity(pieces: list[str], lowered: list[str]) -> str | None:
    """Why a list of findings could be meant in two ways, or None."""
    if not all(pieces):
        return "a blank between the bars, expected the name of a finding."
    if len(set(lowered)) < len(pieces):
        return "a finding is named twice."
    if len(pieces) > 1 and any(low in NOTHING for low in lowered):
        return "says that there is no finding, and names one."
    if any(_is_number(piece) for piece in pieces):
        return (
            "numbers between bars may be classes or flags; write the names of the findings, or "
            "one column of 0 and 1 a finding (label_column takes a list)."
        )
    unclear = [piece for piece, low in zip(pieces, lowered, strict=True) if low in UNCLEAR]
    if unclear:
        return f"is {unclear[0]!r} a finding, or that there is none? Write 'none' for none."
    return None


def _several(labels: Sequence[tuple[int, ...]], names: tuple[str, ...]) -> str:
    none = sum(not any(flags) for flags in labels)
    return (
        f"labels are findings, of which an image may show several: {_list(names)}; {none} images "
        "show none. Each finding is answered by itself (link 'sigmoid')."
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"{name!r} = {i}" for i, name in enumerate(names))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _some(values: list[int]) -> str:
    return ", ".join(map(str, values[:8])) + (" ..." if len(values) > 8 else "")


def _check_class_count(table: Table, column: str, names: tuple[str, ...]) -> None:
    if len(names) < 2:
        raise DataError(
            f"{table.path}, row {table.rows[0].line} and all others, column {column!r}: "
            f"one class only ({names[0]!r}), expected at least two."
        )
