"""Train, validation and test: no patient in two of them, every class in each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from softcam.common import rng
from softcam.data.records import SPLITS

__all__ = ["FRACTIONS", "grouped_split"]

FRACTIONS = (0.7, 0.15, 0.15)
STREAM = 0x5117  # keeps these draws apart from others made with the same seed


def grouped_split(
    labels: Sequence[int],
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
        labels: (N,) class indices.
        groups: (N,) group names, such as patients.
        seed: of the random order.
        fractions: wanted shares of train, val and test; they add up to 1.

    Returns:
        N split names.
    """
    names = sorted(set(groups))
    position = {name: row for row, name in enumerate(names)}
    counts = np.zeros((len(names), max(labels) + 1))
    for label, group in zip(labels, groups, strict=True):
        counts[position[group], label] += 1
    total = counts.sum(0)
    share = counts[:, total > 0] / total[total > 0]  # each class weighs the same
    missing = np.outer(fractions, np.ones(share.shape[1]))
    order = rng(seed, STREAM).permutation(len(names))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    chosen = np.zeros(len(names), dtype=int)
    wanted = np.array(fractions)
    for row in order:
        # the drop of sum((missing - share)^2) / wanted, the chi-squared distance to the goal
        before, after = (missing**2).sum(1), ((missing - share[row]) ** 2).sum(1)
        chosen[row] = int(np.argmax((before - after) / wanted))
        missing[chosen[row]] -= share[row]
    return [SPLITS[chosen[position[group]]] for group in groups]
