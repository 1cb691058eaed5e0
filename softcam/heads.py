"""What stands between the last feature map and the logits, and the same as a class-evidence layer.

A head is a pooling followed by a function h of one vector (D,). Where the pooling is a mean and h
is affine, h(mean z) = mean h(z): h goes in front of the pooling, as a 1x1 convolution, and the
logits stay the same (Zhou et al., CVPR 2016). Where h is not affine (a norm, an activation), the
two differ; h at each position is then a start for fine-tuning.

All of this is asked of the head by numbers, on random maps in float64.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from softcam.cut import Cut, head_graph
from softcam.flat import FEW, cells_of, channels_of, is_affine, is_mean, on_flat_maps, same
from softcam.graphs import described, dropout_rate, erase_unneeded, layer_of, logits_of
from softcam.layouts import Layout, from_map, noise_for
from softcam.proof import NotThisWay, first_line

__all__ = ["AtEachCell", "Evidence", "Head", "evidence_of", "read_head", "without_head"]

Evidence = nn.Conv2d | nn.Sequential
CHUNK = 64  # maps at a time when a head is read off


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
        keep: share of activations that its dropout in front of the classifier keeps.
        lost: its other dropout, which is not carried over, in words.
        pooling: what pools, in words.
        graph: from Z to the logits, with the names that the layers have in the network.
    """

    form: Literal["carried", "folded", "cells"]
    mean: bool
    classifier: str | None
    keep: float
    lost: tuple[str, ...]
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
    users = [node for node in given.users if node.target not in ("size", getattr)]
    classifier = _classifier(net, graph)
    path = None if classifier is None else str(classifier.target)
    pooling = ", ".join(described(net, node) for node in users)

    with _named_failure():
        z = noise_for(
            lambda z: head.forward(from_map(z, cut.layout)), (3, channels_of(cut), *cells_of(cut))
        )
        v = z.movedim(1, -1).flatten(0, 2)[-FEW:]  # (FEW, D)
        flat = on_flat_maps(head, cut)
        mean = is_mean(lambda z: head.forward(from_map(z, cut.layout)), flat, z)
        affine = is_affine(flat, z)
        # Weights that are computed from others (spectral norm) hold for evaluation alone.
        carried = affine and _is_stored(net, path) and same(_linear(head, path, v), flat(v))
    keep, lost = _dropout(net, graph, classifier, affine and not carried)
    form: Literal["carried", "folded", "cells"] = "folded" if affine else "cells"
    found = Head("carried" if carried else form, mean, path, keep, lost, pooling, graph)
    if form == "cells" and path is None:
        raise NotThisWay("its logits do not come from one linear layer")
    with _named_failure():
        maps = evidence_of(head, cut, found).eval()(v.T[None, :, :, None])  # (1, C, FEW, 1)
        if not same(maps[0, :, :, 0].T, flat(v)):
            raise NotThisWay("on a flat map its head does not give what it gives for one cell")
    return found


def _dropout(
    net: nn.Module, graph: fx.Graph, classifier: fx.Node | None, folded: bool
) -> tuple[float, tuple[str, ...]]:
    """The share that the dropout in front of the classifier keeps, and what is not carried over."""
    before, lost = set[fx.Node](), []
    keep, queue = 1.0, [] if classifier is None or folded else [classifier]
    while queue:
        node = queue.pop()
        before.add(node)
        queue += [other for other in node.all_input_nodes if other not in before]
    for node in graph.nodes:
        rate = dropout_rate(net, node)
        if rate and node in before:
            keep *= 1 - rate
        elif rate:
            lost.append(f"{described(net, node)} of {rate:g}")
    return keep, tuple(lost)


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
    old = copy.deepcopy(classifier).eval()  # where spectral norm takes no step
    with torch.no_grad():
        old(torch.zeros_like(classifier.weight[:1]))  # hooks may make the weights from others
    conv = _empty(old.weight, old.bias is not None)
    trained = [p.requires_grad for name, p in old.named_parameters() if "bias" not in name]
    with torch.no_grad():
        conv.weight.copy_(old.weight.reshape(conv.weight.shape))
        conv.weight.requires_grad = any(trained)
        if old.bias is not None and conv.bias is not None:
            conv.bias.copy_(old.bias)
            conv.bias.requires_grad = old.bias.requires_grad
    return conv


@torch.no_grad()
def _folded(net: nn.Module, cut: Cut, graph: fx.Graph) -> nn.Conv2d:
    """W and b of an affine head, read off in float64: h(0) = b, h(e_i) - b = column i of W."""
    flat = on_flat_maps(_double(net, graph), cut)
    unit = torch.eye(channels_of(cut), dtype=torch.float64)
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


def _is_stored(net: nn.Module, path: str | None) -> bool:
    return path is not None and "weight" in net.get_submodule(path)._parameters


def _linear(head: nn.Module, path: str | None, v: Tensor) -> Tensor | None:
    """W v + b of the classifier alone, (n, C); None where it takes vectors of another length."""
    if path is None:
        return None
    layer = cast(nn.Linear | nn.Conv2d, head.get_submodule(path))
    weight = layer.weight.flatten(1)
    return F.linear(v, weight, layer.bias) if weight.shape[1] == v.shape[1] else None


@contextmanager
def _named_failure() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, TypeError) as error:
        raise NotThisWay(f"its head fails on a probe map ({first_line(error)})") from error
