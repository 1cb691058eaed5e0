"""Find the last feature map Z of a network, and cut the network there.

timm's networks say where it is. For others (torchvision, your own) the graph of `torch.fx` is
walked back from the final linear layer to the first feature map (B, D, h, w). Nothing is matched by
name: what stands between the two is judged by the probe (`softcam.proof`), which shows whether it
is a mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from softcam.proof import Dropouts, NotThisWay, first_output, probe_inputs

__all__ = ["Cut", "cut_features", "find_by_graph", "find_by_verbs", "listed", "trace", "truncated"]


@dataclass(frozen=True)
class Cut:
    """Where to cut: the name of the node that gives Z, and what follows it.

    Attributes:
        node: the node's name in the traced graph; None where `forward_features` gives Z.
        classifier: path of the last layer.
        channels_last: Z is (B, h, w, D).
        keep: share of activations that dropout between Z and the classifier keeps.
        between: what follows Z, in order, for messages.
    """

    node: str | None
    classifier: str
    channels_last: bool
    keep: float
    between: tuple[str, ...]


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


class _Shapes(fx.Interpreter):
    """Runs a graph and keeps the shape of every tensor."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.shapes[n] = tuple(value.shape)
        return value


def find_by_verbs(net: nn.Module) -> Cut:
    """Find Z with timm's verbs: `forward_features` gives it, `get_classifier` the last layer.

    Raises:
        NotThisWay: the features are no map, or the classifier does not take them.
    """
    classifier = net.get_classifier()  # type: ignore[operator]
    path = next((name for name, module in net.named_modules() if module is classifier), "")
    if not path:
        raise NotThisWay(f"its classifier is a {type(classifier).__name__}, not one linear layer")
    width = _width(classifier, path)
    z = first_output(net, net.forward_features)  # type: ignore[arg-type]
    if z.ndim != 4 or sum(n > 1 for n in z.shape[1:]) < 2:
        raise NotThisWay(
            f"its features have the shape (B, {', '.join(map(str, z.shape[1:]))}): "
            "a list of tokens or one vector, not a map (B, D, h, w)"
        )
    if width not in (z.shape[1], z.shape[3]):
        raise NotThisWay(
            f"its last feature map has {z.shape[1]} channels and its classifier takes {width}: "
            "other layers stand between them"
        )
    rates, between = _listen_to_head(net, z)
    keep = math.prod(1 - rate for rate in rates)
    return Cut(None, path, z.shape[1] != width, keep, tuple(between))


def find_by_graph(net: nn.Module) -> Cut:
    """Find Z by tracing `net`, a CPU copy in evaluation mode.

    Raises:
        NotThisWay: it cannot be traced, has no final linear layer, or no feature map before it.
    """
    graph = trace(net, training=False)
    module = fx.GraphModule(net, graph)
    shapes = _shapes(module, net)
    node, between = _output(graph), list[str]()
    while not isinstance(_module(module, node), (nn.Linear, nn.Conv2d)):
        between.insert(0, _describe(module, node))
        node = _previous(node, shapes, "its logits")
    path, keep = str(node.target), 1.0
    width = _width(_module(module, node), path)
    while True:
        node = _previous(node, shapes, f"its classifier {path}")
        shape = shapes[node]
        if len(shape) == 4 and sum(n > 1 for n in shape[1:]) > 1:  # more than one cell
            break
        keep *= 1 - _dropout_rate(module, node)
        between.insert(0, _describe(module, node))
    if width not in (shape[1], shape[3]):
        raise NotThisWay(
            f"its last feature map has {shape[1]} channels and its classifier {path} takes {width}"
            + listed(between)
        )
    return Cut(node.name, path, shape[1] != width, keep, tuple(between))


def cut_features(net: nn.Module, cut: Cut) -> fx.GraphModule:
    """The part of `net` up to Z, as a module (B, 3, H, W) to (B, D, h, w); shares its layers.

    Raises:
        NotThisWay: the network takes other layers in training than in evaluation.
    """
    modes = {name: module.training for name, module in net.named_modules()}
    train, evaluation = (truncated(trace(net, t), cut) for t in (True, False))
    for name, module in net.named_modules():
        module.training = modes[name]
    net.add_module("_mode", _Mode().train(net.training))
    _join_modes(evaluation, train)
    features = fx.GraphModule(net, evaluation, type(net).__name__ + "Features")
    for name, module in features.named_modules():
        module.training = modes.get(name, net.training)
    features.training = net.training
    return features


