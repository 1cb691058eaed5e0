"""Grad-CAM at the last feature map, signed (no ReLU), by captum.

For a mean-pool + linear head the gradient of a logit is the same at every cell, weight / (h * w),
so that signed Grad-CAM * (h * w) + bias *is* the evidence map of the converted network.

Source: Selvaraju et al., "Grad-CAM", ICCV 2017; captum's `LayerGradCam`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.explainers.features import Head, split_at_features, undisturbed
from softcam.explainers.registry import explainer

__all__ = ["grad_cam"]


class _FromFeatures(nn.Module):
    """The part of a network behind its features, with a layer that captum can hold on to.

    The head is a function, not a module: nothing of the explained network is registered here.
    """

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.features = nn.Identity()
        self.head = head

    def forward(self, z: Tensor) -> Tensor:
        # A copy, since a head may begin with an in-place activation.
        return self.head(self.features(z).clone())


def _explained(z: Tensor, head: Head, targets: Tensor) -> Tensor:
    """Signed Grad-CAM (B, h, w) of one class an image."""
    from captum.attr import LayerGradCam

    rest = _FromFeatures(head)
    # A tensor of its own that asks for gradients: so it works inside no_grad and on frozen
    # networks, and differentiates the head only.
    with torch.enable_grad():
        leaf = z.clone().requires_grad_(True)
        maps = LayerGradCam(rest, rest.features).attribute(
            leaf, target=targets.to(z.device).clone(), relu_attributions=False
        )
    return maps[:, 0].detach()


def _all_classes(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The features once, the head once a class."""
    with torch.inference_mode(False), undisturbed(model):
        z, head = split_at_features(model, images.clone())
        with torch.no_grad():
            logits = head(z.clone())
        target = torch.zeros(len(images), dtype=torch.long, device=images.device)
        maps = [_explained(z, head, target + c) for c in range(logits.shape[1])]
    return logits, torch.stack(maps, 1)


@explainer(
    name="grad-cam",
    title="Grad-CAM",
    paper="Selvaraju et al., ICCV 2017",
    cost="the head once more, forward and backward, for each class",
    gauges=("raw", "centred", "contrast"),
    needs="features",
    all_classes=_all_classes,
)
def grad_cam(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Mean gradient of the class's logit times the last feature map, summed over channels.

    The layer is found by itself. The network is left as it was: mode, hooks, `requires_grad`
    and `.grad`.

    Returns:
        (B, h, w), signed. For a linear head, a cell's contribution to the logit.
    """
    with torch.inference_mode(False), undisturbed(model):
        z, head = split_at_features(model, images.clone())
        return _explained(z, head, targets)
