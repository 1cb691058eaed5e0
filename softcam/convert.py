"""Turn a network that pools a feature map into SoftCAM: `to_softcam`.

mean(W z + b) = W mean(z) + b, so a linear layer after mean pooling can be moved in front of it as a
1x1 convolution with the same weights. The result is the same function, with maps (Zhou et al.,
CVPR 2016; Djoumessi & Berens, "Soft-CAM", MIDL 2026, section on architectures). A head that is not
linear is applied at each cell, which is another function; VGG gets the paper's convolutional head.

Of which kind a network is, is not read off its name: it is cut (`softcam.cut`), its head is tried
(`softcam.heads`), it is converted, and both are run (`softcam.trial`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from softcam.common import SoftCAMError
from softcam.copying import (
    computed_weights,
    has_hooks,
    hooked_copy,
    own_copy,
    reading_copy,
    untouched,
)
from softcam.cut import Cut
from softcam.evidence import Conversion, SoftCAM
from softcam.heads import Evidence
from softcam.proof import TOLERANCE, NotThisWay, first_line, probe_image, quiet, run
from softcam.refusal import cause, check_network, nearest_relative, refusal
from softcam.swap import fresh_last, last_layer
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
        if value is not None and (type(value) is not int or value < 1):
            raise SoftCAMError(f"{name} must be at least 1, a whole number, found {value!r}.")
    check_network(model)
    net, box, wrappers = _unwrapped(model)
    check_network(net)
    if isinstance(net, SoftCAM):
        raise SoftCAMError("this model is a SoftCAM already: convert the network it was made from.")
    given = box.normalize if normalize is None and box is not None else normalize
    with torch.inference_mode(False), torch.autocast("cpu", enabled=False):
        backbone, evidence, conversion = _converted(net, num_classes, head_width)
        if num_classes is not None and num_classes != last_layer(evidence).out_channels:
            backbone, evidence, conversion = fresh_last(backbone, evidence, num_classes, conversion)
        conversion = replace(conversion, notes=(*wrappers, *conversion.notes))
        link = link or (box.link if box is not None else "softmax")
        softcam = SoftCAM(backbone, evidence, _normalize(given), link, conversion)
        softcam.normalize.to(last_layer(evidence).weight.device)
    for module in (softcam, softcam.normalize, *evidence.modules()):
        module.training = (box or net).training  # the backbone keeps its own, of frozen layers too
    return softcam


def _normalize(given: object) -> Normalize:
    """A `Normalize` of the model's own."""
    if given is None:
        return Normalize()
    try:
        values = given.values() if isinstance(given, Normalize) else given
        if values is None:
            return Normalize()
        mean, std = cast(tuple[Sequence[float], Sequence[float]], values)
        return Normalize(mean, std)
    except (TypeError, ValueError) as error:
        raise SoftCAMError(
            f"normalize is {given!r}: expected (mean, std) with three numbers each, on [0, 1]."
        ) from error


def _unwrapped(model: nn.Module) -> tuple[nn.Module, BlackBox | None, tuple[str, ...]]:
    """The network inside its wrappers, one black box for those among them, and notes on others.

    Only wrappers that compute nothing of their own: no class that somebody derived from them.
    """
    net, notes = model, list[str]()
    box: BlackBox | None = None
    dynamo = sys.modules.get("torch._dynamo.eval_frame")  # loaded where something was compiled
    compiled = getattr(dynamo, "OptimizedModule", None)
    while "forward" not in vars(net) or type(net) is compiled:
        if type(net) is BlackBox:
            box = net if box is None else _composed(box, net)
            net = net.net
        elif type(net) in (nn.DataParallel, nn.parallel.DistributedDataParallel):
            notes.append(f"taken out of {type(net).__name__}: wrap the result again to use it")
            net = cast(nn.Module, net.module)
        elif type(net) is compiled:
            notes.append("the compiled network's original was converted: compile the result again")
            net = cast(nn.Module, net._orig_mod)
        else:
            break
    return net, box, tuple(notes)


def _composed(outer: BlackBox, inner: BlackBox) -> BlackBox:
    """One box that normalises as two do, one after the other, with the outer one's link."""
    first, second = outer.normalize.values(), inner.normalize.values()
    both = first or second
    if first and second:
        (m, s), (n, t) = first, second  # ((x - m) / s - n) / t = (x - (m + s n)) / (s t)
        mean = [a + b * c for a, b, c in zip(m, s, n, strict=True)]
        both = mean, [a * b for a, b in zip(s, t, strict=True)]
    box = BlackBox(nn.Identity(), both, outer.link)
    return box.train(outer.training)


