"""Grad-CAM at the last feature map, signed (no ReLU), by captum.

For a mean-pool + linear head the gradient of a logit is the same at every cell, weight / (h * w),
so that signed Grad-CAM * (h * w) + bias *is* the evidence map of the converted network.

Source: Selvaraju et al., "Grad-CAM", ICCV 2017; captum's `LayerGradCam`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.explainers.features import FromFeatures, Head, each_class, split_at, undisturbed
from softcam.explainers.registry import explainer

__all__ = ["grad_cam"]


def _explained(z: Tensor, head: Head, targets: Tensor) -> Tensor:
    """Signed Grad-CAM (B, h, w) of one class an image."""
    from captum.attr import LayerGradCam

    rest = FromFeatures(head)
    # A tensor of its own that asks for gradients: so it works inside no_grad and on frozen
    # networks, and differentiates the head only.
    with torch.enable_grad():
        leaf = z.detach().clone().requires_grad_(True)
        maps = LayerGradCam(rest, rest.features).attribute(
            leaf, target=targets.to(z.device).clone(), relu_attributions=False
        )
    return maps[:, 0].detach()


def _all_classes(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    return each_class(model, images, _explained)


@explainer(
    name="grad-cam",
    title="Grad-CAM",
    paper="Selvaraju et al., ICCV 2017",
    cost="the head once more, forward and backward, for each class",
    gauges=("raw", "centred", "contrast"),
    needs="features",
    all_classes=_all_classes,
)
def grad_cam(model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None) -> Tensor:
    """Mean gradient of the class's logit times the last feature map, summed over channels.

    The network is left as it was: mode, hooks, `requires_grad` and `.grad`.

    Args:
        model: a classifier.
        images: (B, 3, H, W) in [0, 1].
        targets: LongTensor (B,), the class to explain in each image.
        layer: a name of `model.named_modules()`; None takes the last feature map.

    Returns:
        (B, h, w), signed. For a linear head, a cell's contribution to the logit.
    """
    with torch.inference_mode(False), undisturbed(model):
        z, head = split_at(model, images.clone(), layer)
        return _explained(z, head, targets)
