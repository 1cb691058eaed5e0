"""Layers of a picture as NumPy arrays: fast enough to be drawn again with every key.

Colours and opacity are those of `show_evidence`: red for the class, blue against it, and where
there is no evidence the image shows through.
"""

from __future__ import annotations

import functools
import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from softcam.metrics.geometry import enlarge
from softcam.visualize.style import DIVERGING

__all__ = ["as_pixels", "colour_stops", "colours", "edges", "grey_copy", "png", "sign_colour"]

_STEPS = 255  # odd, so that 0 has a colour of its own


def as_pixels(image: Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] to (H, W, 3) uint8."""
    return (image.permute(1, 2, 0) * 255).round().byte().numpy()


def grey_copy(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to (H, W) uint8, a little paler, so that blue stands out on black."""
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    return np.rint(64 + grey * (191 / 255)).astype(np.uint8)


def colours(cells: np.ndarray, limit: float, size: tuple[int, int] | None = None) -> np.ndarray:
    """A signed map as RGBA: the colour by sign and size, the opacity 0 at 0.

    Args:
        cells: (h, w), finite.
        limit: the value at full colour, > 0; further values have the same colour.
        size: (H, W) to enlarge to, bilinearly; None gives one pixel a cell.

    Returns:
        (H, W, 4) or (h, w, 4) uint8.
    """
    if size is not None:
        cells = enlarge(torch.from_numpy(cells)[None], size)[0].numpy()
    share = np.clip(cells / limit, -1, 1)
    steps = np.rint((share + 1) / 2 * (_STEPS - 1)).astype(np.intp)
    out = np.empty((*cells.shape, 4), np.uint8)
    out[..., :3] = _table()[steps]
    out[..., 3] = np.rint(255 * np.sqrt(np.abs(share)))
    return out


def colour_stops(count: int = 11) -> list[str]:
    """The colours from -limit to +limit on the grey of a middling image, for a colour bar."""
    share = np.linspace(-1, 1, count)
    drawn = colours(share[None], 1.0)[0].astype(float)
    opacity = drawn[:, 3:] / 255
    mixed = np.rint(drawn[:, :3] * opacity + 200 * (1 - opacity)).astype(int)
    return [f"rgb({r}, {g}, {b})" for r, g, b in mixed]


def sign_colour(sign: int) -> str:
    """The colour of a sign, +1 or -1, for bars: one that can be seen on white and on black."""
    r, g, b = _table()[round((1 + 0.6 * sign) / 2 * (_STEPS - 1))]
    return f"rgb({r}, {g}, {b})"


def edges(mask: np.ndarray | None) -> np.ndarray:
    """The border of a mask (H, W) bool as lines between pixel corners: (n, 4) int16, x y x y."""
    if mask is None:
        return np.zeros((0, 4), np.int16)
    padded = np.pad(mask, 1)
    y, x = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])  # between one row and the next
    flat = np.stack([x, y, x + 1, y], 1)
    y, x = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    upright = np.stack([x, y, x, y + 1], 1)
    return np.concatenate([flat, upright]).astype(np.int16)


def png(pixels: np.ndarray) -> bytes:
    """(H, W), (H, W, 3) or (H, W, 4) uint8 as a PNG, packed lightly: it goes a short way."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


@functools.cache
def _table() -> np.ndarray:
    """(255, 3) uint8, from the most negative to the most positive value."""
    from matplotlib import colormaps

    return colormaps[DIVERGING](np.linspace(0, 1, _STEPS), bytes=True)[:, :3]
