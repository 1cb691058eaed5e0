"""Every measure on a map under every cut-off, image by image, from one or two sorts of its pixels.

Bilinear and uncut, the values are those of the registered measures of protocol `corrected`; a
test holds them against these.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor

from softcam.metrics import MapBatch, Ratios, get_measure
from softcam.metrics.geometry import PatchGrid, patch_grid, patch_maximum
from softcam.metrics.ordering import marked_levels
from softcam.metrics.paper.cubic import SIDES
from softcam.metrics.patches import select_patches
from softcam.reproduce.specification.resizing import at_patches, at_pixels

__all__ = ["Way", "map_measures", "paper_measures"]

QUANTILES = (0.5, 0.75, 0.9, 0.95)
STEPS = (1, 5, 10)


class Way(NamedTuple):
    """One way to score a map: measure, protocol, what is kept of the map, cut-off, k."""

    measure: str
    protocol: str
    rectification: str
    threshold: str
    step: str
    direction: str = "higher"


def map_measures(
    maps: Tensor, findings: Tensor, interpolation: str
) -> dict[Way, tuple[np.ndarray, np.ndarray]]:
    """Numerator and denominator (n,) of each way to score these maps.

    Args:
        maps: (n, h, w), finite.
        findings: (n, H, W) bool, something marked in each.
        interpolation: see `resizing`.
    """
    size = int(findings.shape[1]), int(findings.shape[2])
    values, marks = at_pixels(maps, size, interpolation).numpy(), findings.numpy()
    rows = [dict(_scores(v, m)) for v, m in zip(values, marks, strict=True)]
    found = {}
    for way in rows[0] if rows else ():
        own = np.array([row[way] for row in rows], np.float64)
        known = ~np.isnan(own)
        found[way] = np.where(known, own, 0), known.astype(np.float64)
    return found | _patches(maps, findings, size, interpolation)


def paper_measures(maps: Tensor, findings: Tensor) -> dict[Way, tuple[np.ndarray, np.ndarray]]:
    """Those of the public code whose threshold has no unit; nothing but at 512 and 496 px."""
    if findings.shape[1] != findings.shape[2] or findings.shape[1] not in SIDES:
        return {}
    batch, found = MapBatch(maps, findings), {}
    for name in ("activation-precision", "activation-precision-hard", "activation-sensitivity"):
        measure = get_measure(name, "paper")
        way = Way(name, "paper", "positive", measure.threshold, "-")
        found[way] = _column(measure(batch), 0)
    measure = get_measure("patch-precision-positive", "paper")
    ratios = measure(batch)
    for k in STEPS:
        way = Way("patch-precision", "paper", "signed", "above 0", str(k))
        found[way] = _column(ratios, list(measure.steps or ()).index(k))
    return found


def _column(ratios: Ratios, step: int) -> tuple[np.ndarray, np.ndarray]:
    return ratios.numerator[:, step], ratios.denominator[:, step]


def _scores(values: np.ndarray, marked: np.ndarray) -> Iterator[tuple[Way, float]]:
    """Each way and its value for one map at image size; NaN where it is undefined."""
    size = np.abs(values)
    for rectification, kept in (
        ("positive", np.maximum(values, 0)), ("signed", values), ("absolute", size),
    ):  # fmt: skip
        yield from _mass(kept, marked, rectification)
    yield from _energy(values, marked)
    for rectification, kept in (("signed", values), ("absolute", size)):
        yield from _ranking(kept, marked, rectification)
        first = int(kept.argmax())
        hit = bool(marked.flat[first]) and bool(kept.flat[first] > kept.min())
        yield _way("pointing-accuracy", rectification), float(hit)


def _way(measure: str, rectification: str, threshold: str = "-") -> Way:
    return Way(measure, "corrected", rectification, threshold, "-")


def _mass(kept: np.ndarray, marked: np.ndarray, name: str) -> Iterator[tuple[Way, float]]:
    """How much of the mass lies in the finding, and how much of the finding it covers."""
    low, high = kept.min(), kept.max()
    kept = kept - low
    inside, total, span = kept[marked].sum(), kept.sum(), high - low
    precision = inside / total if total > 0 else np.nan
    yield _way("activation-precision", name), float(precision)
    covered = inside / span / marked.sum() if span > 0 else 0.0
    yield _way("activation-sensitivity", name), float(covered)


def _energy(values: np.ndarray, marked: np.ndarray) -> Iterator[tuple[Way, float]]:
    positive = np.maximum(values, 0)
    total = positive.sum()
    outside = 1 - positive[marked].sum() / total if total > 0 else np.nan
    way = _way("energy-outside", "positive")._replace(direction="lower")
    yield way, float(np.clip(outside, 0, 1))


def _ranking(kept: np.ndarray, marked: np.ndarray, name: str) -> Iterator[tuple[Way, float]]:
    """What reads the order of the pixels, on one sort."""
    levels = marked_levels(kept, marked)
    hits, pixels, all_marked = levels.hits, levels.pixels, levels.marked
    yield _way("pixel-auprc", name), _average(hits, pixels)
    if name == "signed":
        yield _way("pixel-auprc", "positive"), _average(*_merged(hits, pixels, kept))
    before = hits[levels.last - 1] if levels.last else 0
    room = max(0, all_marked - levels.brighter) / (pixels[levels.last] - levels.brighter)
    rank = (before + (hits[levels.last] - before) * room) / all_marked
    yield _way("relevance-rank-accuracy", name), float(rank)
    yield _way("iou-best", name), float((hits / (pixels + all_marked - hits)).max())
    order = np.sort(kept, axis=None)
    for q in QUANTILES:
        above, inside = _above(kept, marked, order, q)
        share = inside / above if above else np.nan
        yield _way("threshold-precision", name, f"quantile {q}"), float(share)
        union = above + all_marked - inside
        yield _way("threshold-iou", name, f"quantile {q}"), float(inside / union)


def _average(hits: np.ndarray, pixels: np.ndarray) -> float:
    steps = np.diff(hits, prepend=0)
    return float((steps * (hits / pixels)).sum() / hits[-1])


def _merged(
    hits: np.ndarray, pixels: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The levels as if everything that is not positive were one value."""
    positive = int((kept > 0).sum())
    first = pixels <= positive  # a level of a positive value counts positive pixels alone
    if first.all():
        return hits, pixels
    return np.append(hits[first], hits[-1]), np.append(pixels[first], kept.size)


