"""The paper's geometry, once for images, masks and boxes: Resize(short side) + CenterCrop.

Sizes and offsets are those of torchvision's `Resize(size)` and `CenterCrop(size)`, so a pixel
at x in the file lies at x * scale_x - left in the prepared image; the same for y. Where a crop
comes first (the square around the field of view of a fundus photograph), x counts from its edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from softcam.common import DataError

__all__ = ["Box", "Geometry", "clip_box", "cut", "fill_box"]

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Geometry:
    """How an image of one size becomes a square.

    Attributes:
        height, width: of the upright image, in pixels.
        size: side of the square.
        crop: x, y, width, height of what is taken first, in whole pixels of the upright image;
            it may reach outside, where nothing is. None takes all of it.
    """

    height: int
    width: int
    size: int
    crop: Box | None = None

    def __post_init__(self) -> None:
        if self.size < 1:
            raise DataError(f"the image size is {self.size}, expected a positive number of pixels.")
        if self.crop is not None and clip_box(self.crop, self.height, self.width) is None:
            raise DataError(
                f"the crop {self.crop} (x, y, width, height) leaves nothing of an image of "
                f"{self.width} x {self.height} pixels."
            )

    @property
    def taken(self) -> tuple[int, int]:
        """(height, width) of what is resized: the crop, or the image."""
        if self.crop is None:
            return self.height, self.width
        return round(self.crop[3]), round(self.crop[2])

    @property
    def resized(self) -> tuple[int, int]:
        """(height, width) after the resize: the short side is `size`."""
        height, width = self.taken
        short = min(height, width)
        return self.size * height // short, self.size * width // short

    @property
    def offset(self) -> tuple[int, int]:
        """(top, left) of the crop in the resized image."""
        height, width = self.resized
        return round((height - self.size) / 2), round((width - self.size) / 2)

    def image(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 to (size, size, 3): bilinear with antialiasing."""
        part = cut(pixels, self.crop)
        return self._crop(self._resize(Image.fromarray(part), Image.Resampling.BILINEAR))

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """(H, W) bool to (size, size) bool.

        A pixel is marked where at least half of its area was. A finding too small for that keeps
        its most covered pixel: a lesion never vanishes because the image got smaller.
        """
        if mask.shape != (self.height, self.width):
            raise DataError(
                f"the mask is {mask.shape[1]} x {mask.shape[0]} pixels, "
                f"its image {self.width} x {self.height}."
            )
        grey = Image.fromarray(cut(mask, self.crop).astype(np.float32))
        coverage = self._crop(self._resize(grey, Image.Resampling.BOX))
        marked = coverage >= 0.5
        if not marked.any() and coverage.max() > 0:
            marked[np.unravel_index(coverage.argmax(), marked.shape)] = True
        return marked

    def box(self, box: Box) -> Box:
        """x, y, width, height in the file to the same in the square, not clipped to it."""
        height, width = self.resized
        scale_x, scale_y = width / self.taken[1], height / self.taken[0]
        top, left = self.offset
        x, y, w, h = box
        if self.crop is not None:
            x, y = x - round(self.crop[0]), y - round(self.crop[1])
        return x * scale_x - left, y * scale_y - top, w * scale_x, h * scale_y

    def box_mask(self, box: Box) -> np.ndarray:
        """A box of the file as (size, size) bool; empty if the crop leaves all of it out."""
        mask = np.zeros((self.size, self.size), bool)
        inside = clip_box(self.box(box), self.size, self.size)
        if inside is not None:
            fill_box(mask, inside)
        return mask

    def _resize(self, image: Image.Image, filter: Image.Resampling) -> Image.Image:
        height, width = self.resized
        if image.size == (width, height):
            return image
        return image.resize((width, height), filter)

    def _crop(self, image: Image.Image) -> np.ndarray:
        top, left = self.offset
        return np.array(image.crop((left, top, left + self.size, top + self.size)))


def cut(array: np.ndarray, crop: Box | None) -> np.ndarray:
    """The part of an image or mask (H, W, ...) inside a box, rounded to whole pixels.

    Where the box reaches outside, zeros are put.
    """
    if crop is None:
        return array
    x, y, width, height = (round(value) for value in crop)
    top, left = max(y, 0), max(x, 0)
    part = array[top : max(y + height, top), left : max(x + width, left)]
    if part.shape[:2] == (height, width):
        return part
    whole = np.zeros((height, width, *array.shape[2:]), array.dtype)
    whole[top - y : top - y + part.shape[0], left - x : left - x + part.shape[1]] = part
    return whole


def clip_box(box: Box, height: int, width: int) -> Box | None:
    """The part of a box inside an image, or None if there is none; unchanged if all of it is."""
    x, y, w, h = box
    if x >= 0 and y >= 0 and x + w <= width and y + h <= height:
        return box
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + w, float(width)), min(y + h, float(height))
    if right <= left or bottom <= top:
        return None
    return left, top, right - left, bottom - top


def fill_box(mask: np.ndarray, box: Box) -> None:
    """Mark every pixel of `mask` whose centre lies in `box`, which lies in the image.

    A box that holds no pixel centre marks the pixel its own centre lies in.
    """
    spans = []
    for start, length, limit in ((box[1], box[3], len(mask)), (box[0], box[2], mask.shape[1])):
        first, last = int(np.ceil(start - 0.5)), int(np.ceil(start + length - 0.5))
        if last <= first:
            first = min(int(start + length / 2), limit - 1)
            last = first + 1
        spans.append(slice(max(first, 0), min(last, limit)))
    mask[spans[0], spans[1]] = True
