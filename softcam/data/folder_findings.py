"""What is marked in the images of a folder data set: boxes.csv and masks/, read and checked.

`boxes.csv` has `filename, x, y, width, height, class`: pixels of the upright image, origin at
the top left. `masks/STEM.png` or `masks/STEM.CLASS.png` has the size of its image; every pixel
above 0 is marked. A set may have either, both, or neither.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from softcam.common import DataError, choose
from softcam.data.catalogue import Mark, MaskFile
from softcam.data.folder_labels import IMAGE_SUFFIXES
from softcam.data.geometry import Box
from softcam.data.tables import read_table

__all__ = ["Findings", "read_findings"]

BOX_COLUMNS = ("filename", "x", "y", "width", "height", "class")
DEFAULT_CLASS = "finding"  # of masks/STEM.png, which names none


@dataclass
class Findings:
    """What is marked, by image name; `names` are all classes, `finding_names` those that count."""

    boxes: dict[str, list[Mark]] = field(default_factory=lambda: defaultdict(list))
    masks: dict[str, list[MaskFile]] = field(default_factory=lambda: defaultdict(list))
    names: tuple[str, ...] = ()
    finding_names: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def read_findings(
    folder: Path,
    images: Sequence[str],
    finding_classes: Iterable[str] | None = None,
    on_error: str = "stop",
) -> Findings:
    """Read boxes.csv and list masks/, where they exist.

    Args:
        folder: the data set.
        images: their names.
        finding_classes: the classes that count as a finding; needed when there are several.
        on_error: `stop` at an empty or negative box, or `skip` and count it.

    Raises:
        DataError: a row or file that belongs to no image, a value that is no number, a box
            without an area under `stop`, several classes and no word on which count.
        UnknownNameError: a finding class that nothing is marked with.
    """
    findings = Findings()
    kinds: set[str] = set()
    if (folder / "boxes.csv").is_file():
        kinds |= _read_boxes(folder / "boxes.csv", set(images), on_error, findings)
    if (folder / "masks").is_dir():
        kinds |= _list_masks(folder / "masks", images, findings)
    findings.names = tuple(sorted(kinds))
    findings.finding_names = _finding_names(folder, findings.names, finding_classes)
    return findings


def _read_boxes(path: Path, images: set[str], on_error: str, findings: Findings) -> set[str]:
    table = read_table(path)
    table.require(BOX_COLUMNS)
    kinds: set[str] = set()
    skipped = 0
    for row in table.rows:
        name = row.get("filename").replace("\\", "/")
        if name not in images:
            raise row.error("filename", f"{name!r} is not in labels.csv.")
        kind = row.get("class")
        if not kind:
            raise row.error("class", "blank, expected the name of what the box marks.")
        kinds.add(kind)
        box = (row.number("x"), row.number("y"), row.number("width"), row.number("height"))
        bad = _bad_column(box)
        if bad is None:
            place = f"{path}, row {row.line}, column 'x'"
            findings.boxes[name].append(Mark(kind, box, place))
        elif on_error == "stop":
            raise row.error(
                bad,
                f"{row[bad]!r}, expected a number{' above 0' if bad in BOX_COLUMNS[3:5] else ''}; "
                "mend the box, or leave such boxes out: --on-error skip.",
            )
        else:
            skipped += 1
    if skipped:
        findings.notes.append(f"{skipped} boxes without an area are left out.")
    return kinds


def _bad_column(box: Box) -> str | None:
    """The first column that keeps the box from having an area."""
    for column, value in zip(BOX_COLUMNS[1:5], box, strict=True):
        if not math.isfinite(value) or (column in ("width", "height") and value <= 0):
            return column
    return None


def _list_masks(folder: Path, images: Sequence[str], findings: Findings) -> set[str]:
    stems: dict[str, str] = {}
    for name in images:
        stem = str(PurePosixPath(name).with_suffix(""))
        if stem in stems:
            raise DataError(
                f"{folder}: a mask named {stem}.png could belong to {stems[stem]!r} or "
                f"{name!r}; rename one image."
            )
        stems[stem] = name
    kinds: set[str] = set()
    for path in sorted(folder.rglob("*")):
        suffix = path.suffix.lower()
        if suffix not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if suffix != ".png":
            raise DataError(f"{path}: a mask must be a PNG; lossy formats blur its edges.")
        stem, kind = _stem_and_class(path.relative_to(folder), stems)
        if stem not in stems:
            raise DataError(
                f"{path}: belongs to no image in labels.csv; expected STEM[.CLASS].png."
            )
        kinds.add(kind)
        file = MaskFile(kind, path.relative_to(folder.parent).as_posix())
        findings.masks[stems[stem]].append(file)
    return kinds


def _stem_and_class(path: Path, stems: dict[str, str]) -> tuple[str, str]:
    """An image called `a.b` wins over an image `a` with a finding `b`."""
    whole = path.with_suffix("").as_posix()
    stem, dot, kind = whole.rpartition(".")
    return (whole, DEFAULT_CLASS) if whole in stems or not dot else (stem, kind)


def _finding_names(
    folder: Path, names: tuple[str, ...], wanted: Iterable[str] | None
) -> tuple[str, ...]:
    if wanted is None:
        if len(names) > 1:
            raise DataError(
                f"{folder}: several classes are marked ({', '.join(names)}); say which of them "
                "are findings with finding_classes (--finding-classes)."
            )
        return names
    listed = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(listed, Iterable) or not all(isinstance(name, str) for name in listed):
        raise DataError(f"finding_classes is {wanted!r}, expected one name or a list of names.")
    chosen = tuple(dict.fromkeys(listed))
    if chosen and not names:
        raise DataError(
            f"{folder}: finding_classes={', '.join(chosen)}, but nothing is marked: "
            "neither boxes.csv nor masks/ has an entry."
        )
    return tuple(choose("finding class", name, names) for name in chosen)