def _listen_to_head(net: nn.Module, z: Tensor) -> tuple[list[float], list[str]]:
    """Dropout rates and layers after Z, listened to in a run of the head in training mode."""
    head = getattr(net, "forward_head", None)
    layers: list[str] = []
    if head is None:
        return [], layers
    hooks = [
        module.register_forward_hook(
            lambda m, i, o, n=name: layers.append(f"{n} ({type(m).__name__})")
        )
        for name, module in net.named_modules()
        if next(module.children(), None) is None and not isinstance(module, nn.Identity)
    ]
    net.train()
    try:
        with torch.no_grad(), Dropouts() as heard:
            head(z)
    except Exception as error:  # whatever a network's own head may raise
        raise NotThisWay(f"its forward_head fails on its features ({error})") from error
    finally:
        net.eval()
        for hook in hooks:
            hook.remove()
    return heard.rates, layers[:-1]


def trace(net: nn.Module, training: bool) -> fx.Graph:
    """The graph of one forward pass in training or evaluation mode."""
    net.train(training)
    try:
        return _Tracer().trace(net)
    except Exception as error:  # tracing runs the user's code on stand-ins
        first = str(error).strip().splitlines()[:1]
        raise NotThisWay(f"torch.fx cannot trace it ({''.join(first)[:160]})") from error
    finally:
        net.eval()


def _shapes(module: fx.GraphModule, net: nn.Module) -> dict[fx.Node, tuple[int, ...]]:
    problem = ""
    for x in probe_inputs(net):
        runner = _Shapes(module)
        try:
            with torch.no_grad():
                runner.run(x)
        except Exception as error:  # a network may raise anything at a size it does not take
            problem = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            continue
        return runner.shapes
    raise NotThisWay(f"it does not run on a probe image: {problem}")


def _output(graph: fx.Graph) -> fx.Node:
    value = next(node for node in graph.nodes if node.op == "output").args[0]
    while isinstance(value, (tuple, list)):
        value = value[0]  # auxiliary logits come second
    if not isinstance(value, fx.Node):
        raise NotThisWay("its output is not one tensor of logits")
    return value


def _module(module: nn.Module, node: fx.Node) -> nn.Module | None:
    return module.get_submodule(str(node.target)) if node.op == "call_module" else None


def _previous(node: fx.Node, shapes: dict[fx.Node, tuple[int, ...]], where: str) -> fx.Node:
    tensors = [n for n in node.all_input_nodes if len(shapes.get(n, ())) >= 2]
    if len(tensors) != 1 or tensors[0].op == "placeholder":
        found = f"{node.name} joins several tensors" if len(tensors) > 1 else "nothing is left"
        raise NotThisWay(f"between a feature map and {where}, {found}")
    return tensors[0]


def _width(classifier: object, path: str) -> int:
    if isinstance(classifier, nn.Linear):
        return classifier.in_features
    if isinstance(classifier, nn.Conv2d) and classifier.kernel_size == (1, 1):
        return classifier.in_channels
    raise NotThisWay(f"its last layer {path} is neither linear nor a 1x1 convolution")


def listed(between: Sequence[str]) -> str:
    """What follows the last feature map, for messages."""
    return f" (after the map come {', '.join(between)})" if between else ""


def _dropout_rate(module: nn.Module, node: fx.Node) -> float:
    layer = _module(module, node)
    if isinstance(layer, nn.modules.dropout._DropoutNd):
        return float(layer.p)
    if node.op == "call_function" and node.target is F.dropout:
        return float(node.kwargs.get("p", node.args[1] if len(node.args) > 1 else 0.5))  # type: ignore[arg-type]
    return 0.0


def _describe(module: nn.Module, node: fx.Node) -> str:
    layer = _module(module, node)
    if layer is not None:
        return f"{node.target} ({type(layer).__name__})"
    return getattr(node.target, "__name__", str(node.target))


def truncated(graph: fx.Graph, cut: Cut) -> fx.Graph:
    """The graph that ends at Z, without whatever else the network computed."""
    z = next((node for node in graph.nodes if node.name == cut.node), None)
    if z is None:
        raise NotThisWay("it takes other layers in training than in evaluation")
    graph.erase_node(next(node for node in graph.nodes if node.op == "output"))
    needed = {z}
    for node in reversed(graph.nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
        elif node.op != "placeholder":
            graph.erase_node(node)
    if cut.channels_last:
        z = graph.call_method("permute", (z, 0, 3, 1, 2))
    graph.output(z)
    return graph


def _join_modes(evaluation: fx.Graph, train: fx.Graph) -> None:
    """Make `evaluation` ask for the mode where tracing froze it."""
    pairs = list(zip(evaluation.nodes, train.nodes, strict=False))
    same = len(evaluation.nodes) == len(train.nodes)
    if not same or any((e.op, e.target) != (t.op, t.target) for e, t in pairs):
        raise NotThisWay("it takes other layers in training than in evaluation")
    with evaluation.inserting_before(next(iter(evaluation.nodes))):
        mode = evaluation.call_module("_mode")
    for e, t in pairs:
        e.args = _merge(e.args, t.args, mode)
        e.kwargs = _merge(e.kwargs, t.kwargs, mode)
    if not mode.users:
        evaluation.erase_node(mode)


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
