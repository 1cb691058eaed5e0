"""Consistency from local to global as in the public code: 16x16 cells, cubic, own class.

SoftCAM, r_LG. Two traps are kept: cubic resizing gives cells next to a strong one the other
sign, and the map of a healthy image is that of the healthy class, whose zero is arbitrary too
and which is asked to be below it where the network says healthy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from softcam.metrics.consistency import SOURCE, diseased, healthy, image_numbers
from softcam.metrics.paper.cubic import cubic_resize
from softcam.metrics.records import LabelledMaps, Ratios
from softcam.metrics.registry import measure

__all__ = ["consistency_negative", "consistency_positive"]

CELLS = (16, 16)


@measure(
    name="consistency-positive",
    title="Consistency on diseased images",
    direction="higher",
    source=SOURCE,
    kind="labelled",
    gauge="zero",
    threshold="0",
    interpolation="cubic",
    protocol="paper",
)
def consistency_positive(maps: LabelledMaps, *, pooled: bool = False) -> tuple[np.ndarray, Ratios]:
    """r+_LG: mean over diseased images of the share of cells above 0, map of the image's class.

    Args:
        maps: of each image's own label, any resolution. The public code also divides each by its
            largest |value|, which changes no sign. A map of zeros scores 0; one with a NaN or an
            infinity is excluded and counted.
        pooled: the older version, which pools the cells of all images. As all have 256 cells
            the value is the same; numerators and denominators are numbers of cells.

    Returns:
        The indices of the diseased images (label > 0), and their ratios, (n, 1).

    Raises:
        SoftCAMError: no image is diseased.
    """
    return _cells(maps, diseased(maps.labels), lambda cells: cells > 0, pooled)


@measure(
    name="consistency-negative",
    title="Consistency on healthy images",
    direction="higher",
    source=SOURCE,
    kind="labelled",
    gauge="zero",
    threshold="0",
    interpolation="cubic",
    protocol="paper",
)
def consistency_negative(maps: LabelledMaps, *, pooled: bool = False) -> tuple[np.ndarray, Ratios]:
    """r-_LG: mean over healthy images of the share of cells below 0, map of the healthy class.

    Arguments, result and errors as in `consistency_positive`, for images of label 0.
    """
    return _cells(maps, healthy(maps.labels), lambda cells: cells < 0, pooled)


def _cells(
    maps: LabelledMaps, indices: np.ndarray, sign: Callable[[Tensor], Tensor], pooled: bool
) -> tuple[np.ndarray, Ratios]:
    counts, finite = image_numbers(
        maps, indices, lambda values: sign(cubic_resize(values, CELLS)).sum((1, 2))
    )
    total = CELLS[0] * CELLS[1]
    return indices, Ratios(counts, finite * total) if pooled else Ratios(counts / total, finite)
