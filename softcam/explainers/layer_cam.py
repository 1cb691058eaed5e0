"""Layer-CAM: every cell of every channel has a weight of its own, its positive gradient.

    map = ReLU( sum_k ReLU(d logit / d Z_k) * Z_k )

Grad-CAM takes the mean gradient of a channel instead, which is only fair in late layers. At the
last map of a mean-pool + linear head all cells of a channel have the same gradient, weight
/ (h * w), so that Layer-CAM there is the class activation map without its negative weights.

Source: Jiang et al., "LayerCAM", TIP 2021 (equations 5-8); torchcam's `LayerCAM`, not normalised.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.explainers.features import FromFeatures, Head, each_class, split_at, undisturbed
from softcam.explainers.registry import explainer

__all__ = ["layer_cam"]


def _explained(z: Tensor, head: Head, targets: Tensor) -> Tensor:
    """Layer-CAM (B, h, w) of one class an image."""
    from torchcam.methods import LayerCAM

    rest = FromFeatures(head)
    with torch.enable_grad(), LayerCAM(rest, rest.features) as extractor:
        scores = rest(z.detach().clone().requires_grad_(True))
        maps: Tensor = extractor(targets.tolist(), scores=scores, normalized=False)[0]
    # The library leaves NaN out of its sum; a cell with a NaN in it has no value.
    return maps.detach() + 0 * z.sum(1) + 0 * scores.detach().sum(1)[:, None, None]


def _all_classes(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    return each_class(model, images, _explained)


@explainer(
    name="layer-cam",
    title="Layer-CAM",
    paper="Jiang et al., TIP 2021",
    cost="the head once more, forward and backward, for each class",
    gauges=("raw",),
    needs="features",
    all_classes=_all_classes,
)
def layer_cam(
    model: nn.Module, images: Tensor, targets: Tensor, layer: str | None = None
) -> Tensor:
    """Positive gradient of the class's logit times the feature map, cell by cell, over channels.

    Args:
        model: a classifier.
        images: (B, 3, H, W) in [0, 1].
        targets: LongTensor (B,), the class to explain in each image.
        layer: a name of `model.named_modules()`; None takes the last feature map.

    Returns:
        (B, h, w), 0 or more, in logits for a linear head.
    """
    with torch.inference_mode(False), undisturbed(model):
        z, head = split_at(model, images.clone(), layer)
        return _explained(z, head, targets)
