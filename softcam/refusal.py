"""What is said of a network that cannot be converted: the reason, and a relative that can."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from softcam.common import SoftCAMError
from softcam.copying import own_copy

__all__ = ["RELATIVES", "check_network", "nearest_relative", "refusal"]

# One of each kind of backbone, all of timm, all convertible.
RELATIVES = (
    "resnet50", "densenet121", "efficientnet_b0", "mobilenetv2_100", "regnety_008",
    "convnext_tiny", "swin_tiny_patch4_window7_224", "pvt_v2_b1", "coatnet_0_rw_224",
    "maxvit_tiny_tf_224", "mixer_s16_224", "vit_base_patch16_gap_224", "levit_256", "vgg16",
)  # fmt: skip


def check_network(model: object) -> None:
    """Refuse what is no network, or has no weights yet to convert.

    Raises:
        SoftCAMError: with what to pass instead.
    """
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise SoftCAMError(f"found the class {model.__name__}: pass an instance of it.")
    if isinstance(model, Mapping):
        raise SoftCAMError(
            f"found a {type(model).__name__}, not a network: if these are weights, build the "
            "network, load them with load_state_dict, and pass the network."
        )
    if not isinstance(model, nn.Module):
        raise SoftCAMError(
            f"found {model!r}, not a network: pass an nn.Module, such as what timm.create_model "
            "gives for a name."
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise SoftCAMError(
            "a TorchScript module has no layers to convert: pass the network that it was made from."
        )
    _check_tensors(model)


def _check_tensors(model: nn.Module) -> None:
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if isinstance(tensor, (UninitializedParameter, UninitializedBuffer)):
            raise SoftCAMError(
                f"{name} of this {type(model).__name__} has no size yet (a lazy layer): run the "
                "network on an image once, then convert."
            )
        if tensor.is_meta:
            raise SoftCAMError(
                f"{name} of this {type(model).__name__} is on the meta device, without numbers: "
                "call net.to_empty(device=...) and load its weights, then convert."
            )
        if isinstance(tensor, nn.Parameter) and not (
            tensor.dtype.is_floating_point or tensor.is_complex()
        ):
            raise SoftCAMError(
                f"{name} is a parameter of {tensor.dtype}, which cannot be trained: make it a "
                "buffer (register_buffer), then convert."
            )


def nearest_relative(net: nn.Module, convert: Callable[[nn.Module], str]) -> str:
    """What to use instead, in words.

    timm's class-token networks can often pool the mean as well; whether this one can is tried.

    Args:
        net: the network that does not convert.
        convert: gives the kind of conversion of a network, or raises `NotThisWay`.
    """
    name = _architecture(net)
    if hasattr(net, "reset_classifier"):
        other = own_copy(net).cpu().float()
        try:
            other.reset_classifier(2, "avg")  # type: ignore[operator]
            kind = convert(other)
        except Exception:  # noqa: S110
            pass  # it has no such choice, and says so in its own way
        else:
            return (
                f"The nearest that does ({kind}) is itself with average pooling: call "
                "net.reset_classifier(num_classes, 'avg'), convert it, and train it"
            )
    like = difflib.get_close_matches(name or type(net).__name__.lower(), RELATIVES, 1, 0.3)
    return f"The nearest that does is timm's {like[0] if like else 'resnet50'}"


def refusal(net: nn.Module, reason: str, nearest: str) -> str:
    """The whole message.

    Args:
        net: the network that does not convert.
        reason: why, as the rest of a sentence.
        nearest: a sentence on what does, without its full stop.
    """
    name = _architecture(net)
    named = f"{name} ({type(net).__name__})" if name else type(net).__name__
    return (
        f"{named} cannot become a SoftCAM: {reason}. SoftCAM needs a feature map (B, D, h, w) that "
        f"is pooled into a classifier, or a VGG or AlexNet. {nearest}."
    )


def _architecture(net: nn.Module) -> str | None:
    settings = getattr(net, "pretrained_cfg", None) or {}
    return settings.get("architecture")
