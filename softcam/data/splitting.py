"""Train, validation and test: no patient in two of them, every class in each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from softcam.common import DataError, rng
from softcam.data.records import SPLITS

__all__ = ["FRACTIONS", "Labelling", "check_splits", "crossings", "grouped_split"]

FRACTIONS = (0.7, 0.15, 0.15)
STREAM = 0x5117  # keeps these draws apart from others made with the same seed

# One class an image, or one 0 or 1 a finding.
Labelling = Sequence[int] | Sequence[tuple[int, ...]]


def grouped_split(
    labels: Labelling,
    groups: Sequence[str],
    *,
    seed: int = 0,
    fractions: tuple[float, float, float] = FRACTIONS,
) -> list[str]:
    """Assign every item to `train`, `val` or `test`; items of one group stay together.

    Groups come in random order, the large ones first, and each goes where its classes are
    missing most, relative to the share that the split should have. The result depends on labels,
    groups and seed, not on the order of the items.

    Args:
        labels: N class indices; or N rows of one 0 or 1 a finding, and then every finding is
            spread like a class, and so are the images with none.
        groups: (N,) group names, such as patients.
        seed: of the random order.
        fractions: wanted shares of train, val and test; they add up to 1.

    Returns:
        N split names.
    """
    names = sorted(set(groups))
    position = {name: row for row, name in enumerate(names)}
    members = _members(labels)
    counts = np.zeros((len(names), members.shape[1]))
    rows = np.array([position[group] for group in groups], dtype=np.int64)
    np.add.at(counts, rows, members)
    total = counts.sum(0)
    share = counts[:, total > 0] / total[total > 0]  # each class weighs the same
    missing = np.outer(fractions, np.ones(share.shape[1]))
    size = np.bincount(rows, minlength=len(names))
    order = rng(seed, STREAM).permutation(len(names))
    order = order[np.argsort(-size[order], kind="stable")]
    chosen = np.zeros(len(names), dtype=int)
    wanted = np.array(fractions)
    for row in order:
        # the drop of sum((missing - share)^2) / wanted, the chi-squared distance to the goal
        before, after = (missing**2).sum(1), ((missing - share[row]) ** 2).sum(1)
        chosen[row] = int(np.argmax((before - after) / wanted))
        missing[chosen[row]] -= share[row]
    return [SPLITS[chosen[row]] for row in rows]


def _members(labels: Labelling) -> np.ndarray:
    """(N, classes) 0 and 1; of findings one column more, of the images that show none."""
    table = np.asarray(labels, dtype=np.int64)
    if table.ndim == 1:
        return np.eye(int(table.max()) + 1, dtype=np.int64)[table]
    return np.hstack([table, (table.sum(1, keepdims=True) == 0).astype(np.int64)])


def crossings(groups: Sequence[str], splits: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The groups (patients) that are in several splits, and in which; empty is the proof."""
    first: dict[str, str] = {}
    found: dict[str, set[str]] = {}
    for group, split in zip(groups, splits, strict=True):
        other = first.setdefault(group, split)
        if other != split:
            found.setdefault(group, {other}).add(split)
    return {group: tuple(s for s in SPLITS if s in found[group]) for group in found}


def check_splits(
    place: str, splits: Sequence[str], labels: Labelling, classes: Sequence[str]
) -> list[str]:
    """Raise where a split is empty or the training split lacks a class.

    Args:
        place: where the splits are written, for messages.
        splits: N split names.
        labels: as in `grouped_split`.
        classes: the class names.

    Returns:
        Notes on classes that validation or test lack: measures that need them are undefined.
    """
    table, where = np.asarray(labels, dtype=np.int64), np.asarray(splits)
    notes = []
    for split in SPLITS:
        own = table[where == split]
        if not len(own):
            mend = " Where no split is given, three patients or more are needed to draw one."
            raise DataError(
                f"{place}: no image is left for {split!r}, expected at least one.{mend}"
            )
        # of a class: its images; of a finding: those with it and those without it
        several = own.ndim == 2
        seen = own.any(0) if several else np.bincount(own, minlength=len(classes)) > 0
        lacking = [name for name, there in zip(classes, seen, strict=True) if not there]
        whole = own.all(0) if several else np.zeros(len(classes), bool)
        always = [name for name, there in zip(classes, whole, strict=True) if there]
        for names, words in ((lacking, "no image of class"), (always, "no image without")):
            if names and split == "train":
                raise DataError(f"{place}: 'train' has {words} {', '.join(names)}.")
            if names:
                notes.append(f"split {split!r} has {words} {', '.join(names)}.")
    return notes
