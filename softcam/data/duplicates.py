"""Images that a data set holds twice, and patients that are in several splits or classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from softcam.data.hashing import alike_pairs
from softcam.data.splitting import crossings

__all__ = ["Duplicates", "Pair", "Patients", "count_patients", "find_duplicates"]

UNKNOWN = "unknown:"  # begins the group of an image that names no patient
LIMIT = 10_000  # pairs; with more of them the images are too alike to say anything


@dataclass(frozen=True)
class Pair:
    """Two images that are the same or nearly so.

    Attributes:
        ids, splits: of the two.
        same_label: whether they have the same label.
        same_patient: whether they are known to be of one patient.
        exact: every pixel of the prepared images is the same.
        likeness: correlation of their details, see `hashing`.
    """

    ids: tuple[str, str]
    splits: tuple[str, str]
    same_label: bool
    same_patient: bool
    exact: bool
    likeness: float

    @property
    def across(self) -> bool:
        """Whether they are in different splits."""
        return self.splits[0] != self.splits[1]


@dataclass(frozen=True)
class Duplicates:
    """All pairs, those across splits first; `complete` is false where the search was given up."""

    pairs: tuple[Pair, ...]
    complete: bool

    def count(self, *, across: bool | None = None, same_label: bool | None = None) -> int:
        """How many pairs there are of a kind; None takes both."""
        return sum(
            across in (None, pair.across) and same_label in (None, pair.same_label)
            for pair in self.pairs
        )


@dataclass(frozen=True)
class Patients:
    """Whose images they are.

    Attributes:
        known: patients with a name.
        unknown: images without one; each is taken for a patient of its own.
        crossing: patients with images in several splits.
        mixed: patients with images of several labels.
    """

    known: int
    unknown: int
    crossing: tuple[str, ...]
    mixed: tuple[str, ...]


def find_duplicates(
    thumbs: np.ndarray,
    digests: Sequence[bytes],
    ids: Sequence[str],
    splits: Sequence[str],
    labels: Sequence[object],
    patients: Sequence[str],
    progress: bool = False,
) -> Duplicates:
    """Exact and near duplicates among all images, whatever split they are in.

    Args:
        thumbs: (N, 32, 32) uint8, see `hashing.thumbnails`.
        digests: of the pixels of each image.
        ids, splits, labels, patients: of each image.
        progress: show a bar.
    """
    found: dict[tuple[int, int], float] = {}
    for pair in _copies(digests):
        if len(found) >= LIMIT:
            break
        found[pair] = 1.0
    near, likeness = alike_pairs(thumbs, limit=LIMIT, progress=progress)
    for (a, b), value in zip(near.tolist(), likeness.tolist(), strict=True):
        found.setdefault((a, b), value)
    pairs = [
        Pair(
            (ids[a], ids[b]),
            (splits[a], splits[b]),
            labels[a] == labels[b],
            patients[a] == patients[b],
            digests[a] == digests[b],
            round(value, 4),
        )
        for (a, b), value in sorted(found.items())[:LIMIT]
    ]
    pairs.sort(key=lambda pair: (not pair.across, pair.same_label, -pair.likeness))
    return Duplicates(tuple(pairs), len(found) < LIMIT)


def _copies(digests: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Pairs of images whose pixels are the same; flat ones too, which have no hash."""
    groups: dict[bytes, list[int]] = {}
    for place, digest in enumerate(digests):
        groups.setdefault(digest, []).append(place)
    for places in groups.values():
        yield from combinations(places, 2)


def count_patients(
    patients: Sequence[str], splits: Sequence[str], labels: Sequence[object]
) -> Patients:
    """Who has images in several splits, or of several labels."""
    named = {name for name in patients if not name.startswith(UNKNOWN)}
    seen: dict[str, set[object]] = {}
    for name, label in zip(patients, labels, strict=True):
        seen.setdefault(name, set()).add(label)
    return Patients(
        len(named),
        sum(name not in named for name in patients),
        tuple(sorted(crossings(patients, splits))),
        tuple(sorted(name for name in named if len(seen[name]) > 1)),
    )
