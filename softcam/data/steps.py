"""What augmentation does to one image, a step at a time, and to what is marked in it.

Geometry is torchvision v2's, so each step also takes a `tv_tensors` mask or boxes of the image;
colour is in `colour` and leaves those as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from softcam.data import colour

__all__ = ["Crop", "Flip", "Jitter", "Rotate", "Shift", "Step"]

Step = Callable[[Tensor], Tensor]  # of an image (3, H, W) in [0, 1], a mask (K, H, W) or boxes


@dataclass(frozen=True)
class Crop:
    """Take a part and stretch it to the size of the image."""

    top: int
    left: int
    height: int
    width: int

    def __call__(self, image: Tensor) -> Tensor:
        from torchvision.transforms.v2 import InterpolationMode
        from torchvision.transforms.v2 import functional as F
        from torchvision.tv_tensors import Mask

        size = list(F.get_size(image))
        box = (self.top, self.left, self.height, self.width)
        if not isinstance(image, Mask):
            return cast(Tensor, F.resized_crop(image, *box, size, antialias=True))
        # torchvision's own way with masks moves them by up to half a pixel against the image
        nearest = InterpolationMode.NEAREST_EXACT
        return Mask(F.resized_crop(image.as_subclass(Tensor), *box, size, interpolation=nearest))


@dataclass(frozen=True)
class Flip:
    """Mirror, or turn upside down."""

    upside_down: bool

    def __call__(self, image: Tensor) -> Tensor:
        from torchvision.transforms.v2 import functional as F

        flip = F.vertical_flip if self.upside_down else F.horizontal_flip
        return cast(Tensor, flip(image))


@dataclass(frozen=True)
class Rotate:
    """Turn about the centre, counter-clockwise."""

    degrees: float

    def __call__(self, image: Tensor) -> Tensor:
        from torchvision.transforms.v2 import functional as F

        return cast(Tensor, F.rotate(image, self.degrees))


@dataclass(frozen=True)
class Shift:
    """Move by whole pixels to the right and down."""

    right: int
    down: int

    def __call__(self, image: Tensor) -> Tensor:
        from torchvision.transforms.v2 import functional as F

        if type(image) is not Tensor:
            offset = [self.right, self.down]
            return cast(Tensor, F.affine(image, 0.0, offset, 1.0, [0.0, 0.0]))
        moved = torch.zeros_like(image)
        height, width = image.shape[-2:]
        (to_y, from_y), (to_x, from_x) = _overlap(self.down, height), _overlap(self.right, width)
        moved[..., to_y, to_x] = image[..., from_y, from_x]
        return moved


def _overlap(offset: int, length: int) -> tuple[slice, slice]:
    """Where a shifted line lands in itself, and where that comes from."""
    length -= abs(offset)
    to, start = max(offset, 0), max(-offset, 0)
    return slice(to, to + length), slice(start, start + length)


@dataclass(frozen=True)
class Jitter:
    """Change brightness, contrast, saturation and hue, in an order of its own."""

    order: tuple[int, ...]
    brightness: float
    contrast: float
    saturation: float | None
    hue: float | None

    def __call__(self, image: Tensor) -> Tensor:
        if type(image) is not Tensor:  # a mask or a box has no colour
            return image
        changes = (
            (colour.brighten, self.brightness),
            (colour.stretch_contrast, self.contrast),
            (colour.saturate, self.saturation),
            (colour.shift_hue, self.hue),
        )
        for change, amount in (changes[index] for index in self.order):
            if amount is not None:
                image = change(image, amount)
        return image
