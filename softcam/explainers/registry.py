"""The list of explainers: one signature, looked up by name.

An explainer is a function `f(model, images, targets) -> maps`, with images (B, 3, H, W) in
[0, 1], targets LongTensor (B,) and maps (B, h, w): raw, signed, at the method's own resolution.
A new method is one file with one decorated function, imported in `softcam/explainers/__init__.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from softcam.bcos import BcosNet
from softcam.common import SoftCAMError, choose
from softcam.evidence import SoftCAM
from softcam.explainers.features import undisturbed
from softcam.wrappers import BlackBox

__all__ = [
    "Explainer",
    "class_maps",
    "explain_with",
    "explainer",
    "explainers",
    "get_explainer",
    "passes",
]

Gauge = Literal["raw", "centred", "contrast", "-"]
Needs = Literal["evidence", "b-cos", "features", "images", "nothing"]
Forwards = int | Literal["channels"]
Explain = Callable[..., Tensor]  # (model, images, targets), and `layer` where it takes one
ClassMaps = Callable[[nn.Module, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Explainer:
    """A method and what a reader should know about it.

    Attributes:
        name: how tables and commands call it.
        title: how figures call it.
        paper: where it comes from.
        cost: what it takes beside the prediction, in words.
        gauges: the zeros in which its maps can be read; `-` where classes share one map.
        needs: `evidence` (a SoftCAM), `b-cos` (a `BcosNet`), `features` (a net with a spatial
            map), `images` (any), or `nothing` of the network but the size of its map: a control.
        function: (model, images, targets) to maps; one with a parameter `layer` can explain at
            another layer than the last.
        all_classes: (model, images) to logits (B, C) and maps (B, C, h, w), where one pass
            serves all classes; None calls `function` once a class.
        forwards: about how many forward passes of the whole network one image and class cost,
            `channels` for one a feature channel; an evaluation gives costly methods fewer images.
        experimental: whether the formula could not be checked against a published source; kept
            out of claims.
    """

    name: str
    title: str
    paper: str
    cost: str
    gauges: tuple[Gauge, ...]
    needs: Needs
    function: Explain
    all_classes: ClassMaps | None = None
    forwards: Forwards = 1
    experimental: bool = False

    def __call__(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return self.function(model, images, targets)

    @property
    def takes_layer(self) -> bool:
        """Whether the method can explain at a layer asked for by name."""
        return "layer" in inspect.signature(self.function).parameters


_EXPLAINERS: dict[str, Explainer] = {}


def explainer(
    *,
    name: str,
    title: str,
    paper: str,
    cost: str,
    gauges: tuple[Gauge, ...],
    needs: Needs,
    all_classes: ClassMaps | None = None,
    forwards: Forwards = 1,
    experimental: bool = False,
) -> Callable[[Explain], Explain]:
    """Register the decorated function under `name`; the fields are those of `Explainer`."""

    def register(function: Explain) -> Explain:
        if name in _EXPLAINERS:
            raise SoftCAMError(f"an explainer named {name!r} is registered already: rename one.")
        _EXPLAINERS[name] = Explainer(
            name, title, paper, cost, gauges, needs, function, all_classes, forwards, experimental
        )
        return function

    return register


def explainers() -> dict[str, Explainer]:
    """All registered methods by name."""
    return dict(_EXPLAINERS)


def get_explainer(name: str) -> Explainer:
    """The method of that name.

    Raises:
        UnknownNameError: no such method; the message carries the closest names.
    """
    return _EXPLAINERS[choose("method", name, _EXPLAINERS)]


def passes(method: Explainer, model: nn.Module) -> int:
    """About how many forward passes of this model one image and class cost."""
    if method.forwards == "channels":
        return int(model.num_features) + 1  # type: ignore[arg-type]
    return method.forwards


def explain_with(
    name: str, model: nn.Module, images: Tensor, targets: Tensor, *, layer: str | None = None
) -> Tensor:
    """Explain one class an image, with everything checked before and after.

    Args:
        name: a registered method.
        model: `BlackBox`, `SoftCAM` or, where the method allows it, any classifier.
        images: (B, 3, H, W) float in [0, 1].
        targets: LongTensor (B,), the class to explain in each image.
        layer: a name of `model.named_modules()` to explain at, for methods with a layer; None
            takes the last feature map.

    Returns:
        (B, h, w): raw, signed, detached, at the method's own resolution.

    Raises:
        UnknownNameError: no such method or layer; the message carries the closest names.
        SoftCAMError: the model does not give what the method needs, a layer for a method
            without one, or targets of the wrong length, type or range.
    """
    method = get_explainer(name)
    check_needs(method, model)
    check_layer(method, layer)
    with undisturbed(model):
        classes = _classes(model, images)
    check_targets(targets, len(images), classes)
    options = {} if layer is None else {"layer": layer}
    maps = method.function(model, images, targets.to(images.device), **options).detach()
    if maps.ndim != 3 or len(maps) != len(images):
        raise SoftCAMError(
            f"the method {name!r} returned shape {tuple(maps.shape)} for {len(images)} images: "
            "an explainer returns one map (h, w) an image."
        )
    return maps


def class_maps(name: str, model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and the maps of all classes (B, C, h, w), raw and signed.

    In one pass where the method can; otherwise the method is called once a class.
    """
    method = get_explainer(name)
    check_needs(method, model)
    if method.all_classes is not None:
        logits, maps = method.all_classes(model, images)
        return logits.detach(), maps.detach()
    with undisturbed(model), torch.no_grad():
        logits = model(images)
    one_class = torch.zeros(len(images), dtype=torch.long, device=images.device)
    each = [method(model, images, one_class + c) for c in range(logits.shape[1])]
    return logits.detach(), torch.stack(each, 1).detach()


