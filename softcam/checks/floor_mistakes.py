"""What often goes wrong in assignment 4 with floors and ceilings, and with one map by hand."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from softcam.checks.measures_mistakes import ASKED, STEPS, three_numbers
from softcam.checks.records import Mistake

__all__ = ["BETWEEN", "BY_HAND", "CHANCE", "POOLED"]


def _areas(findings: np.ndarray) -> np.ndarray:
    """The marked share of each image with a finding."""
    share = findings.mean((1, 2))
    return np.asarray(share[share > 0])


def _boxes(findings: np.ndarray) -> float:
    """The mean area of the rectangle around each finding."""
    shares = []
    for marked in findings:
        if marked.any():
            sides = [np.flatnonzero(marked.any(axis)) for axis in (0, 1)]
            shares.append(np.prod([side[-1] - side[0] + 1 for side in sides]) / marked.size)
    return float(np.mean(shares))


PIXEL = "put a pin into an image at random: how often does it meet the finding?"

CHANCE = (
    Mistake(
        "empty-images-counted",
        "You count images without a finding: they lower the chance.",
        ASKED,
        lambda m: float(m.mean()),
    ),
    Mistake(
        "pixels-for-share",
        "You return a number of pixels; a chance is a share of the image.",
        PIXEL,
        lambda m: float(_areas(m).mean() * m[0].size),
    ),
    Mistake(
        "one-pixel",
        "You return one over the number of pixels: the finding is larger than a pixel.",
        PIXEL,
        lambda m: 1 / m[0].size,
    ),
    Mistake(
        "box-for-finding",
        "You take the rectangle around the finding; only marked pixels count.",
        PIXEL,
        _boxes,
    ),
    Mistake(
        "batch-mean",
        "You mark what is marked in any image of the batch.",
        "each image has a finding and a chance of its own; their mean is asked for.",
        lambda m: float(m.any(0).mean()),
    ),
    Mistake(
        "median-for-mean",
        "You take the middle value; the mean is asked for.",
        PIXEL,
        lambda m: float(np.median(_areas(m))),
    ),
    Mistake(
        "max-for-mean",
        "You take the largest finding; the mean over images is asked for.",
        PIXEL,
        lambda m: float(_areas(m).max()),
    ),
    Mistake(
        "share-of-images",
        "You return the share of images that have a finding.",
        PIXEL,
        lambda m: float(m.any((1, 2)).mean()),
    ),
    Mistake(
        "outside", "You return the chance of a miss.", PIXEL, lambda m: 1 - float(_areas(m).mean())
    ),
)


def _blocks(m: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(B, h, w, rows, columns): the pixels of each cell."""
    high, wide = m.shape[1] // shape[0], m.shape[2] // shape[1]
    return m.reshape(len(m), shape[0], high, shape[1], wide).swapaxes(2, 3).astype(float)


def _resized(m: np.ndarray, shape: tuple[int, int], mode: str) -> np.ndarray:
    return F.interpolate(torch.from_numpy(m).double()[:, None], size=shape, mode=mode)[:, 0].numpy()


BLOCK = "a cell with one marked pixel of sixteen should know 1/16."

POOLED = (
    Mistake(
        "max-for-mean",
        "A cell counts as marked as soon as one pixel is: a small finding grows to a whole cell.",
        BLOCK,
        lambda m, shape: _blocks(m, shape).max((3, 4)),
    ),
    Mistake(
        "min-for-mean",
        "A cell counts only if all of its pixels are marked: a small finding vanishes.",
        BLOCK,
        lambda m, shape: _blocks(m, shape).min((3, 4)),
    ),
    Mistake(
        "sum-for-mean",
        "You count the marked pixels of a cell; their share is asked for.",
        BLOCK,
        lambda m, shape: _blocks(m, shape).sum((3, 4)),
    ),
    Mistake(
        "binarised",
        "You round the share to 0 or 1.",
        BLOCK,
        lambda m, shape: (_blocks(m, shape).mean((3, 4)) > 0.5).astype(float),
    ),
    Mistake(
        "binarised",
        "You round the share to 0 or 1.",
        BLOCK,
        lambda m, shape: (_blocks(m, shape).mean((3, 4)) >= 0.5).astype(float),
    ),
    Mistake(
        "subsampled",
        "You read one pixel of each cell and skip the others.",
        BLOCK,
        lambda m, shape: _resized(m, shape, "nearest"),
    ),
    Mistake(
        "subsampled",
        "You read one pixel of each cell and skip the others.",
        BLOCK,
        lambda m, shape: _resized(m, shape, "nearest-exact"),
    ),
    Mistake(
        "subsampled",
        "You read a few pixels of each cell and skip the others: bilinear is for enlarging.",
        BLOCK,
        lambda m, shape: _resized(m, shape, "bilinear"),
    ),
    Mistake(
        "size-swapped",
        "Height and width of the map have changed places.",
        "`shape` is (h, w).",
        lambda m, shape: _blocks(m, shape).mean((3, 4)).swapaxes(1, 2),
    ),
    Mistake(
        "normalised-map",
        "You scale each map to the largest value 1; shares are asked for.",
        BLOCK,
        lambda m, shape: (
            _blocks(m, shape).mean((3, 4))
            / np.maximum(_blocks(m, shape).mean((3, 4)).max((1, 2), keepdims=True), 1e-12)
        ),
    ),
    Mistake(
        "share-of-finding",
        "You return each cell's share of the finding; its own share of marked pixels is asked for.",
        BLOCK,
        lambda m, shape: (
            _blocks(m, shape).sum((3, 4)) / np.maximum(m.sum((1, 2)), 1)[:, None, None]
        ),
    ),
)

