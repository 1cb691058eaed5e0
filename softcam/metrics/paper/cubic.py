"""The resizing of the public code: cubic, also where a map shrinks.

SoftCAM's notebooks bring every map to its cells or pixels with OpenCV's `INTER_CUBIC`: Keys'
kernel (IEEE Trans. ASSP 1981) with a = -0.75, half-pixel centres, replicated borders and no
antialiasing. It rings: a lone strong cell gives its neighbours evidence of the other sign. And a
map that shrinks is sampled, not averaged: from 512 to 60 it reads 4 of about 8.5 pixels an axis.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from softcam.common import SoftCAMError

__all__ = ["SIDES", "check_side", "cubic_read", "cubic_resize"]

SIDES = (512, 496)
_A = -0.75


def check_side(size: tuple[int, int]) -> None:
    """The public definitions are numbers of pixels: they exist at 512x512 and 496x496 alone.

    Args:
        size: (H, W) of the images, in pixels.

    Raises:
        SoftCAMError: another size.
    """
    if size not in [(side, side) for side in SIDES]:
        raise SoftCAMError(
            f"protocol 'paper' is defined for images of 512x512 and 496x496 px, found "
            f"{size[0]}x{size[1]} px: take protocol 'corrected', or resize images and findings."
        )


def cubic_resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps at another size, as `cv2.resize(map, size, interpolation=cv2.INTER_CUBIC)`.

    OpenCV works out positions and weights in float32. Where the ratio of the sizes is no power
    of two, its result differs by up to 2e-5 of the largest |value| (512 to 60), most often by
    less than 1e-6. Here the arithmetic is float64, and values closer than 2^-40 of the largest
    are equal, so that rounding does not decide between equal cells, nor at a threshold.

    Args:
        maps: (B, h, w), finite.
        size: (H, W), in pixels or cells; larger or smaller.

    Returns:
        (B, H, W) float64 on the CPU.
    """
    if maps.shape[1:] == size:
        maps = maps.detach().cpu().double()
        return _rounded(maps.clone(), maps)
    return _read(maps, _resizing(size[0], maps.shape[1]), _resizing(size[1], maps.shape[2]))


def cubic_read(maps: Tensor, rows: Tensor, columns: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps at any positions of their image, with the kernel of `cubic_resize`.

    Args:
        maps: (B, h, w), finite, over an image of `size`.
        rows, columns: (R,) and (C,) positions, in pixels from the top and the left edge.
        size: (H, W) of the image, in pixels.

    Returns:
        (B, R, C) float64 on the CPU.
    """
    down = _weights(rows, size[0], maps.shape[1])
    return _read(maps, down, _weights(columns, size[1], maps.shape[2]))


def _read(maps: Tensor, down: Tensor, across: Tensor) -> Tensor:
    maps = maps.detach().cpu().double()
    used = down.any(0), across.any(0)  # where a map shrinks, more than half is never read
    read = maps[:, used[0]][:, :, used[1]]
    return _rounded(down[:, used[0]] @ read @ across[:, used[1]].T, maps)


def _rounded(values: Tensor, maps: Tensor) -> Tensor:
    """`values`, in place, to whole multiples of a power of 2, about 2^-40 of the largest |map|."""
    _, exponent = maps.abs().amax((1, 2), keepdim=True).frexp()
    # With this added, a float64 has no room for anything finer than 2^(exponent - 40).
    large = torch.full(exponent.shape, 1.5, dtype=torch.float64)
    large = large.ldexp(exponent.clamp(max=1000) + 12)
    return values.add_(large).sub_(large)


@lru_cache(maxsize=8)
def _resizing(side: int, cells: int) -> Tensor:
    """(side, cells): the weights of `cells` cells at the centres of `side` pixels."""
    return _weights(torch.arange(side) + 0.5, side, cells)


def _weights(positions: Tensor, side: int, cells: int) -> Tensor:
    """(n, cells): how much each cell counts at each of n positions, in pixels along one axis."""
    at = positions.double() * cells / side - 0.5
    first = at.floor()
    weights = torch.zeros(len(positions), cells, dtype=torch.float64)
    row = torch.arange(len(positions))
    for tap in (-1, 0, 1, 2):
        cell = (first + tap).long().clamp(0, cells - 1)  # the border cell is repeated
        weights.index_put_((row, cell), _kernel((at - first - tap).abs()), accumulate=True)
    return weights


def _kernel(distance: Tensor) -> Tensor:
    """Keys' cubic kernel at a distance of 0 to 2 cells."""
    near = ((_A + 2) * distance - (_A + 3)) * distance**2 + 1
    far = ((_A * distance - 5 * _A) * distance + 8 * _A) * distance - 4 * _A
    return torch.where(distance <= 1, near, far)
