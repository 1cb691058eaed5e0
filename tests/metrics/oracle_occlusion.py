"""Occluded images from their definitions: NumPy, one image and one pixel at a time."""

from __future__ import annotations

import numpy as np

from tests.metrics.oracle import upsample


def tiles(cells: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """(H, W) bool of each tile, the brightest first."""
    p = max(3, round(33 / 512 * min(size)))
    up = upsample(cells, size)
    corners = [(y, x) for y in range(0, size[0], p) for x in range(0, size[1], p)]
    corners.sort(key=lambda t: (-up[t[0] : t[0] + p, t[1] : t[1] + p].max(), t))
    found = []
    for y, x in corners:
        tile = np.zeros(size, bool)
        tile[y : y + p, x : x + p] = True
        found.append(tile)
    return found


def hidden(cells: np.ndarray, size: tuple[int, int], question: str) -> list[np.ndarray]:
    """(H, W) bool, what is hidden at each point of the curve."""
    ranked = tiles(cells, size)
    none = np.zeros(size, bool)
    if question == "deletion":
        return [sum(ranked[:i], none) for i in range(30)]
    shown = [int(len(ranked) * percent / 100 + 0.5) for percent in range(0, 101, 5)]
    return [sum(ranked[i:], none) for i in shown]


def painted(image: np.ndarray, masks: list[np.ndarray], fill: np.ndarray) -> np.ndarray:
    """(S, 3, H, W): the image (3, H, W) with the hidden pixels taken from `fill`, as large."""
    out = []
    for mask in masks:
        now = image.copy()
        for channel in range(3):
            now[channel][mask] = fill[channel][mask]
        out.append(now)
    return np.array(out)


def under_map(cells: np.ndarray, image: np.ndarray) -> np.ndarray:
    """(2, 3, H, W): the image, and the image times the map in [0, 1]."""
    up = upsample(cells, image.shape[1:])
    flat = up.max() == up.min()
    mask = np.zeros_like(up) if flat else (up - up.min()) / (up.max() - up.min())
    return np.array([image, image * mask])


def blurred(image: np.ndarray) -> np.ndarray:
    """Each pixel a mean of the whole image, by a Gaussian of two tiles."""
    height, width = image.shape[1:]
    sigma = 2 * max(3, round(33 / 512 * min(height, width)))
    rows, columns = np.mgrid[:height, :width]
    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            weights = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
            out[:, y, x] = (image * weights).sum((1, 2)) / weights.sum()
    return out


def imputed(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Hidden pixels as weighted means of their neighbours: every pixel an unknown, dense."""
    height, width = mask.shape
    if mask.all():
        return np.broadcast_to(image.mean((1, 2), keepdims=True), image.shape)
    system, right = np.eye(mask.size), image.reshape(3, -1).copy()
    for y, x in np.argwhere(mask):
        row = y * width + x
        right[:, row] = 0
        near = {
            (y + dy, x + dx): 1 / 6 if 0 in (dy, dx) else 1 / 12
            for dy in (-1, 0, 1) for dx in (-1, 0, 1)
            if (dy or dx) and 0 <= y + dy < height and 0 <= x + dx < width
        }  # fmt: skip
        for (v, u), weight in near.items():
            system[row, v * width + u] = -weight / sum(near.values())
    return np.linalg.solve(system, right.T).T.reshape(image.shape)


def answers(logits: np.ndarray, target: int, link: str) -> dict[str, np.ndarray]:
    """What is kept of logits (S, C)."""
    if link == "sigmoid":
        every = 1 / (1 + np.exp(-logits))
        predicted = every[:, target] > 0.5
    else:
        powers = np.exp(logits - logits.max(1, keepdims=True))
        every = powers / powers.sum(1, keepdims=True)
        predicted = logits.argmax(1) == target
    probability = every[:, target]
    return {
        "predicted": predicted, "probability": probability, "complement": 1 - probability,
        "confidence": every.max(1),
    }  # fmt: skip
