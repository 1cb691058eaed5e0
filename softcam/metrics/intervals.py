"""How sure is a value? Bootstrap intervals over images or patients, paired differences, seeds.

All intervals are 95 % percentile intervals unless told otherwise. Images are drawn with
replacement; where they belong together (one patient), the groups are drawn. A value that cannot
have an interval gets NaN and a reason, never an error.

Source: Efron and Tibshirani, An introduction to the bootstrap, 1993.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from softcam.common import SoftCAMError, rng
from softcam.metrics.records import Ratios, divide

__all__ = [
    "Interval",
    "bootstrap_ratio",
    "bootstrap_statistic",
    "paired_difference",
    "paired_statistic",
]

STREAM = 0x424F4F54  # keeps these draws apart from others with the same seed
BLOCK = 4_000_000  # weights held at a time (32 MB)
HELD = 30_000  # the same where a statistic makes arrays of their size: they stay in the cache


@dataclass(frozen=True)
class Interval:
    """A value and its interval; unpacks as `value, low, high`.

    Attributes:
        value, low, high: one number a step, (S,), or 0-dimensional for a single statistic.
        kind: how the interval was made, for tables.
        reason: why a bound is NaN, or without width; empty if neither.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    kind: str
    reason: str = ""

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.value, self.low, self.high))


def bootstrap_ratio(
    ratios: Ratios,
    n_boot: int = 1000,
    seed: int = 0,
    groups: Sequence[Any] | np.ndarray | None = None,
    level: float = 0.95,
) -> Interval:
    """Interval of a measure, all its steps at once.

    Args:
        ratios: the measure image by image.
        n_boot: how often the images are drawn.
        seed: of the draws; the same seed draws the same images for every step.
        groups: (B,) what belongs together (patients); None takes each image by itself.
        level: of the interval.
    """
    sums = np.stack([ratios.numerator, ratios.denominator])  # (2, B, S)

    def statistic(total: np.ndarray) -> np.ndarray:
        return divide(total[0], total[1])

    return _bootstrap_sums(sums, statistic, ratios.denominator > 0, n_boot, seed, groups, level)


def paired_difference(
    a: Ratios,
    b: Ratios,
    n_boot: int = 1000,
    seed: int = 0,
    groups: Sequence[Any] | np.ndarray | None = None,
    level: float = 0.95,
) -> Interval:
    """Interval of a - b, measured on the same images, over those for which both are defined."""
    if a.numerator.shape != b.numerator.shape:
        raise SoftCAMError(
            f"a paired difference needs the same images and steps, found {a.numerator.shape} "
            f"and {b.numerator.shape}."
        )
    both = (a.denominator > 0) & (b.denominator > 0)
    sums = np.stack([a.numerator, a.denominator, b.numerator, b.denominator]) * both

    def statistic(total: np.ndarray) -> np.ndarray:
        return divide(total[0], total[1]) - divide(total[2], total[3])

    return _bootstrap_sums(sums, statistic, both, n_boot, seed, groups, level)


def bootstrap_statistic(
    statistic: Callable[..., Any],
    *arrays: Any,
    n_boot: int = 1000,
    seed: int = 0,
    groups: Sequence[Any] | np.ndarray | None = None,
    level: float = 0.95,
    weighted: bool = False,
) -> Interval:
    """Interval of any statistic of images, such as the AUC: `bootstrap_statistic(auc, y, z)`.

    Args:
        statistic: takes the arrays, returns a number; NaN where it is undefined.
        *arrays: one row an image each.
        weighted: whether `statistic` also takes the keyword `weights`, (R, rows) float64 of whole
            numbers, how often each row is in each of R draws, and then returns (R,). The same
            draws and the same interval, without a call a draw.
    """
    if not weighted:
        return paired_statistic(
            statistic, arrays, None, n_boot=n_boot, seed=seed, groups=groups, level=level
        )
    rows = [np.asarray(each) for each in arrays]
    members = members_of(_rows_of(rows), groups)
    point = float(statistic(*rows)) if members else float("nan")
    draws = np.empty(n_boot if len(members) > 1 else 0)
    for part, weights in _drawn_weights(members, len(draws), seed):
        draws[part] = statistic(*rows, weights=weights)
    n = np.array([len(members)])
    return percentiles(np.array(point), draws, n, kind_of(groups), level)


def paired_statistic(
    statistic: Callable[..., float],
    first: Sequence[Any],
    second: Sequence[Any] | None,
    *,
    n_boot: int = 1000,
    seed: int = 0,
    groups: Sequence[Any] | np.ndarray | None = None,
    level: float = 0.95,
) -> Interval:
    """Interval of statistic(*first) - statistic(*second), on the same images in every draw.

    `paired_statistic(auc, (labels, logits_a), (labels, logits_b))`.
    """
    sides = [[np.asarray(each) for each in side] for side in (first, second) if side is not None]
    members = members_of(_rows_of([each for side in sides for each in side]), groups)

    def value(rows: np.ndarray | slice) -> float:
        found = [float(statistic(*(each[rows] for each in side))) for side in sides]
        return found[0] - found[1] if len(found) == 2 else found[0]

    drawing = rng(seed, STREAM)
    point = value(slice(None)) if members else float("nan")
    draws = []
    for _ in range(n_boot if len(members) > 1 else 0):
        chosen = drawing.integers(len(members), size=len(members))
        rows = chosen if groups is None else np.concatenate([members[i] for i in chosen])
        draws.append(value(rows))
    n = np.array([len(members)])
    return percentiles(np.array(point), np.array(draws), n, kind_of(groups), level)


