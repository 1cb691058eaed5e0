"""How sure is a mean over seeds? Seeds are drawn, and in each drawn seed the images.

Two designs. Nested: each seed has test images of its own (phantoms); every drawn seed gets its own
draw of images. Crossed: the same test images in every seed (real data); the images are drawn once
and used for all seeds, since an image that is hard for one network is hard for the others.

Both draw what is there already, so with S seeds the variance between seeds comes out (S - 1) / S
of what it should be: two thirds with 3 seeds, and the interval can miss chance in training
altogether where 3 seeds happen to agree. The kind of the interval says how many seeds there were.

Sources: Davison and Hinkley, Bootstrap methods and their application, 1997, section 3.8 (nested);
Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007 (crossed).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from softcam.common import SoftCAMError, rng
from softcam.metrics import intervals
from softcam.metrics.intervals import Interval, members_of, percentiles
from softcam.metrics.records import Ratios, divide

__all__ = [
    "grouped_sums",
    "hierarchical_difference",
    "hierarchical_ratio",
    "hierarchical_statistic",
]

STREAM = 0x48494552  # keeps these draws apart from others with the same seed
FEW = 10  # seeds: with fewer the kind of the interval carries a warning
ONE_SEED = "one seed: chance in training is not in the interval"
Groups = Sequence[Any] | np.ndarray | None


def hierarchical_ratio(
    by_seed: Sequence[Ratios],
    n_boot: int = 1000,
    seed: int = 0,
    groups: Groups = None,
    level: float = 0.95,
    *,
    crossed: bool = False,
) -> Interval:
    """Interval of the mean over seeds of a measure, all its steps at once.

    Args:
        by_seed: the measure image by image, one `Ratios` a seed; with the same steps.
        n_boot: how often seeds and images are drawn.
        seed: of the draws.
        groups: what belongs together (patients). Nested: one sequence a seed, each (B_s,) or
            None. Crossed: a single sequence (B,). None takes each image by itself.
        level: of the interval.
        crossed: whether row i is the same image in every seed. It is not guessed.

    Returns:
        The value is the mean over seeds of each seed's value; NaN, with a reason, where a seed
        has none. With one seed images alone are drawn, and the reason says so. The bounds
        understate chance in training where seeds are few; see the head of this file.

    Raises:
        SoftCAMError: no seed, steps that differ, or crossed seeds with different images.
    """
    sums = [np.stack([each.numerator, each.denominator]) for each in by_seed]
    defined = [each.denominator > 0 for each in by_seed]

    def statistic(total: np.ndarray) -> np.ndarray:
        return divide(total[0], total[1])

    return _hierarchical(sums, statistic, defined, n_boot, seed, groups, level, crossed)


def hierarchical_difference(
    a: Sequence[Ratios],
    b: Sequence[Ratios],
    n_boot: int = 1000,
    seed: int = 0,
    groups: Groups = None,
    level: float = 0.95,
    *,
    crossed: bool = False,
) -> Interval:
    """Interval of the mean over seeds of a - b, paired by seed and by image.

    Only images for which both are defined count. Arguments as in `hierarchical_ratio`.
    """
    sums, defined = [], []
    for first, second in paired_seeds(a, b):
        both = (first.denominator > 0) & (second.denominator > 0)
        four = (first.numerator, first.denominator, second.numerator, second.denominator)
        sums.append(np.stack(four) * both)
        defined.append(both)

    def statistic(total: np.ndarray) -> np.ndarray:
        return divide(total[0], total[1]) - divide(total[2], total[3])

    return _hierarchical(sums, statistic, defined, n_boot, seed, groups, level, crossed)


def hierarchical_statistic(
    statistic: Callable[..., float],
    first: Sequence[Sequence[Any]],
    second: Sequence[Sequence[Any]] | None = None,
    *,
    n_boot: int = 1000,
    seed: int = 0,
    groups: Groups = None,
    level: float = 0.95,
    crossed: bool = False,
) -> Interval:
    """The same for any statistic of images, such as the AUC, or for its difference.

    Args:
        statistic: takes the arrays of one seed, returns a number; NaN where it is undefined.
        first, second: for each seed its arrays, one row an image; `second` None asks for the
            statistic itself, else for that of first - second.
    """
    sides = [each for each in (first, second) if each is not None]
    if len({len(each) for each in sides}) != 1 or not sides[0]:
        raise SoftCAMError("expected the arrays of at least one seed, of the same seeds twice.")
    seeds = [
        [[np.asarray(a) for a in side[s]] for side in sides] for s in range(len(sides[0]))
    ]  # seed, side, array
    lengths = [{len(a) for side in each for a in side} for each in seeds]
    if any(len(each) != 1 for each in lengths):
        raise SoftCAMError("expected one row an image in every array of a seed.")
    sizes = [each.pop() for each in lengths]
    members = _members(sizes, groups, crossed)

    def value(s: int, rows: np.ndarray | slice) -> float:
        found = [float(statistic(*(a[rows] for a in side))) for side in seeds[s]]
        return found[0] - found[1] if len(found) == 2 else found[0]

    drawing, draws = rng(seed, STREAM), np.full(n_boot, np.nan)
    for r in range(n_boot if min(map(len, members)) > 1 else 0):
        chosen = drawing.integers(len(seeds), size=len(seeds))
        rows = [_draw(drawing, members[0])] * len(chosen) if crossed else []
        rows = rows or [_draw(drawing, members[s]) for s in chosen]
        draws[r] = np.mean([value(s, each) for s, each in zip(chosen, rows, strict=True)])
    point = np.mean([value(s, slice(None)) if sizes[s] else np.nan for s in range(len(seeds))])
    n = np.array([min(map(len, members))])
    return _finished(percentiles(np.array(point), draws, n, "", level), members, groups, crossed)


def paired_seeds(a: Sequence[Ratios], b: Sequence[Ratios]) -> Iterator[tuple[Ratios, Ratios]]:
    """The two sides seed by seed; an error where they have not the same seeds and images."""
    shapes = [[each.numerator.shape for each in side] for side in (a, b)]
    if shapes[0] != shapes[1]:
        raise SoftCAMError(
            f"a paired difference needs the same seeds, images and steps, found {shapes[0]} and "
            f"{shapes[1]}."
        )
    return zip(a, b, strict=True)


def grouped_sums(
    sums: Sequence[np.ndarray], defined: Sequence[np.ndarray], groups: Groups, crossed: bool
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Columns summed over the images of a group, seed by seed: (K, B, S) to (K, G, S).

    Groups without any defined image are left out; with crossed seeds the same ones everywhere.

    Returns:
        The sums, and for each seed how many groups have a value, (S,).
    """
    if not sums or len({each.shape[2] for each in sums}) != 1:
        raise SoftCAMError("expected at least one seed, and the same steps in every seed.")
    rows = [np.asarray(each.any(1)) for each in defined]
    if crossed and len({len(each) for each in rows}) == 1:
        rows = [np.logical_or.reduce(rows)] * len(rows)
    members = _members([each.shape[1] for each in sums], groups, crossed, rows)
    grouped, counts = [], []
    for each, known, own in zip(sums, defined, members, strict=True):
        picked = [each[:, m].sum(1) for m in own]
        grouped.append(np.stack(picked, 1) if own else np.zeros((len(each), 0, each.shape[2])))
        counts.append(sum((known[m].any(0).astype(int) for m in own), np.zeros(each.shape[2], int)))
    return grouped, counts


