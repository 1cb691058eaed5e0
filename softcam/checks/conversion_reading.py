"""A student's layer or model, tried out: what it gives, or what keeps it from being tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from softcam.checks.comparing import Unfit
from softcam.checks.records import Case

__all__ = ["read_conv", "read_softcam"]


def read_conv(result: Any, case: Case, given: Mapping[str, Any]) -> Tensor:
    """The maps (B, C, h, w) that a student's convolution makes of the probe's features.

    Raises:
        Unfit: no 1x1 convolution, or not the weights of the linear layer, its own and trainable.
    """
    linear = case.arguments["linear"]
    if not isinstance(result, nn.Conv2d):
        raise Unfit("type", f"You return a {type(result).__name__}, expected an nn.Conv2d.")
    _shape_of(result, linear)
    _weights_of(result, linear, given["linear"])
    maps: Tensor = result(case.probe.to(result.weight.dtype))
    return maps


def _shape_of(conv: nn.Conv2d, linear: nn.Linear) -> None:
    if conv.kernel_size != (1, 1) or conv.padding not in ((0, 0), "valid"):
        raise Unfit(
            "kernel",
            f"Your convolution has a kernel of {conv.kernel_size} and padding {conv.padding}: a "
            "linear layer looks at one cell at a time, so it is 1x1 without padding.",
        )
    expected = (linear.out_features, linear.in_features, 1, 1)
    if tuple(conv.weight.shape) != expected:
        raise Unfit(
            "transposed-weight",
            f"The weight of your convolution has the shape {tuple(conv.weight.shape)}, expected "
            f"(C, D, 1, 1) = {expected}: which number of channels goes in, which comes out?",
        )


def _weights_of(conv: nn.Conv2d, linear: nn.Linear, given: nn.Linear) -> None:
    weight, right = conv.weight.detach()[:, :, 0, 0].double(), linear.weight.detach().double()
    if weight.shape == right.T.shape and torch.allclose(weight, right.T) and len(right) > 1:
        raise Unfit("transposed-weight", "Rows and columns of the weight have changed places.")
    if not torch.allclose(weight, right):
        raise Unfit(
            "weights-not-copied",
            "The weights of your convolution are not those of the linear layer: a new layer "
            "begins with random ones.",
        )
    bias = torch.zeros(len(right)) if conv.bias is None else conv.bias.detach()
    wanted = torch.zeros(len(right)) if linear.bias is None else linear.bias.detach()
    if not torch.allclose(bias.double(), wanted.double()):
        missing = conv.bias is None or not bool(bias.any())
        slug = "bias-forgotten" if missing else "bias-not-copied"
        words = (
            "missing" if missing else "not that of the linear layer: a new layer has a random one"
        )
        raise Unfit(slug, f"The bias of your convolution is {words}.")
    if _shared(conv, given):
        raise Unfit(
            "shared-weights",
            "Your convolution shares the memory of the linear layer: training one changes the "
            "other. It needs a copy of its own.",
        )
    if not all(value.requires_grad for value in conv.parameters()):
        raise Unfit("frozen", "The weights of your convolution do not ask for gradients any more.")


def read_softcam(result: Any, case: Case, given: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and maps (B, C, h, w) of the probe, from a student's model in eval mode.

    Raises:
        Unfit: no module, another output, or a model that leans on the net it was made from.
    """
    net, images = case.arguments["net"], case.probe
    if not isinstance(result, nn.Module):
        raise Unfit("type", f"You return a {type(result).__name__}, expected an nn.Module.")
    if type(result).forward is nn.Module.forward:
        raise Unfit("no-forward", "Your module has no method `forward`.")
    if result is given["net"]:
        raise Unfit("shared-weights", "You return the net itself, expected a model of its own.")
    _own_weights(result, given["net"], net)
    result.eval()
    first = _two_outputs(result(images))
    _classifier_of(result, net)
    other = _two_outputs(result(1 - images))
    again = _two_outputs(result(images))
    stuck = torch.equal(other[1], first[1]) and bool(first[1].any())
    if stuck or not torch.allclose(again[0], first[0], atol=1e-4):
        raise Unfit(
            "hidden-state", "Your model remembers: other images do not get logits of their own."
        )
    if not (first[0].requires_grad and first[1].requires_grad):
        raise Unfit(
            "detached-gradient",
            "No gradient flows through your model: nobody could train it further.",
        )
    return first


def _own_weights(model: nn.Module, given: nn.Module, net: nn.Module) -> None:
    if _shared(model, given):
        raise Unfit(
            "shared-weights",
            "Your model shares weights with the net: training one changes the other. It needs a "
            "copy of its own.",
        )
    have, need = (sum(p.numel() for p in each.parameters()) for each in (model, net))
    if have < need:
        raise Unfit(
            "not-registered",
            f"Your model knows of {have} weights, the net has {need}: a module finds only layers "
            "that are attributes of it. Moved to another device, or trained, it would break.",
        )


def _two_outputs(output: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(output, (tuple, list)) or len(output) != 2:
        raise Unfit(
            "one-output",
            f"Called with images, your model returns {_named(output)}, expected the two: "
            "(logits, maps).",
        )
    logits, maps = output
    if not isinstance(logits, Tensor) or not isinstance(maps, Tensor):
        raise Unfit("type", f"Your model returns {_named(output)}, expected two tensors.")
    if logits.ndim == 4 and maps.ndim == 2:
        raise Unfit("order-swapped", "Your model returns (maps, logits), expected (logits, maps).")
    return logits, maps


def _classifier_of(model: nn.Module, net: nn.Module) -> None:
    """A 1x1 convolution from D to C channels that does not hold the weights of `fc`."""
    fc = net.fc
    assert isinstance(fc, nn.Linear)
    found = [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
        and tuple(module.weight.shape) == (fc.out_features, fc.in_features, 1, 1)
    ]
    if found and not any(torch.allclose(m.weight[:, :, 0, 0], fc.weight) for m in found):
        raise Unfit(
            "weights-not-copied",
            "The last convolution of your model does not hold the weights of `fc`: a new layer "
            "begins with random ones.",
        )


def _shared(a: nn.Module, b: nn.Module) -> bool:
    own = {value.data_ptr() for value in a.parameters()}
    return any(value.data_ptr() in own for value in b.parameters())


def _named(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"one tensor of shape {tuple(output.shape)}"
    if isinstance(output, (tuple, list)):
        return f"{len(output)} things ({', '.join(type(each).__name__ for each in output)})"
    return f"a {type(output).__name__}"
