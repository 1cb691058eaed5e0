"""Find the last feature map Z of a network, and cut the network there.

timm's networks say where their features are (`forward_features`, `forward_head`); for others
(torchvision, your own) the traced graph is used as a whole. In both, Z is the last tensor on the
way to the logits that has more than one cell. Nothing is matched by name: which axes of Z are space
is read off the head, to which the order of the cells must not matter, and the probe
(`softcam.proof`) shows that nothing was lost.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx, nn

from softcam.graphs import (
    Seen,
    described,
    end_in_logits,
    erase_unneeded,
    layer_of,
    logits_of,
    node_named,
    seen,
    trace,
)
from softcam.layouts import Layout, TokenGrid, is_grid, to_map, token_stride
from softcam.modes import join_modes
from softcam.places import before_rearranging, behind, layout_of
from softcam.proof import NotThisWay, first_output

__all__ = [
    "Cut",
    "Features",
    "Modes",
    "both_modes",
    "cut_features",
    "find_by_graph",
    "find_by_verbs",
    "head_graph",
    "listed",
    "trace",
    "truncated",
]


@dataclass(frozen=True)
class Cut:
    """Where to cut; only names, so that it keeps no layer alive and fits every copy of the network.

    Attributes:
        node: the node that gives Z in the traced graph: that of the whole network, or with `verbs`
            that of `forward_head`, where None means its input.
        layout: how Z is laid out.
        shape: of Z on a probe image.
        stride: image pixels a token; 0 where Z has a height and a width of its own.
        between: what follows Z, in order, for messages.
        verbs: cut by timm's verbs.
        image: height and width of that probe image; a head may fit no other.
        instead: the cut behind the steps that lay the map out anew, where this one is in front of
            them and the head may need them.
    """

    node: str | None
    layout: Layout
    shape: tuple[int, ...]
    stride: int
    between: tuple[str, ...]
    verbs: bool
    image: tuple[int, int]
    instead: Cut | None = None

    def from_features(self) -> Cut:
        """The cut right behind `forward_features`, where a head does more to the map."""
        return replace(self, node=None)

    @property
    def channels_last(self) -> bool:
        """Z is (B, h, w, D)."""
        return self.layout == "BhwD"


class Features(nn.Module):
    """A timm network up to its last feature map, (B, 3, H, W) to (B, D, h, w).

    Args:
        net: the network; its head is not used.
        cut: where Z is.
        after: what `forward_head` does to the map before it pools; None for nothing.
    """

    def __init__(self, net: nn.Module, cut: Cut, after: nn.Module | None = None) -> None:
        super().__init__()
        self.net = net
        self.after = after
        self.grid = TokenGrid(cut.stride) if cut.stride else None
        self.layout: Layout = cut.layout

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.net.forward_features(x)  # type: ignore[operator]
        if self.after is not None:
            z = self.after(z)
        z = to_map(z, self.layout)
        return z if self.grid is None else self.grid(z, x)


def find_by_verbs(net: nn.Module, x: Tensor) -> Cut:
    """Find Z with timm's verbs: `forward_features` gives it, `forward_head` makes it logits.

    Args:
        net: a CPU copy in evaluation mode.
        x: images that it takes, (B, 3, H, W).

    Raises:
        NotThisWay: the features are no map, or the head does not treat their cells alike.
    """
    with torch.no_grad():
        z = net.forward_features(x)  # type: ignore[operator]
    if not isinstance(z, Tensor):
        raise NotThisWay(f"its features are a {type(z).__name__}, not one feature map")
    if z.ndim == 3 and z.shape[1] == 1:
        raise NotThisWay("its features are a class token, not a map")
    if not is_grid(z.shape):
        found = ", ".join(map(str, z.shape[1:]))
        raise NotThisWay(f"its features have the shape (B, {found}), which is no map")
    graph = trace(net, False, "forward_head")
    return _cut_at(net, graph, seen(net, graph, z), x, verbs=True)


def find_by_graph(net: nn.Module, x: Tensor | None = None) -> Cut:
    """Find Z by tracing `net`, a CPU copy in evaluation mode.

    Args:
        net: the copy.
        x: images that it takes, (B, 3, H, W); None tries those of the probe.

    Raises:
        NotThisWay: it cannot be traced, or has no map whose cells its head treats alike.
    """
    graph = trace(net, training=False)
    if x is None:
        x, _ = first_output(net, net)
    return _cut_at(net, graph, seen(net, graph, x), x, verbs=False)


def _cut_at(net: nn.Module, graph: fx.Graph, run: Seen, x: Tensor, verbs: bool) -> Cut:
    end_in_logits(graph)
    last = _last_grid(net, graph, run)
    node = before_rearranging(net, graph, run, last)
    instead: Cut | None = None
    if node is not last:
        with contextlib.suppress(NotThisWay):
            instead = _cut_behind(net, copy.deepcopy(graph), run, last, x, verbs)
    return replace(_cut_behind(net, graph, run, node, x, verbs), instead=instead)


def _cut_behind(
    net: nn.Module, graph: fx.Graph, run: Seen, node: fx.Node, x: Tensor, verbs: bool
) -> Cut:
    """The cut at one node of the graph that `run` saw; of `graph`, its copy, the front is lost."""
    _, steps = _back_to(run.module.graph, run, lambda other: other is node)  # type: ignore[arg-type]
    shape, between = run.shapes[node], _described(net, steps)
    if node.op == "placeholder" and not verbs:
        raise NotThisWay("no feature map of more than one cell leads to its logits")
    name = None if node.op == "placeholder" else node.name
    try:
        layout = layout_of(fx.GraphModule(net, behind(graph, name)), shape)
        stride = 0
        if len(shape) == 3:
            tokens = shape[1 if layout == "BND" else 2]
            stride = token_stride(tokens, x.shape[2], x.shape[3])
            if not stride:
                raise NotThisWay(f"its {tokens} tokens form no grid over the image")
    except NotThisWay as reason:
        raise type(reason)(f"{reason}{listed(between)}") from reason
    return Cut(name, layout, shape, stride, between, verbs, (x.shape[2], x.shape[3]))


def _last_grid(net: nn.Module, graph: fx.Graph, run: Seen) -> fx.Node:
    """The last tensor of more than one cell that the logits come from."""
    grids, steps = _back_to(
        graph, run, lambda n: n.op != "get_attr" and is_grid(run.shapes.get(n, ()))
    )
    if len(grids) != 1:
        found = f"{len(grids)} feature maps lead" if grids else "no feature map leads"
        raise NotThisWay(f"{found} to its logits{listed(_described(net, steps))}")
    return grids.pop()


def _back_to(
    graph: fx.Graph, run: Seen, stop: Callable[[fx.Node], bool]
) -> tuple[set[fx.Node], list[fx.Node]]:
    """The nodes that `stop` is true for, going back from the logits, and those behind, in order."""
    stops, steps, queue = set[fx.Node](), set[fx.Node](), [logits_of(graph)]
    while queue:
        node = queue.pop()
        if stop(node):
            stops.add(node)
        elif node not in run.plain and node not in steps:
            steps.add(node)
            queue += node.all_input_nodes
    return stops, [node for node in graph.nodes if node in steps]


def _described(net: nn.Module, nodes: Sequence[fx.Node]) -> tuple[str, ...]:
    idle = [n for n in nodes if n.op == "get_attr" or isinstance(layer_of(net, n), nn.Identity)]
    return tuple(described(net, node) for node in nodes if node not in idle)


def head_graph(net: nn.Module, cut: Cut) -> fx.Graph:
    """The graph from Z, in its own layout, to the logits, in evaluation mode.

    Raises:
        NotThisWay: it needs something else that was computed before Z.
    """
    graph = trace(net, False, "forward_head" if cut.verbs else "forward")
    end_in_logits(graph)
    return behind(graph, cut.node)


Modes = tuple[fx.Graph, fx.Graph]  # of one network, in training and in evaluation mode


def both_modes(net: nn.Module, cut: Cut) -> Modes:
    """The graphs in which `cut` is, in training and in evaluation mode; keeps the mode of `net`."""
    modes = {name: module.training for name, module in net.named_modules()}
    verb = "forward_head" if cut.verbs else "forward"
    train, evaluation = trace(net, True, verb), trace(net, False, verb)
    for name, module in net.named_modules():
        module.training = modes[name]
    return train, evaluation


def cut_features(net: nn.Module, cut: Cut, graphs: Modes | None = None) -> nn.Module:
    """The part of `net` up to Z, as a module (B, 3, H, W) to (B, D, h, w); shares its layers.

    Args:
        net: the network.
        cut: where.
        graphs: those of `both_modes`, which are used up; None traces them.

    Raises:
        NotThisWay: the network takes other layers in training than in evaluation.
    """
    if cut.verbs and cut.node is None:
        return Features(net, cut)
    modes = {name: module.training for name, module in net.named_modules()}
    train, evaluation = (truncated(graph, cut) for graph in graphs or both_modes(net, cut))
    root = join_modes(net, evaluation, train)
    if cut.stride and not cut.verbs:
        root.add_module("_grid", TokenGrid(cut.stride))
        _lay_out(evaluation, cut)
    part = fx.GraphModule(root, evaluation, type(net).__name__ + "Features")
    for name, module in part.named_modules():
        owner = name.removesuffix("_mode").removesuffix(".")  # whose mode it tells
        module.training = modes.get(name, modes.get(owner, net.training))
    return Features(net, cut, part) if cut.verbs else part


def _lay_out(graph: fx.Graph, cut: Cut) -> None:
    """Let a graph that gives tokens give their map."""
    end = next(node for node in graph.nodes if node.op == "output")
    image, z = next(n for n in graph.nodes if n.op == "placeholder"), end.args[0]
    with graph.inserting_before(end):
        z = graph.call_method("transpose", (z, 1, 2)) if cut.layout == "BND" else z
        end.args = (graph.call_module("_grid", (z, image)),)


def truncated(graph: fx.Graph, cut: Cut) -> fx.Graph:
    """The graph that ends at Z, without whatever else the network computed.

    A map comes out as (B, D, h, w), unless `cut` goes by timm's verbs; tokens as they are.
    """
    z = node_named(graph, cut.node)
    if cut.channels_last and not cut.verbs:
        with graph.inserting_after(z):
            z = graph.call_method("permute", (z, 0, 3, 1, 2))
    next(node for node in graph.nodes if node.op == "output").args = (z,)
    erase_unneeded(graph, keep=lambda node: node.op == "placeholder")
    return graph


def listed(between: Sequence[str]) -> str:
    """What follows the last feature map, for messages."""
    return f" (after the map come {', '.join(between)})" if between else ""
