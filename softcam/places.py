"""Where the cells of a feature map lie: which axes are space, and whether they still are the image.

Behind a network's last layers a map is often laid out anew before it is averaged: flattened,
transposed, sorted, averaged along one axis first. To the mean all of that is one; to a map it is
not. So Z is taken in front of such steps, which are told by what they do to noise, and a change of
the image on one side has to show on the same side of Z.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx, nn

from softcam.chance import Dropouts, reseed
from softcam.graphs import Seen, dropout_rate, node_named, start_at
from softcam.layouts import LAYOUTS, Layout, noise_for, to_map
from softcam.proof import CellsLeftOut, NotThisWay, first_line

__all__ = ["before_rearranging", "behind", "layout_of", "sides"]


def behind(graph: fx.Graph, node: str | None) -> fx.Graph:
    """What of `graph` is behind a node, in place; all of it behind None.

    Raises:
        NotThisWay: it needs something else that was computed before that node.
    """
    if node is not None:
        start_at(graph, node_named(graph, node))
    return graph


def before_rearranging(net: nn.Module, graph: fx.Graph, run: Seen, last: fx.Node) -> fx.Node:
    """The map that `last` is a rearrangement of; `last` itself where it is none.

    Args:
        net: whose graph it is.
        graph: it ends in the logits; stays as it is.
        run: one run of it on one image.
        last: the last tensor of several cells.
    """
    best, node, channels = last, last, -1
    while channels and (found := run.source(node)) is not None:
        source, steps = found
        shape = run.shapes[source]
        if len(shape) not in LAYOUTS or any(dropout_rate(net, step) for step in steps):
            break
        z = torch.randn(shape)
        try:
            moved = run.again(steps, source, z)
        except (RuntimeError, ValueError, TypeError, KeyError, AttributeError):
            break
        if not isinstance(moved, Tensor) or not _is_rearranged(z, moved):
            break
        node = source
        if moved.shape == z.shape and torch.equal(moved, z):
            continue
        if channels < 0:
            channels = _channels(net, graph, last, run.shapes[last])
        fits = len(shape) >= len(run.shapes[best])
        if fits and _channels(net, graph, node, shape) == channels:
            best = node
    return best


def _channels(net: nn.Module, graph: fx.Graph, node: fx.Node, shape: tuple[int, ...]) -> int:
    """Length of the axis that is not space; 0 where the head does not treat the cells alike."""
    try:
        name = None if node.op == "placeholder" else node.name
        part = behind(copy.deepcopy(graph), name)
        layout = layout_of(fx.GraphModule(net, part), shape)
    except NotThisWay:
        return 0
    return shape[-1 if layout.endswith("D") else 1]


def _is_rearranged(z: Tensor, moved: Tensor) -> bool:
    """Whether a tensor has the values of `z` elsewhere, some of them, or lacks one of its axes."""
    if moved.shape[0] != z.shape[0] or not moved.numel():
        return False
    if bool(torch.isin(moved, z).all()):
        return True
    lacking = [
        (*z.shape[:axis], *kept, *z.shape[axis + 1 :])
        for axis in range(1, z.ndim)
        for kept in ((), (1,))
        if z.shape[axis] > 1
    ]
    return z.ndim == 4 and tuple(moved.shape) in lacking


@torch.no_grad()
def layout_of(head: nn.Module, shape: tuple[int, ...]) -> Layout:
    """The layout of maps (`shape`) in which the order of the cells does not matter to the head.

    Raises:
        NotThisWay: it matters in every layout.
    """
    head = copy.deepcopy(head).double()  # rounding is no excuse
    try:
        z = noise_for(head, shape)
        expected = head(z)
        for layout in LAYOUTS[len(shape)]:
            cells = to_map(z, layout)
            shuffled = torch.randperm(cells[0, 0].numel())
            order = torch.empty_like(shuffled)
            order[shuffled] = shuffled.roll(1)  # one ring, so that no cell stays where it is
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
        if len(shape) == 4 and any(_unread(head, z, expected, axis) for axis in (1, 2, 3)):
            raise CellsLeftOut("what follows its last map does not read all of its cells")
    except (RuntimeError, ValueError, TypeError) as error:
        raise NotThisWay(f"what follows its last map fails ({first_line(error)})") from error
    raise NotThisWay("what follows its last map does not treat all cells alike, as pooling does")


def _unread(head: nn.Module, z: Tensor, expected: Tensor, axis: int) -> bool:
    """Whether the head does not see the last row of cells along an axis."""
    changed = z.clone()
    changed.select(axis, -1).mul_(2)
    return z.shape[axis] > 1 and torch.equal(head(changed), expected)


@torch.no_grad()
def sides(backbone: nn.Module, x: Tensor) -> float:
    """How far a change of the image shows on its own side of the map, the worse of both axes.

    The upper right quarter of an image is turned to other noise, and the lower left quarter. In
    deep networks a quarter of a small image reaches every cell; so convolutions are narrowed first
    to the middle of their kernels, which moves no cell.

    Args:
        backbone: in evaluation mode; its weights are used up.
        x: two images (2, 3, H, W).

    Returns:
        The correlation between where the image was changed and where the map did, cells weighted
        by their squared change, along the worse axis: negative the wrong way round; 0 where
        nothing shows, as with features that are silent, or only one cell does.
    """
    for layer in backbone.modules():
        if isinstance(layer, nn.Conv2d) and isinstance(layer.weight, nn.Parameter):
            _narrow(layer)
    height, width = x.shape[2] // 2, x.shape[3] // 2
    images = x[:1].repeat(3, 1, 1, 1)
    images[1, :, :height, -width:] = x[1, :, :height, -width:]
    images[2, :, -height:, :width] = x[1, :, -height:, :width]
    reseed(1)
    with Dropouts():
        z = backbone(images)
    change = (z[1:] - z[:1]).double().square().sum(1)  # (2, h, w)
    # The first change is further up and further right.
    found = [(change.flip(0).sum(2), change.shape[1]), (change.sum(1), change.shape[2])]
    return min((_correlation(weights) for weights, cells in found if cells > 1), default=0.0)


def _correlation(weights: Tensor) -> float:
    """Pearson's, of column and row reversed, of a table (2, n) of weights; 0 where it has none."""
    total = weights.sum()
    if not 0 < float(total) < float("inf"):
        return 0.0
    weights = weights / total
    rows = torch.tensor([1.0, 0.0], dtype=weights.dtype)
    columns = torch.linspace(0, 1, weights.shape[1], dtype=weights.dtype)
    rows = rows - (weights.sum(1) * rows).sum()
    columns = columns - (weights.sum(0) * columns).sum()
    spread = (weights.sum(1) * rows.square()).sum() * (weights.sum(0) * columns.square()).sum()
    shared = (weights * rows[:, None] * columns).sum()
    return float(shared / spread.sqrt()) if float(spread) > 1e-12 else 0.0


def _narrow(layer: nn.Conv2d) -> None:
    """Weaken all but the middle of a kernel, in place; its length stays the same."""
    weight = layer.weight.detach()
    rows, columns = weight.shape[2:]
    if rows * columns > 1:
        length = weight.norm()
        middle = weight[:, :, rows // 2, columns // 2].clone()
        weight.mul_(0.1)[:, :, rows // 2, columns // 2] = middle
        weight.mul_(length / weight.norm())