def _above(
    kept: np.ndarray, marked: np.ndarray, order: np.ndarray, level: float
) -> tuple[int, int]:
    """How many pixels are brighter than this share of all, and how many of them are marked.

    Where the brightest fill more than the rest with one value it is these; of a constant map none
    (as `metrics.patches.brighter`).
    """
    cut = order[max(1, int(np.ceil(level * order.size))) - 1]
    chosen = kept > cut
    if cut == order[-1] > order[0]:
        chosen = kept == cut
    return int(chosen.sum()), int(chosen[marked].sum())


def _patches(
    maps: Tensor, findings: Tensor, size: tuple[int, int], interpolation: str
) -> dict[Way, tuple[np.ndarray, np.ndarray]]:
    """Top-k precision of registered patches, pooled over patches."""
    grid = patch_grid(*size)
    scores = at_patches(maps, size, grid, interpolation)
    holds = (patch_maximum(findings.float(), grid.size, grid.stride) > 0).flatten(1)
    found = {}
    for threshold, kept, level in (
        ("quantile 0.9", scores, 0.9), ("quantile 0.5", scores, 0.5),
        ("above 0", scores.clamp(min=0), 0.0),
    ):  # fmt: skip
        hits, taken = _first_patches(kept, grid, level, holds)
        for k in STEPS:
            way = Way("patch-precision", "corrected", "signed", threshold, str(k))
            found[way] = hits[:, k - 1], taken[:, k - 1]
    return found


def _first_patches(
    scores: Tensor, grid: PatchGrid, level: float, holds: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    chosen = select_patches(scores, grid, max(STEPS), level)
    taken = chosen >= 0
    hits = holds.gather(1, chosen.clamp(min=0)) & taken
    return tuple(each.cumsum(1).double().numpy() for each in (hits, taken))  # type: ignore[return-value]
