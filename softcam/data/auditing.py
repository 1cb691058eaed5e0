"""What a number on a data set may really measure: leaks between its splits, and shortcuts.

Three questions are asked before a network is trained.

- Are images in several splits, as they are or under another name, size or format? (`duplicates`)
- Are patients?
- How well do things tell the classes apart that have nothing to do with what an image shows:
  brightness, borders, sharpness, the stored size, columns of the table? (`trivial_features`) A
  logistic model is fitted on train, and its AUC taken on test, for each feature alone and for all
  that a network could see together. (`separating`)

Whether a table says anything of an image is asked apart from what it says: a column that is blank
exactly where the label is 0 predicts the label without an error and means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from softcam.common import as_integer, hides_bar
from softcam.data.audit_words import blank_words, duplicate_words, patient_words, shortcut_words
from softcam.data.catalogue import Catalogue
from softcam.data.duplicates import Duplicates, Patients, count_patients, find_duplicates
from softcam.data.records import SPLITS, Splits
from softcam.data.separating import Separation, separation
from softcam.data.store import Store
from softcam.data.trivial_features import Column, file_columns, look, table_columns

__all__ = ["Audit", "Blank", "Shortcut", "audit"]

SEEN = ("pixels", "file")  # what a network is shown, or what follows from it
MAX_DRAWS = 100_000


@dataclass(frozen=True)
class Shortcut:
    """How well one trivial feature, or several together, tell the classes apart.

    Attributes:
        name: the feature; `all of these together` for several.
        kind: `pixels`, `file`, `table` or `blank`, see `trivial_features.Column`; `seen` is
            pixels and files together.
        auc: on the test split.
    """

    name: str
    kind: str
    auc: Separation


@dataclass(frozen=True)
class Blank:
    """Where a column of the table is blank.

    Attributes:
        column: its name.
        blank, images: of each class, in all splits together.
        exact: blank in every image of some classes, and in no image of the others.
    """

    column: str
    blank: tuple[int, ...]
    images: tuple[int, ...]
    exact: bool

    @property
    def filled_for(self) -> tuple[int, ...]:
        """The classes of which at least one image has a value."""
        pairs = zip(self.blank, self.images, strict=True)
        return tuple(c for c, (blank, images) in enumerate(pairs) if blank < images)


@dataclass(frozen=True)
class Audit:
    """What was found; `sentences()` says it, `to_dict()` is the same for a program.

    Attributes:
        name, fingerprint, classes: of the data set.
        images: of each split.
        duplicates, patients: see there.
        shortcuts: of each kind, the most telling first.
        blanks: of each column of the table that is blank somewhere.
    """

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    images: dict[str, int]
    duplicates: Duplicates
    patients: Patients
    shortcuts: tuple[Shortcut, ...]
    blanks: tuple[Blank, ...]

    def of_kind(self, kind: str) -> tuple[Shortcut, ...]:
        """The shortcuts of a kind."""
        return tuple(each for each in self.shortcuts if each.kind == kind)

    def sentences(self) -> list[str]:
        """The findings in words, a sentence or two each."""
        return [
            *duplicate_words(self.duplicates, sum(self.images.values())),
            *patient_words(self.patients),
            *shortcut_words(self),
            *blank_words(self),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values; what is undefined is None."""
        value = {**asdict(self), "sentences": self.sentences()}
        return {key: _jsonable(each) for key, each in value.items()}


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(each) for each in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


def audit(
    splits: Splits,
    catalogue: Catalogue | None = None,
    store: Store | None = None,
    *,
    n_boot: int = 500,
    seed: int = 0,
    progress: bool = True,
) -> Audit:
    """Look for leaks between the splits of a data set, and for shortcuts to its labels.

    Args:
        splits: the prepared data set; every image is read once.
        catalogue: of the same data set (`open_catalogue`), for the columns of its tables.
        store: where its files lie, for their sizes in bytes.
        n_boot: bootstrap draws of an interval; a patient's images are drawn together.
        seed: of the draws.
        progress: show bars.

    Raises:
        DataError: the catalogue is of another data set.
    """
    as_integer("n_boot", n_boot, 0, MAX_DRAWS)
    parts = [splits[split] for split in SPLITS]
    labels = np.concatenate([np.asarray(part.labels) for part in parts])
    where = [part.split for part in parts for _ in range(len(part))]
    patients = [name for part in parts for name in part.patients]
    ids = [id for part in parts for id in part.ids]
    keys: list[object] = [tuple(row) if splits.multi_label else row for row in labels.tolist()]
    columns = [] if catalogue is None else table_columns(splits, catalogue)
    looks = look(splits, progress)
    columns = [*looks.columns, *file_columns(splits, store), *columns]
    members = labels if splits.multi_label else np.eye(len(splits.classes), dtype=int)[labels]
    return Audit(
        splits.name,
        splits.fingerprint,
        splits.classes,
        {part.split: len(part) for part in parts},
        find_duplicates(looks.thumbs, looks.digests, ids, where, keys, patients, progress),
        count_patients(patients, where, keys),
        _shortcuts(columns, members, where, patients, n_boot, seed, progress),
        tuple(_blank(each, members) for each in columns if each.kind == "blank"),
    )


def _shortcuts(
    columns: Sequence[Column],
    members: np.ndarray,
    splits: Sequence[str],
    patients: Sequence[str],
    n_boot: int,
    seed: int,
    progress: bool,
) -> tuple[Shortcut, ...]:
    from tqdm.auto import tqdm

    # of two classes one question is enough
    targets = members[:, 1:] if members.shape[1] == 2 and (members.sum(1) == 1).all() else members
    where, groups = np.array(splits), np.array(patients)

    def ask(name: str, kind: str, asked: Sequence[Column]) -> Shortcut:
        found = separation(asked, targets, where, groups, n_boot=n_boot, seed=seed)
        return Shortcut(name, kind, found)

    bar = tqdm(columns, "asking what tells the classes apart", disable=hides_bar(progress))
    out = [ask(column.name, column.kind, [column]) for column in bar]
    out.sort(key=lambda each: (each.kind, -np.nan_to_num(each.auc.value, nan=-1)))
    together = [column for column in columns if column.kind in SEEN and column.known.all()]
    return (ask("all of these together", "seen", together), *out)


def _blank(column: Column, members: np.ndarray) -> Blank:
    assert column.numbers is not None
    blank = column.numbers[:, 0] > 0
    found, images = members[blank].sum(0), members.sum(0)
    exact = (members.sum(1) == 1).all() and ((found == 0) | (found == images)).all()
    return Blank(column.name, tuple(found.tolist()), tuple(images.tolist()), bool(exact))
