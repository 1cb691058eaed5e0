"""Splits that somebody else has fixed, such as the authors' CSV files.

Taken are one CSV file with a column `split`, or three files, as a folder or as a list, whose
names say which split they are: `train`, `val` (or `valid`, `validation`) and `test` as a word of
its own, as in `rsna_train.csv`. Every other column is kept, so that a reader can hold the files'
labels against its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from softcam.common import DataError, choose
from softcam.data.records import SPLITS
from softcam.data.splitting import grouped_split
from softcam.data.store import as_path
from softcam.data.tables import Row, Table, read_table

__all__ = ["SplitFiles", "SplitPath", "draw_validation", "file_stem", "read_split_files"]

SplitPath = str | Path | Sequence[str | Path]

WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
SUFFIXES = (".bmp", ".dcm", ".dicom", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
NAMED = 5  # as many unknown ids are named in a message


def file_stem(name: str) -> str:
    """The file's name without folders and without the suffix of an image.

    >>> file_stem("train/NORMAL-9251-3.jpeg")
    'NORMAL-9251-3'
    """
    pure = PurePosixPath(name.replace("\\", "/"))
    return pure.stem if pure.suffix.lower() in SUFFIXES else pure.name


@dataclass(frozen=True)
class SplitFiles:
    """Which image is in which split.

    Attributes:
        splits: `train`, `val` or `test` by id, in the order of the files.
        rows: where each id is written, with all columns of that file.
        tables: the files, in the order train, val, test.
    """

    splits: dict[str, str]
    rows: dict[str, Row]
    tables: tuple[Table, ...]

    def counts(self, column: str = "") -> dict[str, Counter[str]]:
        """How many images each split has of each value of a column; '' counts all as one."""
        found: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        for key, split in self.splits.items():
            found[split][self.rows[key].get(column) if column else ""] += 1
        return found

    def describe(self, column: str = "") -> str:
        """`train 12 (0: 8, 1: 4), val ...`, for messages; of a column as in `counts`."""
        parts = []
        for split, counter in self.counts(column).items():
            classes = ", ".join(f"{value or 'blank'}: {n}" for value, n in sorted(counter.items()))
            parts.append(f"{split} {counter.total()}" + (f" ({classes})" if column else ""))
        return ", ".join(parts)

    def match(
        self, known: Collection[str], on_error: str = "stop"
    ) -> tuple[dict[str, str], list[str]]:
        """Hold the files against the images that exist.

        Args:
            known: the ids of all images.
            on_error: `stop` where a row belongs to no image, or `skip` and count.

        Returns:
            The splits of the images that the files name, and notes on what both sides lack.

        Raises:
            DataError: under `stop`, ids without an image: how many, the first ones, their rows;
                under either, files of which no row belongs to an image.
        """
        choose("on_error", on_error, ("stop", "skip"))
        known = set(known)
        kept = {key: split for key, split in self.splits.items() if key in known}
        unknown = [key for key in self.splits if key not in known]
        notes = []
        if unknown and (on_error == "stop" or not kept):
            raise self._unknown(unknown)
        if unknown:
            notes.append(f"{len(unknown)} images of the split files do not exist: left out.")
        if unlisted := len(known) - len(kept):
            notes.append(f"{unlisted} images are in none of the split files: left out.")
        return kept, notes

    def _unknown(self, unknown: list[str]) -> DataError:
        first = self.rows[unknown[0]]
        names = ", ".join(map(repr, unknown[:NAMED])) + (" ..." if len(unknown) > NAMED else "")
        return DataError(
            f"{first.path}, row {first.line}: {len(unknown)} of the {len(self.splits)} images of "
            f"the split files do not exist: {names}. Complete the images, or leave these rows "
            "out: --on-error skip."
        )


def read_split_files(
    path: SplitPath,
    *,
    id_column: str | Sequence[str],
    patient_column: str = "",
    columns: Sequence[str] = (),
    split_column: str = "split",
    to_id: Callable[[str], str] = file_stem,
) -> SplitFiles:
    """Read and check fixed splits.

    Args:
        path: a CSV file with a column `split`, a folder with one CSV file a split, or the three
            files in any order.
        id_column: the column that names the image; of several names the first that a file has.
        patient_column: where a file has it, a patient in two splits is an error; blank ones are
            unknown.
        columns: further columns that every file must have.
        split_column: its name, in the form of one file.
        to_id: makes ids from the fields of `id_column`; without folders and suffix by default.

    Raises:
        DataError: a file, a column or a split is missing, a blank or double id, an id or a
            patient in two splits; the message names file, row and column.
    """
    id_columns = [id_column] if isinstance(id_column, str) else list(id_column)
    tables: list[tuple[str, Table]]
    place: Path | list[Path]
    if isinstance(path, (list, tuple)):
        place = [as_path("splits", file) for file in path]
    else:
        place = as_path("splits", path)
    if isinstance(place, Path) and not place.is_dir():
        table = read_table(place)
        table.require([split_column])
        tables = [("", table)]
    else:
        tables = [(split, read_table(file)) for split, file in _three(place).items()]
    splits: dict[str, str] = {}
    rows: dict[str, Row] = {}
    patients: dict[str, tuple[str, Row]] = {}
    for split, table in tables:
        column = _column(table, id_columns)
        table.require(columns)
        for row in table.rows:
            where = split or _split_of(row, split_column)
            key = _new_id(row, column, to_id, rows)
            splits[key], rows[key] = where, row
            _check_patient(row, patient_column, where, patients)
    _check_filled(place, splits)
    return SplitFiles(splits, rows, tuple(table for _, table in tables))


def _three(path: Path | Sequence[Path]) -> dict[str, Path]:
    """The file of each split, by the word in its name."""
    if isinstance(path, Path):
        files, place = sorted(path.glob("*.csv")), str(path)
    else:
        files, place = list(path), ", ".join(map(str, path))
    found: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for file in files:
        words = {WORDS[word] for word in _words(file.stem) if word in WORDS}
        if len(words) == 1:
            found[words.pop()].append(file)
    for split, named in found.items():
        if len(named) != 1:
            names = ", ".join(file.name for file in named) or "none"
            raise DataError(
                f"{place}: expected one CSV file with the word {split!r} in its name, found "
                f"{names}; give the three files by name, or one file with a column 'split'."
            )
    return {split: named[0] for split, named in found.items()}


def _words(stem: str) -> list[str]:
    """`RSNA_train2` and `rsnaTrain` both hold the word `train`."""
    parted = re.sub(r"([a-z])([A-Z])", r"\1 \2", stem)
    return re.findall(r"[a-z]+", parted.lower())


def _column(table: Table, names: Sequence[str]) -> str:
    for name in names:
        if name in table.columns:
            return name
    table.require(names[:1])
    raise AssertionError("unreachable")


def _split_of(row: Row, column: str) -> str:
    text = row.get(column)
    if text.lower() not in WORDS:
        raise row.error(column, f"{text!r}; expected 'train', 'val' or 'test'.")
    return WORDS[text.lower()]


def _new_id(row: Row, column: str, to_id: Callable[[str], str], rows: dict[str, Row]) -> str:
    text = row.get(column)
    if not text:
        raise row.error(column, "blank, expected the name of an image.")
    key = to_id(text)
    if key in rows:
        earlier = rows[key]
        where = "" if earlier.path == row.path else f"{earlier.path.name}, "
        raise row.error(column, f"{key!r} is listed already, in {where}row {earlier.line}.")
    return key


def _check_patient(row: Row, column: str, split: str, patients: dict[str, tuple[str, Row]]) -> None:
    patient = row.get(column) if column else ""
    if not patient:
        return
    other, earlier = patients.setdefault(patient, (split, row))
    if other != split:
        raise row.error(
            column,
            f"patient {patient!r} is in split {split!r} here and in {other!r} in "
            f"{earlier.path.name}, row {earlier.line}; a patient belongs in one split.",
        )


def _check_filled(path: Path | Sequence[Path], splits: dict[str, str]) -> None:
    filled = set(splits.values())
    lacking = [split for split in SPLITS if split not in filled]
    if lacking:
        place = path if isinstance(path, Path) else ", ".join(map(str, path))
        raise DataError(
            f"{place}: no image in {', '.join(map(repr, lacking))}, expected at least one a split."
        )


def draw_validation(
    labels: Sequence[int], groups: Sequence[str], share: float, seed: int
) -> list[str]:
    """`train` or `val` for every image of a set whose test images are fixed.

    Args:
        labels: (N,) class indices.
        groups: (N,) patients; one group stays together.
        share: of the images wanted in `val`.
        seed: of the draw.
    """
    # the splitter knows three parts; one that wants next to nothing gets nothing
    drawn = grouped_split(labels, groups, seed=seed, fractions=(1 - share, share, 1e-9))
    return ["train" if split == "train" else "val" for split in drawn]
