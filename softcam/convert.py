"""Turn a GAP + FC network into SoftCAM: `to_softcam`.

mean(W z + b) = W mean(z) + b, so a linear layer after mean pooling can be moved in front of it as a
1x1 convolution with the same weights. The result is the same function, with maps (Zhou et al.,
CVPR 2016; Djoumessi & Berens, "Soft-CAM", MIDL 2026, section on architectures). VGG has no mean
pooling: it gets the paper's convolutional head, freshly initialised.

Whether a network is of this kind is not read off its name: it is converted and both are run
(`softcam.proof`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.cut import Cut, cut_features, find_by_graph, find_by_verbs, listed
from softcam.evidence import Conversion, SoftCAM
from softcam.proof import (
    NotThisWay,
    Proof,
    first_output,
    own_copy,
    probe_copy,
    prove,
    quiet,
    reduction_of,
)
from softcam.wrappers import BlackBox, Link, Normalize

__all__ = ["Features", "to_softcam"]

Parts = tuple[nn.Module, nn.Conv2d | nn.Sequential]  # backbone, evidence
CONVERTIBLE = "resnet18, resnet50, densenet121, efficientnet_b0, mobilenetv2_100 or regnetx_002"


class Features(nn.Module):
    """A timm network up to its last feature map, (B, 3, H, W) to (B, D, h, w).

    Args:
        net: the network; its classifier is not used.
        channels_last: the network gives (B, h, w, D), as Swin does.
    """

    def __init__(self, net: nn.Module, channels_last: bool = False) -> None:
        super().__init__()
        self.net = net
        self.channels_last = channels_last

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.net.forward_features(x)  # type: ignore[operator]
        return z.permute(0, 3, 1, 2) if self.channels_last else z


def to_softcam(
    model: nn.Module,
    *,
    num_classes: int | None = None,
    normalize: Normalize | tuple[Sequence[float], Sequence[float]] | None = None,
    link: Link | None = None,
    head_width: int = 4096,
) -> SoftCAM:
    """Convert a copy of a network to SoftCAM; `model` itself stays as it is.

    Mean pool + linear: the weights are carried over and the logits are the same (`exact`, proved
    on a probe). Dropout before the linear layer drops whole channels of Z instead, which has the
    same distribution. VGG and AlexNet: the paper's head, fresh (`paper`). Modes, frozen
    parameters, device and precision are kept; hooks are not.

    Args:
        model: a `BlackBox` (its normalisation and link move along) or a bare network that takes
            (B, 3, H, W) and gives logits (B, C).
        num_classes: C; another number than the model's gives a fresh last layer. `kind` and
            `max_logit_difference` then tell of the network before that swap.
        normalize: `(mean, std)` on [0, 1]; None keeps the model's (a bare net has none).
        link: `softmax` or `sigmoid`; None keeps the model's (a bare net gets softmax).
        head_width: width of the paper's VGG head.

    Returns:
        A `SoftCAM` whose `conversion` says what was done.

    Raises:
        SoftCAMError: the network has no feature map that is mean-pooled into a linear layer.
    """
    if isinstance(model, SoftCAM):
        raise SoftCAMError("this model is a SoftCAM already: convert the network it was made from.")
    for name, value in (("num_classes", num_classes), ("head_width", head_width)):
        if value is not None and value < 1:
            raise SoftCAMError(f"{name} must be at least 1, found {value}.")
    net = model
    if isinstance(model, BlackBox):
        net, link = model.net, link or model.link
        values = model.normalize.values()
        normalize = normalize if normalize or values is None else (values[0], values[1])
    try:
        with quiet():
            cut, conversion = _exact(net)
        backbone, evidence = _apart(own_copy(net), cut)
    except NotThisWay as reason:
        backbone, evidence, conversion = _paper(net, str(reason), num_classes, head_width)
    if num_classes is not None and num_classes != _last(evidence).out_channels:
        evidence, conversion = _fresh(evidence, num_classes, conversion)
    softcam = SoftCAM(backbone, evidence, normalize, link or "softmax", conversion)
    softcam.normalize.to(_last(evidence).weight.device)
    for module in (softcam, softcam.normalize, *evidence.modules()):
        module.training = model.training  # the backbone keeps its own, frozen batch norms included
    return softcam


def _apart(net: nn.Module, cut: Cut) -> Parts:
    """Take `net` apart at `cut`, in place: its layers become those of the parts."""
    evidence = _evidence(net.get_submodule(cut.classifier), cut.keep)
    if cut.node is not None:
        return cut_features(net, cut), evidence
    parent, _, name = cut.classifier.rpartition(".")
    setattr(net.get_submodule(parent), name, nn.Identity())
    return Features(net, cut.channels_last), evidence


def _exact(net: nn.Module) -> tuple[Cut, Conversion]:
    """The first cut that proves itself, or `NotThisWay` with the reason of each."""
    probe = probe_copy(net)
    reasons: dict[str, str] = {}
    verbs = all(hasattr(probe, verb) for verb in ("forward_features", "get_classifier"))
    for find in (find_by_verbs, find_by_graph) if verbs else (find_by_graph,):
        after: tuple[str, ...] = ()
        try:
            cut = find(probe)
            after = cut.between
            proof = _proved(probe, cut)
        except NotThisWay as reason:
            reasons[str(reason)] = str(reason) + listed(after)
            continue
        backbone, evidence = _apart(copy.deepcopy(probe), cut)
        notes = (*proof.notes, *_notes(net, backbone, evidence, cut))
        cell = reduction_of(backbone.eval(), probe)
        return cut, Conversion("exact", proof.difference, cell, notes)
    raise NotThisWay("; ".join(reasons.values()))


def _proved(probe: nn.Module, cut: Cut) -> Proof:
    bias = getattr(probe.get_submodule(cut.classifier), "bias", None)
    bias = torch.zeros(()) if bias is None else bias.detach()
    return prove(probe, lambda copied: SoftCAM(*_apart(copied, cut)), bias)


def _evidence(classifier: nn.Module, keep: float) -> nn.Conv2d | nn.Sequential:
    """The classifier as a 1x1 convolution, after dropout of channels where it had dropout."""
    old = cast(nn.Linear | nn.Conv2d, classifier)
    shape = (*old.weight.shape[:2], 1, 1)  # (C, D, 1, 1)
    # skip_init draws no random numbers, so the caller's sequence is not disturbed.
    conv: nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d, shape[1], shape[0], 1, bias=old.bias is not None, device=old.weight.device
    ).to(old.weight.dtype)
    with torch.no_grad():
        conv.weight.copy_(old.weight.reshape(shape))
        conv.weight.requires_grad = old.weight.requires_grad
        if old.bias is not None and conv.bias is not None:
            conv.bias.copy_(old.bias)
            conv.bias.requires_grad = old.bias.requires_grad
    return conv if keep == 1 else nn.Sequential(nn.Dropout2d(round(1 - keep, 12)), conv)


def _paper(
    net: nn.Module, reason: str, num_classes: int | None, head_width: int
) -> tuple[nn.Module, nn.Sequential, Conversion]:
    """The paper's VGG: features without the 7x7 pooling, and a head of 1x1 convolutions.

    Raises:
        SoftCAMError: the network is no VGG either; says why nothing fits.
    """
    copied = own_copy(net)
    fc = _fully_connected(copied)
    features = getattr(copied, "features", None)
    if not isinstance(features, nn.Module) or len(fc) < 2:
        raise SoftCAMError(_refusal(net, reason))
    with quiet():
        probe = cast(nn.Module, probe_copy(net).features)
        try:
            z, reduction = first_output(probe, probe), reduction_of(probe, net)
        except NotThisWay as error:
            raise SoftCAMError(_refusal(net, f"{reason}; {error}")) from error
    # A fully connected layer that reads a grid of cells is what sets this family apart.
    cells, rest = divmod(fc[0].weight[0].numel(), z.shape[1])
    if z.ndim != 4 or cells < 2 or rest:
        raise SoftCAMError(_refusal(net, reason))
    classes = num_classes or fc[-1].weight.shape[0]
    like = next(features.parameters())
    head = nn.Sequential(
        nn.Conv2d(z.shape[1], head_width, 1), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Conv2d(head_width, head_width, 1), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Conv2d(head_width, classes, 1),
    ).to(like.device, like.dtype)  # fmt: skip
    notes = (
        "the paper's VGG head, freshly initialised: the old logits are lost, train before use",
        "its own head is fully connected over a grid of cells, not mean pooling and one layer",
    )
    return features, head, Conversion("paper", None, reduction, notes)


def _fully_connected(net: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """The layers after `features`, in order; timm writes VGG's as convolutions."""
    features = getattr(net, "features", nn.Identity())
    inside = set(features.modules()) if isinstance(features, nn.Module) else set()
    layers = (module for module in net.modules() if module not in inside)
    return [module for module in layers if isinstance(module, (nn.Linear, nn.Conv2d))]


