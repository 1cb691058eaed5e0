"""Networks by name, with weights from a local file or from timm's download.

A model name is a timm name with optional suffixes, for instance `resnet10t-w32-os8`:

    -wN     narrow ResNet: channels (N, 2N, 4N, 4N) instead of (64, 128, 256, 512)
    -osN    output stride N (8, 16 or 32): a map cell covers N pixels
    -same   TensorFlow's 'same' padding (timm's `pad_type='same'`)

The BagNets of `softcam.bagnet` and the B-cos networks of `softcam.bcos` are built here too, by
name: `bagnet33t-w32`, `bcos_resnet10-w16-os8` (channels N, 2N, 4N, 8N; no dilation).

Source of the networks: Wightman, PyTorch Image Models (timm).
"""

from __future__ import annotations

import difflib
import logging
import re
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from softcam.bagnet import BAGNETS, build_bagnet
from softcam.bcos import BCOS, build_bcos
from softcam.common import SoftCAMError, UnknownNameError

__all__ = ["build_net", "load_backbone_weights", "parse_model_name", "read_weights"]

log = logging.getLogger(__name__)

SUFFIXES = ("w<width>", "os8", "os16", "os32", "same")


def parse_model_name(model: str) -> tuple[str, dict[str, Any]]:
    """Split a model name into timm's name and the keywords for `timm.create_model`.

    `resnet10t-w32-os8` gives `("resnet10t", {"channels": (32, 64, 128, 128), "output_stride": 8})`.

    Raises:
        UnknownNameError: a suffix, or a network, that does not exist; with the closest names.
        SoftCAMError: the same suffix twice, or a width of zero.
    """
    import timm

    name, *suffixes = model.split("-")
    keywords: dict[str, Any] = {}
    for suffix in suffixes:
        for key, value in _keyword(suffix).items():
            if key in keywords:
                raise SoftCAMError(f"model {model!r} says {key} twice: keep one suffix for it.")
            keywords[key] = value
    ours = (*BAGNETS, *BCOS)
    if name not in ours and not timm.is_model(name):
        known = [*timm.list_models(), *ours]
        # All 1,300 names would bury the close ones.
        close = difflib.get_close_matches(name, known, n=8, cutoff=0.5)
        raise UnknownNameError("timm model", name, close or ("resnet18", "resnet50", "vgg16"))
    return name, keywords


def build_net(
    model: str, num_classes: int, *, pretrained: bool = False, weights: str | Path | None = None
) -> nn.Module:
    """A network that takes normalised images (B, 3, H, W) and gives logits (B, num_classes).

    Args:
        model: a timm name, BagNet or B-cos network, with optional suffixes, see `parse_model_name`.
        num_classes: C >= 1; the classifier is fresh where the weights have another number.
        pretrained: let timm download ImageNet weights.
        weights: a local safetensors state dict in timm's format instead.

    Raises:
        SoftCAMError: options the network does not take, no weights to be had, or weights of
            another network.
    """
    import timm

    if num_classes < 1:
        raise SoftCAMError(
            f"a classifier needs at least one logit, found num_classes={num_classes}."
        )
    if pretrained and weights:
        raise SoftCAMError("--pretrained and --weights are two sources of weights: give only one.")
    name, keywords = parse_model_name(model)
    if pretrained:
        return _download(name, num_classes, keywords)
    try:
        if name in BAGNETS:
            net: nn.Module = build_bagnet(name, num_classes, **keywords)
        elif name in BCOS:
            net = build_bcos(name, num_classes, **keywords)
        else:
            net = timm.create_model(name, num_classes=num_classes, **keywords)
    except (TypeError, AssertionError, NotImplementedError, ValueError) as error:
        raise SoftCAMError(_refused(name, keywords, error)) from error
    if weights:
        for note in load_backbone_weights(net, weights):
            log.warning("%s: %s", model, note)
    return net


def load_backbone_weights(net: nn.Module, path: str | Path) -> tuple[str, ...]:
    """Load a safetensors state dict in timm's format into `net`, in place.

    A classifier of another size begins at zero: every class is as likely as any other, and the
    first steps do not push noise into features that are good already. Everything else must fit,
    name by name.

    Returns:
        Notes on what was not loaded, empty if all was.

    Raises:
        SoftCAMError: a missing file, another format, or tensors that are missing, unexpected or
            of another shape (all are listed); `net` is then unchanged.
    """
    state = read_weights(path)
    _refuse_not_finite(path, state)
    own = net.state_dict()
    fresh, notes = _other_classifier(net, state, own)
    problems = [
        *(
            f"missing: {key}"
            for key in own
            if key not in state and key not in fresh and _counts(key)
        ),
        *(f"unexpected: {key}" for key in state if key not in own and key not in fresh),
        *(
            f"shape: {key} is {tuple(value.shape)}, expected {tuple(own[key].shape)}"
            for key, value in state.items()
            if key in own and key not in fresh and value.shape != own[key].shape
        ),
        *(
            f"type: {key} is {value.dtype}, expected {own[key].dtype}"
            for key, value in state.items()
            if key in own and value.is_floating_point() != own[key].is_floating_point()
        ),
    ]
    if problems:
        shown = "\n  ".join(problems[:20])
        rest = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise SoftCAMError(
            f"{path} does not fit {type(net).__name__}: {len(problems)} tensors "
            f"differ. Name the model these weights were made for.\n  {shown}{rest}"
        )
    zeros = {key: torch.zeros_like(own[key]) for key in fresh if key in own}
    kept = {key: value for key, value in state.items() if key not in fresh}
    net.load_state_dict({**kept, **zeros}, strict=False)
    return notes


