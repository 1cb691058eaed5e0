"""A measured effect with its interval, from values image by image."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from softcam.metrics import Ratios, bootstrap_statistic, paired_difference
from softcam.reproduce.deviations.material import Material
from softcam.reproduce.deviations.records import Measured

__all__ = ["absolute", "over_rows", "paired", "undefined"]


def paired(a: Ratios, b: Ratios, step: int, data: str, material: Material) -> Measured:
    """a - b at one step, over the images for which both are defined."""
    a, b = (Ratios(r.numerator[:, [step]], r.denominator[:, [step]]) for r in (a, b))
    n = int(((a.denominator > 0) & (b.denominator > 0)).sum())
    if not n:
        return undefined(f"{data}: no map has a positive patch")
    value, low, high = paired_difference(a, b, material.n_boot, material.seed)
    return Measured(float(value[0]), float(low[0]), float(high[0]), n, "images", data)


def over_rows(
    statistic: Callable[..., Any], arrays: tuple[Any, ...], data: str, material: Material,
    unit: str = "images", groups: np.ndarray | None = None,
) -> Measured:  # fmt: skip
    """A statistic of rows (images, runs, batches), and its bootstrap interval over them.

    `groups` says which rows are of one image: these are drawn together, and counted once.
    """
    rows = [np.asarray(each) for each in arrays]
    if not len(rows[0]):
        return undefined(f"{data}: no {unit} to measure it on")
    value, low, high = bootstrap_statistic(
        statistic, *rows, n_boot=material.n_boot, seed=material.seed, groups=groups
    )
    n = len(rows[0]) if groups is None else len(np.unique(groups))
    return Measured(float(value), float(low), float(high), n, unit, data)


def absolute(found: Measured) -> Measured:
    """The size of a signed effect; an interval that holds 0 begins there."""
    bounds = (abs(found.low), abs(found.high))
    low = 0.0 if found.low < 0 < found.high else min(bounds)
    return replace(found, value=abs(found.value), low=low, high=max(bounds))


def undefined(why: str) -> Measured:
    """Nothing to measure on these data."""
    return Measured(math.nan, data=why)
