"""Four ways to bring a map to its image, and to the patches on it."""

from __future__ import annotations

import torch
from torch import Tensor

from softcam.common import choose
from softcam.metrics.geometry import RESOLUTION, PatchGrid, enlarge, read_patches
from softcam.metrics.paper.cubic import cubic_read, cubic_resize

__all__ = ["INTERPOLATIONS", "at_patches", "at_pixels"]

INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "area")


def at_pixels(maps: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """Maps (B, h, w) at image size, (B, H, W) float64.

    Args:
        maps: finite.
        size: (H, W), in pixels.
        interpolation: `bilinear` as in protocol `corrected`; `nearest`: the cell a pixel's centre
            lies in; `bicubic` as in the public code; `area`: the mean of the cells under a pixel,
            which is `nearest` but on pixels that two cells share.
    """
    choose("interpolation", interpolation, INTERPOLATIONS)
    if interpolation == "bilinear":
        return enlarge(maps, size)
    if interpolation == "bicubic":
        return cubic_resize(maps, size)
    width = 1.0 if interpolation == "area" else 0.0
    centres = [torch.arange(side) + 0.5 for side in size]
    return _read(maps, size, centres, width)


def at_patches(maps: Tensor, size: tuple[int, int], grid: PatchGrid, interpolation: str) -> Tensor:
    """Maps at the centres of patches, (B, rows, columns) float64; `area`: the patch's mean."""
    choose("interpolation", interpolation, INTERPOLATIONS)
    if interpolation == "bilinear":
        return read_patches(maps, size, grid)
    centres = [torch.arange(n) * grid.stride + grid.size / 2 for n in (grid.rows, grid.columns)]
    if interpolation == "bicubic":
        return cubic_read(maps, centres[0], centres[1], size)
    return _read(maps, size, centres, float(grid.size) if interpolation == "area" else 0.0)


def _read(maps: Tensor, size: tuple[int, int], centres: list[Tensor], width: float) -> Tensor:
    """The mean of each map over squares of `width` px; of width 0, the cell at the centre."""
    maps = maps.detach().cpu().double()
    down, across = (
        _shares(at.double(), width, side, cells)
        for at, side, cells in zip(centres, size, maps.shape[1:], strict=True)
    )
    # Values closer than rounding are equal, as in `metrics.geometry`.
    grain = maps.abs().amax((1, 2), keepdim=True) * RESOLUTION
    grain = torch.where(grain > 0, grain, 1.0)
    return torch.round(down @ maps @ across.T / grain) * grain


def _shares(at: Tensor, width: float, side: int, cells: int) -> Tensor:
    """(n, cells): the share that each cell has of an interval around each of n positions."""
    if width == 0:
        cell = (at * cells / side).floor().long().clamp(0, cells - 1)
        return torch.nn.functional.one_hot(cell, cells).double()
    low, high = (at - width / 2) * cells / side, (at + width / 2) * cells / side
    edge = torch.arange(cells, dtype=torch.float64)
    covered = torch.minimum(high[:, None], edge + 1) - torch.maximum(low[:, None], edge)
    covered = covered.clamp(min=0)
    return covered / covered.sum(1, keepdim=True)
