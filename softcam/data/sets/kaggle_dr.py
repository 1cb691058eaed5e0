"""Kaggle Diabetic Retinopathy Detection (EyePACS, 2015): fundus photographs, grades 0 to 4.

    .../train/ID_left.jpeg, ID_right.jpeg    and test/ likewise; or train.zip and test.zip
    .../trainLabels.csv                      image, level
    .../retinopathy_solution.csv             image, level, Usage: the labels of the test images

All may lie at any depth of a folder or archive, under other names of the folders too: what counts
is ID_left and ID_right. ID is the patient, and both eyes stay together. Photographs are cut to the
square around their field of view (see `fundus`).

The paper leaves out what cannot be graded; its split files hold only gradable photographs. Where
splits are drawn, `gradable` names a table that says which those are.

https://www.kaggle.com/c/diabetic-retinopathy-detection
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from softcam.common import DataError, as_integer, choose
from softcam.data.catalogue import Catalogue, Item, MaskFile
from softcam.data.sets.grades import TASKS, Graded, expected_counts, read_gradable, read_grades
from softcam.data.sets.joined_store import JoinedStore
from softcam.data.sets.kaggle_splits import (
    TEST_LABELS,
    TRAIN_LABELS,
    drawn_splits,
    given_splits,
    order,
    parts,
)
from softcam.data.sets.lesions import ANATOMY, lesion_masks
from softcam.data.split_files import SplitPath, file_stem
from softcam.data.store import Store, as_path, open_store
from softcam.data.tables import parse_table

__all__ = ["read_kaggle_dr"]

ON_ERROR = ("stop", "skip")
IMAGE = re.compile(r"(?:.*/)?\d+_(?:left|right)\.(?:jpe?g|png|tiff?)", re.IGNORECASE)
PART = re.compile(r".*\.zip\.\d{3}")
STEPS = (
    "Join the parts and unpack them: on Linux and macOS `cat train.zip.* > train.zip`, on Windows "
    "open train.zip.001 with 7-Zip; the same for test.zip. Then give the folder with train.zip or "
    "train/, and trainLabels.csv."
)


def read_kaggle_dr(
    path: str | Path,
    *,
    task: str = "onset1",
    splits: SplitPath | None = None,
    gradable: str | Path | None = None,
    ungradable_above: float = 0.5,
    lesions: str | Path | None = None,
    seed: int = 0,
    on_error: str = "stop",
) -> tuple[Store, Catalogue]:
    """List the photographs; every table is checked before one is opened.

    Args:
        path: the folder or archive.
        task: `onset1` (level >= 1), `onset2` (level >= 2) or `grade` (five classes).
        splits: the authors' split files (`image` or `filename`, `level`), as a folder, a list of
            three files, or one file with a column `split`. None keeps the challenge's test images
            where their labels are there, and draws the rest by patient and label.
        gradable: a CSV file with `image` and either `gradable` (0 or 1) or `ungradability_MEAN`
            (or `_MEDIAN`); images that it does not call gradable are left out.
        ungradable_above: an image is gradable up to this ungradability, in [0, 1].
        lesions: a folder or archive of masks (see `lesions`), such as those of public
            annotations; every kind but the optic disc is a finding, and
            an image with a mask counts as one that somebody looked at.
        seed: of the draw.
        on_error: `stop` at the first row, image or mask that does not fit, or `skip` and count.

    Returns:
        The files, and the catalogue. With `splits`, `expected` are the paper's counts of all
        gradable images, or of its reduced training split where that is nearer.

    Raises:
        DataError: what does not fit, with file, row and column; an archive in parts, with the
            steps to join it.
    """
    choose("task", task, TASKS)
    choose("on_error", on_error, ON_ERROR)
    as_integer("seed", seed, 0, 2**32 - 1)
    store = _open(as_path("the data set", path))
    files = _images(store)
    train, test = _labels(store, TRAIN_LABELS), _labels(store, TEST_LABELS)
    graded = {**train, **test}
    if splits is None:
        where, notes = drawn_splits(store.path, files, train, test, TASKS[task], seed, on_error)
    else:
        where, graded, notes = given_splits(splits, files, graded, on_error)
    if gradable is not None:
        where, more = read_gradable(as_path("gradable", gradable), where, ungradable_above)
        notes += more
    chosen = sorted(where, key=order)
    masks: Mapping[str, tuple[MaskFile, ...]] = {}
    if lesions is not None:
        other, masks, more = lesion_masks(lesions, chosen, "lesions", on_error)
        store = JoinedStore(store.path, {"": store, "lesions": other})
        notes += more
    kinds = sorted({mask.kind for listed in masks.values() for mask in listed})
    return store, Catalogue(
        name=f"kaggle-dr-{task}",
        items=[_item(key, files[key], graded[key], task, where[key], masks) for key in chosen],
        classes=TASKS[task].classes,
        mask_names=tuple(kinds),
        finding_names=tuple(kind for kind in kinds if kind not in ANATOMY),
        view="fundus",
        options={
            "task": task,
            "splits": "drawn" if splits is None else "given",
            "seed": seed if splits is None else None,
            "ungradable_above": ungradable_above if gradable is not None else None,
        },
        metadata={"eye": [parts(key)[1] for key in chosen]},
        expected={} if splits is None else expected_counts(task, list(where.values())),
        notes=tuple(notes),
    )


def _item(
    key: str,
    name: str,
    graded: Graded,
    task: str,
    split: str,
    masks: Mapping[str, tuple[MaskFile, ...]],
) -> Item:
    label, drawn = TASKS[task].label(graded.level), masks.get(key, ())
    return Item(
        key, name, label, split, parts(key)[0], masks=drawn, annotated=True if drawn else None
    )


def _open(path: Path) -> Store:
    """The store; train.zip and test.zip in a folder without images stand for their contents."""
    if PART.fullmatch(path.name.lower()):
        raise DataError(f"{path}: one part of an archive. {STEPS}")
    store = open_store(path)
    names = store.names()
    if any(IMAGE.fullmatch(name) for name in names):
        return store
    if path.is_dir():
        archives = [name for name in names if name in ("train.zip", "test.zip")]
        if archives:
            inner = {PurePosixPath(name).stem: open_store(path / name) for name in archives}
            return JoinedStore(path, {"": store, **inner})
    pieces = [name for name in names if PART.fullmatch(name.lower())]
    if pieces:
        raise DataError(f"{path}: holds no image but parts of an archive ({pieces[0]!r}). {STEPS}")
    raise DataError(f"{path}: no image named ID_left.jpeg or ID_right.jpeg. {STEPS}")


def _images(store: Store) -> dict[str, str]:
    """Name in the store by id."""
    found: dict[str, str] = {}
    for name in store.names():
        if IMAGE.fullmatch(name) is None:
            continue
        key = file_stem(name).lower()
        if key in found:
            raise DataError(
                f"{store.path}: {found[key]!r} and {name!r} are one photograph; give the folder "
                "that holds only one of them."
            )
        found[key] = name
    return found


def _labels(store: Store, table: str) -> dict[str, Graded]:
    """The grades in a table of the store, wherever it lies; none where it is missing."""
    found = [name for name in store.names() if PurePosixPath(name).name == table]
    if not found:
        packed = [name for name in store.names() if name.endswith(f"{table}.zip")]
        if packed:
            raise DataError(f"{store.path / packed[0]}: unpack it, to {table} beside it.")
        return {}
    if len(found) > 1:
        raise DataError(f"{store.path}: {table} is there {len(found)} times, expected once.")
    read = parse_table(store.read(found[0]), store.path / found[0])
    read.require(["image", "level"])
    return read_grades(read.rows, "image")
