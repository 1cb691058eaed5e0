"""How a network is built by name, and whether what was built is the same network."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn

from softcam.backbones import build_net, parse_model_name
from softcam.bagnet import BAGNETS
from softcam.bcos import BCOS
from softcam.common import SoftCAMError, UnknownNameError, as_integer
from softcam.convert import to_softcam
from softcam.evidence import SoftCAM
from softcam.finer import finer_maps
from softcam.proof import probe_copy, probe_inputs, quiet

__all__ = [
    "TORCHVISION",
    "Architecture",
    "build",
    "differences",
    "head_width_of",
    "parse_architecture",
    "rebuilt",
    "torchvision_net",
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
        finer: pixels a cell where `finer_maps` was called on the result; None where it was not.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    finer: int | None = None

    def plain(self) -> dict[str, Any]:
        """What config.json holds."""
        finer = {} if self.finer is None else {"finer": self.finer}
        return {"name": self.name, "options": dict(self.options), **finer}


def parse_architecture(value: str | Mapping[str, Any] | Architecture) -> Architecture:
    """The architecture that a caller or a config.json names.

    Args:
        value: a name, or an object with `name` and perhaps `options` and `finer`.

    Raises:
        SoftCAMError: another form, or options that no model may be built with.
    """
    if isinstance(value, Architecture):
        value = value.plain()
    if isinstance(value, str):
        value = {"name": value}
    whole = isinstance(value, Mapping) and not set(value) - {"name", "options", "finer"}
    options = (value.get("options") or {}) if whole else None
    if not isinstance(options, Mapping) or not isinstance(value.get("name"), str):
        raise SoftCAMError(
            "an architecture is a model name, or an object with 'name', 'options' and 'finer', "
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
    finer = value.get("finer")
    if finer is not None:
        as_integer("finer, the pixels a cell,", finer, 1, 10**4)
    return Architecture(value["name"], dict(options), finer)


def build(architecture: Architecture, num_classes: int) -> nn.Module:
    """The network, with random weights.

    Raises:
        SoftCAMError: no such network, or not with these options.
    """
    name = architecture.name
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in architecture.options.items()}
    try:
        if name.startswith(TORCHVISION):
            return torchvision_net(name.removeprefix(TORCHVISION), num_classes, options)
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


def torchvision_net(name: str, num_classes: int, options: dict[str, Any]) -> nn.Module:
    """One of torchvision's classification networks, with random weights.

    Raises:
        UnknownNameError: no such network.
    """
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
    return finer_maps(model.eval(), architecture.finer) if architecture.finer else model.eval()


def head_width_of(model: SoftCAM) -> int | None:
    """The width of the paper's VGG head; None for a model that has another head."""
    if model.conversion is None or model.conversion.kind != "paper":
        return None
    first = next(m for m in model.evidence.modules() if isinstance(m, nn.Conv2d))
    return first.out_channels


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
