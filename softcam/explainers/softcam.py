"""SoftCAM's own explanation: the evidence map of a class, read from the forward pass.

Source: Djoumessi & Berens, "Soft-CAM", MIDL 2026 (equation 3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.evidence import SoftCAM
from softcam.explainers.features import undisturbed
from softcam.explainers.registry import explainer

__all__ = ["evidence_map"]


def _all_classes(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    if not isinstance(model, SoftCAM):
        raise SoftCAMError(f"evidence maps need a SoftCAM, found {type(model).__name__}.")
    with undisturbed(model):
        explanation = model.explain(images)
    return explanation.logits, explanation.maps


@explainer(
    name="softcam",
    title="SoftCAM",
    paper="Djoumessi & Berens, MIDL 2026",
    cost="none: the maps are the prediction",
    gauges=("raw", "centred", "contrast"),
    needs="evidence",
    all_classes=_all_classes,
)
def evidence_map(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The evidence map of one class an image, (B, h, w), in logits: its mean is the logit."""
    _, maps = _all_classes(model, images)
    return maps[torch.arange(len(maps), device=maps.device), targets]
