"""How is the evidence spread? The energy outside the finding, and the sparsity of the map."""

from __future__ import annotations

import numpy as np
import torch

from softcam.metrics.localisation import positive_sums
from softcam.metrics.records import MapBatch, Ratios
from softcam.metrics.registry import measure

__all__ = ["energy_outside", "gini"]


@measure(
    name="energy-outside",
    title="Energy outside the finding",
    direction="lower",
    source="one minus the energy-based pointing game, Wang et al., Score-CAM, CVPRW 2020",
    gauge="zero",
    interpolation="bilinear",
)
def energy_outside(batch: MapBatch) -> Ratios:
    """Share of the positive evidence that lies outside the finding, on the map at image size.

    The positive part is taken as it is, whereas activation precision first moves its minimum to
    zero. Where the map is somewhere not positive the two add up to 1. Where it is positive
    everywhere, this one counts the common level too: a constant positive map gives the share of
    the image that is not marked, while its activation precision is undefined.

    A map without positive evidence is excluded and counted. A finding that covers the whole
    image leaves nothing outside: 0. Chance is one minus the mean area of the finding.
    """
    sums = positive_sums(batch)
    some = sums.total > 0
    outside = 1 - sums.inside / torch.where(some, sums.total, 1)
    return Ratios.where(batch.scored & some, outside.clamp(0, 1))


@measure(
    name="gini",
    title="Gini index of the map",
    direction="none",
    source="Hurley and Rickard 2009; as a measure of maps Chalasani et al., ICML 2020",
    gauge="zero",
)
def gini(batch: MapBatch) -> Ratios:
    """How unevenly |A| is spread over the cells of the map, at its own resolution.

    With |A| sorted upwards, a_1 <= ... <= a_N: 1 - 2 sum_k (a_k / sum a) (N - k + 1/2) / N. 0 is
    an even map, 1 - 1/N all evidence in one cell. Higher is sparser, which is no merit in
    itself, and it depends on the number of cells: compare maps of one shape.

    It does not read the finding, but is counted over the same images as the measures beside it,
    those in which something is marked. A map that is zero everywhere is excluded and counted.
    """
    images = batch.clean.flatten(1).numpy()
    n = images.shape[1]
    weights = (n - np.arange(1, n + 1) + 0.5) / n
    values = np.zeros(len(images))
    for image, cells in enumerate(images):
        # Scaled first, so that the sum of very large or very small values stays a number.
        size = np.abs(cells)
        size /= size.max() or 1
        size.sort()
        values[image] = 1 - 2 * (size @ weights) / (size.sum() or 1)
    some = batch.clean.flatten(1).any(1)
    return Ratios.where(batch.scored & some, torch.from_numpy(values).clamp(0, 1))
