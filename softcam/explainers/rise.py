"""RISE: which random half of the image keeps the class alive?

Coarse random grids, enlarged smoothly and shifted by a random part of a cell, hide about half of
the image. The map is the mean of the masks, each weighed by the probability that the class still
has behind it: sum_i p_i M_i / (N * share shown). No gradient and no layer takes part.

What a mask hides becomes the zero of the network's input, as in the authors' code: the mean colour
of the training data where the model normalises, else 0. The grid is enlarged bilinearly with the
border repeated; scikit-image, which the authors use, mirrors the border cell instead.

Source: Petsiuk, Das & Saenko, "RISE", BMVC 2018 (equation 6, and section 3.2 on the masks).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.common import SoftCAMError, as_integer, rng
from softcam.explainers.features import chunk_of, normalised, undisturbed
from softcam.explainers.registry import explainer
from softcam.wrappers import Wrapper

__all__ = ["draw_masks", "rise", "rise_maps"]

MASKS, GRID, SHOWN = 256, 7, 0.5
STREAM = 0x52495345  # keeps these draws apart from others with the same seed


def rise_maps(
    model: nn.Module,
    images: Tensor,
    *,
    masks: int = MASKS,
    grid: int = GRID,
    shown: float = SHOWN,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and the RISE maps of all classes (B, C, H, W): one set of passes serves all.

    An image's masks depend on the seed and on its own grey levels, not on the batch around it.

    Args:
        model: `BlackBox`, `SoftCAM` or any classifier; a model without a link counts as softmax.
        images: (B, 3, H, W) in [0, 1].
        masks: N, passes an image; the noise of the map falls with its square root.
        grid: cells across and down.
        shown: p, the chance that a cell is shown, in (0, 1].
        seed: of the masks.

    Raises:
        SoftCAMError: a number out of range.
    """
    as_integer("masks", masks, 1, 10**6)
    as_integer("grid", grid, 1, 1024)
    if not 0 < shown <= 1:
        raise SoftCAMError(f"shown is {shown!r}: expected a chance in (0, 1].")
    height, width = images.shape[2:]
    with undisturbed(model), torch.no_grad():
        inputs, net = normalised(model, images)
        logits = net(inputs)
        maps = logits.new_zeros(*logits.shape, height, width)
        for each, x, image in zip(maps, inputs, images, strict=True):
            key, chunk = _checksum(image), chunk_of(images)
            for drawn in draw_masks(key, (height, width), masks, grid, shown, seed, chunk):
                part = drawn.to(x)
                probabilities = _probabilities(model, net(part[:, None] * x))
                each += torch.einsum("nc,nhw->chw", probabilities, part)
    return logits, maps / (masks * shown)


def draw_masks(
    key: int,
    size: tuple[int, int],
    masks: int = MASKS,
    grid: int = GRID,
    shown: float = SHOWN,
    seed: int = 0,
    chunk: int = MASKS,
) -> Iterator[Tensor]:
    """The masks of one image in pieces of at most `chunk`: (n, H, W) float32 in [0, 1].

    A grid of g x g cells is enlarged to (g + 1) * ceil(side / g) pixels and cut to the image at an
    offset of 0 to one cell, drawn anew for each mask.

    Args:
        key: of the image.
        size: (H, W) in pixels.
        masks, grid, shown, seed: as in `rise_maps`.
    """
    draw = rng(seed, key, STREAM)
    cell = [-(-side // grid) for side in size]
    cells = torch.from_numpy((draw.random((masks, grid, grid)) < shown).astype(np.float32))
    offsets = draw.integers(0, cell, (masks, 2))
    large = [(grid + 1) * side for side in cell]
    for start in range(0, masks, chunk):
        part = F.interpolate(cells[start : start + chunk, None], large, mode="bilinear")[:, 0]
        places = offsets[start : start + chunk].tolist()
        yield torch.stack(
            [m[y : y + size[0], x : x + size[1]] for m, (y, x) in zip(part, places, strict=True)]
        )


def _all_classes(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    return rise_maps(model, images)


@explainer(
    name="rise",
    title="RISE",
    paper="Petsiuk et al., BMVC 2018",
    cost=f"{MASKS} forward passes an image, for all classes together",
    gauges=("raw",),
    needs="images",
    all_classes=_all_classes,
    forwards=MASKS,
)
def rise(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The expected probability of the class given that a pixel is shown: (B, H, W), 0 or more.

    About the size of a probability everywhere: only differences between places speak.
    """
    _, maps = rise_maps(model, images)
    return maps[torch.arange(len(maps), device=maps.device), targets.to(maps.device)]


def _probabilities(model: nn.Module, logits: Tensor) -> Tensor:
    return model.probabilities(logits) if isinstance(model, Wrapper) else logits.softmax(1)


def _checksum(image: Tensor) -> int:
    """A number for the image's whole grey levels, which the last bit of a float does not move."""
    levels = (image.detach().cpu() * 255).nan_to_num().round().clamp(0, 255).to(torch.uint8)
    return zlib.crc32(levels.contiguous().numpy().tobytes())
