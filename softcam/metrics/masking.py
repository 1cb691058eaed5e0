"""Which pixels of an image are hidden: tiles in the order of the map, and the map as a mask.

The image is cut into tiles of one patch each, without overlap; a tile's score is the maximum of
the map at image size inside it. At any point of a curve the hidden pixels are those of the first
tiles in an order: deletion hides the brightest tiles first, insertion starts with all tiles
hidden and takes the brightest away first, which is the opposite order read backwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.metrics.geometry import enlarge, patch_grid, patch_maximum

__all__ = [
    "DELETED",
    "REVEALED",
    "Hiding",
    "as_mask",
    "hide_by_rank",
    "tile_ranks",
    "true_mask_map",
]

DELETED = tuple(range(30))  # tiles hidden at each point of the deletion curve
REVEALED = tuple(range(0, 101, 5))  # per cent of the tiles shown at each point of insertion
MOST = 2**31 - 1  # the rank of what is never hidden


@dataclass(frozen=True)
class Hiding:
    """What is hidden in each image at each point of a curve.

    Attributes:
        ranks: (B, H, W) int32, the place of each pixel in the order of hiding, 0 first.
        counts: (S,) int32; at point s the pixels with a rank below counts[s] are hidden.
    """

    ranks: Tensor
    counts: Tensor

    def to(self, device: torch.device) -> Hiding:
        """The same on another device."""
        return Hiding(self.ranks.to(device), self.counts.to(device))

    def hidden(self, image: int, points: slice) -> Tensor:
        """(s, 1, H, W) bool: what is hidden in one image at some points."""
        return (self.ranks[image] < self.counts[points, None, None])[:, None]


def tile_ranks(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """The place of each pixel's tile from the brightest on: (B, h, w) to (B, H, W), 0 first.

    Tiles lie side by side from the top-left corner; the last ones are cut off at the border.
    Of equal tiles the first in reading order goes first.
    """
    height, width = size
    side = patch_grid(height, width).size
    scores = patch_maximum(enlarge(maps, size), side, side, partial=True)  # (B, rows, columns)
    order = scores.flatten(1).sort(dim=1, descending=True, stable=True).indices
    ranks = torch.empty_like(order)
    ranks.scatter_(1, order, torch.arange(order.shape[1]).expand_as(order).contiguous())
    ranks = ranks.reshape(scores.shape).repeat_interleave(side, 1).repeat_interleave(side, 2)
    return ranks[:, :height, :width]


def hide_by_rank(ranks: Tensor, question: Literal["deletion", "insertion"]) -> Hiding:
    """From places, brightest first, to what is hidden along the curve of a question.

    Deletion hides 0 to 29 tiles; once all are hidden it stays as it is. Insertion shows 0, 5,
    ..., 100 % of the tiles, to the nearest whole tile (a half counts up).

    Args:
        ranks: (B, H, W) integers; the tiles of every image are numbered 0 to n - 1. For deletion,
            larger numbers are pixels that are never hidden.
    """
    if question == "deletion":
        return Hiding(ranks.clamp(max=MOST).int(), torch.tensor(DELETED, dtype=torch.int32))
    tiles = int(ranks.max()) + 1
    shown = [(tiles * percent + 50) // 100 for percent in REVEALED]
    counts = torch.tensor([tiles - each for each in shown], dtype=torch.int32)
    return Hiding((tiles - 1 - ranks).int(), counts)


def as_mask(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """n(up(S)): the map at image size, from 0 at its least to 1 at its largest value.

    A constant map hides everything: n is 0 (Opti-CAM, eq. 4).

    Args:
        maps: (B, h, w), finite; brought to (H, W) bilinearly, an axis that shrinks is pooled.

    Returns:
        (B, H, W) float64 in [0, 1], on the CPU.
    """
    enlarged = enlarge(maps, size)
    low = enlarged.amin((1, 2), keepdim=True)
    width = enlarged.amax((1, 2), keepdim=True) - low
    return (enlarged - low) / torch.where(width > 0, width, torch.ones_like(width))


def true_mask_map(findings: Tensor) -> Tensor:
    """The map whose ranking of the tiles knows the finding: the tile that holds most of it first.

    The mask itself would not do: the score of a tile is its maximum, so a tile with one marked
    pixel would tie with a tile that is marked all over. Each pixel therefore holds its tile's
    number of marked pixels over those of a whole tile, in (0, 1]: hiding tiles in this order
    hides as much of the finding at each step as any order can. Where nothing is marked there is
    no truth; so that the rest of the curve does not hang on a corner of the image, those tiles
    follow by their distance to the nearest marked one: minus that distance over the diagonal, in
    [-1, 0). Ties that are left go in reading order.

    Args:
        findings: (B, H, W), bool or integers where not 0 means marked, at image size.

    Returns:
        (B, H, W) float32 on the CPU, for `occlusion_scores`. NaN where nothing is marked, so
        that such an image is excluded and counted.
    """
    if findings.ndim != 3 or findings.is_floating_point() or findings.is_complex():
        raise SoftCAMError(
            f"expected findings (B, H, W) as bool, found {findings.dtype} {tuple(findings.shape)}: "
            "say what counts as marked, for example findings > 0.5."
        )
    height, width = findings.shape[1:]
    side = patch_grid(height, width).size
    rows, columns = -(-height // side), -(-width // side)
    padded = torch.zeros(len(findings), rows * side, columns * side)
    padded[:, :height, :width] = findings.cpu() != 0
    share = padded.reshape(-1, rows, side, columns, side).mean((2, 4))  # (B, rows, columns)
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
    far = torch.cdist(places, places) / max(
        1.0, float(torch.tensor([rows, columns]).float().norm())
    )
    values = [_with_distance(each.flatten(), far) for each in share]
    tiles = torch.stack(values) if values else torch.zeros(0, rows * columns)
    pixels = tiles.reshape(-1, rows, columns).repeat_interleave(side, 1).repeat_interleave(side, 2)
    return pixels[:, :height, :width]


def _with_distance(share: Tensor, far: Tensor) -> Tensor:
    """Shares of tiles (T,), minus the distance to the nearest marked one where there is none."""
    marked = share > 0
    if not marked.any():
        return torch.full_like(share, torch.nan)
    return torch.where(marked, share, -far[:, marked].amin(1))
