"""Take a network apart, and show on a probe that the parts are still the same network.

The probe is a copy with random numbers wherever a fresh network hides mistakes (`softcam.proof`).
An exact conversion is compared with it as a whole. A pointwise one is another function on purpose:
there the backbone is compared, with the old head behind it, and `softcam.heads` has compared the
new head with the old one at each cell.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, fx, nn

from softcam.chance import Dropouts
from softcam.common import SoftCAMError
from softcam.copying import own_copy
from softcam.cut import Cut, Modes, both_modes, cut_features, find_by_graph, find_by_verbs
from softcam.evidence import Conversion, SoftCAM
from softcam.heads import Evidence, Head, evidence_of, read_head, without_head
from softcam.layouts import Layout, from_map
from softcam.modes import are_alike
from softcam.places import sides
from softcam.proof import (
    TOLERANCE,
    Answers,
    CellsLeftOut,
    NotThisWay,
    Silent,
    Untraceable,
    answers,
    cell_size,
    every_answer,
    first_line,
    is_even,
    logit_difference,
    probe_copy,
    reduction_of,
    run,
)

__all__ = ["apart", "measured", "proved"]

TRAINS_ELSE = "its head gives other logits in training than in evaluation"
PLAIN = 0.05  # of the map's side: from here on it is plain on which side a change shows


class _Rejoined(nn.Module):
    """Backbone and the head as it was: shows that the cut lost nothing."""

    def __init__(self, backbone: nn.Module, head: nn.Module, layout: Layout) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.layout: Layout = layout

    def forward(self, x: Tensor) -> Tensor:
        return self.head(from_map(self.backbone(x), self.layout))


def proved(net: nn.Module) -> tuple[Cut, Head, Conversion]:
    """The first way of cutting that proves itself; call it inside `quiet()`.

    Raises:
        NotThisWay: none does; with the reason of each.
    """
    if _without_classifier(net):
        raise NotThisWay("it has no classifier: build it with num_classes, the number of classes")
    reasons = list[NotThisWay]()
    verbs = all(callable(getattr(net, verb, None)) for verb in ("forward_features", "forward_head"))
    for find in (find_by_verbs, find_by_graph) if verbs else (find_by_graph,):
        try:
            try:
                return _at_some_size(net, find)
            except Silent:
                return _at_some_size(net, find, lively=True)
        except NotThisWay as reason:
            reasons.append(reason)
        except SoftCAMError:
            raise
        except Exception as error:  # the network's own code may raise anything
            problem = f"{type(error).__name__}: {first_line(error)}"
            reasons.append(NotThisWay(f"its own code raises an error ({problem})"))
    told = [reason for reason in reasons if not isinstance(reason, Untraceable)] or reasons
    raise NotThisWay("; ".join(dict.fromkeys(map(str, told))))


def _without_classifier(net: nn.Module) -> bool:
    """Whether a network of timm says that it has none."""
    if getattr(net, "num_classes", None) != 0:
        return False
    try:
        return isinstance(net.get_classifier(), nn.Identity)  # type: ignore[operator]
    except Exception:  # it has no such verb, or its own, which may raise anything
        return False


def _at_some_size(
    net: nn.Module, find: Callable[[nn.Module, Tensor], Cut], lively: bool = False
) -> tuple[Cut, Head, Conversion]:
    """Cut and prove; on to the next image size where the head leaves cells out."""
    torch.default_generator.manual_seed(0)
    probe = probe_copy(net, lively=lively)
    left_out: CellsLeftOut | None = None
    try:
        for expected in every_answer(probe, torch.float32):
            try:
                cut, head = _cut_and_head(probe, find(probe, expected[0][0][:1]))
            except CellsLeftOut as reason:
                left_out = left_out or reason
            else:
                return cut, head, _compared(net, probe, expected, cut, head, lively)
    except NotThisWay as reason:
        raise left_out or reason from reason
    raise AssertionError("sizes end in an error")  # pragma: no cover


def _cut_and_head(probe: nn.Module, cut: Cut) -> tuple[Cut, Head]:
    """The head behind a cut; behind the steps that lay the map out anew where it needs them."""
    try:
        return cut, read_head(probe, cut)
    except NotThisWay:
        if cut.instead is None:
            raise
        return cut.instead, read_head(probe, cut.instead)


def apart(
    net: nn.Module, cut: Cut, head: Head, graphs: Modes | None = None
) -> tuple[nn.Module, Evidence]:
    """Take `net` apart at `cut`, in place: its layers become those of the parts."""
    evidence = evidence_of(net, cut, head)
    backbone = cut_features(net, cut, graphs)
    if cut.verbs:
        without_head(net, cut, head)
    return backbone, evidence


def measured(net: nn.Module, cut: Cut, head: Head, conversion: Conversion) -> Conversion:
    """A pointwise conversion with its logit difference, measured with the network's own weights."""
    own = own_copy(net).to("cpu", torch.float32).eval()
    expected = answers(own, torch.float32, cut.image)
    model = SoftCAM(*apart(own, cut, head)).eval()
    difference: float | None = None
    said = "cannot be measured, as its own weights give one logit whatever the image"
    with contextlib.suppress(NotThisWay):
        difference = max(_differences(model, expected, model.bias))
        said = f"are {difference:.2g} of their scale (noise images, the network's own weights)"
        if difference <= TOLERANCE:
            said += ", as weights as fresh as these leave its head nearly linear"
    note = f"the logits are no longer the same: the differences {said}; fine-tune before use"
    return replace(conversion, max_logit_difference=difference, notes=(*conversion.notes, note))