def _fresh(
    evidence: nn.Conv2d | nn.Sequential, num_classes: int, conversion: Conversion
) -> tuple[nn.Conv2d | nn.Sequential, Conversion]:
    """Swap the last layer for a new one with `num_classes` maps."""
    old = _last(evidence)
    new = nn.Conv2d(old.in_channels, num_classes, 1).to(old.weight.device, old.weight.dtype)
    note = (
        f"a fresh last layer with {num_classes} classes in place of {old.out_channels}; "
        "the measured difference is that of the network before the swap"
    )
    conversion = replace(conversion, notes=(*conversion.notes, note))
    if isinstance(evidence, nn.Sequential):
        return nn.Sequential(*list(evidence)[:-1], new), conversion
    return new, conversion


def _last(evidence: nn.Conv2d | nn.Sequential) -> nn.Conv2d:
    return cast(nn.Conv2d, evidence[-1] if isinstance(evidence, nn.Sequential) else evidence)


def _notes(net: nn.Module, backbone: nn.Module, evidence: nn.Module, cut: Cut) -> tuple[str, ...]:
    notes = []
    if cut.keep < 1:
        rate = f"{1 - cut.keep:g}"
        notes.append(f"dropout {rate} before the linear layer now drops channels of the map")
    before = sum(p.numel() for p in net.parameters())
    after = sum(p.numel() for part in (backbone, evidence) for p in part.parameters())
    if after < before:
        notes.append(f"{before - after:,} parameters that the logits do not need are left out")
    return tuple(notes)


def _refusal(net: nn.Module, reason: str) -> str:
    settings = getattr(net, "pretrained_cfg", None) or {}
    known = settings.get("architecture")
    name = f"{known} ({type(net).__name__})" if known else type(net).__name__
    return (
        f"{name} cannot become a SoftCAM: {reason}. SoftCAM needs a feature map (B, D, h, w) that "
        f"is mean-pooled into one linear layer, as in {CONVERTIBLE}, or a VGG or AlexNet."
    )
