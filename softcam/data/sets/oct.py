"""Retinal OCT of Kermany et al., Mendeley Data rscbjbr9sj, version 3 (2 is read as well).

    .../train/CLASS/CLASS-PATIENT-INDEX.jpeg    CLASS is CNV, DME, DRUSEN or NORMAL
    .../test/CLASS/CLASS-PATIENT-INDEX.jpeg
    .../val/CLASS/...                           version 2 only: taken together with train

The folders may lie at any depth of a folder or archive. PATIENT is a number drawn for a person, so
images of one number belong together whatever class they are in. The test folder stays the test
split; images of its patients in train are left out. The white borders of some files, from turning
the scans upright, are left as they are.

Findings may be added as a table of points, `filename, x, y`: the pixel of the image in which a
druse was marked. A row without coordinates says that somebody looked and marked nothing.

Kermany et al., Cell 172:1122-1131 (2018), https://doi.org/10.1016/j.cell.2018.02.010.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from softcam.common import DataError, as_integer, choose
from softcam.data.catalogue import Catalogue, Item, Mark
from softcam.data.sets.oct_points import FRAMES, KIND, read_points
from softcam.data.split_files import (
    SplitFiles,
    SplitPath,
    draw_validation,
    file_stem,
    read_split_files,
)
from softcam.data.splitting import crossings, grouped_split
from softcam.data.store import Store, as_path, open_store

__all__ = ["TASKS", "read_oct"]

# folder name of each class in label order, and the names that are shown
TASKS: Mapping[str, Mapping[str, str]] = {
    "drusen": {"NORMAL": "normal", "DRUSEN": "drusen"},
    "four": {"NORMAL": "normal", "DRUSEN": "drusen", "DME": "DME", "CNV": "CNV"},
}
# images of each class in the paper's split files, and patients of train, val and test
COUNTS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "drusen": {
        "train": (20794, 6636),
        "val": (5552, 1980),
        "test": (250, 248),
        "patients": (1853, 464, 334),
    },
    "four": {
        "train": (6800, 1228, 1618, 5248),
        "val": (1200, 172, 182, 752),
        "test": (250, 248, 250, 250),
    },
}
LABEL_COLUMNS = {"drusen": "drusen", "four": "level"}  # of the split files
VALIDATION = 0.2  # of the training images, where it is drawn
ON_ERROR = ("stop", "skip")
PLACE = re.compile(
    r"(?P<root>(?:.*/)?)(?P<folder>train|val|test)/(?P<kind>CNV|DME|DRUSEN|NORMAL)/[^/]+\.jpe?g",
    re.IGNORECASE,
)
NAME = re.compile(r"(?P<kind>CNV|DME|DRUSEN|NORMAL)-(?P<patient>\d+)-\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Scan:
    """A file: its id (the name without suffix), folder, class and the number of its patient."""

    id: str
    name: str
    folder: str
    kind: str
    patient: str


def read_oct(
    path: str | Path,
    *,
    task: str = "drusen",
    splits: SplitPath | None = None,
    points: str | Path | None = None,
    point_frame: str = "stored",
    seed: int = 0,
    on_error: str = "stop",
) -> tuple[Store, Catalogue]:
    """List the scans; every table is checked before an image is prepared.

    Args:
        path: the folder or archive.
        task: `drusen` (NORMAL against DRUSEN) or `four` (normal, drusen, DME, CNV).
        splits: the authors' split files (`filename`; `patient_id`, and `drusen` or `level` to
            compare, where they have them), as a folder, a list of three files, or one file with a
            column `split`. None keeps the test folder and draws validation from train by patient.
        points: a CSV file of points, `filename, x, y`.
        point_frame: `stored`, pixels of the file; or `paper`, pixels of the central square of
            512 x 512, which the paper brings to its 496 pixels with the factor 496 / 512.
        seed: of the draw.
        on_error: `stop` at a file name or row that does not fit, or `skip` and count.

    Returns:
        The files, and the catalogue. `expected` are the paper's counts, only those of the test
        split where the others are drawn.

    Raises:
        DataError: what does not fit, with file, row and column.
    """
    choose("task", task, TASKS)
    choose("on_error", on_error, ON_ERROR)
    choose("point_frame", point_frame, FRAMES)
    as_integer("seed", seed, 0, 2**32 - 1)
    store = open_store(path)
    scans, notes = _scans(store, on_error)
    crossing: tuple[str, ...] = ()
    if splits is None:
        where, more = _drawn(store, scans, task, seed)
    else:
        where, more, crossing = _given(splits, scans, task, on_error)
    notes += more
    chosen = [scan for scan in scans if where.get(scan) is not None]
    notes.append("white borders of the scans are left as they are.")
    marks: dict[str, tuple[Mark, ...]] = {}
    if points is not None:
        files = {scan.id: scan.name for scan in chosen}
        marks, more = read_points(store, files, as_path("points", points), point_frame, on_error)
        notes += more
    expected = COUNTS[task] if splits is not None else {"test": COUNTS[task]["test"]}
    kinds = list(TASKS[task])
    return store, Catalogue(
        name=f"oct-{task}",
        items=[_item(scan, kinds.index(scan.kind), where[scan], marks) for scan in chosen],
        classes=tuple(TASKS[task].values()),
        mask_names=(KIND,) if points is not None else (),
        finding_names=(KIND,) if points is not None else (),
        options={
            "task": task,
            "splits": "drawn" if splits is None else "given",
            "seed": seed if splits is None else None,
            "point_frame": point_frame if points is not None else None,
        },
        expected=expected,
        notes=tuple(notes),
        warnings=crossing,
        grey=True,
        shared_patients=bool(crossing),
    )


def _item(scan: Scan, label: int, split: str, marks: Mapping[str, tuple[Mark, ...]]) -> Item:
    annotated = True if scan.id in marks else None
    return Item(
        scan.id, scan.name, label, split, scan.patient, marks.get(scan.id, ()), (), annotated
    )


def _scans(store: Store, on_error: str) -> tuple[list[Scan], list[str]]:
    """All files of the data set, by name; and notes."""
    by_root: dict[str, list[Scan]] = {}
    wrong: list[str] = []
    for name in store.names():
        place = PLACE.fullmatch(name)
        if place is None:
            continue
        stem, kind = file_stem(name), place["kind"].upper()
        parts = NAME.fullmatch(stem)
        if parts is None or parts["kind"].upper() != kind:
            wrong.append(name)
            continue
        scan = Scan(stem, name, place["folder"].lower(), kind, parts["patient"])
        by_root.setdefault(place["root"], []).append(scan)
    if wrong and on_error == "stop":
        raise DataError(
            f"{store.path}: {len(wrong)} files are not named after their class, patient and "
            f"index, such as {wrong[0]!r}; expected CLASS/CLASS-PATIENT-INDEX.jpeg. Mend them, or "
            "leave them out: --on-error skip."
        )
    notes = [f"{len(wrong)} files of another name are left out."] if wrong else []
    return _one_root(store, by_root, notes), notes


def _one_root(store: Store, by_root: dict[str, list[Scan]], notes: list[str]) -> list[Scan]:
    """The scans of the one root; some archives hold the same tree twice, one inside the other."""
    if not by_root:
        raise DataError(
            f"{store.path}: no scans; expected train/ and test/ with the folders CNV, DME, DRUSEN "
            "and NORMAL of JPEG files, at any depth."
        )
    root = min(by_root, key=lambda name: (-len(by_root[name]), len(name), name))
    inside = {(scan.folder, scan.id) for scan in by_root[root]}
    for other, scans in by_root.items():
        if {(scan.folder, scan.id) for scan in scans} != inside:
            raise DataError(
                f"{store.path}: scans in {root or './'!r} and others in {other!r}; unpack it and "
                "give the folder of one of them."
            )
    if len(by_root) > 1:
        notes.append(f"the scans are there {len(by_root)} times: those in {root or './'!r} count.")
    return by_root[root]


def _drawn(
    store: Store, scans: Sequence[Scan], task: str, seed: int
) -> tuple[dict[Scan, str], list[str]]:
    """The test folder is the test split, validation is drawn from the rest by patient."""
    kinds = list(TASKS[task])
    used = [scan for scan in scans if scan.kind in kinds]
    tested = {scan.patient for scan in used if scan.folder == "test"}
    training = list({scan.id: scan for scan in used if scan.folder != "test"}.values())
    rest = [scan for scan in training if scan.patient not in tested]
    crossed = [scan for scan in training if scan.patient in tested]
    if not rest:
        raise DataError(f"{store.path}: no scan of {', '.join(kinds)} is left for training.")
    labels, patients = [kinds.index(s.kind) for s in rest], [s.patient for s in rest]
    notes = []
    if repeated := sum(scan.folder != "test" for scan in used) - len(training):
        notes.append(f"{repeated} images are in train/ and in val/: taken once.")
    if tested:
        drawn = draw_validation(labels, patients, VALIDATION, seed)
        notes.append(f"validation is drawn from train by patient and label with seed {seed}.")
    else:
        drawn = grouped_split(labels, patients, seed=seed)
        notes.append(f"there is no test folder: drawn by patient and label with seed {seed}.")
    if crossed:
        count = len({scan.patient for scan in crossed})
        notes.append(
            f"{len(crossed)} training images of {count} patients who are also in test are left out."
        )
    where = dict(zip(rest, drawn, strict=True))
    where.update((scan, "test") for scan in used if scan.folder == "test")
    return where, notes


def _given(
    splits: SplitPath, scans: Sequence[Scan], task: str, on_error: str
) -> tuple[dict[Scan, str], list[str], tuple[str, ...]]:
    """The splits of the files, notes, and a warning where patients cross all the same."""
    files = read_split_files(splits, id_column=("filename", "image"), patient_column="patient_id")
    kinds = list(TASKS[task])
    by_id: dict[str, list[Scan]] = {}
    for scan in scans:
        by_id.setdefault(scan.id, []).append(scan)
    matched, notes = files.match(by_id, on_error)
    where: dict[Scan, str] = {}
    others: Counter[str] = Counter()
    for key, split in matched.items():
        # one name may lie in train and in test; the split says which is meant
        scan = min(by_id[key], key=lambda s: ((s.folder == "test") != (split == "test"), s.name))
        if scan.kind in kinds:
            _compare(files, key, LABEL_COLUMNS[task], kinds.index(scan.kind), scan)
            where[scan] = split
        else:
            others[scan.kind] += 1
    if others:
        text = ", ".join(f"{n} {kind}" for kind, n in sorted(others.items()))
        notes.append(f"images of the split files that the task has no class for: {text}; left out.")
    return where, notes, _crossing(files, where)


def _compare(files: SplitFiles, key: str, column: str, label: int, scan: Scan) -> None:
    """Raise where the split files give an image another label than its folder does."""
    row = files.rows[key]
    if row.get(column) and row.number(column) != label:
        raise row.error(
            column, f"{row[column]!r}, but {key!r} lies in {scan.name!r}: expected {label}."
        )


def _crossing(files: SplitFiles, where: Mapping[Scan, str]) -> tuple[str, ...]:
    crossed = crossings([scan.patient for scan in where], list(where.values()))
    if not crossed:
        return ()
    patient, found = next(iter(crossed.items()))
    if all("patient_id" in table.columns for table in files.tables):
        return (
            f"{len(crossed)} patient numbers are in several of the given splits, such as {patient} "
            f"in {' and '.join(found)}; by the files' own patient_id the splits are apart.",
        )
    scan = next(scan for scan, split in where.items() if scan.patient == patient)
    row = files.rows[scan.id]
    column = next(name for name in ("filename", "image") if name in row.fields)
    raise row.error(
        column,
        f"patient {patient} is in the splits {' and '.join(found)}, and belongs in one.",
    )
