"""A rectangle of an image, and how much of each cell of a map lies in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Region", "box_of"]


@dataclass(frozen=True)
class Region:
    """Whole pixels, from the top-left corner of the image.

    Attributes:
        x, y: the first column and row that belong to it.
        width, height: how many do, one at least.
    """

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def inside(cls, box: Sequence[int], size: tuple[int, int]) -> Region:
        """From x, y, width, height; cut off where it leaves an image of `size` (H, W).

        One pixel at least stays.
        """
        x, y, width, height = box
        x, y = min(max(x, 0), size[1] - 1), min(max(y, 0), size[0] - 1)
        return cls(x, y, min(max(width, 1), size[1] - x), min(max(height, 1), size[0] - y))

    def mask(self, size: tuple[int, int]) -> np.ndarray:
        """(H, W) bool, where it lies."""
        mask = np.zeros(size, bool)
        mask[self.y : self.y + self.height, self.x : self.x + self.width] = True
        return mask

    def shares(self, cells: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        """(h, w) in [0, 1]: the share of each cell's area that lies in the region.

        Cell (r, c) is the rectangle from r / h to (r + 1) / h of the height, the same for the
        width. So a region that cuts a cell in half takes half of its value, and the
        shares of regions that tile the image add up to 1 in each cell.

        Args:
            cells: (h, w) of the map.
            size: (H, W) of the image.
        """
        rows = _overlap(self.y, self.height, cells[0], size[0])
        columns = _overlap(self.x, self.width, cells[1], size[1])
        return rows[:, None] * columns


def box_of(mask: np.ndarray) -> Region:
    """The smallest region that holds all of a mask (H, W), in which something is marked."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    return Region(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)


def _overlap(start: int, length: int, cells: int, pixels: int) -> np.ndarray:
    edges = np.arange(cells + 1) * (pixels / cells)
    covered = np.minimum(edges[1:], start + length) - np.maximum(edges[:-1], start)
    return np.clip(covered, 0, None) * (cells / pixels)
