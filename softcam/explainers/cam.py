"""Class activation mapping: the weights of the linear classifier, laid over the last feature map.

    map_c = sum_k W_ck * Z_k,   and   mean(map_c) + b_c = logit_c

It needs a network that ends in mean pooling and one linear layer; whether this one does is tried
on the images at hand. For a SoftCAM it is the evidence map without its bias.

Source: Zhou et al., "Learning deep features for discriminative localization", CVPR 2016
(equation 2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.evidence import SoftCAM
from softcam.explainers.features import split_at_features, undisturbed
from softcam.explainers.registry import explainer

__all__ = ["cam"]

TOLERANCE = 1e-4  # of the logits' scale


@torch.no_grad()
def _all_classes(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and the class activation maps (B, C, h, w)."""
    with undisturbed(model):
        z, head = split_at_features(model, images)
        if isinstance(model, SoftCAM) and isinstance(model.evidence, nn.Sequential):
            z = model.evidence[:-1](z)  # the paper's VGG head: the last layer weighs these
            logits = model.get_classifier()(z).mean((2, 3))
        else:
            logits = head(z)
    weight, bias = _classifier(model, z.shape[1])
    maps = torch.einsum("ck,bkhw->bchw", weight, z)
    rebuilt = maps.mean((2, 3)) + bias
    if rebuilt.shape != logits.shape or _differ(rebuilt, logits, bias):
        raise _refusal(model, "its logits are not that layer's weights on the mean of the maps")
    return logits, maps


def _differ(rebuilt: Tensor, logits: Tensor, bias: Tensor) -> bool:
    finite = logits.isfinite() & rebuilt.isfinite()
    scale = float((logits - bias)[finite].abs().max()) if bool(finite.any()) else 0.0
    return bool(((rebuilt - logits)[finite].abs() > TOLERANCE * scale).any())


def _classifier(model: nn.Module, channels: int) -> tuple[Tensor, Tensor]:
    """Weight (C, D) and bias (C,) of the last linear layer, or an error."""
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    last = layers[-1] if layers else None
    named = getattr(getattr(model, "net", model), "get_classifier", None)
    if callable(named):
        found = named()
        last = found if isinstance(found, nn.Linear | nn.Conv2d) else last
    if last is None or last.weight[0].numel() != channels:
        found_text = "no linear layer" if last is None else f"a last layer {last}"
        raise _refusal(model, f"it has {found_text} beside a feature map of {channels} channels")
    weight = last.weight.detach().flatten(1)
    bias = weight.new_zeros(len(weight)) if last.bias is None else last.bias.detach()
    return weight, bias


def _refusal(model: nn.Module, reason: str) -> SoftCAMError:
    net = getattr(model, "net", model)
    return SoftCAMError(
        f"class activation mapping needs mean pooling and one linear layer behind the last "
        f"feature map, which {type(net).__name__} does not have: {reason}. Use 'grad-cam', which "
        "asks for neither."
    )


@explainer(
    name="cam",
    title="CAM",
    paper="Zhou et al., CVPR 2016",
    cost="none beside the prediction",
    gauges=("raw", "centred", "contrast"),
    needs="features",
    all_classes=_all_classes,
)
def cam(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The weights of the class times the last feature map, summed over channels.

    Returns:
        (B, h, w), signed, in logits; its mean is the logit without the bias.

    Raises:
        SoftCAMError: the network does not end in mean pooling and one linear layer.
    """
    _, maps = _all_classes(model, images)
    return maps[torch.arange(len(maps), device=maps.device), targets.to(maps.device)]
