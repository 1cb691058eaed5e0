"""Which patient an image of a folder data set belongs to, and in which split it is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from softcam.common import DataError, as_integer, choose
from softcam.data.records import SPLITS
from softcam.data.splitting import Labelling, grouped_split
from softcam.data.store import as_path
from softcam.data.tables import Row, Table, read_table

__all__ = ["Grouping", "Groups", "group_images"]

ON_LEAK = ("stop", "warn")


@dataclass(frozen=True)
class Grouping:
    """How patients and splits are found.

    Attributes:
        seed: of the split, where none is given and one is drawn.
        patient_pattern: a regular expression that finds the patient in a file name, with its
            first group if it has one; where no column says who it is.
        splits: a CSV of `filename, split [, patient_id]`, which counts more than the `split`
            column; a path as it is or in the folder of the data set.
        on_leak: `stop` where a patient is in two splits, or `warn` (for splits of others that
            must be kept as they are).
    """

    seed: int = 0
    patient_pattern: str | None = None
    splits: str | Path | None = None
    on_leak: str = "stop"

    def __post_init__(self) -> None:
        as_integer("seed", self.seed, 0, 2**32 - 1)
        choose("on_leak", self.on_leak, ON_LEAK)


@dataclass(frozen=True)
class Groups:
    """The patient and the split of every image.

    Attributes:
        patients: group names; an unknown patient is a group of its own.
        splits: `train`, `val` or `test`.
        drawn: no split was given.
        table: the file that says which image is in which split, or should.
        notes: what a reader should know.
    """

    patients: list[str]
    splits: list[str]
    drawn: bool
    table: Path
    notes: list[str]


def group_images(
    folder: Path,
    names: Sequence[str],
    labels: Labelling,
    grouping: Grouping,
    table: Table | None = None,
) -> Groups:
    """Find patients and splits, and draw a split by patient and label where none is given.

    Args:
        folder: the data set.
        names: its images.
        labels: their labels.
        grouping: the options.
        table: labels.csv, a row for each name; None where there is none.

    Raises:
        DataError: a split or table that cannot be used, a patient in two splits under `stop`.
    """
    rows: Sequence[Row] = table.rows if table else ()
    patients = [row.get("patient_id") for row in rows] or [""] * len(names)
    source = table.path if table else folder
    if grouping.patient_pattern is not None:
        if any(patients):
            raise DataError(
                f"{source}: has a column 'patient_id', and patient_pattern is given as well; "
                "leave one of them out."
            )
        patients = _by_pattern(names, grouping.patient_pattern)
    given = _given_splits(table) if table else None
    if grouping.splits is not None:
        source, found = _read_splits(grouping.splits, folder, names)
        rows = [found[name] for name in names]
        given = [row.get("split") for row in rows]
        patients = [row.get("patient_id") or old for row, old in zip(rows, patients, strict=True)]
    written = [row["filename"] for row in table.rows] if table else names
    groups = [p or f"unknown:{name}" for name, p in zip(written, patients, strict=True)]
    unknown = patients.count("")
    notes = [f"{unknown} images name no patient: each is a group of its own."] if unknown else []
    if given is None:
        notes.append(f"no split is given: drawn by patient and label with seed {grouping.seed}.")
        drawn = grouped_split(labels, groups, seed=grouping.seed)
        return Groups(groups, drawn, True, source, notes)
    if grouping.on_leak == "stop":
        _check_patients(rows, groups, given)
    return Groups(groups, given, False, source, notes)


def _by_pattern(names: Sequence[str], text: str) -> list[str]:
    """The patient in each name, or '' where there is none."""
    try:
        expression = re.compile(text)
    except (re.error, TypeError) as error:
        raise DataError(
            f"patient_pattern is {text!r}, which is no regular expression ({error}); expected "
            r"one with a group, such as '(\d+)_'."
        ) from error
    found = [expression.search(name) for name in names]
    if not any(found):
        raise DataError(
            f"patient_pattern {text!r} finds nothing in any file name, for example {names[0]!r}."
        )
    return [((m.group(1) if expression.groups else m.group()) or "") if m else "" for m in found]


def _given_splits(table: Table) -> list[str] | None:
    """The `split` column, or None where it is missing or blank throughout."""
    splits = [row.get("split") for row in table.rows]
    if not any(splits):
        return None
    for row, split in zip(table.rows, splits, strict=True):
        _known_split(row, split)
    return splits


def _known_split(row: Row, split: str) -> None:
    if split not in SPLITS:
        found = f"{split!r}" if split else "blank, though other rows have a split"
        raise row.error("split", f"{found}; expected 'train', 'val' or 'test'.")


def _check_patients(rows: Sequence[Row], patients: Sequence[str], splits: Sequence[str]) -> None:
    """Raise where a patient is in two splits; both rows are named."""
    first: dict[str, tuple[str, Row]] = {}
    for row, patient, split in zip(rows, patients, splits, strict=True):
        other, earlier = first.setdefault(patient, (split, row))
        if other != split:
            raise row.error(
                "patient_id" if "patient_id" in row.fields else "filename",
                f"patient {patient!r} is in split {split!r} here and in {other!r} in row "
                f"{earlier.line}; a patient belongs in one split.",
            )


def _read_splits(
    file: str | Path, folder: Path, names: Sequence[str]
) -> tuple[Path, dict[str, Row]]:
    """The table of splits: where it lies, and its row of each image."""
    path = as_path("splits", file)
    path = (path if path.is_file() else folder / path).absolute()
    table = read_table(path)
    table.require(["filename", "split"])
    rows: dict[str, Row] = {}
    known = set(names)
    for row in table.rows:
        name = row.get("filename").replace("\\", "/")
        if name in rows:
            raise row.error("filename", f"{name!r} is a duplicate of row {rows[name].line}.")
        if name not in known:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise row.error("filename", f"{name!r} is no image of {folder}.{hint}")
        _known_split(row, row.get("split"))
        rows[name] = row
    missing = [name for name in names if name not in rows]
    if missing:
        raise DataError(
            f"{path}: {len(missing)} of {len(names)} images are in no split, for example "
            f"{missing[0]!r}; list each of them."
        )
    return path, rows
