"""Fake-CAM: a map that says nothing and scores well where a measure can be fooled.

Source: Poppi et al., "Revisiting the evaluation of class activation mapping for explainability",
CVPR workshops 2021.
"""

from __future__ import annotations

from torch import Tensor, nn

from softcam.explainers.features import feature_size
from softcam.explainers.registry import explainer

__all__ = ["fake_cam"]


@explainer(
    name="fake-cam",
    title="Fake-CAM",
    paper="control; Poppi et al., CVPR workshops 2021",
    cost="none",
    gauges=("-",),
    needs="images",
)
def fake_cam(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """1 in every cell and 0 in the top-left one, the same for all images: (B, h, w).

    As a mask it hides next to nothing, so the prediction under it hardly drops. It is what an
    average drop near 0 has to be held against.
    """
    h, w = feature_size(model, images)
    maps = images.new_ones(len(images), h, w)
    maps[:, 0, 0] = 0
    return maps
