"""A folder of real images as a data set.

    PATH/images/                  any kind of image (see `images`)
    PATH/labels.csv               filename, label [, split, patient_id, has_annotation]
    PATH/boxes.csv                filename, x, y, width, height, class
    PATH/masks/STEM[.CLASS].png   size of the image, above 0 = marked

or, with `glob="*/*.png"`, without a table: the folder that an image is in is its class.

Labels may be one class an image or several findings (see `folder_classes`). Images, boxes and masks
go through one geometry into the array cache (see `prepare`).

An image counts as **annotated** if `has_annotation` says so, or, without that column, if a box
or a mask of any class belongs to it. A label says nothing about it: an image called diseased in
which nobody drew a box is not an image without a finding, and a healthy one without a box may
never have been looked at. Measures of place use only images with a marked finding.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from softcam.common import DataError, choose
from softcam.data.catalogue import Catalogue, Item
from softcam.data.folder_findings import Findings, read_findings
from softcam.data.folder_groups import Grouping
from softcam.data.folder_labels import Labels, list_images, read_labels
from softcam.data.prepare import ON_ERROR, prepared_splits
from softcam.data.records import Splits
from softcam.data.store import FolderStore, Store, places_of

__all__ = ["find_folder", "folder_name", "folder_splits", "read_folder"]


def find_folder(path: str | Path, table: bool = True) -> Path:
    """The folder itself if it exists, else the one of that name under `data_root()`.

    Args:
        path: as it is written.
        table: whether a labels.csv has to be in it.

    Raises:
        DataError: neither exists, or it has no labels.csv.
    """
    tried = places_of(path)
    for candidate in tried:
        if candidate.is_dir():
            if table and not (candidate / "labels.csv").is_file():
                raise DataError(f"{candidate}: no labels.csv in this folder.")
            return candidate.resolve()
    raise DataError(
        f"no folder {str(path)!r}: looked at {' and '.join(map(str, tried))}. Give the path, "
        "or set SOFTCAM_DATA to the folder that holds it."
    )


def folder_name(folder: Path) -> str:
    """`folder-NAME`, NAME in lower case letters, digits and hyphens."""
    return f"folder-{re.sub(r'[^a-z0-9]+', '-', folder.name.lower()).strip('-') or 'data'}"


def read_folder(
    path: str | Path,
    *,
    label_column: str | Sequence[str] = "label",
    finding_classes: Sequence[str] | str | None = None,
    on_error: str = "stop",
    seed: int = 0,
    glob: str | None = None,
    patient_pattern: str | None = None,
    splits: str | Path | None = None,
    on_leak: str = "stop",
) -> tuple[Store, Catalogue]:
    """The images of a folder; all tables are checked, no image is opened.

    Args:
        path: the folder, as it is or below `data_root()`.
        label_column: the column of labels.csv to learn, or several that hold a finding each.
        finding_classes: the box or mask classes that count as a finding; needed when several
            classes are marked. The others are kept as masks of their name.
        on_error: `stop` at a box without an area, or `skip` and count it.
        seed: of the split, where none is given.
        glob: a pattern that lists the images, instead of labels.csv; names then count from the
            folder itself, in boxes.csv and masks/ as well.
        patient_pattern: a regular expression that finds the patient in a file name, with its
            first group if it has one; where no `patient_id` says who it is.
        splits: a CSV of `filename, split [, patient_id]`, which counts more than the `split`
            column; a path as it is or in the folder.
        on_leak: `stop` where a patient is in two splits, or `warn`.

    Raises:
        DataError: what is wrong, with file, row and column.
    """
    choose("on_error", on_error, ON_ERROR)
    grouping = Grouping(seed, patient_pattern, splits, on_leak)
    folder = find_folder(path, table=glob is None)
    if glob is None:
        labels = read_labels(folder, label_column, grouping)
    else:
        labels = list_images(folder, glob, grouping)
    findings = read_findings(folder, labels.names, finding_classes, on_error)
    options: dict[str, Any] = {
        "label_column": label_column if isinstance(label_column, str) else list(label_column),
        "finding_classes": list(findings.finding_names),
        "seed": seed if labels.groups.drawn else None,
        **_unusual(glob=glob, patient_pattern=patient_pattern, splits=splits),
    }
    return FolderStore(folder), _catalogue(folder, labels, findings, options, on_leak == "warn")


def _unusual(**options: object) -> dict[str, str]:
    """Those that are given; a set without them has the options it always had."""
    return {name: str(value) for name, value in options.items() if value is not None}


def _catalogue(
    folder: Path,
    labels: Labels,
    findings: Findings,
    options: dict[str, Any],
    shared_patients: bool,
) -> Catalogue:
    columns = zip(
        labels.names,
        labels.files,
        labels.classes.labels,
        labels.groups.splits,
        labels.groups.patients,
        labels.annotated,
        strict=True,
    )
    items = [
        Item(
            name,
            file,
            label,
            split,
            patient,
            tuple(findings.boxes.get(name, ())),
            tuple(findings.masks.get(name, ())),
            annotated,
        )
        for name, file, label, split, patient, annotated in columns
    ]
    table = labels.groups.table
    return Catalogue(
        name=folder_name(folder),
        items=items,
        classes=labels.classes.names,
        mask_names=findings.names,
        finding_names=findings.finding_names,
        multi_label=labels.classes.multi_label,
        options=options,
        metadata=labels.metadata,
        notes=tuple(labels.notes),
        warnings=tuple(findings.notes),
        table=table.relative_to(folder).as_posix() if folder in table.parents else str(table),
        shared_patients=shared_patients,
    )


def folder_splits(
    path: str | Path,
    size: int = 96,
    *,
    on_error: str = "stop",
    workers: int | None = None,
    progress: bool = True,
    **options: Any,
) -> Splits:
    """Read a folder data set and prepare it; all tables are checked before an image is opened.

    Args:
        path: the folder, as it is or below `data_root()`.
        size: side of the prepared square images, in pixels.
        on_error: `stop` at an image, mask or box that cannot be used, or `skip` and count it.
        workers: processes that prepare, see `prepared_splits`.
        progress: show a bar while the images are read.
        options: of `read_folder`.

    Returns:
        Three splits of RGB images; `notes` counts everything that was skipped, clipped or assumed.

    Raises:
        DataError: what is wrong, with file, row and column.
    """
    store, catalogue = read_folder(path, on_error=on_error, **options)
    return prepared_splits(
        store, catalogue, size, on_error=on_error, workers=workers, progress=progress
    )
