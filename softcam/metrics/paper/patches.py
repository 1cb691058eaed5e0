"""Top-k patch precision as the public code has it (`topK_patches`, soft overlap).

The map is resized to s x s cells (60 at 512 px, 58 at 496), and the cells are walked from the
brightest to the darkest. A cell is taken if no cell before it, taken or passed over, had it in
its 4x4 neighbourhood. So nothing has to be walked: a cell is taken if it comes before all those
that have it in their neighbourhood, and all images are asked at once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from softcam.metrics.geometry import PatchGrid, enlarge, patch_maximum, read_patches
from softcam.metrics.once import once
from softcam.metrics.paper.cubic import check_side, cubic_read, cubic_resize
from softcam.metrics.paper.quirks import PUBLIC, Quirks
from softcam.metrics.patches import LEVEL, STEPS, brighter, counted
from softcam.metrics.records import MapBatch, Ratios
from softcam.metrics.registry import measure

__all__ = [
    "patch_count",
    "patch_precision",
    "patch_precision_all",
    "patch_precision_positive",
    "patch_precision_tp",
    "patch_scores",
    "public_grid",
    "select_cells",
]

_SOURCE = "Djoumessi et al., Sparse BagNet, MIDL 2023; SoftCAM, figure 3 and its public code"


@measure(
    name="patch-precision",
    title="Top-k patch precision",
    direction="higher",
    source=_SOURCE,
    gauge="zero",
    steps=STEPS,
    threshold="1",
    interpolation="cubic",
    protocol="paper",
)
def patch_precision(batch: MapBatch, *, quirks: Quirks = PUBLIC) -> Ratios:
    """Share of the first k patches of each image that hold a pixel of the finding, k = 1 to 29.

    Pooled over patches: an image with fewer than k patches above the threshold counts with
    those it has (`denominator`). One without any is excluded and counted, and so are a map with
    a NaN or an infinity, and an image in which nothing is marked: the public code runs over
    annotated images. Of a constant map above the threshold the first patch alone is taken, for
    each cell suppresses the next.

    The threshold, 1, is meant for evidence in logits. The public code does not say which one
    the post-hoc maps had; a map scaled to [0, 1] has no patch above it
    (`patch_precision_positive`). That holds for our controls too, whose random map lies in
    [-1, 1); the public code's is uniform in [-10, 10) on 60 x 60 cells.

    With several diseases the public code takes one map for all images, the mean of the maps of
    class 1 and 2 (fundus) or that of class 1 (OCT); an evaluation here explains the label.

    Raises:
        SoftCAMError: images of another size than 512x512 or 496x496 px.
    """
    return _precision(batch, quirks, batch.scored)


@measure(
    name="patch-precision-tp",
    title="Top-k patch precision, images predicted as the class",
    direction="higher",
    source=_SOURCE,
    gauge="zero",
    steps=STEPS,
    threshold="1",
    interpolation="cubic",
    protocol="paper",
)
def patch_precision_tp(batch: MapBatch, *, quirks: Quirks = PUBLIC) -> Ratios:
    """`patch_precision` over the images predicted as the class; this is what figure 3 shows.

    The others are excluded and counted.
    """
    predicted = batch.scored if batch.predicted is None else batch.scored & batch.predicted
    return _precision(batch, quirks, predicted)


@measure(
    name="patch-precision-positive",
    title="Top-k patch precision of positive cells",
    direction="higher",
    source="the paper's top-k patch precision at threshold 0",
    gauge="zero",
    steps=STEPS,
    threshold="0",
    interpolation="cubic",
    protocol="paper",
)
def patch_precision_positive(batch: MapBatch, *, quirks: Quirks = PUBLIC) -> Ratios:
    """`patch_precision` with every positive cell: for maps whose unit is not the logit.

    Not in the public code, which leaves open how post-hoc maps were cut; it is the only way to
    rank maps of any unit beside each other with its other rules.
    """
    return _precision(batch, quirks.at(0.0), batch.scored)


@measure(
    name="patch-precision-all",
    title="Patch precision of all patches",
    direction="higher",
    source=_SOURCE,
    gauge="zero",
    threshold="1",
    interpolation="cubic",
    protocol="paper",
)
def patch_precision_all(batch: MapBatch, *, quirks: Quirks = PUBLIC) -> Ratios:
    """`patch_precision` with k unlimited: the number that the public code chooses lambda by.

    The denominator is the number of patches that survive threshold and suppression.
    """
    hits, taken = _chosen(batch, quirks)
    taken = taken & batch.scored[:, None]
    return Ratios((hits & taken).sum(1).double().numpy(), taken.sum(1).double().numpy())


@measure(
    name="patch-count",
    title="Patches behind the precision",
    direction="none",
    unit="patches",
    source=_SOURCE,
    gauge="zero",
    steps=STEPS,
    threshold="1",
    interpolation="cubic",
    protocol="paper",
)
def patch_count(batch: MapBatch, *, quirks: Quirks = PUBLIC) -> Ratios:
    """Mean number of patches above 1 that survive the suppression, of the first k = 1 to 29.

    An image without any counts as 0.
    """
    taken = _first(_chosen(batch, quirks)[1]) & batch.scored[:, None]
    return counted(batch, taken.cumsum(1))


def public_grid(side: int) -> PatchGrid:
    """Patches of 33 px every 8 px, whatever the side: 60 an axis at 512 px, 58 at 496."""
    cells = (side - 33) // 8 + 1
    return PatchGrid(33, 8, cells, cells)


def patch_scores(maps: Tensor, size: tuple[int, int], quirks: Quirks = PUBLIC) -> Tensor:
    """What the map says of each patch: (B, h, w), finite, to (B, s, s) float64.

    Raises:
        SoftCAMError: images of another size than 512x512 or 496x496 px.
    """
    check_side(size)
    grid = public_grid(size[0])
    if quirks.displaced:
        resize = cubic_resize if quirks.cubic else enlarge
        return resize(maps, (grid.rows, grid.columns))
    if not quirks.cubic:
        return read_patches(maps, size, grid)
    centres = torch.arange(grid.rows) * grid.stride + grid.size / 2
    return cubic_read(maps, centres, centres, size)


def select_cells(scores: Tensor, quirks: Quirks = PUBLIC) -> Tensor:
    """Which cells are taken, brightest first, the first of equal ones in reading order.

    Args:
        scores: (B, s, s), finite.
        quirks: how the threshold is set, and who suppresses whom.

    Returns:
        (B, n) indices row * s + column in the order of selection, n the most that any image
        has; -1 where an image has fewer.
    """
    flat = scores.flatten(1)
    if quirks.absolute:
        bright = flat > quirks.threshold
    else:
        bright = brighter(flat, LEVEL)
    take = _take_chained if quirks.chained else _take_greedily
    return take(flat, bright, scores.shape[1], quirks)


def _precision(batch: MapBatch, quirks: Quirks, asked: Tensor) -> Ratios:
    hits, taken = (_first(each) for each in _chosen(batch, quirks))
    taken = taken & asked[:, None]
    hits = hits & taken
    return Ratios(hits.cumsum(1).double().numpy(), taken.cumsum(1).double().numpy())


def _first(flags: Tensor) -> Tensor:
    """(B, n) cut or filled up with False to as many steps as k has."""
    steps = flags.new_zeros(len(flags), len(STEPS))
    kept = flags[:, : len(STEPS)]
    steps[:, : kept.shape[1]] = kept
    return steps


def _chosen(batch: MapBatch, quirks: Quirks) -> tuple[Tensor, Tensor]:
    """(B, n) each, in the order of selection: does the patch hold the finding; is there one."""

    def compute() -> tuple[Tensor, Tensor]:
        scores = once(
            batch,
            ("scores", quirks.cubic, quirks.displaced),
            lambda: patch_scores(batch.clean, batch.size, quirks),
        )
        chosen = select_cells(scores, quirks)
        holds = once(batch, ("holds", quirks.transposed), lambda: _holds(batch, quirks))
        return holds.gather(1, chosen.clamp(min=0)), chosen >= 0

    return once(batch, ("chosen", quirks), compute)


def _holds(batch: MapBatch, quirks: Quirks) -> Tensor:
    """(B, s * s) bool: is there a pixel of the finding in the patch."""
    findings = batch.findings.mT if quirks.transposed else batch.findings
    grid = public_grid(batch.size[0])
    return (patch_maximum(findings.float(), grid.size, grid.stride) > 0).flatten(1)


def _take_chained(flat: Tensor, bright: Tensor, side: int, quirks: Quirks) -> Tensor:
    images, cells = flat.shape
    order = torch.argsort(flat, dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(cells).expand(images, -1))
    free = rank < _first_suppressor(rank.view(images, side, side), quirks)
    taken = (bright & free).gather(1, order)
    count = taken.cumsum(1)
    chosen = torch.full((images, cells + 1), -1)  # the last column is for cells not taken
    chosen.scatter_(1, torch.where(taken, count - 1, cells), order)
    return chosen[:, : int(count.max()) if images else 0]


def _first_suppressor(rank: Tensor, quirks: Quirks) -> Tensor:
    """(B, s * s): the earliest rank of the cells that suppress each, s * s where there is none.

    The cells lie one row after the other, as flat indices do, so that a neighbourhood is the
    same offsets for all. Without wrapping, a gap after each row holds what runs over its end.
    """
    images, side, _ = rank.shape
    stride = side if quirks.wraps else side + 2
    margin = 2 * stride + 2  # further than any neighbour
    line = torch.full((images, margin + side * stride + margin), side * side)
    rows = line[:, margin:-margin].view(images, side, stride)
    rows[:, :, :side] = rank
    earliest = torch.full((images, side * stride), side * side)
    for down, across in _neighbourhood(quirks):
        start = margin - (down * stride + across)
        torch.minimum(earliest, line[:, start : start + side * stride], out=earliest)
    return earliest.view(images, side, stride)[:, :, :side].flatten(1)


def _take_greedily(flat: Tensor, bright: Tensor, side: int, quirks: Quirks) -> Tensor:
    images, cells = flat.shape
    left = torch.full((images, cells + 1), -torch.inf, dtype=flat.dtype)  # the last: no cell
    left[:, :-1] = flat.masked_fill(~bright, -torch.inf)
    down, across = torch.tensor([(0, 0), *_neighbourhood(quirks)]).T
    chosen = []
    while (left > -torch.inf).any():
        best, index = left.max(1)
        chosen.append(torch.where(best > -torch.inf, index, -1))
        near = index[:, None] + down * side + across
        inside = (near >= 0) & (near < cells)
        if not quirks.wraps:
            column = index[:, None] % side + across
            inside &= (column >= 0) & (column < side)
        left.scatter_(1, torch.where(inside, near, cells), -torch.inf)
    return torch.stack(chosen, 1) if chosen else torch.full((images, 0), -1)


def _neighbourhood(quirks: Quirks) -> list[tuple[int, int]]:
    """(rows down, columns across) from a cell to each of those it suppresses, without itself."""
    down, across = (range(-2, 2), range(-1, 3)) if quirks.lopsided else (range(-2, 3),) * 2
    return [(dy, dx) for dy in down for dx in across if (dy, dx) != (0, 0)]
