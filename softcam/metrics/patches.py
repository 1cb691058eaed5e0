"""Do the brightest patches hold the finding? Top-k patch precision with registered patches.

The public code lays a grid of s x s cells over the image and reads cell r as the patch that
starts at 8 r: up to half a patch beside the place that the map speaks of. Its list of
suppressed neighbours runs over the border into the next row, grows with cells that were never
selected, and leans to one side. Here a patch is scored by the map at its own centre, and only a
selected patch suppresses those that overlap it by more than half a side in both directions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from softcam.metrics.geometry import PatchGrid, patch_grid, patch_maximum, read_patches
from softcam.metrics.once import once
from softcam.metrics.records import MapBatch, Ratios
from softcam.metrics.registry import measure

__all__ = [
    "LEVEL",
    "STEPS",
    "brighter",
    "counted",
    "patch_count",
    "patch_precision",
    "select_patches",
]

STEPS = tuple(range(1, 30))
# Only patches brighter than this share of all patches are taken. It is a convention, not tuned.
LEVEL = 0.9


@measure(
    name="patch-precision",
    title="Top-k patch precision",
    direction="higher",
    source="Djoumessi et al., Sparse BagNet, MIDL 2023; SoftCAM, figure 3",
    gauge="order",
    steps=STEPS,
    threshold=f"quantile {LEVEL}",
    interpolation="bilinear",
)
def patch_precision(batch: MapBatch) -> Ratios:
    """Share of the first k patches of each image that hold a pixel of the finding, k = 1 to 29.

    Pooled over patches: an image with fewer than k patches above the threshold counts with
    those it has (`denominator`), one without any, such as a constant map, is excluded.
    """
    grid = patch_grid(*batch.size)
    chosen = _chosen(batch)
    holds = patch_maximum(batch.findings.float(), grid.size, grid.stride) > 0
    taken = (chosen >= 0) & batch.scored[:, None]
    hits = holds.flatten(1).gather(1, chosen.clamp(min=0)) & taken
    return Ratios(hits.cumsum(1).double().numpy(), taken.cumsum(1).double().numpy())


@measure(
    name="patch-count",
    title="Patches behind the precision",
    direction="none",
    unit="patches",
    source="how many of the first k patches an image has",
    gauge="order",
    steps=STEPS,
    threshold=f"quantile {LEVEL}",
    interpolation="bilinear",
)
def patch_count(batch: MapBatch) -> Ratios:
    """Mean number of patches that survive threshold and suppression, of the first k = 1 to 29.

    No merit in itself: times the number of images, it is what `patch-precision` rests on. An
    image without any counts as 0.
    """
    taken = (_chosen(batch) >= 0) & batch.scored[:, None]
    return counted(batch, taken.cumsum(1))


def brighter(scores: Tensor, level: float) -> Tensor:
    """Which of (B, n) scores are brighter than this share of all scores of their image, (B, n).

    Where the brightest fill more than the rest of it with one and the same value, as in a mask
    or a saturated map, it is these; of a constant map it is none.
    """
    cut = scores.kthvalue(max(1, math.ceil(level * scores.shape[1])), dim=1, keepdim=True).values
    low, high = scores.aminmax(dim=1, keepdim=True)
    plateau = (cut == high) & (high > low)
    return (scores > cut) | (plateau & (scores == high))


def counted(batch: MapBatch, counts: Tensor) -> Ratios:
    """Counts (B, k) as a mean over the images in which something is marked."""
    scored = batch.scored[:, None].expand_as(counts)
    return Ratios(torch.where(scored, counts, 0).double().numpy(), scored.double().numpy())


def _chosen(batch: MapBatch) -> Tensor:
    """The first patches of each image, (B, k); worked out once a batch."""

    def choose() -> Tensor:
        grid = patch_grid(*batch.size)
        return select_patches(read_patches(batch.clean, batch.size, grid), grid, len(STEPS))

    return once(batch, "corrected patches", choose)


def select_patches(scores: Tensor, grid: PatchGrid, k: int, level: float = LEVEL) -> Tensor:
    """The k brightest patches of each image that do not overlap by more than half a side.

    Greedy: the brightest patch that is left (the first of equal ones, in reading order) is
    taken, and its neighbours within `grid.reach` are not taken any more.

    Args:
        scores: (B, rows, columns), finite.
        grid: the patches.
        k: how many at most.
        level: a patch must be brighter than this share of all patches of its image.

    Returns:
        (B, k) indices row * columns + column in the order of selection, -1 where none is left.
    """
    images, cells = len(scores), scores[0].numel() if len(scores) else 0
    chosen = torch.full((images, k), -1, dtype=torch.long)
    if not cells:
        return chosen
    left = scores.masked_fill(~brighter(scores.flatten(1), level).view_as(scores), -torch.inf)
    image = torch.arange(images)[:, None, None]
    near = torch.arange(-grid.reach, grid.reach + 1)
    for step in range(k):
        best, index = left.flatten(1).max(1)
        chosen[:, step] = torch.where(best > -torch.inf, index, -1)
        # Clamped to the border, which lies within reach whenever the neighbour lies beyond it.
        rows = (index[:, None] // grid.columns + near).clamp(0, grid.rows - 1)
        columns = (index[:, None] % grid.columns + near).clamp(0, grid.columns - 1)
        left[image, rows[:, :, None], columns[:, None, :]] = -torch.inf
    return chosen
