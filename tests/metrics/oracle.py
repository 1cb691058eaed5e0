"""The measures written again from their definitions: NumPy, one image at a time, no cleverness."""

from __future__ import annotations

import numpy as np


def read_axis(values: np.ndarray, at: float, pitch: float, side: int) -> np.ndarray:
    """The cells along axis 0, read at one position in pixels: bilinear, or averaged if finer."""
    cells = len(values)
    if cells * pitch > side:
        integral = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, 0)])
        ends = [(at + d * pitch / 2) * cells / side for d in (-1, 1)]
        below = [
            np.array([np.interp(e, np.arange(cells + 1), c) for c in integral.T]) for e in ends
        ]
        return (below[1] - below[0]) / (ends[1] - ends[0])
    position = at * cells / side - 0.5
    return np.array([np.interp(position, np.arange(cells), column) for column in values.T])


def read_at(
    cells: np.ndarray, ys: list[float], xs: list[float], pitch: float, size: tuple[int, int]
) -> np.ndarray:
    rows = np.array([read_axis(cells, y, pitch, size[0]) for y in ys])
    values = np.array([read_axis(rows.T, x, pitch, size[1]) for x in xs]).T
    grain = (np.abs(cells).max() or 1.0) / 2**40  # equal values stay equal
    return np.round(values / grain) * grain


def upsample(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return read_at(
        cells, [i + 0.5 for i in range(size[0])], [i + 0.5 for i in range(size[1])], 1, size
    )


def pointing(cells: np.ndarray, finding: np.ndarray) -> float:
    if not finding.any() or not np.isfinite(cells).all():
        return np.nan
    up = upsample(cells, finding.shape)
    if up.max() == up.min():
        return 0.0
    best, place = -np.inf, (0, 0)
    for y in range(up.shape[0]):
        for x in range(up.shape[1]):
            if up[y, x] > best:
                best, place = up[y, x], (y, x)
    return float(finding[place])


def scaled(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    positive = np.maximum(upsample(cells, size), 0)
    if positive.max() == positive.min():
        return None
    return (positive - positive.min()) / (positive.max() - positive.min())


def precision(cells: np.ndarray, finding: np.ndarray) -> float:
    if not finding.any() or not np.isfinite(cells).all():
        return np.nan
    s = scaled(cells, finding.shape)
    return np.nan if s is None else float((s * finding).sum() / s.sum())


def sensitivity(cells: np.ndarray, finding: np.ndarray) -> float:
    if not finding.any() or not np.isfinite(cells).all():
        return np.nan
    s = scaled(cells, finding.shape)
    return 0.0 if s is None else float((s * finding).sum() / finding.sum())


def rank_accuracy(cells: np.ndarray, finding: np.ndarray) -> float:
    """The expected share of marked pixels among the K brightest, the order of equal ones drawn."""
    if not finding.any() or not np.isfinite(cells).all():
        return np.nan
    values, marked = upsample(cells, finding.shape).ravel(), finding.ravel()
    left, hits = int(marked.sum()), 0.0
    for value in sorted(set(values), reverse=True):
        equal = values == value
        hits += marked[equal].sum() * min(left, equal.sum()) / equal.sum()
        left -= min(left, equal.sum())
    return float(hits / marked.sum())


def best_iou(cells: np.ndarray, finding: np.ndarray) -> float:
    if not finding.any() or not np.isfinite(cells).all():
        return np.nan
    up = upsample(cells, finding.shape)
    return max(
        float(((up >= t) & finding).sum() / ((up >= t) | finding).sum()) for t in np.unique(up)
    )


def auprc(cells: np.ndarray, finding: np.ndarray) -> float:
    """Precision at every threshold, weighted by what recall gains there."""
    if not finding.any() or not np.isfinite(cells).all():
        return np.nan
    up = upsample(cells, finding.shape)
    area, recall = 0.0, 0.0
    for t in np.unique(up)[::-1]:
        hits = (up >= t) & finding
        area += (hits.sum() / finding.sum() - recall) * hits.sum() / (up >= t).sum()
        recall = hits.sum() / finding.sum()
    return float(area)


def outside(cells: np.ndarray, finding: np.ndarray) -> float:
    if not finding.any() or not np.isfinite(cells).all():
        return np.nan
    positive = np.maximum(upsample(cells, finding.shape), 0)
    return float(positive[~finding].sum() / positive.sum()) if positive.any() else np.nan


def gini(cells: np.ndarray, finding: np.ndarray) -> float:
    """Half the mean difference between two cells, relative to the mean."""
    if not finding.any() or not np.isfinite(cells).all() or not cells.any():
        return np.nan
    a = np.abs(cells).ravel()
    return float(np.abs(a[:, None] - a[None]).mean() / (2 * a.mean()))


def patches(cells: np.ndarray, finding: np.ndarray, level: float) -> list[bool]:
    """For each selected patch, in order, whether it holds a marked pixel."""
    if not finding.any() or not np.isfinite(cells).all():
        return []
    height, width = finding.shape
    p = max(3, round(33 / 512 * min(height, width)))
    stride = max(1, p // 4)
    tops = list(range(0, height - p + 1, stride))
    lefts = list(range(0, width - p + 1, stride))
    scores = read_at(cells, [t + p / 2 for t in tops], [s + p / 2 for s in lefts], stride,
                     finding.shape)  # fmt: skip
    threshold = np.sort(scores.ravel())[int(np.ceil(level * scores.size)) - 1]
    plateau = threshold == scores.max() > scores.min()
    ranked = sorted(
        (-scores[r, c], tops[r], lefts[c]) for r in range(len(tops)) for c in range(len(lefts))
    )
    taken: list[tuple[int, int]] = []
    for minus, top, left in ranked:
        bright = -minus >= threshold if plateau else -minus > threshold
        if not bright or len(taken) == 29:
            break
        # Two patches overlap by more than half a side where their offset is under half a side.
        if all(abs(top - t) * 2 >= p or abs(left - s) * 2 >= p for t, s in taken):
            taken.append((top, left))
    return [bool(finding[t : t + p, s : s + p].any()) for t, s in taken]


def hidden(cells: np.ndarray, image: np.ndarray, fill: np.ndarray, steps: int) -> np.ndarray:
    """One image (3, H, W) with 0, 1, ... of its brightest tiles painted: (steps, 3, H, W)."""
    size = image.shape[1:]
    p = max(3, round(33 / 512 * min(size)))
    up = upsample(cells, size)
    tiles = [(y, x) for y in range(0, size[0], p) for x in range(0, size[1], p)]
    tiles.sort(key=lambda t: (-up[t[0] : t[0] + p, t[1] : t[1] + p].max(), t))
    out, now = [], image.copy()
    for i in range(steps):
        out.append(now.copy())
        if i < len(tiles):
            y, x = tiles[i]
            now[:, y : y + p, x : x + p] = fill[:, None, None]
    return np.array(out)