def _members(
    sizes: Sequence[int], groups: Groups, crossed: bool, rows: Sequence[np.ndarray] | None = None
) -> list[list[np.ndarray]]:
    """The image indices of each group, seed by seed."""
    if crossed and len(set(sizes)) > 1:
        raise SoftCAMError(
            f"crossed seeds have the same images, found {list(sizes)} of them: give those that "
            "all seeds have, or crossed=False."
        )
    by_seed = [groups] * len(sizes) if crossed or groups is None else list(groups)
    if len(by_seed) != len(sizes):
        raise SoftCAMError(
            f"expected the groups of every seed, found {len(by_seed)} for {len(sizes)} seeds."
        )
    kept: list[np.ndarray | None] = [None] * len(sizes) if rows is None else list(rows)
    return [members_of(n, g, r) for n, g, r in zip(sizes, by_seed, kept, strict=True)]


def _hierarchical(
    sums: Sequence[np.ndarray],
    statistic: Callable[[np.ndarray], np.ndarray],
    defined: Sequence[np.ndarray],
    n_boot: int,
    seed: int,
    groups: Groups,
    level: float,
    crossed: bool,
) -> Interval:
    """Bootstrap of the mean over seeds of a statistic of column sums, (K, B, S) a seed."""
    grouped, counts = grouped_sums(sums, defined, groups, crossed)
    value = np.mean([statistic(each.sum(1)) for each in grouped], axis=0)
    n = np.min(counts, axis=0)
    enough = min(each.shape[1] for each in grouped) > 1
    draws = _draws(grouped, statistic, n_boot if enough else 0, rng(seed, STREAM), crossed)
    return _finished(percentiles(value, draws, n, "", level), grouped, groups, crossed)