ENDS = "put in the floor itself, then the ceiling: 0 and 1 must come out."

BETWEEN = (
    Mistake(
        "clipped",
        "You cut off what lies below 0 or above 1: a map worse than chance must show.",
        ENDS,
        lambda v, f, c: float("nan") if c <= f else min(max((v - f) / (c - f), 0.0), 1.0),
    ),
    Mistake(
        "nan-forgotten",
        "Where the ceiling is not above the floor there is no scale: NaN.",
        "what a division by a negative distance would say.",
        lambda v, f, c: float("nan") if c == f else (v - f) / (c - f),
    ),
    Mistake(
        "nan-forgotten",
        "Where the ceiling is not above the floor there is no scale: NaN, not 0.",
        "0 would say: exactly at the floor.",
        lambda v, f, c: 0.0 if c <= f else (v - f) / (c - f),
    ),
    Mistake(
        "nan-forgotten",
        "Where the ceiling is not above the floor there is no scale: NaN.",
        "what a division by zero, or by a negative distance, would say.",
        lambda v, f, c: (v - f) / (c - f),
    ),
    Mistake(
        "floor-forgotten",
        "You take the share of the ceiling; the floor is not 0.",
        ENDS,
        lambda v, f, c: v / c,
    ),
    Mistake(
        "floor-forgotten",
        "You divide by the ceiling; the distance from floor to ceiling is the scale.",
        ENDS,
        lambda v, f, c: (v - f) / c,
    ),
    Mistake(
        "order-swapped",
        "Yours is 1 at the floor and 0 at the ceiling.",
        ENDS,
        lambda v, f, c: float("nan") if c <= f else (c - v) / (c - f),
    ),
    Mistake(
        "ceiling-forgotten",
        "You return the distance to the floor, without the scale.",
        ENDS,
        lambda v, f, c: v - f,
    ),
)

BY_HAND = (
    Mistake(
        "relu-forgotten",
        "Your precision lets negative cells count.",
        STEPS,
        lambda map, finding: three_numbers(
            map, finding, precision=float(map[finding].sum() / (map.sum() or np.nan))
        ),
    ),
    Mistake(
        "abs-for-relu",
        "Your precision counts negative cells as positive.",
        STEPS,
        lambda map, finding: three_numbers(
            map, finding, precision=float(np.abs(map)[finding].sum() / np.abs(map).sum())
        ),
    ),
    Mistake(
        "sensitivity",
        "Your precision is a mean over the finding; it should be a share of the positive evidence.",
        "divide by all positive evidence of the map.",
        lambda map, finding: three_numbers(
            map, finding, precision=float(np.maximum(map, 0)[finding].mean())
        ),
    ),
    Mistake(
        "pixels-counted",
        "Your precision counts positive cells; each should count by its evidence.",
        STEPS,
        lambda map, finding: three_numbers(
            map, finding, precision=float((map > 0)[finding].sum() / (map > 0).sum())
        ),
    ),
    Mistake(
        "abs-for-maximum",
        "You point with the largest absolute value; the maximum of the signed map is asked for.",
        "red speaks for the class, blue against it.",
        lambda map, finding: three_numbers(
            map, finding, pointing=three_numbers(np.abs(map), finding)["pointing"]
        ),
    ),
    Mistake(
        "one-pixel",
        "Your chance is one cell of sixteen; the finding has more.",
        PIXEL,
        lambda map, finding: three_numbers(map, finding, chance=1 / 16),
    ),
    Mistake(
        "pixels-for-share",
        "Your chance is a number of cells; it is a share.",
        PIXEL,
        lambda map, finding: three_numbers(map, finding, chance=float(finding.sum())),
    ),
)
