"""Does the evidence agree with the label, cell by cell? Consistency from local to global.

SoftCAM, r_LG. On an image with the disease the map of the disease should be above zero, on a
healthy image below. Where the zero lies is never fixed by training with a softmax, so the raw
values of two networks do not compare: read the contrast of two classes.

Corrected against the public code: the map at its own resolution (cubic resizing makes signs of
its own), and on healthy images the map of the disease, not that of the healthy class.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.metrics.records import LabelledMaps, Ratios
from softcam.metrics.registry import measure

__all__ = [
    "consistency_negative",
    "consistency_positive",
    "diseased",
    "healthy",
    "image_numbers",
    "mean_and_deviation",
]

SOURCE = "SoftCAM, activation consistency (local to global)"
# The corrected measures that ask for the map of the disease on every image, healthy ones
# included; all other measures on labelled maps take the map of each image's own label.


@measure(
    name="consistency-positive",
    title="Consistency on diseased images",
    direction="higher",
    source=SOURCE,
    kind="labelled",
    gauge="zero",
    threshold="0",
)
def consistency_positive(maps: LabelledMaps) -> tuple[np.ndarray, Ratios]:
    """Share of cells with evidence above 0 for the image's class, mean over diseased images.

    A cell of exactly 0 is no evidence: a map of zeros scores 0. Maps with a NaN or an infinity
    are excluded and counted.

    Args:
        maps: of each image's own label.

    Returns:
        The indices of the diseased images (label > 0), and their ratios, (n, 1).

    Raises:
        SoftCAMError: no image is diseased.
    """
    return _share(maps, diseased(maps.labels), lambda values: values > 0)


@measure(
    name="consistency-negative",
    title="Consistency on healthy images",
    direction="higher",
    source=SOURCE,
    kind="labelled",
    reads="disease",
    gauge="zero",
    threshold="0",
)
def consistency_negative(maps: LabelledMaps) -> tuple[np.ndarray, Ratios]:
    """Share of cells with evidence below 0 for the disease, mean over healthy images.

    A map of zeros scores 0; maps with a NaN or an infinity are excluded and counted.

    Args:
        maps: of the disease (class 1, say) on every image, healthy ones included. Maps of the
            healthy class would be asked to contradict the label.

    Returns:
        The indices of the healthy images (label 0), and their ratios, (n, 1).

    Raises:
        SoftCAMError: no image is healthy.
    """
    return _share(maps, healthy(maps.labels), lambda values: values < 0)


def mean_and_deviation(ratios: Ratios) -> tuple[float, float]:
    """Mean and standard deviation over the images that count (of a population); NaN if none."""
    values = ratios.per_image[ratios.denominator[:, 0] > 0, 0]
    return (float(values.mean()), float(values.std())) if len(values) else (np.nan, np.nan)


def diseased(labels: np.ndarray) -> np.ndarray:
    """Indices of the images with a label above 0; none is an error."""
    return _indices(np.asarray(labels) > 0, "diseased image (label > 0)")


def healthy(labels: np.ndarray) -> np.ndarray:
    """Indices of the images with label 0; none is an error."""
    return _indices(np.asarray(labels) == 0, "healthy image (label 0)")


def image_numbers(
    maps: LabelledMaps, indices: np.ndarray, number: Callable[[Tensor], Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """One number an image, read in batches; the maps are not kept.

    Args:
        maps: of the split.
        indices: (n,) of the images to ask.
        number: maps (b, h, w), finite, float64, to (b,).

    Returns:
        (n,) float64, 0 where the map is not finite; and (n,) bool, whether it is.
    """
    numbers, finite = np.zeros(len(indices)), np.zeros(len(indices), bool)
    start = 0
    for part, values in maps.batches(indices):
        if values.ndim != 3 or len(values) != len(part) or values.numel() == 0:
            raise SoftCAMError(
                f"expected maps (n, h, w) of at least one cell for n = {len(part)} images, found "
                f"{tuple(values.shape)}."
            )
        here = slice(start, start + len(part))
        is_finite = values.isfinite().flatten(1).all(1)
        found = number(torch.where(is_finite[:, None, None], values, 0))
        numbers[here] = torch.where(is_finite, found.double(), 0).numpy()
        finite[here] = is_finite.numpy()
        start = here.stop
    return numbers, finite


def _share(
    maps: LabelledMaps, indices: np.ndarray, sign: Callable[[Tensor], Tensor]
) -> tuple[np.ndarray, Ratios]:
    shares, finite = image_numbers(maps, indices, lambda v: sign(v).double().mean((1, 2)))
    return indices, Ratios(shares, finite)


def _indices(chosen: np.ndarray, what: str) -> np.ndarray:
    found = np.flatnonzero(chosen)
    if not len(found):
        raise SoftCAMError(
            f"expected at least one {what}, found none among {len(chosen)} images: take a split "
            "that has some, or leave this measure out."
        )
    return found
