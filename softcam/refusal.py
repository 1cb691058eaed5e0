"""What is said of a network that cannot be converted: the reason, and a relative that can."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from torch import nn

from softcam.proof import NotThisWay, own_copy

__all__ = ["RELATIVES", "nearest_relative", "refusal"]

# One of each kind of backbone, all of timm, all convertible.
RELATIVES = (
    "resnet50", "densenet121", "efficientnet_b0", "mobilenetv2_100", "regnety_008",
    "convnext_tiny", "swin_tiny_patch4_window7_224", "pvt_v2_b1", "coatnet_0_rw_224",
    "maxvit_tiny_tf_224", "mixer_s16_224", "vit_base_patch16_gap_224", "levit_256", "vgg16",
)  # fmt: skip


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
        except (NotThisWay, TypeError, AssertionError, ValueError, AttributeError, RuntimeError):
            pass  # it has no such choice
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
