"""Statistics of pairs in many draws at once: a draw is how often each pair is in it.

A bootstrap asks a statistic a thousand times about the same pairs. With the draws as rows of
weights (R, n), whole numbers, it is asked once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, cast, overload

import numpy as np

from softcam.common import SoftCAMError
from softcam.metrics.records import divide

__all__ = ["PairSums", "PairStatistic", "correlation", "mean_ranks", "of_pairs", "sums_of_pairs"]

OWN = ("__module__", "__name__", "__qualname__", "__doc__")


class PairStatistic(Protocol):
    """A statistic of pairs, (M,) each: one number, or (R,) of the draws in `weights` (R, M)."""

    @overload
    def __call__(self, evidence: np.ndarray, effect: np.ndarray) -> float: ...
    @overload
    def __call__(
        self, evidence: np.ndarray, effect: np.ndarray, weights: np.ndarray
    ) -> np.ndarray: ...


def of_pairs(function: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> PairStatistic:
    """A statistic of finite pairs (n,) in each of R draws, weights (R, n), for any pairs."""

    def statistic(
        evidence: np.ndarray, effect: np.ndarray, weights: np.ndarray | None = None
    ) -> float | np.ndarray:
        pairs, finite = _pairs(evidence, effect)
        times = np.ones((1, len(finite))) if weights is None else np.asarray(weights, np.float64)
        if times.ndim != 2 or times.shape[1] != len(finite):
            raise SoftCAMError(
                f"expected weights (R, {len(finite)}), one a draw and part, found {times.shape}."
            )
        if not finite.all():
            pairs, times = pairs[:, finite], times[:, finite]
        found = function(pairs[0], pairs[1], times)
        return float(found[0]) if weights is None else found

    for name in OWN:  # not its arguments, so no `functools.wraps`
        setattr(statistic, name, getattr(function, name))
    return cast(PairStatistic, statistic)


def _pairs(evidence: np.ndarray, effect: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (2, M) float64, and which of them are finite."""
    x, y = np.asarray(evidence, np.float64), np.asarray(effect, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise SoftCAMError(
            f"expected evidence and effect (M,), one number a part, found {x.shape} and {y.shape}."
        )
    both = np.stack([x, y])
    return both, np.asarray(np.isfinite(both).all(0))


class PairSums(NamedTuple):
    """Sums over the pairs of each draw, (R,) each; NaN where all its x, or all its y, are equal.

    Attributes:
        xx, xy, yy: of products of x and y minus their means in the draw.
        shift: the mean of x minus the mean of y.
    """

    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray
    shift: np.ndarray


def sums_of_pairs(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> PairSums:
    """The sums of x and y, (n,) or (R, n), under weights (R, n)."""
    varied = _varied(x, weights) & _varied(y, weights)
    total = np.where(varied, weights.sum(1), np.nan)
    mean_x, mean_y = ((weights * each).sum(1) / total for each in (x, y))
    # Products of distances, not differences of sums: those would lose what outliers leave.
    x, y = x - mean_x[:, None], y - mean_y[:, None]
    weighted = weights * x
    xx, xy = np.einsum("rn,rn->r", weighted, x), np.einsum("rn,rn->r", weighted, y)
    return PairSums(xx, xy, np.einsum("rn,rn->r", weights * y, y), mean_x - mean_y)


def _varied(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(R,): whether a draw holds two different values; exact, unlike a variance above 0."""
    if not weights.shape[1]:
        return np.zeros(len(weights), bool)
    one = weights.argmax(1)[:, None]  # a pair that is in the draw, if any is
    values = np.broadcast_to(values, weights.shape)
    other = values != np.take_along_axis(values, one, 1)
    return np.asarray((other & (weights > 0)).any(1))


def correlation(sums: PairSums) -> np.ndarray:
    """(R,): Pearson's, in [-1, 1]; NaN where it is undefined."""
    return np.clip(divide(sums.xy, np.sqrt(sums.xx * sums.yy)), -1, 1)


def mean_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(R, n): ranks from 1 in each draw; equal values share the mean of theirs."""
    distinct, inverse = np.unique(values, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.searchsorted(inverse[order], np.arange(len(distinct)))
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    return np.asarray((np.cumsum(counts, 1) - (counts - 1) / 2)[:, inverse])
