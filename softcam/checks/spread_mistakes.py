"""What often goes wrong in assignment 3 with maps of one logit: how small, how concentrated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from softcam.checks.comparing import Unfit
from softcam.checks.records import Mistake

__all__ = ["BY_HAND", "SMALLEST", "SPREAD", "examine", "five_numbers", "spike"]


def _l1(a: np.ndarray) -> np.ndarray:
    """Of each map, (B, C)."""
    return np.asarray(np.abs(a).sum((2, 3)))


def _l2(a: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((a**2).sum((2, 3))))


def _cells(a: np.ndarray) -> int:
    return int(a[0, 0].size)


SIGN = "a map of one sign has L1 = h * w * |logit|. Could cancelling cells make it smaller?"

SMALLEST = (
    Mistake(
        "abs-too-early",
        "You return the L1 of the maps as they are; there are cheaper maps with the same logits.",
        SIGN,
        lambda a: _l1(a).sum(1),
    ),
    Mistake(
        "cells-forgotten",
        "You add up |logit|; how many cells must share it?",
        SIGN,
        lambda a: np.abs(a.mean((2, 3))).sum(1),
    ),
    Mistake(
        "abs-forgotten",
        "You forget the absolute value: negative logits make your L1 smaller than nothing.",
        SIGN,
        lambda a: a.sum((1, 2, 3)),
    ),
    Mistake(
        "classes-cancel",
        "You add the classes up before you take the absolute value: each class has its own logit.",
        "two maps with the logits 1 and -1: can both be empty?",
        lambda a: np.abs(a.sum((1, 2, 3))),
    ),
    Mistake(
        "mean-over-classes",
        "You take the mean over the classes; their sums are added.",
        "the L1 of an image runs over all of its maps.",
        lambda a: np.abs(a.sum((2, 3))).mean(1),
    ),
    Mistake(
        "classes-kept",
        "You return one number for each class; the sum over the classes is asked for.",
        "the L1 of an image runs over all of its maps.",
        lambda a: np.abs(a.sum((2, 3))),
    ),
    Mistake(
        "batch-mean",
        "You return one number for the batch; one for each image is asked for.",
        "(B,): nothing is averaged over images.",
        lambda a: np.abs(a.sum((2, 3))).sum(1).mean(),
    ),
)

NORMS = "L1 is a sum, L2 the root of a sum of squares; both run over the cells of one map."

SPREAD = (
    Mistake(
        "sparseness",
        "You return one minus the spread: 1 for a spike, 0 for a flat map.",
        "Hoyer's own sparseness runs the other way round.",
        lambda a: np.where(_l2(a) == 0, 1, 1 - _spread(a)),
    ),
    Mistake(
        "sparseness",
        "You return one minus the spread: 1 for a spike, 0 for a flat map.",
        "Hoyer's own sparseness runs the other way round.",
        lambda a: 1 - _spread(a),
    ),
    Mistake(
        "not-normalised",
        "You return the ratio of the norms; it should be brought to the range from 0 to 1.",
        "the ratio is 1 for a spike and sqrt(n) for a flat map.",
        lambda a: np.where(_l2(a) == 0, 0, _l1(a) / _l2(a)),
    ),
    Mistake(
        "not-normalised",
        "You return the ratio of the norms; it should be brought to the range from 0 to 1.",
        "the ratio is 1 for a spike and sqrt(n) for a flat map.",
        lambda a: _l1(a) / _l2(a),
    ),
    Mistake(
        "abs-forgotten",
        "You forget the absolute value in L1: positive and negative cells cancel.",
        NORMS,
        lambda a: _ratio(a.sum((2, 3)), a),
    ),
    Mistake(
        "squared-norm",
        "You divide by the sum of squares; L2 is its root. Multiply a map by ten and look.",
        NORMS,
        lambda a: np.where(
            _l2(a) == 0, 0, (_l1(a) / (a**2).sum((2, 3)) - 1) / (math.sqrt(_cells(a)) - 1)
        ),
    ),
    Mistake(
        "classes-together",
        "You take the norms over all classes of an image; each map has its own.",
        NORMS,
        lambda a: np.repeat(_spread(a.reshape(len(a), 1, 1, -1)), a.shape[1], 1),
    ),
    Mistake(
        "wrong-n",
        "You take another n than the number of cells of one map.",
        "n = h * w: neither batch nor classes, and not one side alone.",
        lambda a: _ratio(_l1(a), a, a[0].size),
    ),
    Mistake(
        "wrong-n",
        "You take another n than the number of cells of one map.",
        "n = h * w: neither batch nor classes, and not one side alone.",
        lambda a: _ratio(_l1(a), a, a.shape[3]),
    ),
    Mistake(
        "root-forgotten",
        "You divide by n - 1; it should be sqrt(n) - 1.",
        "which ratio does a flat map have?",
        lambda a: np.where(_l2(a) == 0, 0, (_l1(a) / _l2(a) - 1) / (_cells(a) - 1)),
    ),
    Mistake(
        "nan-at-zero",
        "On a map of zeros you divide by zero.",
        "a map of zeros is to have the spread 0.",
        lambda a: (_l1(a) / _l2(a) - 1) / (math.sqrt(_cells(a)) - 1),
    ),
    Mistake(
        "zero-map",
        "A map of zeros is to have the spread 0; yours has another.",
        "an epsilon below the bar does not decide what 0 / 0 is to be.",
        lambda a: (_l1(a) / np.maximum(_l2(a), 1e-30) - 1) / (math.sqrt(_cells(a)) - 1),
    ),
)


def _ratio(l1: np.ndarray, a: np.ndarray, n: int | None = None) -> np.ndarray:
    value = (l1 / _l2(a) - 1) / (math.sqrt(n or _cells(a)) - 1)
    return np.where(_l2(a) == 0, 0, value)


def _spread(a: np.ndarray) -> np.ndarray:
    return _ratio(_l1(a), a)


def spike(total: float, height: int, width: int) -> np.ndarray:
    """(h, w): everything in the first cell."""
    found = np.zeros((height, width))
    found[0, 0] = total
    return found


def examine(dense: Tensor, sparse: Tensor, logit: float) -> None:
    """Whether the two maps are what was asked for, most telling fault first.

    Raises:
        Unfit: what is wrong with them.
    """
    spikes = [int((each.abs() > 1e-9).sum()) for each in (dense, sparse)]
    cells, size = dense.numel(), abs(logit) * dense.numel()
    if spikes == [1, cells] and cells > 1:
        raise Unfit("order-swapped", "You return (sparse, dense), expected (dense, sparse).")
    if spikes[1] != 1:
        words = f"The sparse map has {spikes[1]} cells that are not 0, expected one."
        raise Unfit("not-sparse", words)
    if float(dense.max() - dense.min()) > 1e-6 * abs(logit):
        raise Unfit("not-dense", "The dense map is not the same in every cell.")
    for name, each in (("dense", dense), ("sparse", sparse)):
        if abs(float(each.sum()) + logit * cells) < 1e-4 * size:
            words = f"The {name} map has the logit {-logit:g}, expected {logit:g}."
            raise Unfit("sign-lost", words)
        if abs(float(each.sum()) - logit) < 1e-4 * abs(logit):
            words = f"The {name} map has the sum {logit:g}; it is the mean that is to be {logit:g}."
            raise Unfit("sum-for-mean", words)
        if abs(float(each.mean()) - logit) > 1e-4 * abs(logit):
            words = f"The {name} map has the logit {float(each.mean()):.4g}, expected {logit:g}."
            raise Unfit("other-logit", words)


def five_numbers(cells: np.ndarray, **other: float) -> dict[str, Any]:
    """The answers of `penalty_by_hand`."""
    l1, l2 = float(np.abs(cells).sum()), math.sqrt(float((cells**2).sum()))
    spread = (l1 / l2 - 1) / (math.sqrt(cells.size) - 1)
    logit = float(cells.mean())
    least = abs(float(cells.sum()))
    right = {"l1": l1, "l2": l2, "logit": logit, "smallest_l1": least, "spread": spread}
    return {**right, **other}


BY_HAND = (
    Mistake(
        "abs-forgotten",
        "Your L1 adds the cells with their signs.",
        "L1 is the sum of the absolute values.",
        lambda map: five_numbers(map, l1=float(map.sum())),
    ),
    Mistake(
        "squared-norm",
        "Your L2 is the sum of squares; it is its root.",
        NORMS,
        lambda map: five_numbers(map, l2=float((map**2).sum())),
    ),
    Mistake(
        "sum-for-mean",
        "Your logit is the sum of the cells; it is their mean.",
        "there are 4 cells.",
        lambda map: five_numbers(map, logit=float(map.sum())),
    ),
    Mistake(
        "abs-too-early",
        "Your smallest L1 is the L1 of this map; a map without cancellation is cheaper.",
        SIGN,
        lambda map: five_numbers(map, smallest_l1=float(np.abs(map).sum())),
    ),
    Mistake(
        "cells-forgotten",
        "Your smallest L1 is |logit|; four cells must share a sum.",
        SIGN,
        lambda map: five_numbers(map, smallest_l1=abs(float(map.mean()))),
    ),
    Mistake(
        "sparseness",
        "Your spread is one minus the right one.",
        "0 is a spike, 1 a flat map.",
        lambda map: five_numbers(map, spread=1 - five_numbers(map)["spread"]),
    ),
    Mistake(
        "not-normalised",
        "Your spread is the ratio of the norms; bring it to the range from 0 to 1.",
        "(L1 / L2 - 1) / (sqrt(n) - 1), n = 4.",
        lambda map: five_numbers(map, spread=1 + five_numbers(map)["spread"]),
    ),
)
