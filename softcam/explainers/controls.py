"""Maps that know nothing about the model: the floor every method has to clear.

`random` is one uniform number a cell, `centre` falls off from the middle of the image, which is
where a photographer puts the subject, and `edge` is bright where the image has edges. All have
the resolution of the model's last feature map.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.explainers.features import feature_size
from softcam.explainers.registry import explainer
from softcam.metrics.floors import centre_map, random_maps
from softcam.metrics.geometry import area_pool

__all__ = ["centre", "edge", "random"]

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, of red, green and blue
SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


@explainer(
    name="random",
    title="Random map",
    paper="control; Adebayo et al., NeurIPS 2018, on why one is needed",
    cost="none",
    gauges=("-",),
    needs="nothing",
)
def random(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Uniform in [-1, 1) at each cell, (B, h, w); the same image always gets the same map.

    The seed is a checksum of the image, so that the map does not depend on the batch around it.
    """
    keys = [zlib.crc32(pixels.numpy().tobytes()) for pixels in _eight_bit(images)]
    return random_maps(keys, feature_size(model, images)).to(images.device)


def _eight_bit(images: Tensor) -> Tensor:
    """Whole grey levels, so that the seed does not hang on the last bit of a float."""
    return (images.detach().cpu() * 255).round().to(torch.uint8).contiguous()


@explainer(
    name="centre",
    title="Centre",
    paper="control; the centre bias of photographs, Tatler, J. Vision 2007",
    cost="none",
    gauges=("-",),
    needs="nothing",
)
def centre(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """A Gaussian on the centre of the image, in (0, 1], the same for all images: (B, h, w)."""
    one = centre_map(feature_size(model, images))
    return one.to(images).expand(len(images), *one.shape)


@explainer(
    name="edge",
    title="Edges",
    paper="control; an edge detector, Adebayo et al., NeurIPS 2018",
    cost="none",
    gauges=("-",),
    needs="nothing",
)
def edge(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """How strong the edges of the image are in each cell, (B, h, w), 0 or more.

    The length of the Sobel gradient of the luminance, averaged over the pixels of a cell. Pixels
    beyond the border repeat the border, so that the frame of the image is no edge.
    """
    weights = torch.tensor(LUMINANCE).to(images)
    grey = (images.detach() * weights[:, None, None]).sum(1, keepdim=True)
    across = torch.tensor(SOBEL).to(images)
    kernels = torch.stack([across, across.T])[:, None]
    gradient = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), kernels)
    return area_pool(gradient.norm(dim=1), feature_size(model, images)).to(images)
