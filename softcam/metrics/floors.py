"""What a localisation value stands beside: its floor, its chance level, and a reference ceiling.

A cell of 32 px cannot draw a finding of 5 px. The reference ceiling says how far a map of
h x w cells gets that knows the truth, brought to image size the same way as any other map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from softcam.common import digest, rng
from softcam.metrics.geometry import area_pool
from softcam.metrics.records import MapBatch, Ratios
from softcam.metrics.registry import Measure, get_measure

__all__ = ["centre_map", "pointing_chance", "random_maps", "reference_ceiling"]


class Findings(Protocol):
    """What is marked in N images: a tensor (N, H, W), or something that reads it in slices."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: slice, /) -> Tensor: ...


STREAM = 0x464C4F4F  # keeps these draws apart from others with the same seed


def random_maps(ids: Sequence[int | str], shape: tuple[int, int], seed: int = 0) -> Tensor:
    """The floor of any map: uniform in [-1, 1), (B, h, w) float32.

    The map of an image depends on its id, the shape and the seed, not on its place in the batch.
    """
    keys = [i if isinstance(i, int) else int(digest(i, length=12), 16) for i in ids]
    maps = [rng(seed, key, STREAM).uniform(-1, 1, shape) for key in keys]
    return torch.from_numpy(np.stack(maps) if maps else np.zeros((0, *shape))).float()


def centre_map(shape: tuple[int, int]) -> Tensor:
    """A map that looks at no image: a Gaussian on the centre, (h, w) float32 in (0, 1].

    Its standard deviation is a quarter of each side. Beating it shows that a map follows the
    image, and not only where findings usually lie.
    """
    rows, columns = (((torch.arange(n) + 0.5) / n - 0.5) / 0.25 for n in shape)
    return torch.exp(-(rows[:, None] ** 2 + columns**2) / 2)


def pointing_chance(findings: Tensor) -> Ratios:
    """The chance of a random pixel: the share of the image that is marked, where any is."""
    share = findings.cpu().double().flatten(1).mean(1)
    return Ratios.where(share > 0, share)


def reference_ceiling(
    measure: Measure | str,
    findings: Findings,
    shape: tuple[int, int],
    *,
    cells: int = 5,
    chunk: int = 64,
) -> Ratios:
    """How well a map of h x w cells scores that knows the finding: no upper bound, a yardstick.

    The better, for the measure and step, of two references: the finding pooled to cells (each
    cell's share of marked pixels), and one single cell. The single cell is chosen for each
    image: the one that scores best among the `cells` with the largest share.

    Args:
        measure: a measure on maps, or its name.
        findings: (N, H, W) bool.
        shape: (h, w) of the maps it is compared with.
        cells: how many single cells to try in each image.
        chunk: images at a time.
    """
    measure = get_measure(measure) if isinstance(measure, str) else measure
    sign = -1 if measure.direction == "lower" else 1
    pooled, single = [], []
    for start in range(0, len(findings), chunk):
        marked = findings[start : start + chunk].cpu() != 0
        shares = area_pool(marked, shape)
        pooled.append(measure(MapBatch(shares, marked)))
        tried = [measure(MapBatch(cell, marked)) for cell in _single_cells(shares, cells)]
        single.append(_best_of(tried, sign))
    references = [Ratios.concatenate(pooled), Ratios.concatenate(single)]
    values = np.stack([sign * each.value for each in references])  # (2, S)
    better = np.where(np.isnan(values), -np.inf, values).argmax(0)
    steps = np.arange(values.shape[1])
    return Ratios(
        np.stack([each.numerator for each in references])[better, :, steps].T,
        np.stack([each.denominator for each in references])[better, :, steps].T,
    )


def _single_cells(shares: Tensor, cells: int) -> list[Tensor]:
    """Maps (B, h, w) with a 1 in the cell of the largest share, of the second largest, ..."""
    flat = shares.flatten(1)
    order = flat.sort(dim=1, descending=True, stable=True).indices[:, :cells]
    # Where fewer cells touch the finding, the first is tried again.
    order = torch.where(flat.gather(1, order) > 0, order, order[:, :1])
    return [
        torch.zeros_like(flat).scatter_(1, each[:, None], 1).view_as(shares) for each in order.T
    ]


def _best_of(tried: list[Ratios], sign: int) -> Ratios:
    """For each image and step the best of several values."""
    values = sign * np.stack([each.per_image for each in tried])  # (cells, B, S)
    best = np.where(np.isnan(values), -np.inf, values).argmax(0)[None]
    return Ratios(
        np.take_along_axis(np.stack([each.numerator for each in tried]), best, 0)[0],
        np.take_along_axis(np.stack([each.denominator for each in tried]), best, 0)[0],
    )
