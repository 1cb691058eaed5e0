"""What is said of a network that cannot be converted: the reason, and a relative that can."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from softcam.common import SoftCAMError
from softcam.copying import own_copy
from softcam.proof import first_output

__all__ = ["RELATIVES", "cause", "check_network", "nearest_relative", "refusal"]

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


def cause(net: nn.Module, reason: str) -> str:
    """What lies behind a reason, where the layers of `net` tell it; else the reason itself."""
    for path, layer in net.named_modules():
        if ".quantized." in f".{type(layer).__module__}.":
            return (
                f"{path or 'it'} is quantised ({type(layer).__name__}), and layers of floats are "
                "expected: convert the network as it was before, then quantise the result"
            )
    first = next((m for m in net.modules() if isinstance(m, nn.Conv2d)), None)
    if first is not None and first.in_channels != 3 and "channels" in reason:
        mend = "x.mean(1, keepdim=True)" if first.in_channels == 1 else "what it takes, made of x"
        return (
            f"its first convolution takes {first.in_channels} channels, and RGB images "
            f"(B, 3, H, W) are expected: wrap it in a module that gives it {mend}"
        )
    found = sorted({str(p.dtype) for p in net.parameters() if p.is_floating_point()})
    if found not in ([], ["torch.float32"]) and ("dtype" in reason or "type (" in reason):
        return (
            f"its forward pass asks for one precision ({reason}), where its parameters are "
            f"{' and '.join(found)} and the proof runs in float32: take the casts out of it and "
            "its layers to one precision"
        )
    if _is_random(net):
        return (
            "its logits are random in evaluation mode, as with dropout that is always on: let it "
            "drop only where self.training, then convert"
        )
    return reason


def _is_random(net: nn.Module) -> bool:
    copied = own_copy(net).to("cpu", torch.float32).eval()
    try:
        x, _ = first_output(copied, copied)
        with torch.no_grad():
            one, other = copied(x), copied(x)
    except Exception:  # it may raise anything, and that is said already
        return False
    tables = isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
    return tables and not torch.equal(one, other)


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
