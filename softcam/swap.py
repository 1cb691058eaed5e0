"""A fresh last layer, for another number of classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.copying import own_copy
from softcam.evidence import Conversion
from softcam.heads import Evidence
from softcam.proof import NotThisWay, first_output

__all__ = ["fresh_last", "last_layer"]


def fresh_last(
    backbone: nn.Module, evidence: Evidence, num_classes: int, conversion: Conversion
) -> tuple[nn.Module, Evidence, Conversion]:
    """Swap the last layer for a new one with `num_classes` maps.

    Where the network has one map a class before it pools, its own last convolution is that layer:
    it is taken out of `backbone`, in place.

    Raises:
        SoftCAMError: those maps come from more than one layer.
    """
    old = last_layer(evidence)
    classes, channels, which = old.out_channels, old.in_channels, ""
    if _passes_on(evidence):
        path, channels = _without_classifier(backbone, classes)
        which = f" ({path}, which gave its maps)"
    new = nn.Conv2d(channels, num_classes, 1).to(old.weight.device, old.weight.dtype)
    note = (
        f"a fresh last layer with {num_classes} classes in place of {classes}{which}; "
        "the measured difference is that of the network before the swap"
    )
    conversion = replace(conversion, notes=(*conversion.notes, note))
    if isinstance(evidence, nn.Sequential):
        return backbone, nn.Sequential(*list(evidence)[:-1], new), conversion
    return backbone, new, conversion


def last_layer(evidence: Evidence) -> nn.Conv2d:
    """The 1x1 convolution that gives the evidence maps."""
    return cast(nn.Conv2d, evidence[-1] if isinstance(evidence, nn.Sequential) else evidence)


def _passes_on(evidence: Evidence) -> bool:
    """Whether it is the identity, as of a backbone that gives one map a class already."""
    if not isinstance(evidence, nn.Conv2d) or evidence.in_channels != evidence.out_channels:
        return False
    weight = evidence.weight.detach().flatten(1)
    biased = evidence.bias is not None and bool(evidence.bias.any())
    return not biased and torch.equal(weight, torch.eye(len(weight)).to(weight))


def _without_classifier(backbone: nn.Module, classes: int) -> tuple[str, int]:
    """Take the layer that gives one map a class out; its path, and the channels that it took."""
    probe = own_copy(backbone).to("cpu", torch.float32).eval()
    called = list[tuple[str, nn.Module]]()
    handles = [
        module.register_forward_pre_hook(
            lambda module, args, path=path: called.append((path, module))
        )
        for path, module in probe.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    ]
    try:
        x, z = first_output(backbone, probe)
        for handle in handles:
            handle.remove()
        path, layer = called[-1]
        if layer.weight.shape[0] == classes and called.count(called[-1]) == 1:  # type: ignore[index]
            maps = _rest(probe, path, x, z)
            _put_identity(backbone, path)
            return path, maps.shape[1]
    except (NotThisWay, IndexError):
        pass
    raise SoftCAMError(
        "its maps of one class each come from more than one layer, so num_classes cannot swap the "
        "last: build the network with that number of classes, then convert."
    )


def _rest(probe: nn.Module, path: str, x: Tensor, z: Tensor) -> Tensor:
    """The maps (B, D, h, w) without the layer at `path`, on which all of `z` depends.

    Raises:
        NotThisWay: not all of it does, or the network does not run without the layer.
    """

    def nothing(module: nn.Module, args: Any, out: Tensor) -> Tensor:
        return out * 0

    handle = probe.get_submodule(path).register_forward_hook(nothing)
    with torch.no_grad():
        flat = probe(x)
    handle.remove()
    if not torch.allclose(flat, flat[:1, :, :1, :1].expand_as(flat)):
        raise NotThisWay("more than this layer gives the maps")
    _put_identity(probe, path)
    try:
        with torch.no_grad():
            maps: Tensor = probe(x)
    except (RuntimeError, ValueError, TypeError) as error:
        raise NotThisWay("what follows this layer takes no other number of maps") from error
    if maps.ndim != 4 or maps.shape[2:] != z.shape[2:]:
        raise NotThisWay("this layer changes the grid of the maps")
    return maps


def _put_identity(net: nn.Module, path: str) -> None:
    parent, _, name = path.rpartition(".")
    owner = net.get_submodule(parent)
    training = owner.get_submodule(name).training
    setattr(owner, name, nn.Identity().train(training))
