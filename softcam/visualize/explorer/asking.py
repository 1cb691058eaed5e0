"""What the network itself says: of an image with a region painted over, and of a phantom's twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from softcam.data.records import unpack_mask
from softcam.metrics.fills import FILLS, Fill, painter
from softcam.metrics.masking import MOST, Hiding
from softcam.twins import twin_effects
from softcam.visualize.explorer.pictures import Picture
from softcam.visualize.explorer.region import Region
from softcam.visualize.explorer.subjects import Model

__all__ = ["Part", "fills_of", "logits_of", "paint", "parts_of"]


@dataclass(frozen=True)
class Part:
    """A lesion or the marker of a phantom.

    Attributes:
        name: what it is, with a number where there are several.
        mask: (H, W) bool, where it is.
        change: (C,) what it truly adds to each logit: image minus twin without it.
    """

    name: str
    mask: np.ndarray
    change: np.ndarray

    def share_in(self, region: Region) -> float:
        """The share of its pixels that lie in a region."""
        return float(self.mask[region.mask(self.mask.shape)].sum() / self.mask.sum())


def fills_of(model: Model) -> tuple[str, ...]:
    """The fills that can be painted for a model: one without a mean colour has no mean colour."""
    return tuple(f for f in FILLS if f != "mean-colour" or not model.normalize.is_identity)


def paint(model: Model, image: Tensor, region: Region, keep: bool, fill: Fill) -> Tensor:
    """The image (3, H, W) with the region painted over, or with `keep` all but the region."""
    size = int(image.shape[1]), int(image.shape[2])
    hidden = torch.from_numpy(region.mask(size) ^ keep)
    ranks = torch.where(hidden, 0, MOST).int()[None]
    hiding = Hiding(ranks, torch.ones(1, dtype=torch.int32))
    out = torch.empty(1, *image.shape)
    painter(fill, model, image[None], hiding)(0, slice(0, 1), out)
    return out[0].clamp(0, 1)


@torch.no_grad()
def logits_of(model: nn.Module, image: Tensor) -> Tensor:
    """(C,) logits of one image (3, H, W), on the CPU."""
    device = next((each.device for each in model.parameters()), torch.device("cpu"))
    return model(image[None].to(device))[0].cpu()


def parts_of(model: nn.Module, picture: Picture) -> list[Part]:
    """The parts of a phantom that can be seen, each with its effect; none for another image."""
    if picture.data is None:
        return []
    effects = twin_effects(model, picture.data, [picture.row])
    names = [f"{name.replace('_', ' ')}" for name in effects.part]
    masks = unpack_mask(effects.masks, picture.size[1])
    found = []
    for number, (name, mask, change) in enumerate(zip(names, masks, effects.change, strict=True)):
        if names.count(name) > 1:
            name = f"{name} {names[: number + 1].count(name)}"
        found.append(Part(name, mask, change))
    return found