def _compared(
    net: nn.Module, probe: nn.Module, expected: Answers, cut: Cut, head: Head, lively: bool
) -> Conversion:
    """Run the randomised network whole and taken apart; `probe` is used up.

    In training mode as well, where the same layers should run but were traced; in float64 where
    rounding alone exceeds the bar in float32.
    """
    for precision in (torch.float32, torch.float64):
        if precision is torch.float64:
            torch.default_generator.manual_seed(0)
            probe = probe_copy(net, precision, lively)
            expected = answers(probe, precision, cut.image)
        graphs, trained = _modes(probe, cut, head, expected)
        original = fx.GraphModule(probe, copy.deepcopy(head.graph))
        before = sum(p.numel() for p in probe.parameters())
        backbone, evidence = apart(probe, cut, head, graphs)
        maps = list[Tensor]()
        backbone.register_forward_hook(lambda module, x, z, maps=maps: maps.append(z))
        model = SoftCAM(backbone, evidence).eval()
        whole = model if head.exact else _Rejoined(backbone, original, cut.layout).eval()
        difference = max(_differences(whole, expected, model.bias))
        both = [difference, *_differences(model.train(), trained, model.bias)]
        if max(both) <= TOLERANCE:
            difference = max(both)
            break
    else:
        if difference <= TOLERANCE:
            raise NotThisWay(TRAINS_ELSE)
        raise NotThisWay(
            "mean pooling and the linear layer alone do not give its logits: they differ by "
            f"{difference:.2g} of the logit scale"
        )
    x, z = expected[0][0], maps[0]
    cell = cell_size(x, z) if is_even(x, z) else reduction_of(backbone.eval(), net)
    placed = _place_notes(backbone.eval(), x, z)  # last, as it uses up the weights
    lost = before - sum(p.numel() for p in model.parameters())
    notes = [*_size_notes(expected, precision), *placed, *_head_notes(head, cut, evidence)]
    if lost > 0:
        notes.append(f"{lost:,} parameters fewer: unused by the logits, or folded")
    kind: Literal["exact", "pointwise"] = "exact" if head.exact else "pointwise"
    return Conversion(kind, difference, cell, tuple(notes))


def _modes(
    probe: nn.Module, cut: Cut, head: Head, expected: Answers
) -> tuple[Modes | None, Answers]:
    """The graphs of both modes where it is traced, and logits in training where these differ."""
    if cut.verbs and cut.node is None:
        if head.form == "carried":
            _check_head_in_training(probe, cut)
        return None, []
    graphs = both_modes(probe, cut)
    asked = head.exact and head.form == "carried" and not are_alike(probe, *graphs)
    return graphs, _in_training(probe, expected) if asked else []


