"""Cut a run of a network in two at one of its layers: the map there, and the run behind it.

For networks without timm's verbs, and for a layer asked for by name. Where `torch.fx` can trace a
network, its last map is the one that conversion finds (`softcam.cut`) and only what follows it is
run again. Otherwise the whole network runs again, with the map put in the layer's place.
"""

from __future__ import annotations

import contextlib
import difflib
import weakref
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, fx, nn

from softcam.common import SoftCAMError, UnknownNameError
from softcam.cut import Cut, find_by_graph, trace, truncated
from softcam.proof import NotThisWay, probe_copy, quiet

__all__ = ["Head", "cut_last", "cut_named"]

Head = Callable[[Tensor], Tensor]

Layout = tuple[tuple[str, type], ...]  # the modules of a network

# Where to cut a network; only names, which a run traces anew, so that no layer is kept alive.
_CUTS: weakref.WeakKeyDictionary[nn.Module, tuple[Layout, Cut | None]] = weakref.WeakKeyDictionary()


@torch.no_grad()
def cut_named(model: nn.Module, images: Tensor, layer: str) -> tuple[Tensor, Head]:
    """The map that the module of this name gives in its last run, and the run behind it.

    Args:
        model: a classifier, in evaluation mode.
        images: what the model takes.
        layer: a name of `model.named_modules()`.

    Returns:
        Z (B, D, h, w), detached, and `head` with head(Z) == model(images).

    Raises:
        UnknownNameError: no such module; the message carries the closest names.
        SoftCAMError: the module does not run, or its output is no map (B, D, h, w).
    """
    modules = {name: module for name, module in model.named_modules() if name}
    if layer not in modules:
        # All names of a deep network would bury the close ones.
        close = difflib.get_close_matches(str(layer), modules, n=8, cutoff=0.4)
        raise UnknownNameError("layer", layer, close or list(modules)[-8:])
    module, outputs = modules[layer], list[object]()

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        # The layer behind may write into the output.
        outputs.append(output.clone() if isinstance(output, Tensor) else output)

    with _hooked(module, note):
        model(images)
    z = outputs[-1] if outputs else None
    if not isinstance(z, Tensor) or not is_map(z):
        found = f"gives shape {tuple(z.shape)}" if isinstance(z, Tensor) else "gives no tensor"
        raise SoftCAMError(
            f"the layer {layer!r} {found if outputs else 'does not run'}, expected a map "
            "(B, channels, h, w) of more than one cell: choose a convolutional layer."
        )
    return z, _replayed(model, images, module, len(outputs))


@torch.no_grad()
def cut_last(net: nn.Module, x: Tensor) -> tuple[Tensor, Head]:
    """The last map of a network without timm's verbs, and the run behind it; as `cut_named`.

    Raises:
        SoftCAMError: no layer gives a map of more than one cell.
    """
    with contextlib.suppress(NotThisWay, RuntimeError):
        return _cut_by_graph(net, x)
    module, runs, z = _last_spatial(net, x)
    return z, _replayed(net, x, module, runs)


def is_map(z: Tensor) -> bool:
    """Whether this is (B, D, h, w) with more than one cell."""
    return z.ndim == 4 and z.shape[2] * z.shape[3] > 1


def _find_cut(net: nn.Module) -> Cut | None:
    """Where conversion cuts this network; found once, and again when its layers were changed."""
    layout = tuple((name, type(module)) for name, module in net.named_modules())
    known = _CUTS.get(net)
    if known is None or known[0] != layout:
        cut = None
        with quiet(), contextlib.suppress(NotThisWay, SoftCAMError):
            cut = find_by_graph(probe_copy(net))
        known = _CUTS[net] = (layout, cut)
    return known[1]


def _cut_by_graph(net: nn.Module, x: Tensor) -> tuple[Tensor, Head]:
    cut = _find_cut(net)
    if cut is None:
        raise NotThisWay("it has no graph that ends in a linear layer")
    front = fx.GraphModule(net, truncated(trace(net, training=False), cut))
    rest = fx.GraphModule(net, _behind(trace(net, training=False), cut))
    z = front(x)
    if not isinstance(z, Tensor) or not is_map(z):
        raise NotThisWay("the map has one cell only in an image of this size")
    return z.clone(), lambda each: _logits(rest(x, each.clone()))


def _behind(graph: fx.Graph, cut: Cut) -> fx.Graph:
    """The graph from the map on: (image, map) to logits."""
    z = next((node for node in graph.nodes if node.name == cut.node), None)
    if z is None:
        raise NotThisWay("the graph has changed")
    image = next(node for node in graph.nodes if node.op == "placeholder")
    with graph.inserting_after(image):  # before arguments that have a default
        given = graph.placeholder("given_map")
    with graph.inserting_before(z):
        back = graph.call_method("permute", (given, 0, 2, 3, 1)) if cut.channels_last else given
    z.replace_all_uses_with(back)
    needed: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node in needed or node.op == "output":
            needed.update(node.all_input_nodes)
        elif node.op != "placeholder":
            graph.erase_node(node)
    return graph


def _logits(output: object) -> Tensor:
    """Logits, where auxiliary ones come second."""
    first = output[0] if isinstance(output, tuple | list) else output
    assert isinstance(first, Tensor)
    return first


def _last_spatial(net: nn.Module, x: Tensor) -> tuple[nn.Module, int, Tensor]:
    """The layer that runs last of those with a map, pooling aside; its number of runs; its map."""
    runs: dict[nn.Module, int] = {}
    last: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, _inputs: object, output: object) -> None:
        pooled = isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d)
        runs[module] = runs.get(module, 0) + 1
        if not pooled and isinstance(output, Tensor) and is_map(output):
            last[:] = [(module, output.clone())]

    with contextlib.ExitStack() as stack:
        for module in net.modules():
            if not list(module.children()):
                stack.enter_context(_hooked(module, note))
        net(x)
    if not last:
        raise SoftCAMError(
            f"{type(net).__name__} has no layer with a spatial map larger than 1x1 for an image of "
            f"{x.shape[2]}x{x.shape[3]} px: use a CNN, or a larger image."
        )
    return last[0][0], runs[last[0][0]], last[0][1]


def _replayed(run: nn.Module, x: Tensor, layer: nn.Module, runs: int) -> Head:
    """Z to logits: the whole network again, with Z as the output of the layer's last run."""

    def head(z: Tensor) -> Tensor:
        left, gradients = runs, torch.is_grad_enabled()

        def swap(_module: nn.Module, _inputs: object, _output: object) -> Tensor | None:
            nonlocal left
            left -= 1
            if left:
                return None
            # What ran so far needs no gradients: the time and memory of a prediction.
            torch.set_grad_enabled(gradients)
            return z.clone()

        with _hooked(layer, swap), torch.no_grad():
            return _logits(run(x))

    return head


@contextlib.contextmanager
def _hooked(layer: nn.Module, hook: Callable[..., object]) -> Iterator[None]:
    handle = layer.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
