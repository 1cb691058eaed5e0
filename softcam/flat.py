"""What a head does to maps that have one value in all cells, and to the mean of others.

All of it is asked by numbers, in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from softcam.cut import Cut
from softcam.layouts import from_map, to_map
from softcam.proof import TOLERANCE

__all__ = ["FEW", "cells_of", "channels_of", "is_affine", "is_mean", "on_flat_maps", "same"]

SCALES = (1.0, 1e3, 1e6)  # an activation may bend far out only, as a clamp does
FEW = 4  # vectors to try a head on; a map has at least two cells, and there are three


def channels_of(cut: Cut) -> int:
    """D of the map."""
    return cut.shape[-1 if cut.layout.endswith("D") else 1]


def cells_of(cut: Cut) -> tuple[int, int]:
    """(h, w), or (N, 1) for tokens, as the probe image had."""
    cells = to_map(torch.empty(cut.shape, device="meta"), cut.layout).shape[2:]
    return cells[0], cells[1] if len(cells) == 2 else 1


def on_flat_maps(head: nn.Module, cut: Cut) -> Callable[[Tensor], Tensor]:
    """The head as a function (n, D) to (n, C): of maps that have one value in all cells.

    Of as few cells as the head takes: one, four, or those of the probe image.
    """
    whole = cells_of(cut)
    for cells in ((1, 1), (2, 2), whole):

        def flat(v: Tensor, cells: tuple[int, int] = cells) -> Tensor:
            maps = v[:, :, None, None].expand(-1, -1, *cells)
            return head.forward(from_map(maps, cut.layout))  # a call would print what fails

        try:
            found = flat(torch.ones(2, channels_of(cut), dtype=torch.float64))
        except (RuntimeError, ValueError, TypeError, IndexError):
            continue
        if found.ndim == 2 and len(found) == 2 and bool(torch.isfinite(found).all()):
            break
    return flat


def is_mean(head: Callable[[Tensor], Tensor], flat: Callable[[Tensor], Tensor], z: Tensor) -> bool:
    """Whether maps (B, D, h, w) count by their mean, however many cells they have."""
    expected = head(z)
    if not same(expected, flat(z.mean((2, 3)))):
        return False
    try:
        return same(head(torch.cat([z, z], 2)), expected)
    except (RuntimeError, ValueError, TypeError, IndexError):  # it takes one size only
        return True


def is_affine(flat: Callable[[Tensor], Tensor], z: Tensor) -> bool:
    """Whether a head on flat maps is W v + b, for small numbers and for large ones."""
    cells = z.movedim(1, -1).flatten(0, 2)  # (B*h*w, D)
    v, w = (torch.cat([some * scale for scale in SCALES]) for some in (cells[:FEW], cells[-FEW:]))
    both, one, other, none = flat(torch.cat([v + w, v, w, v * 0])).chunk(4)
    pairs = zip(torch.split(both, FEW), torch.split(one + other - none, FEW), strict=True)
    return all(same(found, expected) for found, expected in pairs)


def same(found: Tensor | None, expected: Tensor) -> bool:
    """Whether two results agree but for rounding; None agrees with nothing."""
    if found is None or found.shape != expected.shape:
        return False
    return float((found - expected).abs().max()) <= TOLERANCE * float(expected.abs().max())
