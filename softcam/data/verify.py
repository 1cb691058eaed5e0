"""Is a data set what it should be: counts as in the paper, files as they were when prepared?"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from softcam.common import DataError, hides_bar, read_json
from softcam.data.cache import MANIFEST
from softcam.data.catalogue import Catalogue
from softcam.data.records import SPLITS, Splits
from softcam.data.sources import open_catalogue, open_data
from softcam.data.store import Store, open_store

__all__ = ["verify"]

NAMED = 5  # as many files are named in a difference
ALL, PATIENTS = "all", "patients"  # keys of expected counts, beside the splits
WHERE = {ALL: "all splits together"}


@dataclass(frozen=True)
class Found:
    """What is there: images of each class by split, and patients of train, val and test."""

    images: Mapping[str, tuple[int, ...]]
    patients: tuple[int, ...]


def verify(
    data: Splits | str,
    *,
    deep: bool = False,
    size: int = 96,
    progress: bool = True,
    **options: Any,
) -> list[str]:
    """Compare a data set with the counts that a faithful preparation reproduces.

    Args:
        data: a data set, or its name as in `open_data`; a name is answered from the tables alone,
            and nothing is prepared unless `deep`.
        deep: also read every file again and compare its SHA-256 with the manifest.
        size: of the prepared images, where `data` is a name.
        progress: show a bar.
        options: of the source, where `data` is a name.

    Returns:
        The differences, a sentence each; empty if there is none. A source without known counts
        (a folder of your own) is compared with nothing. Counts are known by split, of `all`
        splits together, or as the `patients` of train, val and test.

    Raises:
        DataError: the data set cannot be read, or was drawn and has no files to read again.
    """
    store: Store | None = None
    if isinstance(data, str):
        store, catalogue = open_catalogue(data, size, progress=progress, **options)
        if not deep:
            patients = {
                split: [item.patient for item in catalogue.items if item.split == split]
                for split in SPLITS
            }
            found = Found(_counts(catalogue), _distinct(patients))
            return _differences(found, catalogue.expected, catalogue.classes)
        data = open_data(data, size, progress=progress, **options)
    meta = {} if data.folder is None else read_json(data.folder / "meta.json")
    counts = {split: tuple(data[split].counts) for split in SPLITS}
    found = Found(counts, _distinct({split: data[split].patients for split in SPLITS}))
    out = _differences(found, meta.get("expected", {}), data.classes)
    return out + (_changed(data, store, meta.get("source", ""), progress) if deep else [])


def _counts(catalogue: Catalogue) -> dict[str, tuple[int, ...]]:
    """Images of each class, by split."""
    classes = len(catalogue.classes)
    out = {split: np.zeros(classes, np.int64) for split in SPLITS}
    for item in catalogue.items:
        out[item.split] += (
            item.label if isinstance(item.label, tuple) else np.arange(classes) == item.label
        )
    return {split: tuple(counts.tolist()) for split, counts in out.items()}


def _distinct(patients: Mapping[str, Sequence[str]]) -> tuple[int, ...]:
    """Patients in train, val and test; images that name none count one each."""
    return tuple(len(set(patients[split])) for split in SPLITS)


def _differences(
    found: Found, expected: Mapping[str, Sequence[int]], classes: Sequence[str]
) -> list[str]:
    together = [sum(each) for each in zip(*found.images.values(), strict=True)]
    of_class = {**found.images, ALL: together}
    said = {
        key: [
            (f"{WHERE.get(key, key)}: {n:,} images of {name!r}", n)
            for name, n in zip(classes, counts, strict=True)
        ]
        for key, counts in of_class.items()
    }
    said[PATIENTS] = [
        (f"{split}: {n:,} patients", n) for split, n in zip(SPLITS, found.patients, strict=True)
    ]
    out = []
    for key, counts in expected.items():
        if len(counts) != len(said.get(key, ())):
            raise DataError(
                f"the expected counts {key!r}: {list(counts)} fit nothing in a data set of "
                f"{', '.join(classes)}; expected one of {', '.join(said)}, with a count each."
            )
        out += [
            f"{words}, expected {there:,} ({here - there:+,})."
            for (words, here), there in zip(said[key], counts, strict=True)
            if here != there
        ]
    return out


def _changed(data: Splits, store: Store | None, source: str, progress: bool) -> list[str]:
    """Files whose SHA-256 is not that of the manifest, or that cannot be read any more."""
    from tqdm.auto import tqdm

    if data.folder is None or not (data.folder / MANIFEST).is_file():
        raise DataError(f"{data.name} has no {MANIFEST}: it was drawn, there are no files to read.")
    store = store or open_store(source)
    with (data.folder / MANIFEST).open(encoding="utf-8", newline="") as file:
        rows = [(row["source"], row["sha256"]) for row in csv.DictReader(file)]
    changed, gone = [], []
    for name, expected in tqdm(rows, "comparing", disable=hides_bar(progress)):
        try:
            found = hashlib.sha256(store.read(name)).hexdigest()
        except DataError:
            gone.append(name)
            continue
        if found != expected:
            changed.append(name)
    return [
        f"{len(names)} of {len(rows)} files {what}: {', '.join(names[:NAMED])}"
        f"{' ...' if len(names) > NAMED else '.'}"
        for names, what in ((changed, "have changed since"), (gone, "cannot be read any more"))
        if names
    ]
