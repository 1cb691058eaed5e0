"""The images of a folder data set and their labels: listed, read, and checked completely.

`labels.csv` has the columns `filename`, the label column (see `folder_classes`), and optionally
`patient_id`, `split` (`train`, `val`, `test`) and `has_annotation` (0 or 1). Other columns are left
alone, and kept as metadata. Without it, images are listed by a pattern such as `*/*.png`, and the
folder each is in is its class. Everything that can be wrong with a table is found here, before an
image is opened.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from softcam.common import DataError
from softcam.data.folder_classes import Classes, label_columns, name_classes, read_classes
from softcam.data.folder_groups import Grouping, Groups, group_images
from softcam.data.splitting import check_splits
from softcam.data.tables import Row, Table, read_table

__all__ = ["IMAGE_SUFFIXES", "Labels", "list_images", "read_labels"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
KNOWN = ("filename", "patient_id", "split", "has_annotation")


@dataclass(frozen=True)
class Labels:
    """All images in a fixed order, column by column.

    Attributes:
        names: as written, with forward slashes.
        files: the files below the folder of the data set.
        classes: their labels and the class names.
        groups: their patients and splits.
        annotated: `has_annotation`, None where no table says.
        notes: what a reader should know.
        metadata: the other columns.
    """

    names: list[str]
    files: list[str]
    classes: Classes
    groups: Groups
    annotated: list[bool | None]
    notes: list[str]
    metadata: dict[str, list[str]] = field(default_factory=dict)


def read_labels(
    folder: Path, label_column: str | Sequence[str] = "label", grouping: Grouping | None = None
) -> Labels:
    """Read and check labels.csv.

    Where no split is given, one is drawn: stratified by label, grouped by patient.

    Args:
        folder: holds `labels.csv` and `images/`.
        label_column: the column that holds the label, or several that hold a finding each.
        grouping: how patients and splits are found.

    Raises:
        DataError: anything wrong; the message names file, row and column.
    """
    table = read_table(folder / "labels.csv")
    columns = label_columns(label_column)
    table.require(["filename", *columns])
    if not table.rows:
        raise DataError(f"{table.path}: a header and no rows.")
    images = folder / "images"
    names = _files(table, images)
    classes = read_classes(table, columns)
    groups = group_images(folder, names, classes.labels, grouping or Grouping(), table)
    notes = [*classes.notes, *groups.notes, *_checked(groups, classes), *_unlisted(images, names)]
    other = [name for name in table.columns if name and name not in (*KNOWN, *columns)]
    return Labels(
        names,
        [f"{images.name}/{name}" for name in names],
        classes,
        groups,
        [_annotated(row) for row in table.rows],
        notes,
        {name: [row[name] for row in table.rows] for name in other},
    )


def list_images(folder: Path, pattern: str, grouping: Grouping | None = None) -> Labels:
    """The images that a pattern finds; the class of each is the name of the folder it is in.

    Args:
        folder: the data set; `masks/` in it is left out.
        pattern: such as `*/*.png` or `**/*.jpg`, relative to the folder.
        grouping: how patients and splits are found.

    Raises:
        DataError: a pattern that leads outside or finds nothing, an image in no folder, a single
            class, or a labels.csv, which would say something else.
    """
    if (folder / "labels.csv").is_file():
        raise DataError(
            f"{folder}: has a labels.csv, and glob={pattern!r} takes the labels from the names of "
            "folders; leave out one of them."
        )
    names = _matches(folder, pattern)
    parents = [PurePosixPath(name).parent.name for name in names]
    if "" in parents:
        raise DataError(
            f"{folder / names[parents.index('')]}: lies in no folder that could name its class; "
            "use a glob such as '*/*.png', or write a labels.csv."
        )
    classes = name_classes(parents)
    if len(classes.names) < 2:
        raise DataError(
            f"{folder}: glob={pattern!r} finds one class only ({classes.names[0]!r}), expected "
            "images in at least two folders."
        )
    groups = group_images(folder, names, classes.labels, grouping or Grouping())
    notes = [*classes.notes, *groups.notes, *_checked(groups, classes)]
    return Labels(names, names, classes, groups, [None] * len(names), notes)


def _matches(folder: Path, pattern: str) -> list[str]:
    if not isinstance(pattern, str) or not pattern or ".." in PurePosixPath(pattern).parts:
        raise DataError(f"glob is {pattern!r}, expected a pattern such as '*/*.png'.")
    try:
        paths = [path.relative_to(folder) for path in folder.glob(pattern) if path.is_file()]
    except (NotImplementedError, ValueError) as error:
        raise DataError(
            f"glob is {pattern!r}: {error}; expected a pattern relative to the folder, such as "
            "'*/*.png'."
        ) from error
    names = sorted(
        path.as_posix()
        for path in paths
        if path.suffix.lower() in IMAGE_SUFFIXES
        and path.parts[0] != "masks"
        and not any(part.startswith(".") for part in path.parts)
    )
    if not names:
        raise DataError(f"{folder}: glob={pattern!r} finds no image (PNG, JPEG, TIFF ...).")
    return names


def _checked(groups: Groups, classes: Classes) -> list[str]:
    place = f"{groups.table}, column 'split'"
    return check_splits(place, groups.splits, classes.labels, classes.names)


def _files(table: Table, images: Path) -> list[str]:
    """The image of every row; each file exists and appears once."""
    if not images.is_dir():
        raise DataError(f"{images}: no such folder; the images of {table.path.name} belong there.")
    known: list[str] | None = None
    seen: dict[str, int] = {}
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
    return list(seen)


def _listing(images: Path) -> list[str]:
    """All images below a folder, as `labels.csv` names them."""
    found = []
    for folder, _, files in os.walk(images):
        inner = Path(folder).relative_to(images).as_posix()
        start = "" if inner == "." else f"{inner}/"
        found += [start + name for name in files if name.lower().endswith(IMAGE_SUFFIXES)]
    return sorted(found)


def _unlisted(images: Path, listed: list[str]) -> list[str]:
    known = set(listed)
    count = sum(name not in known for name in _listing(images))
    return [f"{count} files in {images.name}/ are not in labels.csv: left out."] if count else []


def _annotated(row: Row) -> bool | None:
    text = row.get("has_annotation").lower()
    if text in ("1", "1.0", "true", "yes"):
        return True
    if text in ("0", "0.0", "false", "no"):
        return False
    if text:
        raise row.error("has_annotation", f"{text!r}, expected 0 or 1.")
    return None
