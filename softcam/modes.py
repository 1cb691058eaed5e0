"""Two traces of a network, in training and in evaluation mode, joined into one that asks which.

Each module answers for what is computed in its own forward pass, so that a frozen block inside a
training network stays frozen.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from softcam.proof import NotThisWay

__all__ = ["are_alike", "join_modes"]


class _Mode(nn.Module):
    """Says at run time what tracing would freeze: whether the network is training."""

    def forward(self) -> bool:
        return self.training


class _Place(nn.Module):
    """Says at run time what tracing would freeze: the device that the network is on."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("anything", torch.empty(0), persistent=False)

    def forward(self) -> torch.device:
        place: torch.device = self.anything.device  # type: ignore[assignment]
        return place


class _Constant(nn.Module):
    """A tensor that a trace froze, or that its network does not store; it moves with the device."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value, persistent=False)

    def forward(self) -> Tensor:
        return self.value


def join_modes(net: nn.Module, evaluation: fx.Graph, train: fx.Graph) -> nn.Module:
    """Make `evaluation` ask for the mode where tracing froze it; constants become layers.

    Returns:
        `net` with a layer more in each module that asks for its mode, and one for each constant;
        the layers are shared.

    Raises:
        NotThisWay: the two differ in more than that.
    """
    pairs = list(zip(evaluation.nodes, train.nodes, strict=False))
    same = len(evaluation.nodes) == len(train.nodes)
    if not same or not all(_same_step(net, e, t) for e, t in pairs):
        raise NotThisWay("it takes other layers in training than in evaluation")
    root, modes = net, dict[str, fx.Node]()
    for e, t in pairs:
        owner = _owner(e)
        if owner not in modes:
            name = f"{owner}._mode".lstrip(".")
            with evaluation.inserting_before(next(iter(evaluation.nodes))):
                modes[owner] = evaluation.create_node("call_module", name)
        e.args = _merge(e.args, t.args, modes[owner])
        e.kwargs = _merge(e.kwargs, t.kwargs, modes[owner])
    for mode in modes.values():
        if mode.users:
            root = _with(root, str(mode.target), _Mode())
        else:
            evaluation.erase_node(mode)
    for name, layer in {**_constants(net, evaluation), **_places(evaluation)}.items():
        root = _with(root, name, layer)
    return root


def are_alike(net: nn.Module, one: fx.Graph, other: fx.Graph) -> bool:
    """Whether two traces of a network, in two modes, are the same, step by step.

    Then its mode counts inside its layers alone, and they are the same layers.
    """
    pairs = zip(one.nodes, other.nodes, strict=False)
    return len(one.nodes) == len(other.nodes) and all(
        _same_step(net, a, b) and str((a.args, a.kwargs)) == str((b.args, b.kwargs))
        for a, b in pairs
    )


def _owner(node: fx.Node) -> str:
    """Path of the module in whose forward pass a node was traced; empty for the network itself."""
    stack = list(node.meta.get("nn_module_stack") or {})
    path = str(stack[-1]) if stack else ""
    if node.op == "call_module":
        path = path.rpartition(".")[0] if path.endswith(str(node.target)) else path
    return path.removeprefix("net").removeprefix(".")


def _with(module: nn.Module, path: str, layer: nn.Module) -> nn.Module:
    """`module` with one layer more at a path; what it holds is shared, it is not changed."""
    clone = nn.Module()
    clone.__dict__.update({**module.__dict__, "_modules": dict(module._modules)})
    name, _, rest = path.partition(".")
    clone._modules[name] = _with(module.get_submodule(name), rest, layer) if rest else layer
    return clone


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


def _places(graph: fx.Graph) -> dict[str, nn.Module]:
    """Let `graph` ask for the device where a trace froze that of the network's parameters."""
    frozen = [
        value
        for node in graph.nodes
        for value in (*node.args, *node.kwargs.values())
        if isinstance(value, torch.device)
    ]
    if not frozen:
        return {}
    with graph.inserting_before(next(iter(graph.nodes))):
        place = graph.create_node("call_module", "_place")
    for node in graph.nodes:
        node.args = tuple(place if isinstance(v, torch.device) else v for v in node.args)
        node.kwargs = {
            key: place if isinstance(value, torch.device) else value
            for key, value in node.kwargs.items()
        }
    return {"_place": _Place().to(frozen[0])}


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
