"""Maps of one class an image, read from one of three zeros.

Adding one map to the maps of all classes changes no prediction of a softmax, so a single raw map
has a zero that training never fixed. `centred` and `contrast` do not depend on it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, choose
from softcam.explainers.registry import Explainer, class_maps

__all__ = ["GAUGES", "gauge_maps", "in_gauge", "read_gauges"]

GAUGES = ("raw", "centred", "contrast")


def gauge_maps(
    method: Explainer, model: nn.Module, images: Tensor, targets: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits (B, C), and the map of the target (B, h, w) in each gauge the method has.

    Args:
        method: a registered explainer.
        model: `BlackBox` or `SoftCAM`; its `link` says whether other gauges than `raw` exist.
        images: (B, 3, H, W) float in [0, 1].
        targets: LongTensor (B,), the class to explain in each image.
    """
    if method.gauges == ("-",):
        with torch.no_grad():
            logits = model(images)
        return logits, {"-": method(model, images, targets).detach()}
    if method.gauges == ("raw",) and method.all_classes is None:  # the target's map is enough
        with torch.no_grad():
            logits = model(images)
        return logits, {"raw": method(model, images, targets).detach()}
    logits, every = class_maps(method.name, model, images)
    found = read_gauges(every, logits, targets, getattr(model, "link", "softmax"))
    return logits, {name: maps for name, maps in found.items() if name in method.gauges}


def read_gauges(
    maps: Tensor, logits: Tensor, targets: Tensor, link: str = "softmax"
) -> dict[str, Tensor]:
    """The map of the target in every gauge there is: with a sigmoid the raw one alone."""
    names = GAUGES if link == "softmax" and maps.shape[1] > 1 else ("raw",)
    return {name: in_gauge(name, maps, logits, targets) for name in names}


def in_gauge(gauge: str, maps: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """The map of each image's target, read from one of three zeros.

    Args:
        gauge: `raw`; `centred`, minus the mean over classes at each cell; or `contrast`, minus
            the map of the class with the highest other logit.
        maps: (B, C, h, w), of any method that is linear in the logits.
        logits: (B, C).
        targets: (B,).

    Returns:
        (B, h, w).
    """
    choose("gauge", gauge, GAUGES)
    if gauge != "raw" and maps.shape[1] < 2:
        raise SoftCAMError(f"one map has no other class: gauge {gauge!r} needs two at least.")
    rows = torch.arange(len(maps), device=maps.device)
    own = maps[rows, targets]
    if gauge == "raw":
        return own
    if gauge == "centred":
        return own - maps.mean(1)
    rest = logits.clone()
    rest[rows, targets] = -torch.inf
    return own - maps[rows, rest.argmax(1)]
