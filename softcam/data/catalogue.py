"""What a data set holds, before an image is opened: the one form that every reader produces.

A reader (folder, RSNA, OCT, ...) checks all tables and lists the images; `softcam.data.prepare`
turns the list into arrays. A hundred thousand entries take tens of megabytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from softcam.common import DataError
from softcam.data.geometry import Box

__all__ = ["Catalogue", "Item", "Mark", "MaskFile"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A box that marks something.

    Attributes:
        kind: name of what it marks.
        box: x, y, width, height in pixels of the upright stored image; a point is a box of 1 x 1.
        place: where it is written (`boxes.csv, row 12`), for messages.
    """

    kind: str
    box: Box
    place: str = ""


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A file of the image's size in which everything above 0 is marked; `name` is in the store."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a data set.

    Attributes:
        id: unique in the set.
        name: the file in the store, with forward slashes.
        label: class index; of a multi-label set one 0 or 1 a class.
        split: `train`, `val` or `test`.
        patient: the patient, or a name of its own (`unknown:ID`) where it is unknown.
        boxes, masks: what is marked.
        annotated: whether anybody looked for findings; None: if something is marked.
    """

    id: str
    name: str
    label: int | tuple[int, ...]
    split: str
    patient: str
    boxes: tuple[Mark, ...] = ()
    masks: tuple[MaskFile, ...] = ()
    annotated: bool | None = None


@dataclass(frozen=True)
class Catalogue:
    """All images of a data set, and what is true of all of them.

    Attributes:
        name: slug, the first part of the cache's name: `rsna`, `oct-drusen`, `folder-NAME`.
        items: in a fixed order.
        classes: the C class names, in label order.
        mask_names: the K kinds of marks, sorted.
        finding_names: those that count as a finding.
        view: how a stored image becomes an upright RGB one, by name (see `prepare`): `image`,
            `dicom`, `fundus`.
        multi_label: labels are one 0 or 1 a class.
        options: what the reader was asked, stored with the set and part of its key.
        metadata: columns of the source's tables that are no label, by name, one text an item;
            for the audit, never for training.
        expected: counts that a faithful preparation reproduces, for `verify`: images of each class
            by split, `{"train": (6770, 4599)}`, or of `all` splits together; and `patients`, those
            of train, val and test.
        notes: what a reader should know: counts of what was dropped, assumed or drawn.
        warnings: notes that are also given as warnings when the set is prepared.
        table: the file that says which image is in which split, for messages; a name in the store.
        grey: all images are grey, and are stored as one channel, a third of the size; an image
            with colours is then an error.
        shared_patients: a patient may be in several splits (an official split that is so); else
            that is an error.
    """

    name: str
    items: Sequence[Item]
    classes: tuple[str, ...]
    mask_names: tuple[str, ...] = ()
    finding_names: tuple[str, ...] = ()
    view: str = "image"
    multi_label: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Sequence[str]] = field(default_factory=dict)
    expected: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    table: str = ""
    grey: bool = False
    shared_patients: bool = False

    def __post_init__(self) -> None:
        for column, values in self.metadata.items():
            if len(values) != len(self.items):
                raise DataError(
                    f"{self.name}: the column {column!r} has {len(values)} values for "
                    f"{len(self.items)} images."
                )
