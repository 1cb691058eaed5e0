"""Colour of one image: brightness, contrast, saturation and hue as torchvision v2 defines them.

The same numbers as `torchvision.transforms.v2.functional` (to rounding), for two reasons written
again: its hue takes most of the time of an augmentation, and its contrast rounds differently with
the number of threads, while a batch must not depend on who prepared it.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["brighten", "grey", "saturate", "shift_hue", "stretch_contrast"]

LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601, with the digits of torchvision


def grey(image: Tensor) -> Tensor:
    """(3, H, W) RGB to (H, W) luma."""
    red, green, blue = image
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def brighten(image: Tensor, factor: float) -> Tensor:
    """Multiply (3, H, W) by a factor, within [0, 1]."""
    return (image * factor).clamp_(0, 1)


def stretch_contrast(image: Tensor, factor: float) -> Tensor:
    """Stretch (3, H, W) about the mean of its luma by a factor, within [0, 1]."""
    middle = float(grey(image).mean(1).mean())  # row by row: the same with any number of threads
    return (image * factor).add_((1 - factor) * middle).clamp_(0, 1)


def saturate(image: Tensor, factor: float) -> Tensor:
    """Move (3, H, W) away from its luma by a factor, within [0, 1]."""
    return (image * factor).add_(grey(image), alpha=1 - factor).clamp_(0, 1)


def shift_hue(image: Tensor, turn: float) -> Tensor:
    """Turn the hue of (3, H, W) in [0, 1] by a part of the colour circle, at most half of it.

    In HSV a channel is value - chroma * wave(hue), and turning the hue moves the three waves.
    """
    red, green, blue = image
    top = torch.maximum(torch.maximum(red, green), blue)
    chroma = top - torch.minimum(torch.minimum(red, green), blue)
    # In sixths of the circle: 0 is red, 2 green, 4 blue.
    sixths = (red - green).add_(chroma, alpha=4)
    sixths = torch.where(top == green, (blue - red).add_(chroma, alpha=2), sixths)
    sixths = torch.where(top == red, green - blue, sixths)
    sixths.div_(chroma + (chroma == 0)).add_(6 * turn)
    sixths.sub_((sixths / 6).floor_(), alpha=6)
    shares = (
        (sixths - 3).abs_().sub_(1),  # how much of the chroma red has, then green and blue
        (sixths - 2).abs_().neg_().add_(2),
        (sixths - 4).abs_().neg_().add_(2),
    )
    out = torch.empty_like(image)
    for channel, share in enumerate(shares):
        torch.addcmul(top, chroma, share.clamp_(0, 1).sub_(1), out=out[channel])
    return out
