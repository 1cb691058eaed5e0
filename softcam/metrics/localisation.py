"""Does the map point at the finding? Pointing accuracy, activation precision and sensitivity.

All three are means over the images in which something is marked, on the map at image size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from softcam.metrics.records import MapBatch, Ratios
from softcam.metrics.registry import measure

__all__ = ["activation_precision", "activation_sensitivity", "pointing_accuracy"]


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
    flat = batch.upsampled.flatten(1)
    inside = batch.findings.flatten(1).gather(1, flat.argmax(1, keepdim=True))[:, 0]
    points = flat.amax(1) > flat.amin(1)
    return Ratios.where(batch.scored, inside & points)


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
    inside, total = _positive_evidence(batch)
    some = total > 0
    return Ratios.where(batch.scored & some, inside / torch.where(some, total, 1))


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
    inside, _ = _positive_evidence(batch)
    area = batch.findings.flatten(1).sum(1)
    return Ratios.where(batch.scored, inside / area.clamp(min=1))


def _positive_evidence(batch: MapBatch) -> tuple[Tensor, Tensor]:
    """sum(S * M) and sum(S), (B,) each; both 0 where the positive part has no contrast."""
    positive = batch.upsampled.clamp(min=0).flatten(1)
    low, high = positive.aminmax(dim=1)
    # The public code adds an epsilon to the span instead, and so turns rounding into evidence.
    some = high > low
    span = torch.where(some, high - low, 1)
    positive.sub_(low[:, None])  # our own copy; scaling the sums spares scaling every pixel
    inside = (positive * batch.findings.flatten(1)).sum(1)
    return inside / span, positive.sum(1) / span
