"""A folder of real images as a data set.

    PATH/images/                  any kind of image (see `images`)
    PATH/labels.csv               filename, label [, split, patient_id, has_annotation]
    PATH/boxes.csv                filename, x, y, width, height, class
    PATH/masks/STEM[.CLASS].png   size of the image, above 0 = marked

Images, boxes and masks go through one geometry (see `geometry`) into the array cache.

An image counts as **annotated** if `has_annotation` says so, or, without that column, if a box
or a mask of any class belongs to it. A label says nothing about it: an image called diseased in
which nobody drew a box is not an image without a finding, and a healthy one without a box may
never have been looked at. Measures of place use only images with a marked finding.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from softcam.common import DataError, as_integer, choose, data_root, digest
from softcam.data.cache import SplitsMeta, cached_splits
from softcam.data.folder_build import FolderBuilder
from softcam.data.folder_findings import Findings, read_findings
from softcam.data.folder_labels import Labels, read_labels
from softcam.data.records import Splits

__all__ = ["find_folder", "folder_name", "folder_splits"]

PREPARED = 1  # counts up when the same files would become other arrays
ON_ERROR = ("stop", "skip")


def find_folder(path: str | Path) -> Path:
    """The folder itself if it exists, else the one of that name under `data_root()`.

    Raises:
        DataError: neither exists, or it has no labels.csv.
    """
    tried = [Path(path).expanduser(), data_root() / path]
    for candidate in tried:
        if candidate.is_dir():
            if not (candidate / "labels.csv").is_file():
                raise DataError(f"{candidate}: no labels.csv in this folder.")
            return candidate.resolve()
    raise DataError(
        f"no folder {str(path)!r}: looked at {tried[0].absolute()} and {tried[1]}. Give the path, "
        "or set SOFTCAM_DATA to the folder that holds it."
    )


def folder_name(folder: Path) -> str:
    """`folder-NAME`, NAME in lower case letters, digits and hyphens."""
    return f"folder-{re.sub(r'[^a-z0-9]+', '-', folder.name.lower()).strip('-') or 'data'}"


def folder_splits(
    path: str | Path,
    size: int = 96,
    *,
    label_column: str = "label",
    finding_classes: list[str] | tuple[str, ...] | str | None = None,
    on_error: str = "stop",
    seed: int = 0,
    progress: bool = True,
) -> Splits:
    """Read a folder data set; all tables are checked before the first image is opened.

    Args:
        path: the folder, as it is or below `data_root()`.
        size: side of the prepared square images, in pixels.
        label_column: the column of labels.csv to learn.
        finding_classes: the box or mask classes that count as a finding; needed when several
            classes are marked. The others are kept as masks of their name.
        on_error: `stop` at an image, mask or box that cannot be used, or `skip` and count it.
        seed: of the split, where labels.csv gives none.
        progress: show a bar while the images are read.

    Returns:
        Three splits of RGB images; `notes` counts everything that was skipped, clipped or assumed.

    Raises:
        DataError: what is wrong, with file, row and column.
    """
    choose("on_error", on_error, ON_ERROR)
    as_integer("seed", seed, 0, 2**32 - 1)
    folder = find_folder(path)
    labels = read_labels(folder, label_column, seed)
    findings = read_findings(folder, labels.rows, finding_classes, on_error)
    options: dict[str, Any] = {
        "size": size,
        "label_column": label_column,
        "finding_classes": list(findings.finding_names),
        "on_error": on_error,
        "seed": seed if labels.split_is_drawn else None,
    }
    key = {"prepared": PREPARED, "files": _files_digest(folder, labels, findings), **options}

    def write(temporary: Path) -> SplitsMeta:
        builder = FolderBuilder(folder, labels, findings, size, on_error, options)
        return builder.write(temporary, progress)

    return cached_splits(folder_name(folder), key, write)


def _files_digest(folder: Path, labels: Labels, findings: Findings) -> str:
    """Which files were read: contents of the tables, size and time of images and masks."""
    tables = [folder / "labels.csv", folder / "boxes.csv"]
    contents = [path.read_bytes() if path.is_file() else b"" for path in tables]
    files = [item.path for item in labels.rows]
    files += [path for masks in findings.masks.values() for _, path in masks]
    stats = [(path, path.stat()) for path in files]
    return digest(
        *contents,
        [(p.relative_to(folder).as_posix(), s.st_size, s.st_mtime_ns) for p, s in stats],
    )
