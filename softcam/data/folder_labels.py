"""labels.csv of a folder data set: read, checked completely, and split.

Columns: `filename`, the label column, and optionally `patient_id`, `split` (`train`, `val`,
`test`) and `has_annotation` (0 or 1). Other columns are left alone. Everything that can be wrong
with the table is found here, before an image is opened.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from softcam.common import DataError
from softcam.data.records import SPLITS
from softcam.data.splitting import grouped_split
from softcam.data.tables import Row, Table, read_table

__all__ = ["Label", "Labels", "check_splits", "read_labels"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")


@dataclass(frozen=True)
class Label:
    """One row of labels.csv.

    Attributes:
        filename: as written, below `images/`, with forward slashes.
        path: the image file.
        label: class index.
        patient: the patient, or a name of its own where it is unknown.
        split: `train`, `val` or `test`.
        annotated: `has_annotation`, None where the table does not say.
    """

    filename: str
    path: Path
    label: int
    patient: str
    split: str
    annotated: bool | None


@dataclass(frozen=True)
class Labels:
    """All of labels.csv: its rows in file order, the class names, and what a reader should know."""

    rows: tuple[Label, ...]
    classes: tuple[str, ...]
    split_is_drawn: bool
    notes: tuple[str, ...]


def read_labels(folder: Path, label_column: str = "label", seed: int = 0) -> Labels:
    """Read and check labels.csv.

    Labels are integers 0..C-1, or names, which are sorted and numbered. Where the `split` column
    is missing or blank throughout, a split is drawn: stratified by label, grouped by patient.

    Args:
        folder: holds `labels.csv` and `images/`.
        label_column: the column that holds the label.
        seed: of the split, where one is drawn.

    Raises:
        DataError: anything wrong; the message names file, row and column.
    """
    table = read_table(folder / "labels.csv")
    table.require(["filename", label_column])
    if not table.rows:
        raise DataError(f"{table.path}: a header and no rows.")
    paths = _files(table, folder / "images")
    labels, classes, notes = _labels(table, label_column)
    patients, unknown = _patients(table)
    if unknown:
        notes.append(f"{unknown} images name no patient: each is a group of its own.")
    given = _given_splits(table)
    splits = given or grouped_split(labels, patients, seed=seed)
    if given:
        _check_patients(table, patients, given)
    else:
        notes.append(f"no split is given: drawn by patient and label with seed {seed}.")
    notes += check_splits(table.path, splits, labels, classes)
    notes += _unlisted(folder / "images", set(paths))
    rows = [
        Label(name, paths[name], labels[i], patients[i], splits[i], _annotated(table.rows[i]))
        for i, name in enumerate(paths)
    ]
    return Labels(tuple(rows), classes, not given, tuple(notes))


def _files(table: Table, images: Path) -> dict[str, Path]:
    """The image of every row; each file exists and appears once."""
    if not images.is_dir():
        raise DataError(f"{images}: no such folder; the images of {table.path.name} belong there.")
    known: list[str] | None = None
    seen: dict[str, int] = {}
    paths: dict[str, Path] = {}
    for row in table.rows:
        name = row.get("filename").replace("\\", "/")
        if not name:
            raise row.error("filename", "blank, expected the name of an image.")
        if name in seen:
            raise row.error("filename", f"{name!r} is a duplicate of row {seen[name]}.")
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or not (images / pure).is_file():
            known = known if known is not None else _listing(images)
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise row.error("filename", f"{name!r} is no file in {images}.{hint}")
        seen[name] = row.line
        paths[name] = images / pure
    return paths


def _listing(images: Path) -> list[str]:
    files = (p for p in images.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    return sorted(path.relative_to(images).as_posix() for path in files)


def _unlisted(images: Path, listed: set[str]) -> list[str]:
    count = len(set(_listing(images)) - listed)
    return [f"{count} files in {images.name}/ are not in labels.csv: left out."] if count else []


def _labels(table: Table, column: str) -> tuple[list[int], tuple[str, ...], list[str]]:
    """Class index of every row, the class names, and a note where names were numbered."""
    texts = [row.get(column) for row in table.rows]
    for row, text in zip(table.rows, texts, strict=True):
        if not text:
            raise row.error(column, f"{row[column]!r}, expected a label.")
    numeric = [_is_number(text) for text in texts]
    if not any(numeric):
        names = tuple(sorted(set(texts)))
        _check_class_count(table, column, names)
        note = ", ".join(f"{name!r} = {i}" for i, name in enumerate(names))
        return [names.index(text) for text in texts], names, [f"labels are names: {note}."]
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
    return labels, tuple(map(str, found)), []


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


def _patients(table: Table) -> tuple[list[str], int]:
    """Group name of every row, and how many name no patient."""
    given = [row.get("patient_id") for row in table.rows]
    names = [
        patient or f"unknown:{row['filename']}"
        for patient, row in zip(given, table.rows, strict=True)
    ]
    return names, given.count("")


def _given_splits(table: Table) -> list[str] | None:
    """The `split` column, or None where it is missing or blank throughout."""
    splits = [row.get("split") for row in table.rows]
    if not any(splits):
        return None
    for row, split in zip(table.rows, splits, strict=True):
        if split not in SPLITS:
            found = f"{split!r}" if split else "blank, though other rows have a split"
            raise row.error("split", f"{found}; expected 'train', 'val' or 'test'.")
    return splits


def _check_patients(table: Table, patients: list[str], splits: list[str]) -> None:
    first: dict[str, tuple[str, Row]] = {}
    for row, patient, split in zip(table.rows, patients, splits, strict=True):
        other, earlier = first.setdefault(patient, (split, row))
        if other != split:
            raise row.error(
                "patient_id",
                f"patient {patient!r} is in split {split!r} here and in {other!r} in row "
                f"{earlier.line}; a patient belongs in one split.",
            )


def check_splits(
    source: Path, splits: list[str], labels: list[int], classes: tuple[str, ...]
) -> list[str]:
    """Raise where a split is empty or the training split lacks a class.

    Returns:
        Notes on classes that validation or test lack: measures that need them are undefined.
    """
    counts = Counter(zip(splits, labels, strict=True))
    notes = []
    for split in SPLITS:
        lacking = [name for i, name in enumerate(classes) if not counts[split, i]]
        place = f"{source}, column 'split'"
        if len(lacking) == len(classes):
            mend = " Where no split is given, three patients or more are needed to draw one."
            raise DataError(
                f"{place}: no image is left for {split!r}, expected at least one.{mend}"
            )
        if lacking and split == "train":
            raise DataError(f"{place}: 'train' has no image of class {', '.join(lacking)}.")
        if lacking:
            notes.append(f"split {split!r} has no image of class {', '.join(lacking)}.")
    return notes


def _annotated(row: Row) -> bool | None:
    text = row.get("has_annotation").lower()
    if text in ("1", "1.0", "true", "yes"):
        return True
    if text in ("0", "0.0", "false", "no"):
        return False
    if text:
        raise row.error("has_annotation", f"{text!r}, expected 0 or 1.")
    return None
