"""What stands between the last feature map and the logits, and the same as a class-evidence layer.

A head is a pooling followed by a function h of one vector (D,). Where the pooling is a mean and h
is affine, h(mean z) = mean h(z): h goes in front of the pooling, as a 1x1 convolution, and the
logits stay the same (Zhou et al., CVPR 2016). Where h is not affine (a norm, an activation), the
two differ; h at each position is then a start for fine-tuning.

All of this is asked of the head by numbers, on random maps in float64.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from softcam.cut import Cut, head_graph
from softcam.graphs import described, dropout_rate, erase_unneeded, layer_of, logits_of
from softcam.layouts import Layout, from_map, noise_for, to_map
from softcam.proof import TOLERANCE, NotThisWay, first_line

__all__ = ["AtEachCell", "Evidence", "Head", "evidence_of", "read_head", "without_head"]

Evidence = nn.Conv2d | nn.Sequential
CHUNK = 64  # maps at a time when a head is read off
FEW = 4  # vectors to try a head on; a map has at least two cells, and there are three


class AtEachCell(nn.Module):
    """Layers made for pooled features, at each position: (B, D, h, w) to (B, F, h, w).

    Args:
        layers: from one cell, laid out as `layout` says, to (n, F).
        layout: of the map that the layers were made for.
    """

    def __init__(self, layers: nn.Module, layout: Layout) -> None:
        super().__init__()
        self.layers = layers
        self.layout: Layout = layout

    def forward(self, z: Tensor) -> Tensor:
        batch, _, height, width = z.shape
        cells = z.movedim(1, -1).flatten(0, 2)[:, :, None, None]  # (B*h*w, D, 1, 1)
        out = self.layers(from_map(cells, self.layout)).flatten(1)  # (B*h*w, F)
        return out.reshape(batch, height, width, out.shape[1]).movedim(-1, 1)


@dataclass(frozen=True)
class Head:
    """How a head becomes a class-evidence layer.

    Attributes:
        form: `carried`: its one linear layer. `folded`: several layers that together are affine,
            as one convolution. `cells`: everything before the classifier at each position.
        mean: it pools by the mean.
        classifier: path of the last linear layer; None where the logits are not its output.
        keep: share of activations that its dropout keeps.
        pooling: what pools, in words.
        graph: from Z to the logits, with the names that the layers have in the network.
    """

    form: Literal["carried", "folded", "cells"]
    mean: bool
    classifier: str | None
    keep: float
    pooling: str
    graph: fx.Graph

    @property
    def exact(self) -> bool:
        """The mean of the evidence maps is what the head gives."""
        return self.mean and self.form != "cells"


@torch.no_grad()
def read_head(net: nn.Module, cut: Cut) -> Head:
    """Try the head of `net`, a CPU copy in evaluation mode, on random maps.

    Raises:
        NotThisWay: its pooling does not leave a flat map as it is, or no linear layer ends it.
    """
    graph = head_graph(net, cut)
    head = _double(net, graph)
    given = next(iter(graph.nodes))
    rates = [rate for node in graph.nodes if (rate := dropout_rate(net, node)) is not None]
    users = [node for node in given.users if node.target not in ("size", getattr)]
    classifier = _classifier(net, graph)
    path = None if classifier is None else str(classifier.target)
    pooling = ", ".join(described(net, node) for node in users)
    keep = math.prod(1 - rate for rate in rates)

    with _named_failure():
        z = noise_for(lambda z: head(from_map(z, cut.layout)), (3, _channels(cut), *_cells(cut)))
        cells = z.movedim(1, -1).flatten(0, 2)  # (3*h*w, D)
        v, w = cells[:FEW], cells[-FEW:]
        flat = _on_flat_maps(head, cut)
        mean = _same(head(from_map(z, cut.layout)), flat(z.mean((2, 3))))
        affine = _same(flat(v + w), flat(v) + flat(w) - flat(v * 0))
        carried = affine and _same(_linear(head, path, v), flat(v))
    form: Literal["carried", "folded", "cells"] = "folded" if affine else "cells"
    found = Head("carried" if carried else form, mean, path, keep, pooling, graph)
    if form == "cells" and path is None:
        raise NotThisWay("its logits do not come from one linear layer")
    with _named_failure():
        maps = evidence_of(head, cut, found).eval()(v.T[None, :, :, None])  # (1, C, FEW, 1)
        if not _same(maps[0, :, :, 0].T, flat(v)):
            raise NotThisWay("on a flat map its head does not give what it gives for one cell")
    return found


def evidence_of(net: nn.Module, cut: Cut, head: Head) -> Evidence:
    """The head of `net` as a class-evidence layer, with its weights; `net` stays as it is."""
    graph = copy.deepcopy(head.graph)
    if head.form == "folded":
        return _folded(net, cut, graph)
    dropout = [] if head.keep == 1 else [nn.Dropout2d(round(1 - head.keep, 12))]
    conv = _as_convolution(cast(nn.Linear | nn.Conv2d, net.get_submodule(str(head.classifier))))
    if head.form == "carried":
        return nn.Sequential(*dropout, conv) if dropout else conv
    _end_before_classifier(net, graph)
    layers = AtEachCell(fx.GraphModule(net, graph, type(net).__name__ + "Head"), cut.layout)
    return nn.Sequential(layers, *dropout, conv)


def without_head(net: nn.Module, cut: Cut, head: Head) -> None:
    """Take the head's layers out of `net`, in place, where it was cut by timm's verbs."""
    graph = head.graph if cut.node is None else head_graph(net, cut.from_features())
    for node in graph.nodes:
        if node.op not in ("call_module", "get_attr"):
            continue
        parent, _, name = str(node.target).rpartition(".")
        owner = net.get_submodule(parent)
        if node.op == "get_attr":
            setattr(owner, name, None)
        elif next(iter(owner.get_submodule(name).state_dict()), None) is not None:
            setattr(owner, name, nn.Identity())


def _double(net: nn.Module, graph: fx.Graph) -> nn.Module:
    """The graph as a module of its own on the CPU, in float64 and evaluation mode."""
    return copy.deepcopy(fx.GraphModule(net, copy.deepcopy(graph))).to("cpu", torch.float64).eval()


def _classifier(net: nn.Module, graph: fx.Graph) -> fx.Node | None:
    """The last linear layer, if nothing but reshaping and dropout follows it."""
    node = logits_of(graph)
    while not isinstance(layer_of(net, node), (nn.Linear, nn.Conv2d)):
        inputs = node.all_input_nodes
        shaping = node.target in ("flatten", "squeeze", "view", "reshape", torch.flatten)
        layer = layer_of(net, node)
        passes = isinstance(layer, (nn.Identity, nn.Flatten)) or dropout_rate(net, node) is not None
        if len(inputs) != 1 or not (shaping or passes):
            return None
        node = inputs[0]
    layer = layer_of(net, node)
    return node if isinstance(layer, nn.Linear) or _is_pointwise(layer) else None


def _is_pointwise(layer: nn.Module | None) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1


def _end_before_classifier(net: nn.Module, graph: fx.Graph) -> None:
    """Let the graph end in what the classifier takes, without dropout, which follows it."""
    classifier = _classifier(net, graph)
    assert classifier is not None
    end = next(node for node in reversed(graph.nodes) if node.op == "output")
    end.args = (classifier.args[0],)
    for node in list(graph.nodes):
        if dropout_rate(net, node) is not None:
            node.replace_all_uses_with(node.all_input_nodes[0])
    erase_unneeded(graph, keep=lambda node: node.op == "placeholder")


def _as_convolution(classifier: nn.Linear | nn.Conv2d) -> nn.Conv2d:
    """A linear layer as a 1x1 convolution, with its weights and whether they are frozen."""
    old = classifier
    conv = _empty(old.weight, old.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(old.weight.reshape(conv.weight.shape))
        conv.weight.requires_grad = old.weight.requires_grad
        if old.bias is not None and conv.bias is not None:
            conv.bias.copy_(old.bias)
            conv.bias.requires_grad = old.bias.requires_grad
    return conv


@torch.no_grad()
def _folded(net: nn.Module, cut: Cut, graph: fx.Graph) -> nn.Conv2d:
    """W and b of an affine head, read off in float64: h(0) = b, h(e_i) - b = column i of W."""
    flat = _on_flat_maps(_double(net, graph), cut)
    unit = torch.eye(_channels(cut), dtype=torch.float64)
    bias = flat(unit[:1] * 0)  # (1, C)
    weight = torch.cat([flat(some) for some in torch.split(unit, CHUNK)]) - bias  # (D, C)
    paths = {str(node.target) for node in graph.nodes if node.op == "call_module"}
    own = [p for path in paths for p in net.get_submodule(path).parameters()]
    like = next(iter(own or net.parameters()), weight)
    conv = _empty(weight.T.to(like.dtype), bias=True).to(like.device)
    conv.weight.copy_(weight.T.reshape(conv.weight.shape))
    cast(Tensor, conv.bias).copy_(bias[0])
    return conv.requires_grad_(any(p.requires_grad for p in own or net.parameters()))


def _empty(like: Tensor, bias: bool) -> nn.Conv2d:
    """A 1x1 convolution with weights (C, D, 1, 1) to fill in; it draws no random numbers."""
    conv: nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d, like.shape[1], like.shape[0], 1, bias=bias, device=like.device
    )
    return conv.to(like.dtype)


def _channels(cut: Cut) -> int:
    return cut.shape[-1 if cut.layout.endswith("D") else 1]


def _cells(cut: Cut) -> tuple[int, int]:
    """(h, w), or (N, 1) for tokens, as the probe image had."""
    cells = to_map(torch.empty(cut.shape, device="meta"), cut.layout).shape[2:]
    return cells[0], cells[1] if len(cells) == 2 else 1


def _on_flat_maps(head: nn.Module, cut: Cut) -> Callable[[Tensor], Tensor]:
    """The head as a function (n, D) to (n, C): of maps that have one value in all cells."""
    cells = _cells(cut)
    return lambda v: head(from_map(v[:, :, None, None].expand(-1, -1, *cells), cut.layout))


def _linear(head: nn.Module, path: str | None, v: Tensor) -> Tensor | None:
    """W v + b of the classifier alone, (n, C); None where it takes vectors of another length."""
    if path is None:
        return None
    layer = cast(nn.Linear | nn.Conv2d, head.get_submodule(path))
    weight = layer.weight.flatten(1)
    return F.linear(v, weight, layer.bias) if weight.shape[1] == v.shape[1] else None


def _same(found: Tensor | None, expected: Tensor) -> bool:
    if found is None or found.shape != expected.shape:
        return False
    return float((found - expected).abs().max()) <= TOLERANCE * float(expected.abs().max())


@contextmanager
def _named_failure() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, TypeError) as error:
        raise NotThisWay(f"its head fails on a probe map ({first_line(error)})") from error
