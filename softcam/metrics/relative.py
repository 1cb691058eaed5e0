"""What a faithfulness value is worth: beside chance, beside the truth, under another fill.

Hiding anything lowers a prediction, so a curve alone says little. `over_random` sets its area
against a random ranking of the same model's tiles, `share_of_mask` against the ranking that knows
the finding, and `fill_agreement` asks whether another fill would rank the maps alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from softcam.common import SoftCAMError, choose
from softcam.metrics.intervals import Interval, bootstrap_statistic
from softcam.metrics.records import Ratios, divide
from softcam.metrics.registry import Direction

__all__ = ["fill_agreement", "over_random", "share_of_mask"]


def over_random(area: Ratios, area_random: Ratios, direction: Direction) -> Ratios:
    """By how much a ranking beats a random one on the same images and model, image by image.

    Args:
        area, area_random: of the map and of the random ranking; any number of steps.
        direction: which way the area is better.

    Returns:
        The difference, positive where the map is better; undefined (and counted) where either is.

    Raises:
        SoftCAMError: not the same images and steps; an unknown direction.
    """
    choose("direction", direction, ("higher", "lower"))
    if area.numerator.shape != area_random.numerator.shape:
        raise SoftCAMError(
            "an advantage over a random ranking needs the same images and steps, found "
            f"{area.numerator.shape} and {area_random.numerator.shape}."
        )
    both = (area.denominator > 0) & (area_random.denominator > 0)
    gained = area.per_image - area_random.per_image
    return Ratios(np.where(both, gained if direction == "higher" else -gained, 0), both)


def share_of_mask(
    area: Ratios,
    area_random: Ratios,
    area_mask: Ratios,
    direction: Direction,
    groups: Sequence[Any] | np.ndarray | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> Interval:
    """The advantage over a random ranking, as a share of the true mask's: a ratio of means.

    0 is a random ranking, 1 the true one; below 0 and above 1 are possible. Over the images for
    which all three areas are defined.

    Args:
        area, area_random, area_mask: one step each, of the map, of a random ranking, and of the
            ranking by `true_mask_map`.
        direction: which way the area is better.
        groups: (B,) what belongs together (patients); None takes each image by itself.
        n_boot, seed: of the bootstrap.

    Returns:
        Value and interval, 0-dimensional. NaN with a reason where the true mask does not beat a
        random ranking: there is nothing to have a share of. Bounds of NaN where its advantage is
        not clear of zero, so that one end of the interval is open.
    """
    own = over_random(area, area_random, direction)
    truth = over_random(area_mask, area_random, direction)
    if own.numerator.shape[1] != 1:
        raise SoftCAMError(f"expected areas of one step, found {own.numerator.shape[1]}.")
    if groups is not None and len(groups) != len(own):
        raise SoftCAMError(f"expected one group an image, found {len(groups)} for {len(own)}.")
    rows = ((own.denominator > 0) & (truth.denominator > 0))[:, 0]
    gained, possible = own.numerator[rows, 0], truth.numerator[rows, 0]

    kept = None if groups is None else np.asarray(groups)[rows]
    found = bootstrap_statistic(
        _share, gained, possible, n_boot=n_boot, seed=seed, groups=kept, weighted=True
    )
    if len(possible) and not possible.mean() > 0:
        reason = "the true mask ranks no better than chance, so there is nothing to have a share of"
        return replace(found, reason=reason)
    clear = bootstrap_statistic(
        _share, possible, np.ones_like(possible), n_boot=n_boot, seed=seed, groups=kept,
        weighted=True,
    )  # fmt: skip
    if len(possible) > 1 and n_boot and not float(clear.low) > 0:
        reason = "the true mask's advantage over a random ranking is not clear of zero"
        return replace(found, low=np.array(np.nan), high=np.array(np.nan), reason=reason)
    return found


def _share(part: np.ndarray, whole: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Ratio of the means, of each draw where there are `weights`; NaN unless `whole` is above 0."""
    times = np.ones(len(part)) if weights is None else weights
    total = times @ whole
    return divide(times @ part, np.where(total > 0, total, 0))


def fill_agreement(
    areas: Mapping[str, Mapping[Any, Ratios]],
) -> dict[tuple[str, str], Ratios]:
    """Do two fills rank the sources of maps alike? Kendall's tau-b, image by image.

    Args:
        areas: by fill, then by source of maps, one step each: the same sources (at least 3) and
            the same images under every fill.

    Returns:
        For each pair of fills tau-b in [-1, 1]. An image is undefined, and counted, where the
        area of a source is, or where a fill leaves all sources equal.

    Source: Kendall, The treatment of ties in ranking problems, Biometrika 1945.
    """
    table = {fill: _stacked(fill, each) for fill, each in areas.items()}
    sources = {fill: set(each) for fill, each in areas.items()}
    found = {}
    for first, second in combinations(areas, 2):
        if sources[first] != sources[second] or table[first].shape != table[second].shape:
            raise SoftCAMError(
                f"fills are compared on the same sources and images, found {first!r} with "
                f"{len(sources[first])} sources of {len(table[first])} images and {second!r} with "
                f"{len(sources[second])} of {len(table[second])}, or sources of other names."
            )
        order = list(areas[first])
        columns = [list(areas[second]).index(source) for source in order]
        tau = _tau_b(table[first], table[second][:, columns])
        found[first, second] = Ratios(np.nan_to_num(tau), ~np.isnan(tau))
    return found


def _stacked(fill: str, areas: Mapping[Hashable, Ratios]) -> np.ndarray:
    """(B, sources): each image's area under one fill; NaN where it is undefined."""
    values = [ratios.per_image for ratios in areas.values()]
    if len(values) < 3 or len({each.shape for each in values}) > 1 or values[0].shape[1] != 1:
        raise SoftCAMError(
            f"agreement needs at least 3 sources of maps, with one area an image each, found "
            f"{[each.shape for each in values]} under {fill!r}."
        )
    return np.concatenate(values, 1)


def _tau_b(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of the rows of (B, n) and (B, n): (B,); NaN where it is undefined."""
    one, other = np.triu_indices(a.shape[1], 1)
    signs_a, signs_b = (np.sign(each[:, one] - each[:, other]) for each in (a, b))
    untied = np.sqrt((signs_a**2).sum(1) * (signs_b**2).sum(1))
    return divide((signs_a * signs_b).sum(1), untied)