def _place_notes(backbone: nn.Module, x: Tensor, z: Tensor) -> list[str]:
    """What is to be said of where the cells lie.

    Raises:
        NotThisWay: they do not lie where they are in the image.
    """
    found, larger = list[float](), torch.cat([x, x.flip(0)], 2)
    smaller = x[:, :, :, : x.shape[2]]
    for images in (smaller, x, x.flip(0), x / 8, larger, larger.mT):  # each a little narrower
        with contextlib.suppress(Exception):  # it may not take larger ones, and raise anything
            found.append(sides(backbone, images))
        if found and found[-1] >= PLAIN:
            return []  # the answer of one image alone may be chance
    if max(found, default=0.0) <= -2 * PLAIN:
        raise NotThisWay("the cells of its last map do not lie as they do in the image")
    said = (
        "it could not be shown that its cells lie as they do in the image: much in it is global, "
        "or silent on noise"
    )
    return [] if max(z.shape[2:]) == 1 else [said]


def _check_head_in_training(probe: nn.Module, cut: Cut) -> None:
    """`forward_head` has to do the same in training, up to dropout; `probe` is left in evaluation.

    Raises:
        NotThisWay: it does not.
    """
    with torch.no_grad():
        z = torch.rand(2, *cut.shape[1:], dtype=next(probe.parameters()).dtype)
        expected = probe.forward_head(z)  # type: ignore[operator]
        with Dropouts():
            found = probe.train().forward_head(z)  # type: ignore[operator]
    probe.eval()
    if float((found - expected).abs().max()) > TOLERANCE * float(expected.abs().max()):
        raise NotThisWay(TRAINS_ELSE)


def _in_training(probe: nn.Module, expected: Answers) -> Answers:
    """Logits in training mode, where it runs in it; statistics are put back."""
    x, _ = expected[0]
    buffers = [(buffer, buffer.clone()) for buffer in probe.buffers()]
    logits = run(probe.train(), x)
    for buffer, before in buffers:
        buffer.copy_(before)
    probe.eval()
    return [(x, logits)] if isinstance(logits, Tensor) else []


def _differences(net: nn.Module, expected: Answers, bias: Tensor) -> list[float]:
    return [logit_difference(run(net, x), logits, bias) for x, logits in expected]


def _size_notes(expected: Answers, precision: torch.dtype) -> list[str]:
    sizes = [(x.shape[2], x.shape[3]) for x, _ in expected]
    notes = []
    if len(sizes) == 1:
        notes.append(
            f"proved at {sizes[0][0]}x{sizes[0][1]} px alone: it takes no other size that was tried"
        )
    elif sizes[0][0] == sizes[0][1]:
        both = " and ".join(f"{height}x{width}" for height, width in sizes)
        notes.append(f"proved at {both} px: it does not take smaller ones that were tried")
    if precision is torch.float64:
        notes.append("proved in float64: rounding alone exceeds the bar in float32")
    return notes


def _head_notes(head: Head, cut: Cut, evidence: Evidence) -> list[str]:
    notes, layers = [], ", ".join(cut.between)
    if head.keep < 1:
        rate = f"{1 - head.keep:g}"
        notes.append(f"dropout {rate} before the linear layer now drops channels of the map")
    if head.lost:
        notes.append(f"dropout that is not carried over: {', '.join(head.lost)}")
    if _is_identity(evidence):
        notes.append("its last map holds one map a class already: the evidence layer passes it on")
    elif head.form == "folded":
        notes.append(f"folded into one convolution, as in evaluation mode: {layers}")
    if not head.mean:
        notes.append(f"it pools by {head.pooling}, not by the mean: SoftCAM takes the mean")
    if head.form == "cells":
        notes.append(f"applied at each cell in place of the pooled features: {layers}")
    return notes


def _is_identity(evidence: Evidence) -> bool:
    if not isinstance(evidence, nn.Conv2d):
        return False
    weight = evidence.weight.detach().flatten(1)
    rows, columns = weight.shape
    return rows == columns and torch.equal(weight, torch.eye(rows).to(weight))