def check_needs(method: Explainer, model: nn.Module) -> None:
    """Raise `SoftCAMError` unless the model gives what the method reads."""
    if method.needs == "evidence" and not isinstance(model, SoftCAM):
        raise SoftCAMError(
            f"the method {method.name!r} reads evidence maps, which a {type(model).__name__} does "
            "not have: convert it with to_softcam(model), or use 'grad-cam'."
        )
    net = model.net if isinstance(model, BlackBox) else model
    if method.needs == "b-cos" and not isinstance(net, BcosNet):
        raise SoftCAMError(
            f"the method {method.name!r} reads a network made of B-cos layers, which this "
            f"{type(model).__name__} is not: train one with model='bcos_resnet18', or use "
            "'grad-cam'."
        )
    if not isinstance(model, nn.Module):
        raise SoftCAMError(f"expected a torch module as model, found {type(model).__name__}.")


def check_layer(method: Explainer, layer: str | None) -> None:
    """Raise `SoftCAMError` where a layer is asked of a method that has none."""
    if layer is not None and not method.takes_layer:
        able = sorted(each.name for each in _EXPLAINERS.values() if each.takes_layer)
        raise SoftCAMError(
            f"the method {method.name!r} takes no layer, found layer={layer!r}: leave it out, or "
            f"use one of {', '.join(map(repr, able))}."
        )


def _classes(model: nn.Module, images: Tensor) -> int:
    """C: from the classifier where the model names it, which saves a forward pass."""
    named = getattr(getattr(model, "net", model), "get_classifier", None)
    last = named() if callable(named) else None
    if isinstance(last, nn.Linear):
        return last.out_features
    if isinstance(last, nn.Conv2d):
        return last.out_channels
    with torch.no_grad():
        return int(model(images[:1]).shape[1])


def check_targets(targets: Tensor, images: int, classes: int) -> None:
    """Raise `SoftCAMError` unless targets is a LongTensor (B,) of classes the model has."""
    if not isinstance(targets, Tensor) or targets.dtype != torch.long:
        found = targets.dtype if isinstance(targets, Tensor) else type(targets).__name__
        raise SoftCAMError(
            f"targets must be a LongTensor, one class an image; found {found}: "
            "torch.tensor(classes, dtype=torch.long) makes one."
        )
    if targets.shape != (images,):
        raise SoftCAMError(
            f"expected one target an image, shape ({images},), found {tuple(targets.shape)}."
        )
    if images and not 0 <= int(targets.min()) <= int(targets.max()) < classes:
        raise SoftCAMError(
            f"targets run from {int(targets.min())} to {int(targets.max())}, but the model has "
            f"classes 0 to {classes - 1}."
        )
