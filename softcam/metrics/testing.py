"""Could a difference be chance? Paired permutation tests, and Holm's correction for many of them.

If two methods are equally good, the two values of an image could as well have come the other way
round. So they are swapped at random, numerator and denominator together, and the difference is
counted that is at least as large as the one observed. Nothing is assumed about the distribution.

Sources: Fisher, The design of experiments, 1935; Phipson and Smyth, Permutation p-values should
never be zero, 2010; Holm, Scandinavian Journal of Statistics 1979.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from softcam.common import SoftCAMError, rng
from softcam.metrics import intervals
from softcam.metrics.hierarchical import Groups, grouped_sums, paired_seeds
from softcam.metrics.intervals import members_of
from softcam.metrics.records import Ratios, divide

__all__ = ["Permutation", "holm", "paired_permutation", "paired_permutation_statistic"]

STREAM = 0x5045524D  # keeps these draws apart from others with the same seed
TIE = 1e-12  # relative: sums in another order differ by rounding


@dataclass(frozen=True)
class Permutation:
    """A two-sided p-value.

    Attributes:
        p: one number a step, (S,), or 0-dimensional for a single statistic; NaN where there is
            nothing to swap.
        n: how many images or groups have both values, like `p`; over seeds their sum.
        kind: how it was made.
        reason: why a p-value is NaN; empty if none is.
    """

    p: np.ndarray
    n: np.ndarray
    kind: str
    reason: str = ""


def paired_permutation(
    a: Ratios | Sequence[Ratios],
    b: Ratios | Sequence[Ratios],
    n_draws: int = 10_000,
    seed: int = 0,
    groups: Groups = None,
    *,
    crossed: bool = False,
) -> Permutation:
    """Test of a against b on the same images; the statistic is the difference of the values.

    Args:
        a, b: measured on the same images; over several seeds one `Ratios` a seed, and the
            statistic is the mean over seeds of the differences. Images that are undefined for
            one of the two are left out.
        n_draws: how often values are swapped at random; if all 2^n swaps of n images (groups)
            are no more than that, each is taken once and p is exact. Else
            p = (1 + count) / (1 + n_draws), which is never 0.
        seed: of the swaps.
        groups: (B,) what belongs together (patients), and so is swapped together; for several
            nested seeds one sequence a seed.
        crossed: for several seeds: whether row i is the same image in every seed, and is
            swapped in all of them together.

    Over seeds, too, images alone are swapped: the test is about these trained networks, and
    says nothing of how another seed would turn out.
    """
    first, second = ([side] if isinstance(side, Ratios) else list(side) for side in (a, b))
    sums, defined = [], []
    for x, y in paired_seeds(first, second):
        both = (x.denominator > 0) & (y.denominator > 0)
        sums.append(np.stack([x.numerator, x.denominator, y.numerator, y.denominator]) * both)
        defined.append(both)
    by_seed = [groups] if isinstance(a, Ratios) and groups is not None else groups
    grouped, counts = grouped_sums(sums, defined, groups if crossed else by_seed, crossed)
    sizes = [each.shape[1] for each in grouped]
    total = sizes[0] if crossed else sum(sizes)
    observed, scale = _difference([each.sum(1)[:, None] for each in grouped])
    count, done = np.zeros(observed.shape[1]), 0
    for bits in _swaps(total, n_draws, seed):
        parts = [bits] * len(sizes) if crossed else np.split(bits, np.cumsum(sizes)[:-1], axis=1)
        found, _ = _difference(
            [_swapped(each, own) for each, own in zip(grouped, parts, strict=True)]
        )
        count += (np.abs(found) >= np.abs(observed) - TIE * scale).sum(0)
        done += len(bits)
    undefined = np.isnan(observed[0])
    exact = _is_exact(total, n_draws)
    p = np.where(undefined, np.nan, count / done if exact else (1 + count) / (1 + done))
    reason = "no image has both values" if undefined.any() else ""
    n = (np.max if crossed else np.sum)(counts, axis=0)
    return Permutation(p, n, _kind(exact, done, groups), reason)


def paired_permutation_statistic(
    statistic: Callable[..., float],
    first: Sequence[Any],
    second: Sequence[Any],
    *,
    n_draws: int = 10_000,
    seed: int = 0,
    groups: Sequence[Any] | np.ndarray | None = None,
) -> Permutation:
    """Test of statistic(*first) - statistic(*second), swapping the rows of images.

    `paired_permutation_statistic(auc, (labels, scores_a), (labels, scores_b))`. For a statistic
    of order, such as the AUC, give ranks instead of scores: values of two models with different
    scales cannot be exchanged (Venkatraman and Begg, Biometrika 1996).

    Raises:
        SoftCAMError: arrays that have not one row an image.
    """
    sides = _two_sides(first, second)
    images = len(sides[0][0])
    index = np.zeros(images, int)
    members = members_of(images, groups)
    for i, member in enumerate(members):
        index[member] = i

    def value(swap: np.ndarray) -> float:
        mixed = [
            [np.where(_like(swap, x), y, x) for x, y in zip(one, other, strict=True)]
            for one, other in (sides, sides[::-1])
        ]
        return float(statistic(*mixed[0])) - float(statistic(*mixed[1]))

    n = np.array(len(members))
    observed = value(np.zeros(images, bool)) if images else np.nan
    exact = _is_exact(len(members), n_draws)
    if np.isnan(observed):
        why = "the statistic is undefined" if images else "no image has both values"
        return Permutation(np.array(np.nan), n, _kind(exact, 0, groups), why)
    found = np.array([
        value(row[index] > 0) for bits in _swaps(len(members), n_draws, seed) for row in bits
    ])  # fmt: skip
    known = found[~np.isnan(found)]
    count = (np.abs(known) >= abs(observed) - TIE).sum()
    p = count / len(known) if exact else (1 + count) / (1 + len(known))
    lost = len(found) - len(known)
    reason = f"{lost} of {len(found)} draws undefined and left out" if lost else ""
    return Permutation(np.array(p), n, _kind(exact, len(found), groups), reason)


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values, same shape; NaN stays NaN and does not count as a test.

    The i-th smallest of m is multiplied by m - i + 1; then none is smaller than the one before,
    and none above 1. Rejecting where it is <= alpha keeps the chance of any false rejection at
    alpha, whatever the dependence between the tests.

    Raises:
        SoftCAMError: a value outside [0, 1].
    """
    values = np.asarray(p, dtype=np.float64)
    flat, out = values.ravel(), np.full(values.size, np.nan)
    known = np.flatnonzero(~np.isnan(flat))
    if ((flat[known] < 0) | (flat[known] > 1)).any():
        raise SoftCAMError("p-values lie in [0, 1]: one of these does not.")
    order = known[np.argsort(flat[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    out[order] = np.minimum(1, np.maximum.accumulate(flat[order] * factors))
    return out.reshape(values.shape)


def _two_sides(first: Sequence[Any], second: Sequence[Any]) -> list[list[np.ndarray]]:
    sides = [[np.asarray(each) for each in side] for side in (first, second)]
    shapes = [[each.shape for each in side] for side in sides]
    if shapes[0] != shapes[1] or len({len(each) for each in sides[0]}) != 1:
        raise SoftCAMError(
            f"expected one row an image in every array, the same on both sides, found {shapes[0]} "
            f"and {shapes[1]}."
        )
    return sides


def _swapped(sums: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Sums of both sides (4, G, S) after each swap (R, G): (4, R, S)."""
    change = bits @ (sums[2:] - sums[:2])
    start = sums.sum(1)[:, None]
    return np.concatenate([start[:2] + change, start[2:] - change])


def _difference(sums: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean over seeds of the difference of the pooled ratios, (R, S), and their size."""
    first = [divide(each[0], each[1]) for each in sums]
    second = [divide(each[2], each[3]) for each in sums]
    size = np.mean([np.abs(x) + np.abs(y) for x, y in zip(first, second, strict=True)], axis=0)
    return np.mean(first, axis=0) - np.mean(second, axis=0), size


def _is_exact(groups: int, n_draws: int) -> bool:
    return groups < 63 and 2**groups <= n_draws


def _swaps(groups: int, n_draws: int, seed: int) -> Iterator[np.ndarray]:
    """Which groups are swapped, (R, groups) of 0 and 1, in blocks; all of them if they are few."""
    exact = _is_exact(groups, n_draws)
    total, drawing = 2**groups if exact else n_draws, rng(seed, STREAM)
    block = max(1, intervals.BLOCK // max(1, groups))
    for start in range(0, total, block):
        size = min(block, total - start)
        if exact:
            number = np.arange(start, start + size)[:, None]
            yield ((number >> np.arange(groups)) & 1).astype(np.float64)
        else:
            yield (drawing.random((size, groups)) < 0.5).astype(np.float64)


def _like(swap: np.ndarray, array: np.ndarray) -> np.ndarray:
    return swap.reshape(-1, *[1] * (array.ndim - 1))


def _kind(exact: bool, draws: int, groups: Groups) -> str:
    what = "images" if groups is None else "groups"
    return f"permutation of {what}, {f'all {draws} swaps' if exact else f'{draws} draws'}"
