"""The name that gives a network again: a guess, proved by building it.

A timm network knows its name but not the options it was made with, and a torchvision network knows
neither. So a name is only ever a guess, the caller's or ours: the network is built and converted
again, gets the same (shaken) weights, and must give the same maps. Otherwise the guess is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn

from softcam.backbones import build_net
from softcam.bagnet import BagNet
from softcam.common import SoftCAMError
from softcam.evidence import SoftCAM
from softcam.proof import quiet
from softcam.travel.recipe import (
    TORCHVISION,
    Architecture,
    differences,
    head_width_of,
    rebuilt,
    torchvision_net,
)

__all__ = ["architecture_of"]


def architecture_of(model: SoftCAM, said: Architecture | None) -> tuple[Architecture | None, str]:
    """The architecture that gives this model again.

    Args:
        model: any SoftCAM.
        said: what the caller, or the folder it came from, says; None looks for itself. That
            `finer_maps` was called need not be said.

    Returns:
        The architecture, or None; and then the reason.
    """
    reason = f"{_kind(model)} does not say by what name it is built"
    for architecture in [said] if said else _candidates(model):
        problem, pixels = _compared(model, architecture)
        finer = _finer(model, pixels)
        if problem and finer and architecture.finer is None:
            dilated = replace(architecture, finer=finer)
            if not _compared(model, dilated)[0]:
                return dilated, ""
        if not problem:
            return architecture, ""
        reason = f"built as {architecture.name!r} it is another network: {problem}"
    return None, reason


def _compared(model: SoftCAM, architecture: Architecture) -> tuple[str, int]:
    """In what the network of that name differs, empty where it does not; its pixels a cell."""
    try:
        classes = model.get_classifier().out_channels
        other = rebuilt(architecture, classes, head_width_of(model))
        return differences(model, other), other.conversion.reduction if other.conversion else 0
    except SoftCAMError as error:
        return str(error), 0


def _finer(model: SoftCAM, pixels: int) -> int:
    """Pixels a cell, a power of two, where the map is finer than one of `pixels`; else 0."""
    done = model.conversion
    if done is None or done.reduction >= pixels:
        return 0
    return int(2 ** round(math.log2(done.reduction)))


def _kind(model: SoftCAM) -> str:
    return type(getattr(model.backbone, "net", model.backbone)).__name__


def _candidates(model: SoftCAM) -> Iterator[Architecture]:
    net = getattr(model.backbone, "net", None)
    if isinstance(net, BagNet):
        yield from _bagnets(net)
    elif isinstance(net, nn.Module) and getattr(net, "pretrained_cfg", None):
        yield from _of_timm(net)
    else:
        yield from _of_torchvision(model)


def _bagnets(net: BagNet) -> Iterator[Architecture]:
    width = net.conv1.out_channels
    for size in ("", "t"):
        yield Architecture(f"bagnet{net.receptive_field}{size}-w{width}")


def _of_timm(net: nn.Module) -> Iterator[Architecture]:
    """timm's name, with the suffixes and options in which `net` differs from the plain network."""
    name = str(net.pretrained_cfg.get("architecture", ""))  # type: ignore[union-attr, operator]
    options: dict[str, Any] = {}
    if getattr(net, "drop_rate", 0):
        options["drop_rate"] = float(cast(float, net.drop_rate))
    try:
        with quiet():
            plain = build_net(name, 1)
    except SoftCAMError:
        return
    fixed, usual = (
        getattr(getattr(n, "patch_embed", None), "img_size", None) for n in (net, plain)
    )
    if fixed and fixed != usual:
        options["img_size"] = [int(side) for side in fixed]
    same = ["-same"] if _same_padding(net) and not _same_padding(plain) else []
    yield Architecture("".join([name, *_stages(net, plain), *same]), options)


def _stages(net: nn.Module, plain: nn.Module) -> Iterator[str]:
    """The suffixes -wN and -osN, read off timm's table of stages."""
    ours, usual = (getattr(n, "feature_info", None) for n in (net, plain))
    if not (isinstance(ours, list) and isinstance(usual, list) and len(ours) == len(usual) > 1):
        return
    channels = [[int(stage["num_chs"]) for stage in stages] for stages in (ours, usual)]
    strides = [int(stages[-1]["reduction"]) for stages in (ours, usual)]
    if channels[0] != channels[1]:
        yield f"-w{channels[0][1]}"
    if strides[0] != strides[1] and strides[0] in (8, 16, 32):
        yield f"-os{strides[0]}"


def _same_padding(net: nn.Module) -> bool:
    return any(type(module).__name__ == "Conv2dSame" for module in net.modules())


def _of_torchvision(model: SoftCAM) -> Iterator[Architecture]:
    """torchvision's networks of the class that the backbone was cut from, with the same shapes."""
    import torchvision

    kind = _kind(model).removesuffix("Features")
    start = "backbone."
    own = {key: v.shape for key, v in model.state_dict().items() if key.startswith(start)}
    for name in torchvision.models.list_models(module=torchvision.models):
        gives = torchvision.models.get_model_builder(name).__annotations__.get("return")
        if getattr(gives, "__name__", gives) != kind:
            continue
        with quiet(), torch.device("meta"):
            state = torchvision_net(name, 1, {}).state_dict()
        names = {key: key.removeprefix(start) for key in own}
        if all(names[key] in state and state[names[key]].shape == own[key] for key in own):
            yield Architecture(TORCHVISION + name)
