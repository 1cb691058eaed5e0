"""The definitions of layer-wise explanation in plain NumPy, one number at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def guided_weights(maps: np.ndarray, logit: Callable[[np.ndarray], float]) -> np.ndarray:
    """w_k = mean over cells of 1[A > 0] 1[dY/dA > 0] dY/dA, by central differences."""
    step = 1e-6
    weights = np.zeros(len(maps))
    for k, row, column in np.ndindex(*maps.shape):
        up, down = maps.copy(), maps.copy()
        up[k, row, column] += step
        down[k, row, column] -= step
        slope = (logit(up) - logit(down)) / (2 * step)
        if maps[k, row, column] > 0 and slope > 0:
            weights[k] += slope / maps[k].size
    return weights


def kept_channels(weights: np.ndarray, min_share: float = 0.9) -> list[int]:
    """The maps whose share of all weight is above this part of an equal share."""
    total = sum(max(w, 0) for w in weights)
    if total == 0:
        return []
    return [
        k for k, w in enumerate(weights) if 100 * max(w, 0) / total > min_share * 100 / len(weights)
    ]


def cluster_weights(weights: np.ndarray, members: list[list[int]]) -> list[float]:
    """The share of each cluster, in per cent of all maps' weight."""
    return [100 * sum(weights[k] for k in group) / sum(weights) for group in members]


def strong(totals: list[float]) -> list[bool]:
    """Whether a cluster has a third of the heaviest one and half of the mean one."""
    least = max(max(totals) / 3, sum(totals) / len(totals) / 2)
    return [total >= least for total in totals]


def merged_map(maps: np.ndarray, weights: np.ndarray, group: list[int]) -> np.ndarray:
    """sum w_k A_k / sum w_k, from its minimum to its maximum on [0, 1]."""
    total = np.zeros(maps.shape[1:])
    for k in group:
        total += weights[k] * maps[k]
    total /= sum(weights[k] for k in group)
    span = total.max() - total.min()
    return (total - total.min()) / span if span > 0 else np.zeros_like(total)


def overlap(values: np.ndarray, mask: np.ndarray, draws: int = 0) -> tuple[float, float]:
    """IoU and (o - a) / (1 - a) of the highest pixels, as many as the mask has.

    With `draws`, ties are broken at random and the intersection is averaged.
    """
    count = int(mask.sum())
    generator = np.random.default_rng(0)
    hits = []
    for _ in range(max(draws, 1)):
        order = np.lexsort((generator.random(values.size), -values.ravel()))
        hits.append(mask.ravel()[order[:count]].sum())
    hit = float(np.mean(hits))
    share, area = hit / count, count / mask.size
    return hit / (2 * count - hit), (share - area) / (1 - area)


def mass(values: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """The share m of the sum that lies in the mask, and (m - a) / (top - a)."""
    area = mask.mean()
    inside = values[mask].sum() / values.sum()
    top = np.sort(values.ravel())[::-1][: int(mask.sum())].sum() / values.sum()
    return inside, (inside - area) / (top - area)


def score_by_definition(values: np.ndarray, mask: np.ndarray) -> float:
    """The mean of both corrected values."""
    return (overlap(values, mask)[1] + mass(values, mask)[1]) / 2


def chance_by_definition(values: np.ndarray, mask: np.ndarray) -> float:
    """The share of all cyclic shifts that score as well as the map itself."""
    own = score_by_definition(values, mask)
    found = [
        score_by_definition(np.roll(values, (down, right), (0, 1)), mask)
        for down in range(mask.shape[0])
        for right in range(mask.shape[1])
    ]
    return float(np.mean([each >= own - 1e-9 for each in found]))
