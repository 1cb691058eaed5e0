"""The traced graph of a network (`torch.fx`), and how to take a part out of it.

A trace freezes whether the network is training. `part_up_to` traces both modes and puts the
question back where they differ; a part behind the last map is only taken in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from softcam.proof import NotThisWay, first_line

__all__ = [
    "described",
    "dropout_rate",
    "erase_unneeded",
    "join_modes",
    "layer_of",
    "logits_of",
    "node_named",
    "shapes_of",
    "start_at",
    "trace",
]


class _Tracer(fx.Tracer):
    """Traces containers and leaves every module without children whole.

    So `StochasticDepth` and a user's own pooling stay modules that know their mode.
    """

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return next(m.children(), None) is None or super().is_leaf_module(m, module_qualified_name)


class _Mode(nn.Module):
    """Says at run time what tracing would freeze: whether the network is training."""

    def forward(self) -> bool:
        return self.training


class _Constant(nn.Module):
    """A tensor that a trace froze, or that its network does not store; it moves with the device."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value, persistent=False)

    def forward(self) -> Tensor:
        return self.value


class _Shapes(fx.Interpreter):
    """Runs a graph and keeps the shape of every tensor, in `shapes`."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.shapes[n] = tuple(value.shape)
        return value


@torch.no_grad()
def shapes_of(net: nn.Module, graph: fx.Graph, x: Tensor) -> dict[fx.Node, tuple[int, ...]]:
    """The shape of every tensor in a run of the graph on `x`, by node.

    Raises:
        NotThisWay: what was traced does not hold for a tensor.
    """
    runner = _Shapes(fx.GraphModule(net, graph))  # which keeps the nodes
    try:
        runner.run(x)
    except Exception as error:  # whatever a network may raise
        raise NotThisWay(f"its traced graph does not run ({first_line(error)})") from error
    return runner.shapes


def trace(net: nn.Module, training: bool) -> fx.Graph:
    """The graph of one forward pass in training or evaluation mode; leaves `net` in evaluation.

    Raises:
        NotThisWay: the network cannot be traced.
    """
    net.train(training)
    try:
        return _Tracer().trace(net)
    except Exception as error:  # tracing runs the user's code on stand-ins
        raise NotThisWay(f"torch.fx cannot trace it ({first_line(error)[:160]})") from error
    finally:
        net.eval()


def logits_of(graph: fx.Graph) -> fx.Node:
    """The node that gives the logits.

    Raises:
        NotThisWay: the output is no tensor.
    """
    value = _end(graph).args[0]
    while isinstance(value, (tuple, list)) and value:
        value = value[0]  # auxiliary logits come second
    if not isinstance(value, fx.Node):
        raise NotThisWay("its output is not one tensor of logits")
    return value


def node_named(graph: fx.Graph, name: str | None) -> fx.Node:
    """The node of that name.

    Raises:
        NotThisWay: this graph has none, though the other mode's graph has.
    """
    node = next((node for node in graph.nodes if node.name == name), None)
    if node is None:
        raise NotThisWay("it takes other layers in training than in evaluation")
    return node


def start_at(graph: fx.Graph, node: fx.Node) -> None:
    """Make `node` the one input of `graph`, in place; what only led to it goes.

    Raises:
        NotThisWay: something else that was computed before `node` is needed behind it.
    """
    first = next(iter(graph.nodes))
    with graph.inserting_before(first):
        given = graph.placeholder("features")
    for other in [n for n in graph.nodes if _is_batch_size(n)]:
        # The batch size is the one thing that a head may ask of an earlier tensor.
        with graph.inserting_after(given):
            other.replace_all_uses_with(graph.call_method("size", (given, 0)))
    node.replace_all_uses_with(given)
    erase_unneeded(graph, keep=lambda n: n is given)
    if any(n.op == "placeholder" and n is not given for n in graph.nodes):
        raise NotThisWay("more than one feature map leads to its logits")


def erase_unneeded(graph: fx.Graph, keep: Callable[[fx.Node], bool]) -> None:
    """Erase what the output does not need, in place, except nodes for which `keep` is true."""
    needed = {_end(graph)}
    for node in reversed(graph.nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
        elif not keep(node):
            graph.erase_node(node)


def _end(graph: fx.Graph) -> fx.Node:
    return next(node for node in reversed(graph.nodes) if node.op == "output")


def _is_batch_size(node: fx.Node) -> bool:
    if node.op == "call_method" and node.target == "size":
        return tuple(node.args[1:]) == (0,) or dict(node.kwargs) == {"dim": 0}
    shape = node.args[0] if node.args else None
    asked = node.op == "call_function" and getattr(node.target, "__name__", "") == "getitem"
    if not asked or node.args[1] != 0 or not isinstance(shape, fx.Node):
        return False
    by_method = shape.op == "call_method" and shape.target == "size" and len(shape.args) == 1
    return by_method or bool(shape.target is getattr and shape.args[1] == "shape")


def layer_of(module: nn.Module, node: fx.Node) -> nn.Module | None:
    """The layer that a node calls, if it calls one."""
    return module.get_submodule(str(node.target)) if node.op == "call_module" else None


def dropout_rate(module: nn.Module, node: fx.Node) -> float | None:
    """The share of activations that a node drops in training; None if it is no dropout."""
    layer = layer_of(module, node)
    if isinstance(layer, nn.modules.dropout._DropoutNd):
        return float(layer.p)
    if node.op == "call_function" and node.target is F.dropout:
        return float(node.kwargs.get("p", node.args[1] if len(node.args) > 1 else 0.5))  # type: ignore[arg-type]
    return None


def described(module: nn.Module, node: fx.Node) -> str:
    """A node in words: `head.norm (LayerNorm)`, or the name of a function."""
    layer = layer_of(module, node)
    if layer is not None:
        return f"{node.target} ({type(layer).__name__})"
    return getattr(node.target, "__name__", str(node.target))


def join_modes(net: nn.Module, evaluation: fx.Graph, train: fx.Graph) -> nn.Module:
    """Make `evaluation` ask for the mode where tracing froze it; constants become layers.

    Returns:
        `net` with a layer more that knows the mode, and one for each constant; the layers are
        shared.

    Raises:
        NotThisWay: the two differ in more than that.
    """
    pairs = list(zip(evaluation.nodes, train.nodes, strict=False))
    same = len(evaluation.nodes) == len(train.nodes)
    if not same or not all(_same_step(net, e, t) for e, t in pairs):
        raise NotThisWay("it takes other layers in training than in evaluation")
    with evaluation.inserting_before(next(iter(evaluation.nodes))):
        mode = evaluation.call_module("_mode")
    for e, t in pairs:
        e.args = _merge(e.args, t.args, mode)
        e.kwargs = _merge(e.kwargs, t.kwargs, mode)
    if not mode.users:
        evaluation.erase_node(mode)
    layers = {**net._modules, "_mode": _Mode(), **_constants(net, evaluation)}
    root = nn.Module()
    root.__dict__.update({**net.__dict__, "_modules": layers})
    return root


def _constants(net: nn.Module, graph: fx.Graph) -> dict[str, nn.Module]:
    """What `graph` reads that is not in the state dict of `net`, as layers that it then calls.

    A `fx.GraphModule` would make stored buffers of them, with names that no other network has.
    """
    read = [node for node in graph.nodes if node.op == "get_attr"]
    stored = net.state_dict() if read else {}
    layers = dict[str, nn.Module]()
    for node in read:
        if node.target not in stored:
            value, name = _attribute(net, node), f"_constant{len(layers)}"
            layers[name] = _Constant(value)
            node.op, node.target = "call_module", name
    return layers


def _attribute(net: nn.Module, node: fx.Node) -> Tensor:
    owner, _, name = str(node.target).rpartition(".")
    value: Tensor = getattr(net.get_submodule(owner), name)
    return value


def _same_step(net: nn.Module, e: fx.Node, t: fx.Node) -> bool:
    if e.op == t.op == "get_attr" and e.target != t.target:  # a constant that each trace names anew
        return torch.equal(_attribute(net, e), _attribute(net, t))
    return (e.op, e.target) == (t.op, t.target)


def _merge(e: Any, t: Any, mode: fx.Node) -> Any:
    if isinstance(e, fx.Node):
        return e
    if isinstance(e, (tuple, list)) and type(e) is type(t) and len(e) == len(t):
        return type(e)(_merge(a, b, mode) for a, b in zip(e, t, strict=True))
    if isinstance(e, dict) and isinstance(t, dict) and list(e) == list(t):
        return {key: _merge(e[key], t[key], mode) for key in e}
    if e is False and t is True:
        return mode
    if isinstance(e, slice) or e == t:
        return e
    raise NotThisWay("it uses other numbers in training than in evaluation")
