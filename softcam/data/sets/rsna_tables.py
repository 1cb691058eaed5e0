"""The two tables of the RSNA challenge, read, checked and held against each other.

They agree where a `patientId` has the class Lung Opacity, Target 1 and at least one box, or
another class, Target 0 and no box. Rows that repeat exactly are read once: the class table has one
row a box.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from softcam.common import DataError
from softcam.data.catalogue import Mark
from softcam.data.store import Store
from softcam.data.tables import Row, Table, parse_table

__all__ = ["NORMAL", "OPACITY", "THIRD", "Doubts", "Listed", "read_tables"]

NORMAL = "Normal"
OPACITY = "Lung Opacity"
THIRD = "No Lung Opacity / Not Normal"
KINDS = f"{NORMAL!r}, {OPACITY!r} or {THIRD!r}"
BOX = ("x", "y", "width", "height")
MEND = "Mend it, or leave the image out: --on-error skip."


@dataclass
class Listed:
    """What the tables say of one image.

    Attributes:
        patient: its `patientId`.
        kind: its class, one of three.
        row: where it is listed first.
        boxes: all of them.
    """

    patient: str
    kind: str
    row: Row
    boxes: list[Mark] = field(default_factory=list)

    @property
    def label(self) -> int:
        return int(self.kind == OPACITY)


@dataclass
class Doubts:
    """What is wrong with single images: raised under `stop`, collected under `skip`.

    Attributes:
        on_error: `stop` or `skip`.
        found: what is wrong, by `patientId`.
    """

    on_error: str
    found: dict[str, str] = field(default_factory=dict)

    def add(self, patient: str, what: str, problem: DataError) -> None:
        """Raise the problem, or note that the image is left out."""
        if self.on_error == "stop":
            raise DataError(f"{problem} {MEND}") from problem
        self.found.setdefault(patient, what)

    def notes(self) -> list[str]:
        """How many images are left out, one sentence a reason."""
        counts = sorted(Counter(self.found.values()).items())
        return [f"{count} images {what}: left out." for what, count in counts]


def read_tables(store: Store, labels: str, classes: str, doubts: Doubts) -> dict[str, Listed]:
    """What both tables say, by `patientId`, in the order of `labels`; doubtful images are missing.

    Args:
        store: holds the tables.
        labels, classes: their names in it.
        doubts: what to do with rows that do not fit, and where they are collected.

    Raises:
        DataError: a table or a column is missing, a `patientId` is blank, or (under `stop`) a row
            does not fit.
    """
    kinds = _kinds(_table(store, classes), doubts)
    listed = _boxes(_table(store, labels), doubts)
    for patient, (kind, row) in kinds.items():
        if patient not in listed:
            problem = row.error("patientId", f"{patient!r} is not in {Path(labels).name}.")
            doubts.add(patient, "are in one table only", problem)
        else:
            listed[patient].kind = kind
    for patient, item in listed.items():
        if patient not in kinds:
            problem = item.row.error("patientId", f"{patient!r} is not in {Path(classes).name}.")
            doubts.add(patient, "are in one table only", problem)
        elif bool(item.boxes) != bool(item.label):
            found = f"{item.row['Target']!r}, but row {kinds[patient][1].line} of "
            found += f"{Path(classes).name} calls {patient!r} {item.kind!r}."
            doubts.add(patient, "have a class against Target", item.row.error("Target", found))
    return {patient: item for patient, item in listed.items() if patient not in doubts.found}


def _table(store: Store, name: str) -> Table:
    return parse_table(store.read(name), store.path / name)


def _patient(row: Row) -> str:
    patient = row.get("patientId")
    if not patient:
        raise row.error("patientId", "blank, expected the name of an image.")
    return patient


def _kinds(table: Table, doubts: Doubts) -> dict[str, tuple[str, Row]]:
    """Class by `patientId`, and where it is written first."""
    table.require(("patientId", "class"))
    kinds: dict[str, tuple[str, Row]] = {}
    for row in table.rows:
        patient, kind = _patient(row), row.get("class")
        if kind not in (NORMAL, OPACITY, THIRD):
            problem = row.error("class", f"{kind!r}, expected {KINDS}.")
            doubts.add(patient, "have an unknown class", problem)
        earlier, first = kinds.setdefault(patient, (kind, row))
        if kind != earlier:
            problem = row.error("class", f"{kind!r}, but {earlier!r} in row {first.line}.")
            doubts.add(patient, "have two classes", problem)
    return kinds


def _boxes(table: Table, doubts: Doubts) -> dict[str, Listed]:
    """Boxes by `patientId`; the class is not known yet."""
    table.require(("patientId", *BOX, "Target"))
    listed: dict[str, Listed] = {}
    for row in table.rows:
        patient = _patient(row)
        item = listed.setdefault(patient, Listed(patient, "", row))
        target = row.get("Target")
        if target not in ("0", "1"):
            problem = row.error("Target", f"{target!r}, expected 0 or 1.")
            doubts.add(patient, "have no Target", problem)
            continue
        if target != item.row.get("Target"):
            problem = row.error("Target", f"{target!r}, but another in row {item.row.line}.")
            doubts.add(patient, "have Target 0 and 1", problem)
        _add_box(row, item, target == "1", doubts)
    return listed


def _add_box(row: Row, item: Listed, expected: bool, doubts: Doubts) -> None:
    try:
        values = [row.number(column) for column in BOX]
    except DataError as error:
        doubts.add(item.patient, "have a box that is no number", error)
        return
    if not expected:
        given = [column for column, value in zip(BOX, values, strict=True) if not math.isnan(value)]
        if given:
            problem = row.error(given[0], f"{row[given[0]]!r}, but Target is 0: no box expected.")
            doubts.add(item.patient, "have a box at Target 0", problem)
        return
    for column, value in zip(BOX, values, strict=True):
        if not math.isfinite(value) or (column in BOX[2:] and value <= 0):
            what = "a number above 0" if column in BOX[2:] else "a number"
            problem = row.error(column, f"{row[column]!r}, but Target is 1: expected {what}.")
            doubts.add(item.patient, "have Target 1 and no proper box", problem)
            return
    mark = Mark("opacity", (values[0], values[1], values[2], values[3]), _place(row))
    if mark.box not in [other.box for other in item.boxes]:
        item.boxes.append(mark)


def _place(row: Row) -> str:
    return f"{row.path.name}, row {row.line}"