def _converted(
    net: nn.Module, num_classes: int | None, head_width: int
) -> tuple[nn.Module, Evidence, Conversion]:
    try:
        with quiet(), untouched(net):
            return _proved(net)
    except NotThisWay as reason:
        try:
            with untouched(net):
                return paper_head(net, num_classes, head_width)
        except NotThisWay:
            with quiet():
                nearest = nearest_relative(net, lambda other: proved(other)[2].kind)
                told = cause(net, str(reason))
            raise SoftCAMError(refusal(net, told, nearest)) from reason


def _proved(net: nn.Module) -> tuple[nn.Module, Evidence, Conversion]:
    try:
        cut, head, conversion = proved(net)
        if conversion.kind == "pointwise":
            conversion = measured(net, cut, head, conversion)
        own = own_copy(net)
        given = reading_copy(own, torch.float32)
        backbone, evidence = apart(own, cut, head)
    except (NotThisWay, SoftCAMError):
        raise
    except Exception as error:  # a network's own code may raise anything
        problem = f"{type(error).__name__}: {first_line(error)}"
        raise NotThisWay(f"converting it raises an error ({problem})") from error
    notes = list(conversion.notes)
    if any(True for _ in computed_weights(net)):
        notes.append(
            "old weight norm, spectral norm and pruning stay in the backbone; where its head had "
            "them, the evidence layer has the weights that they gave"
        )
    if head.classifier and is_parametrized(net.get_submodule(head.classifier)):
        notes.append(
            f"{head.classifier} is parametrised: the evidence layer has the weights that this gave "
            "in evaluation mode, and no parametrisation"
        )
    if conversion.kind == "exact":
        notes += _compared(net, given, SoftCAM(backbone, evidence), cut)
    return backbone, evidence, replace(conversion, notes=tuple(notes))


def _compared(net: nn.Module, given: nn.Module, model: SoftCAM, cut: Cut) -> tuple[str, ...]:
    """Compare with the network as it was given: its own weights, and its hooks.

    Args:
        net: as it was given.
        given: a copy to read from, without its hooks.
        model: what was made of it.
        cut: where; the image size at which it was proved is that of the comparison.

    Returns:
        Notes on its hooks.

    Raises:
        NotThisWay: the logits are not the same.
        SoftCAMError: they are not, and it is its hooks that alter them.
    """
    hooked, lost = tuple[str, ...](), tuple[str, ...]()
    difference = plain = _difference(partial(reading_copy, given), model, cut.image)
    if has_hooks(net):
        watched, hooked, lost = hooked_copy(net)
        difference = _difference(lambda p: watched.to("cpu", p).eval(), model, cut.image)
    named = ", ".join(path or "the network itself" for path in hooked)
    if difference > TOLERANCE >= plain:
        raise SoftCAMError(
            f"{type(net).__name__} cannot become a SoftCAM: a forward hook alters its logits "
            f"(hooks on: {named}), and hooks are left out. Remove it, or do what it does in a "
            "layer, then convert."
        )
    if difference > TOLERANCE:
        raise NotThisWay(
            "mean pooling and a linear layer do not give its logits with its own weights: they "
            f"differ by {difference:.2g} of their scale, and agree with other weights; its logits "
            "may be limited to a range, or its weights computed before each forward pass"
        )
    notes = [f"its forward hooks are left out (on: {named})"] if hooked else []
    if lost:
        notes.append(f"{len(lost)} of them cannot be copied, so what they do was not tried")
    return tuple(notes)


def _difference(
    given: Callable[[torch.dtype], nn.Module], model: SoftCAM, size: tuple[int, int]
) -> float:
    """Of logits with the weights as they are, as a share of their scale, at one image size.

    In float64 where rounding alone may exceed the bar in float32.

    Args:
        given: the network in a precision, on the CPU and in evaluation mode.
        model: what was made of it.
        size: (H, W).
    """
    found = 0.0
    for precision in (torch.float32, torch.float64):
        x = probe_image(*size)[:1].to(precision)
        expected = run(given(precision), x)
        copied = cast(SoftCAM, reading_copy(model, precision))
        logits = run(copied, x)
        if not isinstance(expected, Tensor) or not isinstance(logits, Tensor):
            return float("inf")
        if logits.shape != expected.shape:
            return float("inf")
        if not bool(expected.isfinite().all()):
            return 0.0  # its own weights are of no use, and the probe has agreed
        scale = float((expected - copied.bias).abs().max())
        error = float((logits - expected).abs().max())
        found = error / max(scale, 1e-3 * float(expected.abs().max()), 1e-30)
        if found <= TOLERANCE:
            break
    return found
