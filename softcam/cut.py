"""Find the last feature map Z of a network, and cut the network there.

timm's networks say where their features are (`forward_features`, `forward_head`); for others
(torchvision, your own) the traced graph is used as a whole. In both, Z is the last tensor on the
way to the logits that has more than one cell. Nothing is matched by name: which axes of Z are space
is read off the head, to which the order of the cells must not matter, and the probe
(`softcam.proof`) shows that nothing was lost.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx, nn

from softcam.graphs import (
    described,
    erase_unneeded,
    join_modes,
    layer_of,
    logits_of,
    node_named,
    shapes_of,
    start_at,
    trace,
)
from softcam.layouts import LAYOUTS, Layout, TokenGrid, is_grid, noise_for, to_map, token_stride
from softcam.proof import NotThisWay, first_line, first_output

__all__ = [
    "Cut",
    "Features",
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
    """

    node: str | None
    layout: Layout
    shape: tuple[int, ...]
    stride: int
    between: tuple[str, ...]
    verbs: bool

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


class _Head(nn.Module):
    """`forward_head` as a module, so that it can be traced."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor) -> Tensor:
        return self.net.forward_head(z)  # type: ignore[operator]


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
    graph = _traced_head(net, training=False)
    return _cut_at(net, graph, shapes_of(net, graph, z), x, verbs=True)


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
    return _cut_at(net, graph, shapes_of(net, graph, x), x, verbs=False)


def _cut_at(
    net: nn.Module, graph: fx.Graph, shapes: dict[fx.Node, tuple[int, ...]], x: Tensor, verbs: bool
) -> Cut:
    node, between = _last_grid(net, graph, shapes)
    shape = shapes[node]
    if node.op == "placeholder" and not verbs:
        raise NotThisWay("no feature map of more than one cell leads to its logits")
    name = None if node.op == "placeholder" else node.name
    try:
        layout = _layout(fx.GraphModule(net, _behind(graph, name)), shape)
        stride = 0
        if len(shape) == 3:
            tokens = shape[1 if layout == "BND" else 2]
            stride = token_stride(tokens, x.shape[2], x.shape[3])
            if not stride:
                raise NotThisWay(f"its {tokens} tokens form no grid over the image")
    except NotThisWay as reason:
        raise NotThisWay(f"{reason}{listed(between)}") from reason
    return Cut(name, layout, shape, stride, between, verbs)


def _last_grid(
    net: nn.Module, graph: fx.Graph, shapes: dict[fx.Node, tuple[int, ...]]
) -> tuple[fx.Node, tuple[str, ...]]:
    """The last tensor of more than one cell that the logits come from, and what follows it."""
    grids, behind, queue = set[fx.Node](), set[fx.Node](), [logits_of(graph)]
    while queue:
        node = queue.pop()
        if is_grid(shapes.get(node, ())):
            grids.add(node)
        elif node in shapes and node not in behind:
            behind.add(node)
            queue += node.all_input_nodes
    steps = [node for node in graph.nodes if node in behind]
    idle = [n for n in steps if n.op == "get_attr" or isinstance(layer_of(net, n), nn.Identity)]
    between = tuple(described(net, node) for node in steps if node not in idle)
    if len(grids) != 1:
        found = f"{len(grids)} feature maps lead" if grids else "no feature map leads"
        raise NotThisWay(f"{found} to its logits{listed(between)}")
    return grids.pop(), between


@torch.no_grad()
def _layout(head: nn.Module, shape: tuple[int, ...]) -> Layout:
    """The layout in which the order of the cells does not matter to the head.

    Raises:
        NotThisWay: it matters in every layout.
    """
    head = copy.deepcopy(head).double()  # rounding is no excuse
    try:
        z = noise_for(head, shape)
        expected = head(z)
        for layout in LAYOUTS[len(shape)]:
            cells = to_map(z, layout)
            order = torch.randperm(cells[0, 0].numel())
            mixed = cells.flatten(2)[:, :, order].view(cells.shape)
            back = mixed.movedim(1, -1) if layout.endswith("D") else mixed
            if torch.allclose(head(back.contiguous()), expected, rtol=1e-4, atol=1e-6):
                return layout
        for prefix in (1, 2) if len(shape) == 3 else ():  # tokens that are no cells stand in front
            tokens, patches = z[:, :prefix], z[:, prefix:]
            if torch.equal(head(torch.cat([tokens, patches * 2], 1)), expected):
                raise NotThisWay("its logits are read off a class token, no map is pooled")
            if torch.allclose(head(torch.cat([tokens, patches.flip(1)], 1)), expected):
                raise NotThisWay("its logits are read off a class token beside the map")
    except (RuntimeError, ValueError, TypeError) as error:
        raise NotThisWay(f"what follows its last map fails ({first_line(error)})") from error
    raise NotThisWay("what follows its last map does not treat all cells alike, as pooling does")


def head_graph(net: nn.Module, cut: Cut) -> fx.Graph:
    """The graph from Z, in its own layout, to the logits, in evaluation mode.

    Raises:
        NotThisWay: it needs something else that was computed before Z.
    """
    graph = _traced_head(net, training=False) if cut.verbs else trace(net, training=False)
    return _behind(graph, cut.node)


def _behind(graph: fx.Graph, node: str | None) -> fx.Graph:
    """What of `graph` is behind a node, in place; all of it behind None."""
    next(end for end in graph.nodes if end.op == "output").args = (logits_of(graph),)
    if node is not None:
        start_at(graph, node_named(graph, node))
    return graph


def cut_features(net: nn.Module, cut: Cut) -> nn.Module:
    """The part of `net` up to Z, as a module (B, 3, H, W) to (B, D, h, w); shares its layers.

    Raises:
        NotThisWay: the network takes other layers in training than in evaluation.
    """
    if cut.verbs and cut.node is None:
        return Features(net, cut)
    modes = {name: module.training for name, module in net.named_modules()}
    traced = _traced_head if cut.verbs else trace
    train, evaluation = (truncated(traced(net, mode), cut) for mode in (True, False))
    for name, module in net.named_modules():
        module.training = modes[name]
    root = join_modes(net, evaluation, train)
    if cut.stride and not cut.verbs:
        root.add_module("_grid", TokenGrid(cut.stride))
        _lay_out(evaluation, cut)
    part = fx.GraphModule(root, evaluation, type(net).__name__ + "Features")
    for name, module in part.named_modules():
        module.training = modes.get(name, net.training)
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


def _traced_head(net: nn.Module, training: bool) -> fx.Graph:
    """The graph of `forward_head`, with the layers' names as they are in `net`."""
    root = _Head(net)
    root.training = net.training
    graph = trace(root, training)
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr"):
            node.target = str(node.target).removeprefix("net.")
    return graph


def listed(between: Sequence[str]) -> str:
    """What follows the last feature map, for messages."""
    return f" (after the map come {', '.join(between)})" if between else ""
