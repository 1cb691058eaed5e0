"""Grades of diabetic retinopathy: the three questions asked of them, and the tables they are in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from softcam.common import DataError
from softcam.data.split_files import SplitFiles, file_stem
from softcam.data.tables import Row, Table, read_table

__all__ = [
    "TASKS",
    "Graded",
    "Task",
    "compare_grades",
    "expected_counts",
    "read_gradable",
    "read_grades",
]

LEVELS = 5


@dataclass(frozen=True)
class Task:
    """What is asked: whether the level is at least `onset`, or (None) which level it is."""

    onset: int | None
    classes: tuple[str, ...]

    def label(self, level: int) -> int:
        return level if self.onset is None else int(level >= self.onset)


TASKS: Mapping[str, Task] = {
    "onset1": Task(1, ("no DR", "DR")),
    "onset2": Task(2, ("no or mild DR", "moderate DR or worse")),
    "grade": Task(None, ("no DR", "mild", "moderate", "severe", "proliferative")),
}

# images of each level in the paper's split files of gradable photographs
FULL = (25245, 2701, 5060, 888, 456)
REDUCED = (6000, 2701, 5060, 888, 456)  # `train_reduce`, with fewer of level 0
VAL, TEST = (3420, 360, 654, 125, 58), (5118, 537, 1051, 173, 77)
UNGRADABLE = ("ungradability_MEAN", "ungradability_MEDIAN")
YES, NO = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")


@dataclass(frozen=True)
class Graded:
    """A level from 0 to 4, where it is written, and the column there that names the image."""

    level: int
    row: Row
    column: str


def read_grades(
    rows: Iterable[Row], *columns: str, level_column: str = "level"
) -> dict[str, Graded]:
    """Levels by id, the image's name in lower case without folder and suffix.

    Args:
        rows: of a table that has `level_column` and one of `columns`.
        columns: the column that names the image; the first that a row has.
        level_column: the column of the level.

    Raises:
        DataError: a blank or double image, or no level from 0 to 4, with row and column.
    """
    found: dict[str, Graded] = {}
    for row in rows:
        column = next((name for name in columns if name in row.fields), columns[0])
        key = file_stem(row.get(column)).lower()
        if not key:
            raise row.error(column, "blank, expected the name of an image.")
        if key in found:
            raise row.error(column, f"{key!r} is a duplicate of row {found[key].row.line}.")
        level = row.number(level_column)
        if level not in range(LEVELS):
            raise row.error(level_column, f"{row[level_column]!r}, expected a level from 0 to 4.")
        found[key] = Graded(int(level), row, column)
    return found


def compare_grades(given: SplitFiles, graded: Mapping[str, Graded]) -> None:
    """Raise where split files give an image another level than the labels do."""
    for key, row in given.rows.items():
        other = graded.get(key)
        if other is not None and row.number("level") != other.level:
            raise row.error(
                "level",
                f"{row['level']!r}, but {key!r} has {other.level} in {other.row.path.name}, row "
                f"{other.row.line}.",
            )


def expected_counts(task: str, splits: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The paper's counts by split and class; its reduced training split if that is nearer."""
    n = sum(split == "train" for split in splits)
    train = min((FULL, REDUCED), key=lambda levels: abs(sum(levels) - n))
    onset = TASKS[task].onset
    return {
        split: levels if onset is None else (sum(levels[:onset]), sum(levels[onset:]))
        for split, levels in (("train", train), ("val", VAL), ("test", TEST))
    }


def read_gradable(
    path: Path, splits: Mapping[str, str], limit: float
) -> tuple[dict[str, str], list[str]]:
    """The images that a table calls gradable, and notes.

    Args:
        path: CSV file with `image` and `gradable` (0 or 1), or an ungradability in [0, 1].
        splits: of the images, by id; those without a row are left out.
        limit: the largest ungradability of a gradable image.

    Raises:
        DataError: a column is missing, a value is no such number, an image is listed twice, or
            nothing is left.
    """
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 <= limit <= 1:
        raise DataError(f"ungradable_above is {limit!r}, expected a number from 0 to 1.")
    table = read_table(path)
    column = _quality_column(table)
    verdicts: dict[str, bool] = {}
    for row in table.rows:
        key = file_stem(row.get("image")).lower()
        if key in verdicts:
            raise row.error("image", f"{key!r} is listed already.")
        verdicts[key] = _is_gradable(row, column, limit)
    kept = {key: split for key, split in splits.items() if verdicts.get(key, False)}
    if not kept:
        raise DataError(f"{path}: no image is left; its names or the limit {limit} do not fit.")
    silent = sum(key not in verdicts for key in splits)
    notes = [f"{len(splits) - len(kept) - silent} images are not gradable: left out."]
    if silent:
        notes.append(f"{silent} images are not in {path.name}: left out.")
    return kept, notes


def _quality_column(table: Table) -> str:
    table.require(["image"])
    for name in ("gradable", *UNGRADABLE):
        if name in table.columns:
            return name
    raise DataError(
        f"{table.path}, row 1: no column says what is gradable; expected 'gradable' (0 or 1) or "
        f"{' or '.join(map(repr, UNGRADABLE))}."
    )


def _is_gradable(row: Row, column: str, limit: float) -> bool:
    if column == "gradable":
        text = row.get(column).lower()
        if text not in YES + NO:
            raise row.error(column, f"{row[column]!r}, expected 0 or 1.")
        return text in YES
    value = row.number(column)
    if not 0 <= value <= 1:
        raise row.error(column, f"{row[column]!r}, expected a number from 0 to 1.")
    return value <= limit
