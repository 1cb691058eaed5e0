"""How much of the image a cell of the map can see: its receptive field, in pixels.

The field is asked of the network itself, with a colour that cannot be mixed away. A pixel that is
not a number (NaN) makes every number that is computed from it NaN: no weight of zero, no ReLU, no
pooling hides it, and nothing can cancel it. So a cell depends on a row of pixels exactly where a
NaN in that row reaches the cell. That holds for any network, where propagating kernels and strides
by a formula (Araujo et al., "Computing receptive fields of convolutional neural networks", Distill
2019) needs to know each layer, and a gradient is lost in ReLUs and in max pooling.

Each end of the field is measured on its own, so a strip need not be as tall as the field: rows of
NaN at the top tell how far down a row is seen, rows at the bottom how far up. The two are brought
to the same cell by the stride.

It is the field that the wiring allows; what a trained network makes use of is smaller (Luo et al.,
"Understanding the effective receptive field", NeurIPS 2016).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["LONGEST", "receptive_field"]

STRIPS = (256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)  # px, until both ends fit
LONGEST = STRIPS[-1]  # 4096 x 32 px cost as much as 2.6 images of 224 px
BAND = 128  # px of NaN at an end of a strip; more than the stride
WIDTHS = (32, 64, 128)  # px; more for networks that shrink 32 px to nothing

Maps = Callable[[Tensor], Tensor]


class _Unusable(Exception):
    """The network does not take an image of this size, or answers NaN to it."""


def receptive_field(maps: Maps, own_size: tuple[int, int] = (224, 224)) -> str:
    """Height in pixels of what a cell of a map depends on, where no border cuts it off.

    Args:
        maps: (1, 3, H, W) to (1, C, h, w) on the CPU, in evaluation mode and without gradients.
        own_size: (H, W) for a network that takes images of this one size only.

    Returns:
        The number of pixels; `whole image` where every cell sees everything, as after attention
        or squeeze-and-excitation; `> 3840` where one end of the field lies further away than the
        longest strip can show; the same with another number for a network of one size; or `-`
        where the network runs on none of these images, or gives NaN without being given one.
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
    short, tall = STRIPS[0], LONGEST // 4
    cells = _cells(maps, short, width)
    # In both directions from end to end of the longest: no network of local layers reaches so far.
    if _sees_everything(maps, short, width) and _sees_everything(maps, LONGEST, width):
        return "whole image"
    for height in STRIPS:
        ends = _ends(maps, height, width, BAND)
        if ends:  # the stride from two strips, as a cell more or less at the borders is no matter
            stride = round((tall - short) / (_cells(maps, tall, width) - cells))
            return str(_length(maps, height, width, BAND, ends, stride))
    return f"> {LONGEST - 2 * BAND}"


def _on_one_size(maps: Maps, height: int, width: int) -> str:
    stride = round(height / _cells(maps, height, width))
    if _sees_everything(maps, height, width):
        return "whole image"
    band = max(height // 4, 1)
    ends = _ends(maps, height, width, band)
    if ends:
        return str(_length(maps, height, width, band, ends, stride))
    return f"> {height - 2 * band}"


def _cells(maps: Maps, height: int, width: int) -> int:
    """Rows of cells of an image without NaN."""
    reached = _reached(maps, height, width, 0, 0)
    if any(reached):
        raise _Unusable  # NaN out of nothing would look like a field
    return len(reached)


def _sees_everything(maps: Maps, height: int, width: int) -> bool:
    """The first row of pixels reaches the last row of cells, and the last one the first."""
    last_sees_first = _reached(maps, height, width, 0, 1)[-1]
    return last_sees_first and _reached(maps, height, width, height - 1, height)[0]


def _ends(maps: Maps, height: int, width: int, band: int) -> tuple[int, int] | None:
    """The lowest cell that the upper band reaches, and the highest that the lower one does.

    None where one of them reaches all the way, or reaches nothing. Bands, as a dilated convolution
    could step over a single row.
    """
    above = _reached(maps, height, width, 0, band)
    if above[-1] or not any(above):
        return None
    below = _reached(maps, height, width, height - band, height)
    if below[0] or not any(below):
        return None
    return max(k for k, seen in enumerate(above) if seen), below.index(True)


def _length(
    maps: Maps, height: int, width: int, band: int, ends: tuple[int, int], stride: int
) -> int:
    """From the first row that the one cell of `ends` sees to the last that the other one does.

    The next cell sees nothing of the band, so the first row that this one sees is at most a
    stride away from the band's inner edge, and inside the image.
    """
    upper, lower = ends
    low, high = 0, band  # rows [0, low) do not reach it, rows [0, high) do
    if stride < band and not _reached(maps, height, width, 0, band - stride)[upper]:
        low = band - stride
    while high - low > 1:
        middle = (low + high) // 2
        seen = _reached(maps, height, width, 0, middle)[upper]
        low, high = (low, middle) if seen else (middle, high)
    first = low
    low, high = height - band, height  # rows [low, H) do reach it, rows [high, H) do not
    if stride < band and not _reached(maps, height, width, height - band + stride, height)[lower]:
        high = height - band + stride
    while high - low > 1:
        middle = (low + high) // 2
        seen = _reached(maps, height, width, middle, height)[lower]
        low, high = (middle, high) if seen else (low, middle)
    return low - first + 1 - stride * (lower - upper)


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
