"""How networks lay out a feature map: channels first, channels last, or as a list of tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError

__all__ = [
    "LAYOUTS",
    "Layout",
    "TokenGrid",
    "from_map",
    "is_grid",
    "noise_for",
    "to_map",
    "token_stride",
]

Layout = Literal["BDhw", "BhwD", "BND", "BDN"]  # N = h * w tokens, row by row
LAYOUTS: dict[int, tuple[Layout, ...]] = {4: ("BDhw", "BhwD"), 3: ("BND", "BDN")}


def is_grid(shape: Sequence[int]) -> bool:
    """Whether a tensor of this shape has several cells, each with several channels."""
    return len(shape) in LAYOUTS and sum(n > 1 for n in shape[1:]) > 1


def to_map(z: Tensor, layout: Layout) -> Tensor:
    """Channels to the second axis: (B, D, h, w), or (B, D, N) for tokens."""
    return z.movedim(-1, 1) if layout.endswith("D") else z


def from_map(z: Tensor, layout: Layout) -> Tensor:
    """(B, D, h, w) as a network lays it out; the inverse of `to_map` and `TokenGrid`."""
    if "N" in layout:
        z = z.flatten(2)
    return (z.movedim(1, -1) if layout.endswith("D") else z).contiguous()


@torch.no_grad()
def noise_for(head: Callable[[Tensor], Tensor], shape: Sequence[int]) -> Tensor:
    """Noise of this shape, in float64, that `head` takes: positive where it takes no other.

    Roots and logarithms, as in generalised-mean pooling, stand behind a ReLU or a clamp.
    """
    z = torch.randn(*shape, dtype=torch.float64)
    return z if bool(torch.isfinite(head(z)).all()) else z.abs()


def token_stride(tokens: int, height: int, width: int) -> int:
    """Image pixels from one token to the next; 0 if the tokens of this image form no grid.

    Args:
        tokens: N; prefix tokens such as a class token left out.
        height, width: of the image in pixels.
    """
    even = math.isqrt(height * width // tokens)  # only one stride cuts without rest
    if even * (height // even) == height and even * (width // even) == width:
        if height * width == tokens * even**2:
            return even
    strides = range(1, min(height, width) + 1)
    return next((s for s in strides if _grid_of(tokens, height, width, s)), 0)


class TokenGrid(nn.Module):
    """Tokens (B, D, N) of images (B, 3, H, W) to the map (B, D, h, w) that they were read off.

    Args:
        stride: image pixels from one token to the next.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        size = _grid_of(z.shape[2], x.shape[2], x.shape[3], self.stride)
        if size is None:
            raise SoftCAMError(
                f"{z.shape[2]} tokens of an image of {x.shape[2]}x{x.shape[3]} px form no grid of "
                f"{self.stride} px a token: use an image size that {self.stride} divides."
            )
        return z.reshape(*z.shape[:2], *size)


def _grid_of(tokens: int, height: int, width: int, stride: int) -> tuple[int, int] | None:
    """(h, w) with h * w = N where borders are cut off, else where they are filled up."""
    for h, w in ((height // stride, width // stride), (-(-height // stride), -(-width // stride))):
        if h * w == tokens:
            return h, w
    return None