def _keyword(suffix: str) -> dict[str, Any]:
    if suffix == "same":
        return {"pad_type": "same"}
    if suffix in ("os8", "os16", "os32"):
        return {"output_stride": int(suffix[2:])}
    if re.fullmatch(r"w[1-9]\d*", suffix):
        width = int(suffix[1:])
        return {"channels": (width, 2 * width, 4 * width, 4 * width)}
    raise UnknownNameError("model suffix", suffix, SUFFIXES)


def _refused(name: str, keywords: dict[str, Any], error: Exception) -> str:
    asked = ", ".join(f"{key}={value}" for key, value in keywords.items()) or "no options"
    return (
        f"timm's {name} cannot be built with {asked}: {error}. "
        "Leave out a suffix, or take a network of the ResNet family (-w, -os) or of the "
        "EfficientNet and MobileNetV2 families (-os, -same)."
    )


def _download(name: str, num_classes: int, keywords: dict[str, Any]) -> nn.Module:
    import timm

    mend = (
        "Give a local file in timm's format with --weights FILE.safetensors, "
        "or train from scratch without --pretrained."
    )
    if not timm.is_model_pretrained(name):
        raise SoftCAMError(f"timm has no pretrained weights for {name}. {mend}")
    try:
        net: Any = timm.create_model(name, pretrained=True, num_classes=num_classes, **keywords)
    except Exception as error:  # the hub's errors share no base class
        first = str(error).strip().splitlines()[:1]
        raise SoftCAMError(
            f"the pretrained weights of {name} could not be had "
            f"({type(error).__name__}: {''.join(first)}). {mend}"
        ) from error
    if num_classes != net.pretrained_cfg.get("num_classes"):  # begins at zero, as above
        for parameter in net.get_classifier().parameters():
            nn.init.zeros_(parameter)
    return cast(nn.Module, net)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a local safetensors file; a `SoftCAMError` says why there are none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise SoftCAMError(
            f"{path.name} is not a .safetensors file. Pickles (.pt, .pth, .bin) can run code "
            "when they are read and are refused: load one that you trust yourself and write its "
            "state dict with safetensors.torch.save_file(state_dict, 'weights.safetensors')."
        )
    if not path.is_file():
        raise SoftCAMError(f"there is no weights file {path}: check the path.")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SoftCAMError(
            f"{path} cannot be read as safetensors ({error}): it may be cut short; get it again."
        ) from error


def _refuse_not_finite(path: str | Path, state: dict[str, Tensor]) -> None:
    bad = [
        key
        for key, value in state.items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]
    if bad:
        raise SoftCAMError(
            f"{path}: {len(bad)} tensors hold NaN or infinite numbers, first {bad[0]}: these "
            "weights come from a training that diverged; take an earlier checkpoint."
        )


def _counts(key: str) -> bool:
    # A counter of training steps that only a cumulative batch norm reads; many files leave it out.
    return not key.endswith("num_batches_tracked")


def _other_classifier(
    net: nn.Module, state: dict[str, Tensor], own: dict[str, Tensor]
) -> tuple[set[str], tuple[str, ...]]:
    """The keys of a classifier that has another number of classes in the file, and a note."""
    get_classifier = getattr(net, "get_classifier", None)
    head = get_classifier() if get_classifier else None
    name = next((n for n, module in net.named_modules() if module is head), "")
    weight = f"{name}.weight"
    if not name or weight not in own:
        return set(), ()
    keys = {key for key in {*own, *state} if key.startswith(f"{name}.")}
    if weight not in state:
        missing = not any(key in state for key in keys)
        note = f"the weights have no classifier {name}: it begins at zero"
        return (keys, (note,)) if missing else (set(), ())
    found, expected = state[weight].shape, own[weight].shape
    if found[0] == expected[0] or found[1:] != expected[1:]:
        return set(), ()
    note = f"the weights have {found[0]} classes, asked for {expected[0]}: {name} begins at zero"
    return keys, (note,)
