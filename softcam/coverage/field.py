"""How much of the image a cell of the map can see: its receptive field, in pixels.

The field is asked of the network itself, with a colour that cannot be mixed away. A pixel that is
not a number (NaN) makes every number that is computed from it NaN: no weight of zero, no ReLU, no
pooling hides it, and nothing can cancel it. So a cell depends on a row of pixels exactly where a
NaN in that row reaches the cell. That holds for any network, where propagating kernels and strides
by a formula (Araujo et al., "Computing receptive fields of convolutional neural networks", Distill
2019) needs to know each layer, and a gradient is lost in ReLUs and in max pooling.

It is the field that the wiring allows; what a trained network makes use of is smaller (Luo et al.,
"Understanding the effective receptive field", NeurIPS 2016).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["LONGEST", "receptive_field"]

LONGEST = 4096  # px; a strip of 4096 x 64 px costs as much as five images of 224 px
STRIP = 256  # px, the first one
WIDTHS = (64, 128)  # px; 128 for networks that shrink 64 px to nothing
EDGE = 8  # the edge of a strip is an eighth of it: fields of up to three quarters are measured

Maps = Callable[[Tensor], Tensor]


class _Unusable(Exception):
    """The network does not take an image of this size, or answers NaN to it."""


def receptive_field(maps: Maps, own_size: tuple[int, int] = (224, 224)) -> str:
    """Height in pixels of what the middle cell of a map depends on.

    Tall, narrow strips are tried, each twice as tall as the one before, until the field ends
    inside; then its two ends are found by bisection.

    Args:
        maps: (1, 3, H, W) to (1, C, h, w) on the CPU, in evaluation mode and without gradients.
        own_size: (H, W) for a network that takes images of this one size only.

    Returns:
        The number of pixels; `whole image` where every cell sees everything, as after attention
        or squeeze-and-excitation; `> 3072` where the field is longer than three quarters of the
        longest strip; the same with another number for a network of one size; or `-` where the
        network runs on none of these images, or gives NaN without being given one.
    """
    for width in WIDTHS:
        try:
            return _on_strips(maps, width)
        except _Unusable:
            continue
    try:
        return _on_one_size(maps, *own_size)
    except _Unusable:
        return "-"


def _on_strips(maps: Maps, width: int) -> str:
    height = STRIP
    # In both directions past half of the longest strip: no network of local layers reaches so far.
    if _sees_everything(maps, height, width) and _sees_everything(maps, LONGEST // 2, width):
        return "whole image"
    while height <= LONGEST:
        if _ends_inside(maps, height, width):
            return str(_length(maps, height, width))
        height *= 2
    return f"> {LONGEST - 2 * LONGEST // EDGE}"


def _on_one_size(maps: Maps, height: int, width: int) -> str:
    if _sees_everything(maps, height, width):
        return "whole image"
    if _ends_inside(maps, height, width):
        return str(_length(maps, height, width))
    return f"> {height - 2 * height // EDGE}"


def _sees_everything(maps: Maps, height: int, width: int) -> bool:
    """The first row of pixels reaches the last row of cells, and the last one the first."""
    if any(_reached(maps, height, width, 0, 0)):
        raise _Unusable  # NaN out of nothing would look like a field
    last_sees_first = _reached(maps, height, width, 0, 1)[-1]
    return last_sees_first and _reached(maps, height, width, height - 1, height)[0]


def _ends_inside(maps: Maps, height: int, width: int) -> bool:
    """Neither the upper nor the lower edge reaches the middle cell.

    The edges are bands, as a dilated convolution could step over a single row.
    """
    band = max(1, height // EDGE)
    above = _reached(maps, height, width, 0, band)
    below = _reached(maps, height, width, height - band, height)
    middle = len(above) // 2
    return not above[middle] and not below[middle]


def _length(maps: Maps, height: int, width: int) -> int:
    """From the first to the last row of pixels that reaches the middle cell, both included."""

    def reaches(start: int, end: int) -> bool:
        reached = _reached(maps, height, width, start, end)
        return reached[len(reached) // 2]

    low, high = 0, height  # rows [0, low) do not reach it, rows [0, high) do
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(0, middle) else (middle, high)
    first = low
    low, high = first, height  # rows [low, H) do reach it, rows [high, H) do not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reaches(middle, height) else (low, middle)
    return low - first + 1


def _reached(maps: Maps, height: int, width: int, start: int, end: int) -> list[bool]:
    """Which rows of cells turn NaN when the pixel rows [start, end) are NaN."""
    x = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    x[:, :, start:end] = torch.nan
    try:
        with torch.no_grad():
            found = maps(x)
    except Exception as error:  # a network may raise anything at a size it does not take
        raise _Unusable from error
    if found.ndim != 4 or not found.numel():
        raise _Unusable
    return found.isnan().any(3).any(1)[0].tolist()  # (h,)
