"""Which layers of a network give maps, how these lie in memory, and which come last of their size.

A layer's output is a map if it has four axes, one of them the channels, and more than one cell.
Convolutional networks have the channels in front of the space; some stages of ConvNeXt or Swin
have them behind it, which shows by the aspect: the map of a whole image has that of the image.

A layer inside a branch sees a part only: beside it the image takes another way to the logits, such
as the sum of a residual block. Such layers are never chosen by themselves. Which they are is read
off the graph of derivatives.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError

__all__ = ["Output", "last_of_each_size", "read_output"]

SLACK = 2  # cells by which borders without padding may change an aspect
POOLING = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
# What these give has its channels in front, whatever its aspect.
CHANNELS_FIRST = (
    nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm, nn.MaxPool2d,
    nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Upsample, nn.PixelShuffle,
)  # fmt: skip


@dataclass(frozen=True)
class Output:
    """What a layer gave for one image: `tensor` (1, D, h, w), or (1, h, w, D) if channels last."""

    tensor: Tensor
    channels_last: bool

    def as_maps(self, values: Tensor) -> Tensor:
        """(D, h, w): one like `tensor`, such as its gradient, with its channels in front."""
        return values[0].movedim(-1, 0) if self.channels_last else values[0]


@dataclass
class _Seen:
    """The shapes of one forward pass: of each module when it last ran, in the order of ending."""

    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    nodes: dict[str, Any] = field(default_factory=dict)  # in the graph of derivatives
    first: set[tuple[int, int]] = field(default_factory=set)  # sizes surely with channels first


def _watch(model: nn.Module, x: Tensor) -> tuple[_Seen, set[Any]]:
    """What the modules gave, and the nodes of the graph through which everything goes."""
    seen = _Seen()

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, _inputs: object, output: object) -> None:
            seen.shapes.pop(name, None)  # a module that runs again ends later
            if isinstance(output, Tensor) and output.ndim == 4:
                seen.shapes[name] = tuple(output.shape)
                seen.nodes[name] = output.grad_fn
                if isinstance(module, CHANNELS_FIRST):
                    seen.first.add((output.shape[2], output.shape[3]))

        return hook

    with contextlib.ExitStack() as stack:
        for name, module in model.named_modules():
            if name:
                stack.callback(module.register_forward_hook(note(name)).remove)
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_(True)
            logits = model(leaf)
    logits = logits[0] if isinstance(logits, tuple | list) else logits
    return seen, bottlenecks(logits.grad_fn, leaf) if isinstance(logits, Tensor) else set()


def bottlenecks(end: Any, leaf: Tensor) -> set[Any]:
    """The nodes of the graph of derivatives that are on every way from `end` to a leaf."""
    order = _sorted_graph(end)  # a node stands in front of what it was computed from
    useful: set[Any] = set()
    for node in reversed(order):
        if getattr(node, "variable", None) is leaf or not useful.isdisjoint(_inputs(node)):
            useful.add(node)
    ways = [node for node in order if node in useful]
    place = {node: i for i, node in enumerate(ways)}
    found, farthest = set(), 0  # the farthest place to which a way leads past the nodes so far
    for i, node in enumerate(ways):
        if farthest <= i:
            found.add(node)
        farthest = max([farthest, *(place[each] for each in _inputs(node) if each in useful)])
    return found


def _inputs(node: Any) -> list[Any]:
    return [each for each, _ in node.next_functions if each is not None]


def _sorted_graph(end: Any) -> list[Any]:
    """All nodes behind `end`, each in front of its inputs; without recursion, for deep networks."""
    done: list[Any] = []
    known, waiting = set(), [(end, False)] if end is not None else []
    while waiting:
        node, left = waiting.pop()
        if left:
            done.append(node)
        elif node not in known:
            known.add(node)
            waiting.append((node, True))
            waiting += [(each, False) for each in _inputs(node)]
    return done[::-1]


def last_of_each_size(model: nn.Module, x: Tensor, last: str | None = None) -> tuple[str, ...]:
    """Of each size of a map the layer that ends last, in the order of the run.

    Passed over are layers inside a branch, layers that only pool to a given size, and what still
    has the shape of the image, as after a normalisation. Where a network has no derivatives,
    branches cannot be told.

    Args:
        model: in evaluation mode.
        x: (1, 3, H, W).
        last: the last layer that counts, by name; None for all.

    Raises:
        SoftCAMError: there is none.
    """
    (seen, everything), modules = _watch(model, x), dict(model.named_modules())
    by_size: dict[tuple[int, int], str] = {}
    for name, shape in seen.shapes.items():
        size = _size_of(shape, x, seen.first)
        passed_over = (
            shape == tuple(x.shape)
            or isinstance(modules[name], POOLING)
            or (everything and seen.nodes[name] not in everything)
        )
        if size is not None and not passed_over:
            by_size.pop(size, None)
            by_size[size] = name
        if name == last:
            break
    if not by_size:
        raise SoftCAMError(
            f"{type(model).__name__} has no layer with a map of more than one cell for an image of "
            f"{x.shape[2]}x{x.shape[3]} px: use a CNN, or a larger image."
        )
    return tuple(by_size.values())


def _size_of(
    shape: tuple[int, ...], x: Tensor, first: set[tuple[int, int]]
) -> tuple[int, int] | None:
    """(h, w) of an output's map, None if it is no map."""
    front, back = (shape[2], shape[3]), (shape[1], shape[2])
    if shape[0] != 1:
        return None
    if front in first or _has_aspect(front, x):
        return front if front[0] * front[1] > 1 else None
    return back if _has_aspect(back, x) and back[0] * back[1] > 1 else None


def _has_aspect(size: tuple[int, int], x: Tensor) -> bool:
    height, width = x.shape[2:]
    long = max(size[0] / height, size[1] / width)  # cells a pixel
    return all(abs(n - long * side) <= SLACK for n, side in zip(size, (height, width), strict=True))


def read_output(model: nn.Module, x: Tensor, name: str, seen: dict[str, object]) -> Output:
    """What a named layer gave, checked to be a map.

    Raises:
        SoftCAMError: it did not run, gave no tensor, or no map of more than one cell.
    """
    z = seen.get(name)
    if isinstance(z, Tensor) and z.ndim == 4:
        shape = tuple(z.shape)
        known = isinstance(model.get_submodule(name), CHANNELS_FIRST)
        first = {(shape[2], shape[3])} if known else set()
        size = _size_of(shape, x, first)
        if size is None and shape[0] == 1 and shape[2] * shape[3] > 1:
            size = (shape[2], shape[3])  # of an unusual aspect; a CNN has its channels in front
        if size is not None:
            return Output(z, channels_last=size != (shape[2], shape[3]))
    if name not in seen:
        found = "does not run"
    elif isinstance(z, Tensor):
        found = f"gives shape {tuple(z.shape)}"
    else:
        found = f"gives no tensor but {type(z).__name__}"
    raise SoftCAMError(
        f"the layer {name!r} {found}, expected a map (1, channels, h, w) of more than one cell: "
        "choose a convolutional layer."
    )
