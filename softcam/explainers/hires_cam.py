"""HiResCAM: gradient times feature map at each cell, summed over channels, signed.

Grad-CAM averages the gradient over the map first and so may paint cells that the logit does not
use. Without that average the sum of the map is what a linear head adds to the logit, cell by
cell. For mean pooling and one linear layer the gradient is the same everywhere, and the two maps
are one.

Source: Draelos & Carin, "Use HiResCAM instead of Grad-CAM", arXiv 2011.08891. The public code
clips the map at 0 for drawing; here it stays signed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.explainers.features import Head, each_class, split_at, undisturbed
from softcam.explainers.registry import explainer

__all__ = ["head_gradient", "hires_cam"]


def head_gradient(z: Tensor, head: Head, targets: Tensor) -> Tensor:
    """dlogit / dZ of one class an image, (B, D, h, w); nothing of the network is touched.

    Works inside no_grad and on frozen networks, since Z is a tensor of its own here.

    Args:
        z: features (B, D, h, w), and `head` the function from them to logits.
        targets: LongTensor (B,).
    """
    with torch.enable_grad():
        leaf = z.detach().clone().requires_grad_(True)
        own = head(leaf).gather(1, targets.to(z.device).clone()[:, None])
        (gradient,) = torch.autograd.grad(own.sum(), leaf)
    return gradient.detach()


def _explained(z: Tensor, head: Head, targets: Tensor) -> Tensor:
    """HiResCAM (B, h, w) of one class an image."""
    return (head_gradient(z, head, targets) * z).sum(1)


def _all_classes(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    return each_class(model, images, _explained)


@explainer(
    name="hires-cam",
    title="HiResCAM",
    paper="Draelos & Carin, arXiv 2011.08891, 2020",
    cost="the head once more, forward and backward, for each class",
    gauges=("raw", "centred", "contrast"),
    needs="features",
    all_classes=_all_classes,
)
def hires_cam(
    model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None
) -> Tensor:
    """Gradient of the class's logit times the last feature map, summed over channels.

    Args:
        model: a classifier.
        images: (B, 3, H, W) in [0, 1].
        targets: LongTensor (B,), the class to explain in each image.
        layer: a name of `model.named_modules()`; None takes the last feature map.

    Returns:
        (B, h, w), signed, in logits. For a head that is linear in Z the sum of the map is the
        logit without its bias.
    """
    with torch.inference_mode(False), undisturbed(model):
        z, head = split_at(model, images.clone(), layer)
        return _explained(z, head, targets)
