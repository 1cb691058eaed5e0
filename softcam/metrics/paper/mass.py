"""Activation precision and sensitivity as the public code has them (`calculate_mass_within`).

Equations 6 and 7 of the paper's appendix. Activation precision is the accuracy of the weighting
game (Raatikainen and Rahtu, 2022) and Quantus' relevance mass accuracy, but for the epsilon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from softcam.metrics.geometry import enlarge
from softcam.metrics.once import once
from softcam.metrics.paper.cubic import check_side, cubic_resize
from softcam.metrics.paper.quirks import PUBLIC, Quirks
from softcam.metrics.records import MapBatch, Ratios
from softcam.metrics.registry import measure

__all__ = ["activation_precision", "activation_precision_hard", "activation_sensitivity"]

_EPSILON = float(np.finfo(float).eps)


@measure(
    name="activation-precision",
    title="Activation precision",
    direction="higher",
    source="Barnett et al., IAIA-BL, 2021; SoftCAM, appendix, equation 6, and its public code",
    gauge="zero",
    interpolation="cubic",
    protocol="paper",
)
def activation_precision(batch: MapBatch, *, quirks: Quirks = PUBLIC) -> Ratios:
    """Share of the positive evidence that lies in the finding: sum(S * M) / (sum(S) + eps).

    S = (P - min P) / (max P - min P + eps), with P the positive part of the map at image size.
    The epsilon makes a map without positive evidence, or with the same everywhere, score 0, and
    it counts; with `epsilon` off it is excluded. (OpenCV's rounding makes evidence out of a
    constant map: noise that the division by max - min blows up. Here it is constant.) Excluded
    and counted: a map with a NaN or an infinity, and an image in which nothing is marked, for
    the public code runs over annotated images. A finding all over the image: 1.

    Raises:
        SoftCAMError: images of another size than 512x512 or 496x496 px.
    """
    sums = _sums(batch, quirks)
    if quirks.epsilon:
        return Ratios.where(batch.scored, sums.inside / (sums.total + _EPSILON))
    some = sums.total > 0
    return Ratios.where(batch.scored & some, sums.inside / torch.where(some, sums.total, 1))


@measure(
    name="activation-sensitivity",
    title="Activation sensitivity",
    direction="higher",
    source="SoftCAM, appendix, equation 7, and its public code",
    gauge="zero",
    interpolation="cubic",
    protocol="paper",
)
def activation_sensitivity(batch: MapBatch, *, quirks: Quirks = PUBLIC) -> Ratios:
    """How much of the finding the positive evidence covers: sum(S * M) / (sum(M) + eps).

    S, exclusions and errors as in `activation_precision`. A map without positive evidence, or
    with the same everywhere, covers nothing: 0.
    """
    sums = _sums(batch, quirks)
    area = sums.area.clamp(min=1) + (_EPSILON if quirks.epsilon else 0)
    return Ratios.where(batch.scored, sums.inside / area)


@measure(
    name="activation-precision-hard",
    title="Activation precision, upper half of the positive range",
    direction="higher",
    source="SoftCAM's public code, get_activation_precision",
    gauge="zero",
    threshold="0 of [-1, 1]",
    interpolation="cubic",
    protocol="paper",
)
def activation_precision_hard(batch: MapBatch, *, quirks: Quirks = PUBLIC) -> Ratios:
    """Share of the bright pixels that lie in the finding, an older form of activation precision.

    The positive values at image size are scaled to [-1, 1] between the least and the largest of
    them, and those above 0 are bright: the upper half of the positive range. A map without two
    different positive values has no bright pixel: it is excluded and counted. Other exclusions
    and errors as in `activation_precision`. The paper's numbers are over images that are
    positive, and predicted so by both models: which images are given is the caller's choice.
    """
    sums = _sums(batch, quirks)
    some = sums.bright > 0
    return Ratios.where(batch.scored & some, sums.bright_inside / sums.bright.clamp(min=1))


@dataclass(frozen=True)
class _Sums:
    """Over the pixels of each image, (B,) float64 each: S * M, S, M, and the bright pixels."""

    inside: Tensor
    total: Tensor
    area: Tensor
    bright_inside: Tensor
    bright: Tensor


def _sums(batch: MapBatch, quirks: Quirks) -> _Sums:
    check_side(batch.size)
    key = ("sums", quirks.cubic, quirks.epsilon, quirks.transposed)
    return once(batch, key, lambda: _count(batch, quirks))


def _count(batch: MapBatch, quirks: Quirks) -> _Sums:
    """Image by image: one map at image size stays in the processor's cache, a batch does not."""
    epsilon = _EPSILON if quirks.epsilon else 0.0
    resize = cubic_resize if quirks.cubic else enlarge
    rows = []
    for cells, finding in zip(batch.clean, batch.findings, strict=True):
        marked = (finding.T if quirks.transposed else finding).double().flatten()
        positive = resize(cells[None], batch.size).flatten().clamp_(min=0)
        low, high = (float(each) for each in positive.aminmax())
        bright = (positive > (_least(positive) + high) / 2).double()
        if low > 0:
            positive -= low
        span = high - low + epsilon or 1.0  # 1: no contrast, so that S is 0 everywhere
        rows.append((
            float(positive @ marked) / span, float(positive.sum()) / span, float(marked.sum()),
            float(bright @ marked), float(bright.sum()),
        ))  # fmt: skip
    return _Sums(*torch.tensor(rows, dtype=torch.float64).view(-1, 5).T)


def _least(positive: Tensor) -> float:
    """The least value above 0, or infinity: of a map without any, nothing is bright."""
    return float(torch.where(positive > 0, positive, torch.inf).amin())
