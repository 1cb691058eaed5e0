"""Where a map lies over its image: bilinear up, area pooling down, patches in their place.

A map of h x w cells covers the whole image, whatever its aspect: cell (r, c) is the rectangle
from r / h to (r + 1) / h of the height and from c / w to (c + 1) / w of the width. Reading the
map at image positions is linear and separable, so each axis is one small matrix of weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from softcam.common import SoftCAMError

__all__ = ["PatchGrid", "area_pool", "enlarge", "patch_grid", "patch_maximum", "read_patches"]

# The paper's patch: 33 px of 512, every 8 px (BagNet-33).
PATCH_SHARE = 33 / 512
# Values closer than this share of the largest |value| are equal. Without it, rounding decides
# which of two equal cells comes first, and one machine points elsewhere than another.
RESOLUTION = 2.0**-40


@dataclass(frozen=True)
class PatchGrid:
    """Square patches on an image: patch (r, c) covers the pixels from (r, c) * stride.

    Attributes:
        size: side of a patch, in pixels.
        stride: distance between neighbours, in pixels.
        rows, columns: how many patches fit.
    """

    size: int
    stride: int
    rows: int
    columns: int

    @property
    def reach(self) -> int:
        """How many neighbours to each side overlap a patch by more than half its side."""
        return (self.size - 1) // (2 * self.stride)


def patch_grid(height: int, width: int) -> PatchGrid:
    """The paper's patches at any image size; the short side s sets the patch.

    size = max(3, round(33 / 512 * s)), stride = max(1, size // 4): 33 and 8 px at 512 px.
    """
    side = min(height, width)
    if side < 3:
        raise SoftCAMError(f"an image of {height}x{width} px is smaller than one patch of 3x3 px.")
    size = max(3, round(PATCH_SHARE * side))
    stride = max(1, size // 4)
    return PatchGrid(size, stride, (height - size) // stride + 1, (width - size) // stride + 1)


def enlarge(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps at image size: bilinear with half-pixel centres; an axis that shrinks is area-pooled.

    Args:
        maps: (B, h, w), finite.
        size: (H, W) of the image, in pixels.

    Returns:
        (B, H, W) float64 on the CPU.
    """
    height, width = size
    rows = _weights(torch.arange(height) + 0.5, 1, height, maps.shape[1])
    columns = _weights(torch.arange(width) + 0.5, 1, width, maps.shape[2])
    return _read(maps, rows, columns)


def read_patches(maps: Tensor, size: tuple[int, int], grid: PatchGrid) -> Tensor:
    """The map at the centre of each patch; cells finer than the stride are averaged over it.

    Args:
        maps: (B, h, w), finite.
        size: (H, W) of the image, in pixels.
        grid: the patches on that image.

    Returns:
        (B, rows, columns) float64 on the CPU.
    """
    half = grid.size / 2
    centres_y = torch.arange(grid.rows) * grid.stride + half
    centres_x = torch.arange(grid.columns) * grid.stride + half
    rows = _weights(centres_y, grid.stride, size[0], maps.shape[1])
    columns = _weights(centres_x, grid.stride, size[1], maps.shape[2])
    return _read(maps, rows, columns)


def area_pool(masks: Tensor, shape: tuple[int, int]) -> Tensor:
    """The share of each of h x w cells that a mask covers: (B, H, W) to (B, h, w) float64."""
    cells = [_boxes((torch.arange(n).double() + 0.5) / n * side, side / n, side, side)
             for n, side in zip(shape, masks.shape[1:], strict=True)]  # fmt: skip
    return cells[0] @ masks.cpu().double() @ cells[1].T


def patch_maximum(values: Tensor, size: int, stride: int, *, partial: bool = False) -> Tensor:
    """The maximum of (B, H, W) inside each patch; `partial` keeps the cut-off ones at the end."""
    if partial:
        below, right = (_missing(side, size, stride) for side in values.shape[1:])
        values = F.pad(values, (0, right, 0, below), value=-torch.inf)
    # Many times faster on the CPU than max_pool2d, which is not vectorised there.
    return values.unfold(1, size, stride).amax(-1).unfold(2, size, stride).amax(-1)


def _missing(side: int, size: int, stride: int) -> int:
    """By how much the last patch that starts on an axis of `side` reaches over its end."""
    return max(0, math.ceil((side - size) / stride) * stride + size - side)


def _weights(centres: Tensor, pitch: float, side: int, cells: int) -> Tensor:
    """(n, cells): how much each cell counts at each of n positions, in pixels along one axis."""
    if cells * pitch > side:
        return _boxes(centres, pitch, side, cells)
    return _bilinear(centres, side, cells)


def _bilinear(centres: Tensor, side: int, cells: int) -> Tensor:
    at = (centres.double() * cells / side - 0.5).clamp(0, cells - 1)  # in cells, edges held
    low = at.floor().long()
    high = (low + 1).clamp(max=cells - 1)
    weights = torch.zeros(len(centres), cells, dtype=torch.float64)
    position = torch.arange(len(centres))
    weights[position, low] += 1 - (at - low)
    weights[position, high] += at - low
    return weights


def _boxes(centres: Tensor, width: float, side: int, cells: int) -> Tensor:
    start = (centres.double() - width / 2) * cells / side
    stop = (centres.double() + width / 2) * cells / side
    cell = torch.arange(cells, dtype=torch.float64)
    overlap = torch.minimum(stop[:, None], cell + 1) - torch.maximum(start[:, None], cell)
    overlap = overlap.clamp(min=0)
    return overlap / overlap.sum(1, keepdim=True)


def _read(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    maps = maps.detach().cpu().double()
    values = torch.empty(len(maps), len(rows), len(columns), dtype=torch.float64)
    # Image by image, which stays in the cache; the identity of a map that fits is left out.
    for cells, value in zip(maps, values, strict=True):
        low, high = cells.aminmax()
        grain = (float(torch.maximum(high, -low)) or 1.0) * RESOLUTION
        tall = cells if _identity(rows) else rows @ cells
        if _identity(columns):
            torch.div(tall, grain, out=value)
        else:
            torch.mm(tall, columns.T, out=value).div_(grain)
        value.round_().mul_(grain)
    return values


def _identity(weights: Tensor) -> bool:
    """Every position is the centre of its own cell."""
    return weights.shape[0] == weights.shape[1] and bool((weights.diagonal() == 1).all())
