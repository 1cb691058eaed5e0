"""The paper's localisation measures from their text: NumPy, one map at a time, cell by cell."""

from __future__ import annotations

from math import floor

import numpy as np

from softcam.metrics.paper.quirks import PUBLIC, Quirks
from tests.metrics import oracle

EPSILON = np.finfo(float).eps


def keys(distance: float) -> float:
    """Keys' cubic kernel, a = -0.75."""
    x, a = abs(distance), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def cubic_axis(values: np.ndarray, positions: list[float], side: int) -> np.ndarray:
    """The cells along axis 0, read at positions in pixels of an axis of `side` pixels."""
    cells, out = len(values), []
    for position in positions:
        at = position * cells / side - 0.5
        near = range(floor(at) - 1, floor(at) + 3)
        out.append(sum(keys(at - i) * values[min(max(i, 0), cells - 1)] for i in near))
    return np.array(out)


def cubic_at(
    cells: np.ndarray, ys: list[float], xs: list[float], size: tuple[int, int]
) -> np.ndarray:
    values = cubic_axis(cubic_axis(cells, ys, size[0]).T, xs, size[1]).T
    grain = (np.abs(cells).max() or 1.0) / 2**40  # equal values stay equal
    return np.round(values / grain) * grain


def centres(n: int) -> list[float]:
    return [i + 0.5 for i in range(n)]


def cubic(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cubic_at(cells, centres(size[0]), centres(size[1]), size)


def scores(cells: np.ndarray, side: int, quirks: Quirks) -> np.ndarray:
    """What the map says of each of s x s patches."""
    s = (side - 33) // 8 + 1
    if quirks.displaced and quirks.cubic:
        return cubic(cells, (s, s))
    if quirks.displaced:
        return oracle.upsample(cells, (s, s))
    middles = [8 * r + 16.5 for r in range(s)]
    if quirks.cubic:
        return cubic_at(cells, middles, middles, (side, side))
    return oracle.read_at(cells, middles, middles, 8, (side, side))


def top_patches(
    scores: np.ndarray, k: int | None = None, quirks: Quirks = PUBLIC
) -> list[tuple[int, int]]:
    """The loop of the public code: cells from bright to dark, and a list of the suppressed."""
    s = len(scores)
    k = s * s if k is None else k
    threshold = quirks.threshold
    if not quirks.absolute:
        threshold = np.sort(scores.ravel())[int(np.ceil(0.9 * scores.size)) - 1]
    ranked = sorted(range(s * s), key=lambda i: -scores[i // s, i % s])  # stable
    down, across = (range(-2, 2), range(-1, 3)) if quirks.lopsided else (range(-2, 3),) * 2
    taken: list[tuple[int, int]] = []
    suppressed: set[int] = set()
    for index in ranked:
        r, c = index // s, index % s
        if len(taken) >= k or not scores[r, c] > threshold:
            break
        free = index not in suppressed
        if free:
            taken.append((r, c))
        if free or quirks.chained:
            for y in (r + d for d in down):
                for x in (c + d for d in across):
                    if quirks.wraps or (0 <= y < s and 0 <= x < s):
                        suppressed.add(y * s + x)
    return taken


def holds(finding: np.ndarray, cell: tuple[int, int]) -> bool:
    r, c = cell
    return bool(finding[8 * r : 8 * r + 33, 8 * c : 8 * c + 33].any())


def patch_counts(
    cells: np.ndarray, finding: np.ndarray, k: int | None = None, quirks: Quirks = PUBLIC
) -> tuple[int, int]:
    """How many of the first k patches hold a marked pixel, and how many there are."""
    if not finding.any() or not np.isfinite(cells).all():
        return 0, 0
    finding = finding.T if quirks.transposed else finding
    taken = top_patches(scores(cells, len(finding), quirks), k, quirks)
    return sum(holds(finding, cell) for cell in taken), len(taken)


def mass_within(
    cells: np.ndarray, finding: np.ndarray, quirks: Quirks = PUBLIC
) -> tuple[float, float]:
    """Activation precision and sensitivity; NaN where undefined."""
    if not finding.any() or not np.isfinite(cells).all():
        return np.nan, np.nan
    up = cubic(cells, finding.shape) if quirks.cubic else oracle.upsample(cells, finding.shape)
    mask = finding.T if quirks.transposed else finding
    s = np.maximum(up, 0)
    if not quirks.epsilon:
        if s.max() == s.min():
            return np.nan, 0.0
        s = (s - s.min()) / (s.max() - s.min())
        return float((s * mask).sum() / s.sum()), float((s * mask).sum() / mask.sum())
    s = (s - s.min()) / (s.max() - s.min() + EPSILON)
    within = (s * mask).sum()
    return float(within / (s.sum() + EPSILON)), float(within / (mask.sum() + EPSILON))


def hard_precision(cells: np.ndarray, finding: np.ndarray) -> float:
    """|M & S| / |S| with S = [positives scaled to [-1, 1] > 0]; NaN where S is empty."""
    if not finding.any() or not np.isfinite(cells).all():
        return np.nan
    up = cubic(cells, finding.shape)
    positives = up[up > 0]
    if not len(positives) or positives.max() == positives.min():
        return np.nan
    scaled = 2 * (up - positives.min()) / (positives.max() - positives.min()) - 1
    bright = (up > 0) & (scaled > 0)
    return float((bright & finding).sum() / bright.sum())
