"""Does the map point at the finding? Pointing accuracy, activation precision and sensitivity.

All three are means over the images in which something is marked, on the map at image size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from softcam.metrics.records import MapBatch, Ratios
from softcam.metrics.registry import measure

__all__ = [
    "PositiveSums",
    "activation_precision",
    "activation_sensitivity",
    "pointing_accuracy",
    "positive_sums",
]


@measure(
    name="pointing-accuracy",
    title="Pointing accuracy",
    direction="higher",
    source="Zhang et al., Top-down neural attention by excitation backprop, ECCV 2016",
    gauge="order",
    interpolation="bilinear",
)
def pointing_accuracy(batch: MapBatch) -> Ratios:
    """Share of images in which the first maximum of the map lies in the finding.

    First in reading order, without the tolerance in pixels of the original. A constant map
    points nowhere: a miss. Chance is the mean area of the finding (`floors.pointing_chance`).
    """
    flat, marked = batch.upsampled.flatten(1).numpy(), batch.findings.flatten(1).numpy()
    image, first = np.arange(len(flat)), flat.argmax(1)  # several times faster than torch's
    hits = marked[image, first] & (flat[image, first] > flat.min(1))
    return Ratios.where(batch.scored, torch.from_numpy(hits))


@measure(
    name="activation-precision",
    title="Activation precision",
    direction="higher",
    source="Barnett et al., IAIA-BL, 2021; SoftCAM, appendix, equation 6",
    gauge="zero",
    interpolation="bilinear",
)
def activation_precision(batch: MapBatch) -> Ratios:
    """Share of the positive evidence that lies in the finding: sum(S * M) / sum(S).

    S is the positive part of the map, scaled to [0, 1] within the image. A map without positive
    evidence, or with the same everywhere, has no such share: it is excluded and counted.
    Chance is the mean area of the finding.
    """
    sums = positive_sums(batch, from_minimum=True)
    some = sums.total > 0
    return Ratios.where(batch.scored & some, sums.inside / torch.where(some, sums.total, 1))


@measure(
    name="activation-sensitivity",
    title="Activation sensitivity",
    direction="higher",
    source="SoftCAM, appendix, equation 7",
    gauge="zero",
    interpolation="bilinear",
)
def activation_sensitivity(batch: MapBatch) -> Ratios:
    """How much of the finding the positive evidence covers: sum(S * M) / sum(M).

    S as in activation precision. A map without positive evidence, or with the same everywhere,
    covers nothing: 0. One bright map over the whole image scores high, so read it beside
    activation precision.
    """
    sums = positive_sums(batch, from_minimum=True)
    # The public code adds an epsilon to the span instead, and so turns rounding into evidence.
    span = torch.where(sums.span > 0, sums.span, 1)
    return Ratios.where(batch.scored, sums.inside / span / sums.area.clamp(min=1))


class PositiveSums(NamedTuple):
    """Sums over the positive part P of each map at image size, (B,) float64 each.

    Attributes:
        inside: sum of P over the finding.
        total: sum of P over the image.
        span: the distance between the maximum and the minimum of P.
        area: how many pixels are marked.
    """

    inside: Tensor
    total: Tensor
    span: Tensor
    area: Tensor


def positive_sums(batch: MapBatch, *, from_minimum: bool = False) -> PositiveSums:
    """The sums of each map; `from_minimum` moves the minimum of P to zero first."""
    rows = []
    for values, marked in zip(batch.upsampled.numpy(), batch.findings.numpy(), strict=True):
        positive = np.maximum(values, 0)
        low, high = positive.min(), positive.max()
        if from_minimum and low > 0:
            positive -= low
        inside = positive[marked]
        rows.append((inside.sum(), positive.sum(), high - low, inside.size))
    return PositiveSums(*torch.tensor(rows, dtype=torch.float64).reshape(-1, 4).unbind(1))
