"""Measures on splits and on tiles, written again from the text: NumPy, one image at a time."""

from __future__ import annotations

import random

import numpy as np


def cubic_axis(values: np.ndarray, side: int) -> np.ndarray:
    """Along axis 0: Keys' kernel with a = -0.75, half-pixel centres, border cells repeated."""
    cells, out = len(values), []
    for i in range(side):
        at = (i + 0.5) * cells / side - 0.5
        below = int(np.floor(at))
        total = np.zeros(values.shape[1:])
        for cell in range(below - 1, below + 3):
            d, a = abs(at - cell), -0.75
            if d <= 1:
                weight = (a + 2) * d**3 - (a + 3) * d**2 + 1
            else:
                weight = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
            total = total + weight * values[min(max(cell, 0), cells - 1)]
        out.append(total)
    return np.array(out)


def cubic(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    resized = cubic_axis(cubic_axis(cells, size[0]).T, size[1]).T
    grain = (np.abs(cells).max() or 1.0) / 2**40  # equal values stay equal
    return np.round(resized / grain) * grain


def first_row(image: np.ndarray) -> int:
    """The first row with a grey value above 80 after a 3x3 blur; image (3, H, W) in [0, 1]."""
    _, height, width = image.shape
    grey = np.round(np.array([0.299, 0.587, 0.114]) @ np.round(image.reshape(3, -1) * 255))
    rows = grey.reshape(height, width).astype(int).tolist()
    for y in range(height):
        for x in range(width):
            total = 0
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    yy, xx = abs(y + dy), abs(x + dx)  # mirrored without the edge
                    yy = 2 * height - 2 - yy if yy >= height else yy
                    xx = 2 * width - 2 - xx if xx >= width else xx
                    total += rows[yy][xx]
            if round(total / 9) > 80:
                return y
    return 0


def tile_order(image: np.ndarray, cells: np.ndarray) -> list[tuple[int, int]]:
    """(top, left) of the 33-px tiles, the first to be hidden first."""
    size = image.shape[1:]
    up = cubic(cells, (size[0], size[1]))
    top = first_row(image)
    tiles = [(y, x) for y in range(top, size[0], 33) for x in range(0, size[1], 33)]
    return sorted(tiles, key=lambda t: -up[t[0] : t[0] + 33, t[1] : t[1] + 33].max())


def share_positive(cells: np.ndarray) -> float:
    return float(np.mean([value > 0 for value in cells.ravel()]))


def share_negative(cells: np.ndarray) -> float:
    return float(np.mean([value < 0 for value in cells.ravel()]))


def paper_share(cells: np.ndarray, sign: int) -> float:
    """Resized to 16x16, divided by the largest |value|, counted."""
    resized = cubic(cells, (16, 16))
    if np.abs(resized).max() > 0:
        resized = resized / np.abs(resized).max()
    return sum(sign * value > 0 for value in resized.ravel()) / 256


def paper_game(maps: np.ndarray, labels: np.ndarray) -> tuple[list[float], float]:
    """Each game's score, and the ratio of the totals; NaN where a game is undefined."""
    healthy = [i for i, label in enumerate(labels) if label == 0]
    scores, inside, total = [], 0, 0
    for index, label in enumerate(labels):
        if label == 0:
            continue
        random.seed(index)
        four = [index] + [healthy[j] for j in random.sample(range(len(healthy)), 3)]
        if not all(np.isfinite(maps[i]).all() for i in four):
            scores.append(np.nan)
            continue
        counts = [sum(value > 0.003 for value in maps[i].ravel()) for i in four]
        scores.append(counts[0] / sum(counts) if sum(counts) else np.nan)
        inside, total = inside + counts[0], total + sum(counts)
    return scores, inside / total


def game_share(four: list[np.ndarray]) -> float:
    """The first map's share of the positive evidence of all."""
    if not all(np.isfinite(each).all() for each in four):
        return np.nan
    mass = [sum(max(value, 0) for value in each.ravel()) for each in four]
    return mass[0] / sum(mass) if sum(mass) > 0 else np.nan


def game_peak(four: list[np.ndarray]) -> float:
    """Whether the maximum of all lies in the first map alone."""
    if not all(np.isfinite(each).all() for each in four):
        return np.nan
    return float(all(four[0].max() > each.max() for each in four[1:]))


def prediction_curve(predicted: np.ndarray, labels: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Share still predicted as class 1, over images in which that is watched and starts so."""
    start = [i for i, label in enumerate(labels) if label == 1 and predicted[i, 0] and finite[i]]
    return np.array([np.mean([predicted[i, s] for i in start]) for s in range(predicted.shape[1])])


def confidence_curve(
    confidence: np.ndarray,
    predicted: np.ndarray,
    labels: np.ndarray,
    own: np.ndarray,
    finite: np.ndarray,
) -> np.ndarray:
    """min(p_i, p_0) / p_0, mean over the images of a class, then over classes c >= 1."""
    classes = []
    for c in sorted(set(own.tolist()) - {0}):
        curves = []
        for i in range(len(own)):
            if own[i] == labels[i] == c and predicted[i, 0] and finite[i]:
                p = confidence[i]
                curves.append([min(p_i, p[0]) / p[0] for p_i in p])
        if curves:
            classes.append(np.mean(curves, 0))
    return np.mean(classes, 0)


def area(curve: np.ndarray) -> float:
    """The trapezoids of the curve over n points from 0 to 1."""
    x = np.linspace(0, 1, len(curve))
    return sum((x[i + 1] - x[i]) * (curve[i] + curve[i + 1]) / 2 for i in range(len(curve) - 1))
