"""The traced graph of a network (`torch.fx`), what runs in it, and how to take a part out of it.

A trace freezes whether the network is training; `softcam.modes` puts the question back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from softcam.chance import drawn
from softcam.proof import NotThisWay, Untraceable, first_line

__all__ = [
    "Seen",
    "described",
    "dropout_rate",
    "end_in_logits",
    "erase_unneeded",
    "layer_of",
    "logits_of",
    "node_named",
    "seen",
    "start_at",
    "trace",
]


_DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.alpha_dropout, F.feature_alpha_dropout)


class _Tracer(fx.Tracer):
    """Traces containers and leaves every module without children whole.

    So `StochasticDepth` and a user's own pooling stay modules that know their mode.
    """

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return next(m.children(), None) is None or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        try:
            self.path_of_module(m)
        except NameError:  # built in passing, as a slice of layers is: look inside
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)


class Seen(fx.Interpreter):
    """One run of a graph, and what there was to see in it.

    Attributes:
        shapes: of every tensor, by node.
        plain: values that are no tensors and hold none: sizes, numbers.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}
        self.plain: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.shapes[n] = tuple(value.shape)
        elif not (isinstance(value, (tuple, list)) and any(isinstance(v, Tensor) for v in value)):
            self.plain[n] = value
        return value

    def source(self, node: fx.Node) -> tuple[fx.Node, list[fx.Node]] | None:
        """The one tensor that a tensor is made of, and the nodes that make it, in order."""
        steps = list[fx.Node]()
        while not steps or node not in self.shapes:
            steps.insert(0, node)
            inputs = [other for other in node.all_input_nodes if other not in self.plain]
            if len(inputs) != 1:
                return None
            node = inputs[0]
        return node, steps

    @torch.no_grad()
    def again(self, steps: Sequence[fx.Node], given: fx.Node, z: Tensor) -> Any:
        """What the last of `steps` gives where the node `given` gives `z`."""
        values = {**self.plain, given: z}
        for node in steps:
            args = fx.node.map_arg(node.args, values.__getitem__)
            kwargs = fx.node.map_arg(node.kwargs, values.__getitem__)
            values[node] = getattr(self, node.op)(node.target, args, kwargs)
        return values[steps[-1]]


@torch.no_grad()
def seen(net: nn.Module, graph: fx.Graph, x: Tensor) -> Seen:
    """Run the graph on `x`.

    Raises:
        NotThisWay: what was traced does not hold for a tensor.
    """
    runner = Seen(fx.GraphModule(net, graph))  # which keeps the nodes
    try:
        runner.run(x)
    except Exception as error:  # whatever a network may raise
        raise NotThisWay(f"its traced graph does not run ({first_line(error)})") from error
    return runner


class _Whole(nn.Module):
    """One call of a network as a module, so that its other arguments keep their defaults."""

    def __init__(self, net: nn.Module, verb: str) -> None:
        super().__init__()
        self.net, self.verb = net, verb

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.net, self.verb)(x)


def trace(net: nn.Module, training: bool, verb: str = "forward") -> fx.Graph:
    """The graph of one call in training or evaluation mode; leaves `net` in evaluation.

    Args:
        net: constants that the call makes are kept on it as attributes.
        training: the mode.
        verb: the method that is called with one tensor.

    Raises:
        NotThisWay: the network cannot be traced, or draws random numbers that a trace would freeze.
    """
    root = _Whole(net.train(training), verb)
    own, before = set(vars(root)), drawn()
    try:
        graph = _Tracer().trace(root)
    except Exception as error:  # tracing runs the user's code on stand-ins
        raise Untraceable(f"torch.fx cannot trace it ({first_line(error)[:160]})") from error
    finally:
        net.eval()
    if drawn() != before:
        raise NotThisWay("its forward pass draws random numbers, which a trace would freeze")
    names = {name: _unused(net, name, vars(root)[name]) for name in vars(root) if name not in own}
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr"):
            node.target = names.get(node.target, str(node.target).removeprefix("net."))
    return graph


def _unused(net: nn.Module, name: str, value: Any) -> str:
    """Keep a constant on `net` under a name that it does not have yet."""
    count, stem = 0, name.rstrip("0123456789")
    while hasattr(net, f"{stem}{count}"):
        count += 1
    setattr(net, f"{stem}{count}", value)
    return f"{stem}{count}"


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


def end_in_logits(graph: fx.Graph) -> None:
    """Leave out whatever else the network returns, in place."""
    _end(graph).args = (logits_of(graph),)


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
        raise NotThisWay(
            "its head needs more than one feature map (attention pooling does, with its weights)"
        )


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
    if node.op == "call_function" and node.target in _DROPOUTS:
        return float(node.kwargs.get("p", node.args[1] if len(node.args) > 1 else 0.5))  # type: ignore[arg-type]
    return None


def described(module: nn.Module, node: fx.Node) -> str:
    """A node in words: `head.norm (LayerNorm)`, or the name of a function."""
    layer = layer_of(module, node)
    if layer is not None:
        return f"{node.target} ({type(layer).__name__})"
    return getattr(node.target, "__name__", str(node.target))