def _rows_of(arrays: Sequence[np.ndarray]) -> int:
    lengths = {len(each) for each in arrays}
    if len(lengths) != 1:
        raise SoftCAMError(f"expected one row an image in every array, found {sorted(lengths)}.")
    return lengths.pop()


def _drawn_weights(
    members: Sequence[np.ndarray], n_boot: int, seed: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """The draws of `paired_statistic`, some at a time: how often each row is in each, (R, n)."""
    place = np.empty(sum(len(rows) for rows in members), int)  # the group of each row
    for index, rows in enumerate(members):
        place[rows] = index
    drawing = rng(seed, STREAM)
    block = max(1, HELD // max(1, len(place)))
    for start in range(0, n_boot, block):
        size = min(block, n_boot - start)
        chosen = drawing.integers(len(members), size=(size, len(members)))
        chosen += len(members) * np.arange(size)[:, None]
        times = np.bincount(chosen.ravel(), minlength=chosen.size).reshape(chosen.shape)
        yield slice(start, start + size), times[:, place].astype(np.float64)


def _bootstrap_sums(
    sums: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    defined: np.ndarray,
    n_boot: int,
    seed: int,
    groups: Sequence[Any] | np.ndarray | None,
    level: float,
) -> Interval:
    """Bootstrap of a statistic of column sums: (K, B, S) to one number a step.

    A draw of images is a row of multinomial counts, so all draws are one matrix product.
    """
    columns, images, steps = sums.shape
    rows = np.asarray(defined.any(1))  # the others add nothing, whichever are drawn
    members = members_of(images, groups, rows)
    total = statistic(sums.sum(1))
    n = np.zeros(steps, int)
    grouped = np.zeros((columns, len(members), steps))
    for index, member in enumerate(members):
        grouped[:, index] = sums[:, member].sum(1)
        n += defined[member].any(0)
    draws = np.empty((n_boot, steps))
    for part, counts in _counts(len(members), n_boot, seed) if len(members) > 1 else ():
        draws[part] = statistic(counts @ grouped)
    return percentiles(total, draws, n, kind_of(groups), level)


def _counts(members: int, n_boot: int, seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    """How often each of `members` is in each draw, some draws at a time, (R, members)."""
    if members * n_boot <= BLOCK:  # measure after measure on the same images: the same draws
        yield slice(n_boot), _all_counts(members, n_boot, seed)
        return
    drawing, block = rng(seed, STREAM), max(1, BLOCK // members)
    for start in range(0, n_boot, block):
        size = min(block, n_boot - start)
        yield slice(start, start + size), _drawn_counts(drawing, members, size)


@lru_cache(maxsize=2)
def _all_counts(members: int, n_boot: int, seed: int) -> np.ndarray:
    return _drawn_counts(rng(seed, STREAM), members, n_boot)


def _drawn_counts(drawing: np.random.Generator, members: int, size: int) -> np.ndarray:
    chances = np.full(members, 1 / members)
    return drawing.multinomial(members, chances, size=size).astype(np.float64)


def percentiles(
    value: np.ndarray, draws: np.ndarray, n: np.ndarray, kind: str, level: float
) -> Interval:
    """Percentiles of the draws (R, ...) that are defined, and what is to be said about them."""
    low, high = np.full(value.shape, np.nan), np.full(value.shape, np.nan)
    reasons = []
    if (n == 0).any():
        reasons.append("no image has a value")
    if (n == 1).any():
        reasons.append("a single image or group has no interval")
    enough = (n > 1) & ~np.isnan(value)
    if draws.size and enough.any():
        flat = draws.reshape(len(draws), -1)
        undefined = np.isnan(flat[:, enough]).any(1).sum()
        if undefined:
            reasons.append(f"{undefined} of {len(draws)} draws undefined and left out")
        tails = [50 * (1 - level), 50 * (1 + level)]
        bounds = np.full((2, flat.shape[1]), np.nan)
        kept = enough & ~np.isnan(flat).all(0)
        bounds[:, kept] = np.nanpercentile(flat[:, kept], tails, axis=0)
        low, high = bounds[0].reshape(value.shape), bounds[1].reshape(value.shape)
        if (low == high).any():
            reasons.append("no width: every draw gives the same value")
    elif (n > 1).any():
        reasons.append("the value itself is undefined")
    return Interval(value, low, high, kind, "; ".join(reasons))


def kind_of(groups: Sequence[Any] | np.ndarray | None) -> str:
    """What was drawn, for the column `ci_kind`: groups such as patients, or single images."""
    return "bootstrap over images" if groups is None else "bootstrap over groups"


def members_of(
    images: int, groups: Sequence[Any] | np.ndarray | None, rows: np.ndarray | None = None
) -> list[np.ndarray]:
    """The image indices of each group, without those not in `rows`."""
    kept = np.arange(images) if rows is None else np.flatnonzero(rows)
    if groups is None:
        return list(kept[:, None])
    if len(groups) != images:
        raise SoftCAMError(f"expected one group an image, found {len(groups)} for {images} images.")
    _, index = np.unique(np.asarray(groups)[kept], return_inverse=True)
    order = np.argsort(index, kind="stable")
    return np.split(kept[order], np.cumsum(np.bincount(index))[:-1]) if len(kept) else []
