"""How a network is built by name: read off the network, and proved by building it again.

A timm network knows its name but not the options it was made with, and a torchvision network knows
neither. So a name is only ever a guess, the caller's or ours: the network is built and converted
again, gets the same (shaken) weights, and must give the same maps. Otherwise the guess is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch
from torch import nn

from softcam.backbones import build_net, parse_model_name
from softcam.bagnet import BAGNETS, BagNet
from softcam.bcos import BCOS
from softcam.common import SoftCAMError, UnknownNameError
from softcam.convert import to_softcam
from softcam.evidence import SoftCAM
from softcam.proof import probe_copy, probe_inputs, quiet

__all__ = [
    "Architecture",
    "architecture_of",
    "build",
    "differences",
    "head_width_of",
    "parse_architecture",
    "rebuilt",
]

TOLERANCE = 1e-5  # of the largest evidence; the two are one function, computed alike
TORCHVISION = "torchvision:"
# What would fetch or unpickle weights, or is said elsewhere in the configuration.
REFUSED = re.compile(r"pretrained.*|checkpoint.*|weights.*|cache_dir|num_classes|features_only")


@dataclass(frozen=True)
class Architecture:
    """A network by name.

    Attributes:
        name: a model name of `softcam.backbones`, or `torchvision:NAME`.
        options: further keywords of timm's `create_model` or of torchvision's builder.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """What config.json holds."""
        return asdict(self)


def parse_architecture(value: str | Mapping[str, Any] | Architecture) -> Architecture:
    """The architecture that a caller or a config.json names.

    Args:
        value: a name, or an object with `name` and perhaps `options`.

    Raises:
        SoftCAMError: another form, or options that no model may be built with.
    """
    if isinstance(value, Architecture):
        value = value.plain()
    if isinstance(value, str):
        value = {"name": value}
    whole = isinstance(value, Mapping) and not set(value) - {"name", "options"}
    options = (value.get("options") or {}) if whole else None
    if not isinstance(options, Mapping) or not isinstance(value.get("name"), str):
        raise SoftCAMError(
            "an architecture is a model name, or an object with 'name' and 'options', "
            f"found {value!r}."
        )
    refused = [key for key in options if not isinstance(key, str) or REFUSED.fullmatch(key)]
    if refused:
        raise SoftCAMError(
            f"the architecture {value['name']!r} has the option {refused[0]!r}: options say how a "
            "network is built, not where its weights come from. Leave it out."
        )
    try:
        json.dumps(dict(options), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SoftCAMError(
            f"the options of {value['name']!r} cannot be written as JSON ({error}): give numbers, "
            "words and lists, or save without an architecture."
        ) from error
    return Architecture(value["name"], dict(options))


def build(architecture: Architecture, num_classes: int) -> nn.Module:
    """The network, with random weights.

    Raises:
        SoftCAMError: no such network, or not with these options.
    """
    name = architecture.name
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in architecture.options.items()}
    try:
        if name.startswith(TORCHVISION):
            return _torchvision(name.removeprefix(TORCHVISION), num_classes, options)
        if not options:
            return build_net(name, num_classes)
        return _timm(name, num_classes, options)
    except SoftCAMError:
        raise
    except Exception as error:  # builders raise whatever their options lead to
        raise SoftCAMError(f"{name} cannot be built with {options}: {error}") from error


def _timm(name: str, num_classes: int, options: dict[str, Any]) -> nn.Module:
    import timm

    base, keywords = parse_model_name(name)
    if base in (*BAGNETS, *BCOS):
        raise SoftCAMError(f"{name} takes no options beside those of its name, found {options}.")
    net: nn.Module = timm.create_model(base, num_classes=num_classes, **keywords, **options)
    return net


def _torchvision(name: str, num_classes: int, options: dict[str, Any]) -> nn.Module:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise UnknownNameError("torchvision model", name, known)
    net: nn.Module = torchvision.models.get_model(
        name, weights=None, **_no_second_weights(name), num_classes=num_classes, **options
    )
    return net


def _no_second_weights(name: str) -> dict[str, Any]:
    # Without weights these draw their first numbers one by one, which takes many seconds.
    return {"init_weights": False} if name in ("googlenet", "inception_v3") else {}


def rebuilt(architecture: Architecture, num_classes: int, head_width: int | None) -> SoftCAM:
    """The SoftCAM of an architecture, with random weights, in eval mode.

    Args:
        architecture: the network.
        num_classes: C.
        head_width: see `head_width_of`.
    """
    with quiet():
        net = build(architecture, num_classes)
        model = to_softcam(net) if head_width is None else to_softcam(net, head_width=head_width)
    return model.eval()


def head_width_of(model: SoftCAM) -> int | None:
    """The width of the paper's VGG head; None for a model that has another head."""
    if model.conversion is None or model.conversion.kind != "paper":
        return None
    first = next(m for m in model.evidence.modules() if isinstance(m, nn.Conv2d))
    return first.out_channels


def architecture_of(model: SoftCAM, said: Architecture | None) -> tuple[Architecture | None, str]:
    """The architecture that gives this model again.

    Args:
        model: any SoftCAM.
        said: what the caller, or the folder it came from, says; None looks for itself.

    Returns:
        The architecture, or None; and then the reason.
    """
    reason = f"{_kind(model)} does not say by what name it is built"
    for architecture in [said] if said else _candidates(model):
        try:
            classes = model.get_classifier().out_channels
            other = rebuilt(architecture, classes, head_width_of(model))
            reason = differences(model, other)
        except SoftCAMError as error:
            reason = str(error)
        if not reason:
            return architecture, ""
        reason = f"built as {architecture.name!r} it is another network: {reason}"
    return None, reason


def differences(model: SoftCAM, other: SoftCAM) -> str:
    """In what `other`, given the weights of `model`, differs from it; empty where it does not.

    Both get the same shaken weights, so that branches still at zero count; eval mode, float32.
    """
    with quiet():
        probe = cast(SoftCAM, probe_copy(model))
        state, own = probe.state_dict(), other.state_dict()
        for key in (*state, *own):
            if key not in own or key not in state:
                where = "the built one" if key not in own else "this model"
                return f"{where} has no {key}"
            if state[key].shape != own[key].shape:
                return f"{key} is {tuple(state[key].shape)} and {tuple(own[key].shape)}"
        other.load_state_dict(state)
        other.normalize = probe.normalize
        problem = "it runs on no probe image"
        # The net inside knows the size that it insists on.
        for x in probe_inputs(getattr(probe.backbone, "net", probe)):
            try:
                with torch.no_grad():
                    expected, found = probe.evidence_maps(x), other.eval().evidence_maps(x)
            except Exception as error:  # a network may raise anything at a size it does not take
                problem = str(error).strip().split("\n")[0]
                continue
            if expected.shape != found.shape:
                return f"its maps are {tuple(found.shape[2:])}, not {tuple(expected.shape[2:])}"
            far = float((expected - found).abs().max() / expected.abs().max().clamp(min=1e-12))
            return "" if far <= TOLERANCE else f"its maps differ by {far:.2g} of their size"
    return problem


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
            state = _torchvision(name, 1, {}).state_dict()
        names = {key: key.removeprefix(start) for key in own}
        if all(names[key] in state and state[names[key]].shape == own[key] for key in own):
            yield Architecture(TORCHVISION + name)
