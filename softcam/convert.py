"""Turn a network that pools a feature map into SoftCAM: `to_softcam`.

mean(W z + b) = W mean(z) + b, so a linear layer after mean pooling can be moved in front of it as a
1x1 convolution with the same weights. The result is the same function, with maps (Zhou et al.,
CVPR 2016; Djoumessi & Berens, "Soft-CAM", MIDL 2026, section on architectures). A head that is not
linear is applied at each cell, which is another function; VGG gets the paper's convolutional head.

Of which kind a network is, is not read off its name: it is cut (`softcam.cut`), its head is tried
(`softcam.heads`), it is converted, and both are run (`softcam.trial`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from torch import nn

from softcam.common import SoftCAMError
from softcam.evidence import Conversion, SoftCAM
from softcam.heads import Evidence
from softcam.proof import NotThisWay, own_copy, quiet
from softcam.refusal import nearest_relative, refusal
from softcam.trial import apart, measured, proved
from softcam.vgg import paper_head
from softcam.wrappers import BlackBox, Link, Normalize

__all__ = ["to_softcam"]


def to_softcam(
    model: nn.Module,
    *,
    num_classes: int | None = None,
    normalize: Normalize | tuple[Sequence[float], Sequence[float]] | None = None,
    link: Link | None = None,
    head_width: int = 4096,
) -> SoftCAM:
    """Convert a copy of a network to SoftCAM; `model` itself stays as it is.

    - `exact`: mean pool + linear: the weights are carried over, and the logits are the same, proved
      on a probe. Several layers that together are linear (batch norm + linear, two heads that are
      averaged) are folded into one. Dropout before the linear layer drops whole channels of Z
      instead, which has the same distribution.
    - `pointwise`: a norm, an activation or hidden layers after the pooling, or another pooling than
      the mean: the head is applied at each cell. The logits change; fine-tune.
    - `paper`: VGG and AlexNet: the paper's head, fresh.

    Modes, frozen parameters, device and precision are kept; hooks are not.

    Args:
        model: a `BlackBox` (its normalisation and link move along) or a bare network that takes
            (B, 3, H, W) and gives logits (B, C); `DataParallel` and `torch.compile` are taken off.
        num_classes: C; another number than the model's gives a fresh last layer. `kind` and
            `max_logit_difference` then tell of the network before that swap.
        normalize: `(mean, std)` on [0, 1]; None keeps the model's (a bare net has none).
        link: `softmax` or `sigmoid`; None keeps the model's (a bare net gets softmax).
        head_width: width of the paper's VGG head.

    Returns:
        A `SoftCAM` whose `conversion` says what was done.

    Raises:
        SoftCAMError: the network has no feature map that is pooled into a classifier; says why, and
            names a relative that has one.
    """
    for name, value in (("num_classes", num_classes), ("head_width", head_width)):
        if value is not None and value < 1:
            raise SoftCAMError(f"{name} must be at least 1, found {value}.")
    net, box, wrappers = _unwrapped(model)
    if isinstance(net, SoftCAM):
        raise SoftCAMError("this model is a SoftCAM already: convert the network it was made from.")
    if box is not None:
        link, values = link or box.link, box.normalize.values()
        normalize = normalize if normalize or values is None else (values[0], values[1])
    training = (box or net).training
    backbone, evidence, conversion = _converted(net, num_classes, head_width)
    if wrappers:
        conversion = replace(conversion, notes=(*wrappers, *conversion.notes))
    if num_classes is not None and num_classes != _last(evidence).out_channels:
        evidence, conversion = _fresh(evidence, num_classes, conversion)
    softcam = SoftCAM(backbone, evidence, normalize, link or "softmax", conversion)
    softcam.normalize.to(_last(evidence).weight.device)
    for module in (softcam, softcam.normalize, *evidence.modules()):
        module.training = training  # the backbone keeps its own, frozen batch norms included
    return softcam


def _unwrapped(model: nn.Module) -> tuple[nn.Module, BlackBox | None, tuple[str, ...]]:
    """The network inside its wrappers, the black box among them, and notes on the others."""
    net, notes = model, list[str]()
    box: BlackBox | None = None
    while True:
        inside = getattr(net, "_orig_mod", None)  # what torch.compile returns
        if isinstance(net, BlackBox):
            box = box or net
            net = net.net
        elif isinstance(net, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            notes.append(f"taken out of {type(net).__name__}: wrap the result again to use it")
            net = net.module
        elif isinstance(inside, nn.Module):
            notes.append("the compiled network's original was converted: compile the result again")
            net = inside
        else:
            return net, box, tuple(notes)


def _converted(
    net: nn.Module, num_classes: int | None, head_width: int
) -> tuple[nn.Module, Evidence, Conversion]:
    try:
        with quiet():
            cut, head, conversion = proved(net)
            if conversion.kind == "pointwise":
                conversion = measured(net, cut, head, conversion)
        return *apart(own_copy(net), cut, head), conversion
    except NotThisWay as reason:
        try:
            return paper_head(net, num_classes, head_width)
        except NotThisWay:
            with quiet():
                nearest = nearest_relative(net, lambda other: proved(other)[2].kind)
            raise SoftCAMError(refusal(net, str(reason), nearest)) from reason


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
