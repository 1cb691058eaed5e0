"""Training augmentation on batches, and the statistics that normalise them.

Every policy is a function of (batch, generator): the same generator state gives the same batch.
Batches are (B, 3, H, W) float32 in [0, 1] and stay so. The policies follow the paper's in kind
(flips, rotation, scale, shift, colour), not in every number: they are for images of 96 to 512
pixels and for training from scratch in minutes. Those that are the paper's in every number are in
`paper_transforms`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from softcam.common import choose
from softcam.data.paper_transforms import PAPER_POLICIES
from softcam.data.records import ImageSet

__all__ = ["AUGMENTATIONS", "augment", "channel_statistics"]

Policy = Callable[[Tensor, torch.Generator], Tensor]


def augment(batch: Tensor, policy: str, generator: torch.Generator) -> Tensor:
    """Apply a named policy to a batch.

    Args:
        batch: (B, 3, H, W) float in [0, 1], on the CPU.
        policy: a name in `AUGMENTATIONS`.
        generator: the only source of randomness.

    Returns:
        A batch of the same shape, in [0, 1]; the given one is not changed.
    """
    return AUGMENTATIONS[choose("augmentation", policy, AUGMENTATIONS)](batch, generator)


def _none(batch: Tensor, generator: torch.Generator) -> Tensor:
    return batch


def _flip(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Left-right, every second image."""
    return _flipped(batch, 3, generator)


def _light(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Flip, up to 10 degrees, 10 % of scale, 5 % of shift; brightness and contrast by 10 %."""
    batch = _flipped(batch, 3, generator)
    batch = _affine(batch, generator, degrees=10, scale=0.1, shift=0.05)
    return _brightness_contrast(batch, generator, 0.1, 0.1)


def _fundus(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Flips both ways, any rotation, 15 % of scale; brightness, contrast, colour by 20, 20, 5 %."""
    batch = _flipped(_flipped(batch, 3, generator), 2, generator)
    batch = _affine(batch, generator, degrees=180, scale=0.15, shift=0.05)
    batch = _brightness_contrast(batch, generator, 0.2, 0.2)
    return (batch * (1 + 0.05 * _uniform((len(batch), 3, 1, 1), generator))).clamp(0, 1)


AUGMENTATIONS: dict[str, Policy] = {
    "none": _none,
    "flip": _flip,
    "light": _light,
    "fundus": _fundus,
    **PAPER_POLICIES,
}


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Numbers between -1 and 1."""
    return torch.rand(shape, generator=generator) * 2 - 1


def _flipped(batch: Tensor, dim: int, generator: torch.Generator) -> Tensor:
    chosen = torch.rand((len(batch), 1, 1, 1), generator=generator) < 0.5
    return torch.where(chosen, batch.flip(dim), batch)


def _affine(
    batch: Tensor, generator: torch.Generator, *, degrees: float, scale: float, shift: float
) -> Tensor:
    """Rotate by +-degrees, scale by exp(+-scale), shift by +-shift of the side, per image.

    What comes in from outside is black, as outside the field of view of a fundus camera.
    """
    n, _, height, width = batch.shape
    angle = math.radians(degrees) * _uniform((n,), generator)
    zoom = torch.exp(scale * _uniform((n,), generator))
    move = 2 * shift * _uniform((n, 2), generator)  # affine_grid spans -1 to 1
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # From output to input in units of half a side; height/width keeps a rotation a rotation.
    ratio = height / width
    rows = (
        torch.stack([cos, -sin * ratio, move[:, 0]], 1),
        torch.stack([sin / ratio, cos, move[:, 1]], 1),
    )
    grid = F.affine_grid(torch.stack(rows, 1), list(batch.shape), align_corners=False)
    return F.grid_sample(batch, grid.to(batch.dtype), align_corners=False)


def _brightness_contrast(
    batch: Tensor, generator: torch.Generator, brightness: float, contrast: float
) -> Tensor:
    """Multiply by 1 +- brightness, then stretch about the mean of each image by 1 +- contrast."""
    shape = (len(batch), 1, 1, 1)
    batch = batch * (1 + brightness * _uniform(shape, generator))
    factor = 1 + contrast * _uniform(shape, generator)
    middle = batch.mean((1, 2, 3), keepdim=True)
    return ((batch - middle) * factor + middle).clamp(0, 1)


def channel_statistics(
    data: ImageSet, chunk: int = 64
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of R, G and B over all pixels of a split, on the scale [0, 1].

    Exact (sums over integer pixel values) and streamed: memory holds `chunk` images at a time.
    """
    values = np.arange(256)
    counts = np.zeros((3, 256), dtype=np.int64)
    for start in range(0, len(data), chunk):
        raw = np.asarray(data.images[start : start + chunk])
        for channel in range(3):
            plane = raw if raw.ndim == 3 else raw[..., channel]
            if raw.ndim == 4 or channel == 0:
                counts[channel] += np.bincount(plane.ravel(), minlength=256)
            else:
                counts[channel] = counts[0]
    total = counts.sum(1)
    mean = counts @ values / total
    variance = counts @ values**2 / total - mean**2
    r, g, b = (mean / 255).tolist()
    sr, sg, sb = (np.sqrt(np.maximum(variance, 0)) / 255).tolist()
    return (r, g, b), (sr, sg, sb)
