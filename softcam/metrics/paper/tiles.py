"""Deletion as in the public code: tiles of 33 px, hidden one by one, and the area under the curve.

SoftCAM, figure 3. The tiles lie side by side from the first bright row of the image; a tile's
score is the maximum of the cubic map inside it. Three traps are kept. The multi-class curve
watches the largest probability of whatever class, so a model that changes its mind with
confidence loses nothing. Of p_i / p_0 what lies above 1 is cut off. And each method is occluded
on its own network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from softcam.common import SoftCAMError
from softcam.metrics.geometry import patch_maximum
from softcam.metrics.paper.cubic import check_side, cubic_resize
from softcam.metrics.records import Ratios
from softcam.metrics.registry import measure

if TYPE_CHECKING:  # that file asks this one for its tiles
    from softcam.metrics.occlusion import OcclusionScores

__all__ = [
    "NO_TILE",
    "audc",
    "audc_confidence",
    "deletion_confidence",
    "deletion_prediction",
    "first_bright_row",
    "paper_tile_ranks",
]

TILE = 33  # pixels
BRIGHT = 80  # of 255
NO_TILE = 2**31 - 1  # the rank of pixels that are never hidden
STEPS = tuple(range(30))
SOURCE = "SoftCAM, figure 3; Yeh et al., On the (in)fidelity and sensitivity, NeurIPS 2019"
ALMOST = 1e-3  # how far from [0, 1] a resized image may lie


def paper_tile_ranks(images: Tensor, maps: Tensor) -> Tensor:
    """The place of each pixel's tile in the order of hiding: 0 first, the highest score first.

    Of equal tiles the first in reading order goes first. Pixels above the first bright row lie
    in no tile: `NO_TILE`, larger than any step. What the public definition leaves open: the
    last tiles of a row and of a column are cut off at the border and kept, and the tiles of an
    image without a bright row start at row 0.

    Args:
        images: (B, 3, S, S) float in [0, 1], RGB; S is 512 or 496 px.
        maps: (B, h, w), raw and signed, finite.

    Returns:
        (B, S, S) int64 on the CPU.

    Raises:
        SoftCAMError: another size, images outside [0, 1], a NaN or an infinity in a map.
    """
    _check(images, maps)
    size = (images.shape[2], images.shape[3])
    tops = first_bright_row(images)
    ranks = torch.full((len(images), *size), NO_TILE, dtype=torch.int64)
    for index, top in enumerate(tops.tolist()):  # one at a time: each has its own tiles
        enlarged = cubic_resize(maps[index : index + 1], size)[:, top:]
        scores = patch_maximum(enlarged, TILE, TILE, partial=True)[0]
        order = scores.flatten().sort(descending=True, stable=True).indices
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        tiles = place.reshape(scores.shape).repeat_interleave(TILE, 0).repeat_interleave(TILE, 1)
        ranks[index, top:] = tiles[: size[0] - top, : size[1]]
    return ranks


def first_bright_row(images: Tensor) -> Tensor:
    """The first row with a pixel above 80 of 255, grey and blurred; 0 where there is none.

    Which grey and which blur the definition leaves open. Taken is what OpenCV does with bytes:
    grey by ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), the mean of 3x3 pixels, both rounded, and
    the border mirrored without its edge row.

    Args:
        images: (B, 3, H, W) float in [0, 1], RGB.

    Returns:
        (B,) int64 on the CPU.
    """
    levels = images.detach().cpu().float().mul(255).round_().clamp_(0, 255)  # whole numbers
    grey = levels[:, 0] * 299 + levels[:, 1] * 587 + levels[:, 2] * 114
    grey = grey.add_(500).div_(1000).floor_()
    padded = F.pad(grey[:, None], (1, 1, 1, 1), mode="reflect")[:, 0]
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    bright = total.amax(2) > 9 * (BRIGHT + 0.5)  # (B, H): the rounded mean is above 80
    return bright.int().argmax(1)


@measure(
    name="deletion-prediction",
    title="Deletion: still predicted",
    direction="lower",
    source=SOURCE,
    kind="occlusion",
    gauge="order",
    steps=STEPS,
    interpolation="cubic",
    protocol="paper",
    reads="deletion",
)
def deletion_prediction(scores: OcclusionScores) -> Ratios:
    """Share still predicted as class 1 after i tiles, over images that start so.

    Binary: images in which class 0 is watched, those that start negative, and maps that could
    not be ranked are excluded and counted. The curve starts with 1. The public networks have a
    softmax; with a single sigmoid output there is no class 1, and every image is excluded.
    """
    kept = (scores.labels == 1) & _starts(scores)
    asked = np.repeat(kept[:, None], scores.points, 1)
    return Ratios(asked & scores.predicted, asked)


@measure(
    name="deletion-confidence",
    title="Deletion: relative confidence",
    direction="lower",
    source=SOURCE,
    kind="occlusion",
    gauge="order",
    steps=STEPS,
    interpolation="cubic",
    protocol="paper",
    reads="deletion",
    joint="classes",
)
def deletion_confidence(scores: OcclusionScores) -> Ratios:
    """Mean over classes c >= 1 of the mean over their images of min(p_i, p_0) / p_0.

    p is the largest probability of whatever class (kept trap). Over images that are predicted
    right before anything is hidden, their own class being watched; the others, and maps that
    could not be ranked, are excluded and counted. The public code asks that of both models that
    it compares, so a comparison takes the images that both rows have. Where n_c images of class
    c count, each has the denominator 1 / n_c: sum(numerator) / sum(denominator) is then the mean
    of the class means. All images at once, therefore: batches would give each its own n_c.
    """
    right = scores.labels == scores.classes
    kept = (scores.classes >= 1) & right & _starts(scores)
    confidence = np.where(kept[:, None], scores.confidence, 1.0)
    relative = np.minimum(confidence, confidence[:, :1]) / confidence[:, :1]
    weight = np.zeros(len(scores))
    for each in np.unique(scores.classes[kept]):
        members = kept & (scores.classes == each)
        weight[members] = 1 / members.sum()
    weights = np.repeat(weight[:, None], scores.points, 1)
    return Ratios(relative * weights, weights)


@measure(
    name="audc",
    title="Area under the deletion curve",
    direction="lower",
    source=SOURCE,
    kind="occlusion",
    gauge="order",
    interpolation="cubic",
    protocol="paper",
    reads="deletion",
)
def audc(scores: OcclusionScores) -> Ratios:
    """Area under `deletion_prediction`, by trapezoids over n points from 0 to 1."""
    return _area(deletion_prediction(scores))


@measure(
    name="audc-confidence",
    title="Area under the confidence curve",
    direction="lower",
    source=SOURCE,
    kind="occlusion",
    gauge="order",
    interpolation="cubic",
    protocol="paper",
    reads="deletion",
    joint="classes",
)
def audc_confidence(scores: OcclusionScores) -> Ratios:
    """Area under `deletion_confidence`, by trapezoids over n points from 0 to 1."""
    return _area(deletion_confidence(scores))


def _starts(scores: OcclusionScores) -> np.ndarray:
    """(B,) bool: the map could be ranked, and the target is the first prediction."""
    return scores.finite & scores.predicted[:, 0]


def _area(curve: Ratios) -> Ratios:
    """np.trapezoid(score, np.linspace(0, 1, n)): one value an image, weighted as the curve."""
    points = curve.numerator.shape[1]
    if points < 2:
        raise SoftCAMError(f"an area needs at least 2 points of the curve, found {points}.")
    area = (curve.numerator[:, 1:] + curve.numerator[:, :-1]).mean(1) / 2
    return Ratios(area, curve.denominator[:, 0])


def _check(images: Tensor, maps: Tensor) -> None:
    shapes = f"{tuple(images.shape)} and {tuple(maps.shape)}"
    if images.ndim != 4 or images.shape[1] != 3 or maps.ndim != 3 or len(images) != len(maps):
        raise SoftCAMError(f"expected images (B, 3, H, W) and maps (B, h, w), found {shapes}.")
    check_side((images.shape[2], images.shape[3]))
    inside = images.is_floating_point() and bool(
        ((images >= -ALMOST) & (images <= 1 + ALMOST)).all()
    )
    if not inside:
        raise SoftCAMError(
            f"expected images as floats in [0, 1], found {images.dtype}, or values outside: the "
            "tiles start at a row of absolute brightness. Pass them before they are normalised."
        )
    if maps.numel() == 0 or not maps.is_floating_point() or not bool(maps.isfinite().all()):
        raise SoftCAMError(
            f"expected finite floating-point maps, found {maps.dtype} {tuple(maps.shape)}, or a "
            "NaN or an infinity: set such a map to 0 and count it as excluded."
        )