def _draws(
    grouped: list[np.ndarray],
    statistic: Callable[[np.ndarray], np.ndarray],
    n_boot: int,
    drawing: np.random.Generator,
    crossed: bool,
) -> np.ndarray:
    """(n_boot, S). First all seeds are drawn, then seed by seed the images of its draws."""
    seeds, steps = len(grouped), grouped[0].shape[2]
    chosen = drawing.integers(seeds, size=(n_boot, seeds))
    found = np.empty((n_boot, seeds, steps))
    if crossed:
        for start, counts in _counts(drawing, grouped[0].shape[1], n_boot):
            part = slice(start, start + len(counts))
            each = np.stack([statistic(counts @ sums) for sums in grouped], 1)
            found[part] = np.take_along_axis(each, chosen[part, :, None], 1)
        return found.mean(1)
    for s, sums in enumerate(grouped):
        places = np.argwhere(chosen == s)
        for start, counts in _counts(drawing, sums.shape[1], len(places)):
            draw, slot = places[start : start + len(counts)].T
            found[draw, slot] = statistic(counts @ sums)
    return found.mean(1)


def _counts(
    drawing: np.random.Generator, groups: int, total: int
) -> Iterator[tuple[int, np.ndarray]]:
    """How often each group is drawn, (draws, groups), in blocks; and where each block starts."""
    block = max(1, intervals.BLOCK // max(1, groups))
    for start in range(0, total, block):
        chances = np.full(groups, 1 / groups)
        counts = drawing.multinomial(groups, chances, size=min(block, total - start))
        yield start, counts.astype(np.float64)


def _draw(drawing: np.random.Generator, members: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([members[i] for i in drawing.integers(len(members), size=len(members))])


def _finished(
    interval: Interval, by_seed: Sequence[Any], groups: Groups, crossed: bool
) -> Interval:
    """The interval with what is to be said of its seeds."""
    what, seeds = "images" if groups is None else "groups", len(by_seed)
    if seeds == 1:
        reasons = "; ".join(each for each in (interval.reason, ONE_SEED) if each)
        return replace(interval, kind=f"bootstrap over {what} of 1 seed", reason=reasons)
    kind = f"hierarchical bootstrap over {seeds} seeds and {what}"
    kind += ", the same in every seed" if crossed else ""
    kind += ", few seeds: chance in training understated" if seeds < FEW else ""
    return replace(interval, kind=kind)
