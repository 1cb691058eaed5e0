"""Where a map is drawn, and where its cells look: two things, some pixels apart.

A map is drawn over the whole image, cell i of stride s with its centre at (i + 1/2) s. Where the
cell *looks* is up to the layers: strided convolutions with odd kernels look at the corner of the
drawn cell, a mean over 2 x 2 at its middle, and training goes on from there. Trading stride for
dilation moves what is drawn and leaves what is looked at: with r = old stride / new stride, the
answer of old cell i stands in new cell r i, drawn (r - 1) / 2 new cells up and left of before.

Nothing is known of the truth, but it turns round with the image. The map of the mirrored image,
mirrored back, is off by as much to the other side.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from softcam.common import SoftCAMError

__all__ = ["map_offset", "shift_cells"]


def shift_cells(maps: Tensor, cells: float) -> Tensor:
    """Maps moved right and down, bilinearly, for drawing and localisation only.

    Cells that nothing moves into repeat the border, so the mean is no longer the logit.

    Args:
        maps: (..., h, w).
        cells: how far, in cells; a fraction, or less than zero for left and up.

    Returns:
        Maps of the same shape.

    Raises:
        SoftCAMError: no finite number of cells.
    """
    if not math.isfinite(cells):
        raise SoftCAMError(f"cells is {cells}: expected a finite number of cells to move by.")
    for axis in (-2, -1):
        last = maps.shape[axis] - 1
        place = (torch.arange(last + 1, device=maps.device) - cells).clamp(0, last)
        near = place.floor().long()
        share = (place - near).to(maps.dtype)
        if axis == -2:
            share = share[:, None]
        far = maps.index_select(axis, (near + 1).clamp(max=last))
        maps = torch.lerp(maps.index_select(axis, near), far, share)
    return maps


def map_offset(maps: Tensor, mirrored: Tensor, width: int) -> float:
    """How far to the right maps must be moved to lie on what they show, in pixels.

    Drawn over the image, the maps of the mirrored images are mirrored back. They are moved against
    the maps of the images until the two are most alike (Pearson's correlation over what overlaps);
    half of that way is the answer. It needs no findings. It takes for granted that the network
    answers to a mirrored image alike, wherever that answer is drawn: layers treat rows as they
    treat columns, so the result holds for both, but images should be mirrored left to right, as
    few things are upright upside down.

    Args:
        maps: (N, h, w), signed, of some images: `explanation.contrast(1, 0)`.
        mirrored: (N, h, w), of the same images mirrored left to right, as the network gives them.
        width: of the images, in pixels.

    Returns:
        Pixels, in steps of 1/2, from -width / 4 to width / 4; below zero for left.

    Raises:
        SoftCAMError: maps of different shapes, none, or flat ones.
    """
    if maps.shape != mirrored.shape or maps.ndim != 3 or not len(maps):
        raise SoftCAMError(
            f"maps have the shape {tuple(maps.shape)} and those of the mirrored images "
            f"{tuple(mirrored.shape)}: expected (N, h, w) for both, of the same images."
        )
    drawn, back = (_drawn(each, width) for each in (maps, mirrored.flip(-1)))
    alike = {
        way: _correlation(drawn[..., max(0, -way) : width - max(0, way)],
                          back[..., max(0, way) : width - max(0, -way)])
        for way in sorted(range(-(width // 2), width // 2 + 1), key=abs)
    }  # fmt: skip
    best = max(alike, key=lambda way: alike[way])  # the shortest way of several
    if alike[best] == -math.inf:
        raise SoftCAMError("the maps are flat or not finite: nothing in them can be compared.")
    return best / 2


def _drawn(maps: Tensor, width: int) -> Tensor:
    """(N, h, w) to (N, h, width): rows are not moved, so they need not be drawn."""
    return F.interpolate(maps.float(), width, mode="linear", align_corners=False)


def _correlation(a: Tensor, b: Tensor) -> float:
    a, b = (each.flatten().double() - each.double().mean() for each in (a, b))
    scale = (a.norm() * b.norm()).item()
    found = (a @ b).item() / scale if scale > 0 else -math.inf
    return found if math.isfinite(found) else -math.inf
