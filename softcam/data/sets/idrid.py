"""IDRiD, the Indian Diabetic Retinopathy Image Dataset: grades of 516 photographs, masks of 81.

    .../B. Disease Grading/1. Original Images/a. Training Set/IDRiD_001.jpg    b. Testing Set
    .../B. Disease Grading/2. Groundtruths/a. ... Training Labels.csv          b. ... Testing ...
    .../A. Segmentation/1. Original Images/a. Training Set/IDRiD_01.jpg
    .../A. Segmentation/2. All Segmentation Groundtruths/a. Training Set/1. Microaneurysms/
        IDRiD_01_MA.tif

The 81 photographs with masks are all of diseased eyes, so alone they are no set to train on: the
grading part is needed. They are photographs of that part under other numbers; where the bytes of
two files are the same, the masks go to the graded photograph, and the others are left out, since
they would be in two splits. Patients are not given: every photograph is a group of its own.

Porwal et al., Data 3(3):25 (2018), https://doi.org/10.3390/data3030025.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from softcam.common import DataError, as_integer, choose
from softcam.data.catalogue import Catalogue, Item, MaskFile
from softcam.data.sets.grades import TASKS, Graded, read_grades
from softcam.data.sets.lesions import ANATOMY, find_masks
from softcam.data.split_files import draw_validation, file_stem
from softcam.data.store import Store, open_store
from softcam.data.tables import parse_table

__all__ = ["read_idrid"]

VALIDATION = 0.2  # of the training photographs
ON_ERROR = ("stop", "skip")
IMAGE = re.compile(
    r"(?:.*/)?(?P<part>[AB])\. [^/]*/1\. Original Images/(?P<set>[ab])\. [^/]*/[^/]+\.jpe?g"
)
TABLE = re.compile(r"(?:.*/)?B\. Disease Grading/2\. Groundtruths/(?P<set>[ab])\. [^/]*\.csv")
MASK = re.compile(r"(?:.*/)?A\. Segmentation/2\. All Segmentation Groundtruths/.*\.tiff?")
NAME, GRADE = "Image name", "Retinopathy grade"


def read_idrid(
    path: str | Path, *, task: str = "onset1", seed: int = 0, on_error: str = "stop"
) -> tuple[Store, Catalogue]:
    """List the graded photographs, with masks where their bytes are those of a segmented one.

    Args:
        path: the folder or archive that holds `B. Disease Grading`, and `A. Segmentation` for
            the masks.
        task: `onset1` (grade >= 1), `onset2` (grade >= 2) or `grade` (five classes).
        seed: of the validation split, drawn from the given training set by label; the given
            testing set stays the test split.
        on_error: `stop` at a row, photograph or mask that does not fit, or `skip` and count.

    Raises:
        DataError: what does not fit, with file, row and column; only the segmentation part.
    """
    choose("task", task, TASKS)
    choose("on_error", on_error, ON_ERROR)
    as_integer("seed", seed, 0, 2**32 - 1)
    store = open_store(path)
    names = store.names()
    notes: list[str] = []
    graded: dict[str, Graded] = {}  # by name in the store
    where: dict[str, str] = {}
    for part in "ab":
        files = _photographs(names, "B", part)
        table = _table(store, names, part)
        found = _match(store, files, table, on_error, notes)
        graded |= found
        labels = [TASKS[task].label(entry.level) for entry in found.values()]
        drawn = draw_validation(labels, list(found), VALIDATION, seed) if part == "a" else []
        where |= dict(zip(found, drawn or ["test"] * len(found), strict=True))
    notes.append(f"validation is drawn from the training set by label with seed {seed}.")
    notes.append("patients are not given: each photograph is a group of its own.")
    masks = _masks(store, names, list(graded), on_error, notes)
    kinds = sorted({mask.kind for listed in masks.values() for mask in listed})
    return store, Catalogue(
        name=f"idrid-{task}",
        items=[
            _item(name, TASKS[task].label(graded[name].level), where[name], masks.get(name, ()))
            for name in graded
        ],
        classes=TASKS[task].classes,
        mask_names=tuple(kinds),
        finding_names=tuple(kind for kind in kinds if kind not in ANATOMY),
        view="fundus",
        options={"task": task, "seed": seed},
        notes=tuple(notes),
    )


def _item(name: str, label: int, split: str, masks: tuple[MaskFile, ...]) -> Item:
    # the training and the testing set both count from IDRiD_001
    key = f"{'test' if split == 'test' else 'train'}/{file_stem(name)}"
    annotated = True if masks else None
    return Item(key, name, label, split, f"unknown:{key}", masks=masks, annotated=annotated)


def _photographs(names: Sequence[str], part: str, folder: str | None = None) -> list[str]:
    matches = (IMAGE.fullmatch(name) for name in names)
    return [
        match.string
        for match in matches
        if match and match["part"] == part and folder in (None, match["set"])
    ]


def _table(store: Store, names: Sequence[str], part: str) -> dict[str, Graded]:
    found = [name for name in names if (m := TABLE.fullmatch(name)) and m["set"] == part]
    if len(found) != 1:
        only = " It holds only photographs of diseased eyes, which train nothing."
        raise DataError(
            f"{store.path}: {len(found)} label tables {part!r} of 'B. Disease Grading', expected "
            f"one, in '2. Groundtruths'.{only if _photographs(names, 'A') else ''} Give the folder "
            "that holds B. Disease Grading. Masks for other photographs are given as their lesions."
        )
    table = parse_table(store.read(found[0]), store.path / found[0])
    table.require([NAME, GRADE])
    return read_grades(table.rows, NAME, level_column=GRADE)


def _match(
    store: Store,
    files: Sequence[str],
    table: Mapping[str, Graded],
    on_error: str,
    notes: list[str],
) -> dict[str, Graded]:
    """The grade of every photograph, by name in the store."""
    found = {name: table[k] for name in files if (k := file_stem(name).lower()) in table}
    seen = {file_stem(name).lower() for name in found}
    absent = [entry for key, entry in table.items() if key not in seen]
    if absent and (on_error == "stop" or not found):
        name = absent[0].row[NAME]
        raise absent[0].row.error(
            NAME, f"{name!r} has no photograph, and so it is with {len(absent)} rows."
        )
    for count, what in (
        (len(absent), "rows have no photograph"),
        (len(files) - len(found), "photographs have no grade"),
    ):
        if count:
            notes.append(f"{count} {what}: left out.")
    return found


def _masks(
    store: Store, names: Sequence[str], graded: Sequence[str], on_error: str, notes: list[str]
) -> dict[str, tuple[MaskFile, ...]]:
    """Masks by the name of the graded photograph whose bytes are those of the segmented one."""
    segmented = _photographs(names, "A")
    if not segmented:
        return {}
    stems = {file_stem(name): name for name in segmented}
    files = [name for name in names if MASK.fullmatch(name)]
    drawn, more = find_masks(store, files, stems, on_error=on_error)
    sizes = {store.stamp(name)[0] for name in segmented}
    same = {_content(store, name): name for name in graded if store.stamp(name)[0] in sizes}
    found = {}
    for stem, masks in drawn.items():
        twin = same.get(_content(store, stems[stem]))
        if twin is not None:
            found[twin] = masks
    notes += more
    notes.append(
        f"{len(found)} of the {len(segmented)} segmented photographs have the bytes of a graded "
        "one, which gets their masks; the others are left out."
    )
    return found


def _content(store: Store, name: str) -> str:
    return hashlib.sha256(store.read(name)).hexdigest()
