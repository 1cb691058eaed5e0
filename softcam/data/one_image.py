"""One image of a catalogue and its marks: from stored bytes to the arrays of the cache."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from softcam.common import DataError, digest
from softcam.data.catalogue import Item, Mark
from softcam.data.geometry import Geometry, clip_box
from softcam.data.images import decode_mask
from softcam.data.store import Store
from softcam.data.views import view_of

__all__ = ["OUTSIDE", "Made", "Recipe", "make"]

OUTSIDE = "boxes outside their image are left out"


@dataclass(frozen=True)
class Recipe:
    """How all images of a set are made; it goes to every process as it is.

    Attributes:
        store: where the files lie.
        view: name of what turns bytes into a picture.
        size: side of the square images in pixels.
        mask_names: the K kinds of marks, in the order of the masks.
        grey: one channel is kept.
        on_error: `stop` at what cannot be used, or `skip` and count it.
    """

    store: Store
    view: str
    size: int
    mask_names: tuple[str, ...]
    grey: bool
    on_error: str

    @property
    def image_shape(self) -> tuple[int, ...]:
        return (self.size, self.size) if self.grey else (self.size, self.size, 3)


@dataclass(frozen=True)
class Made:
    """What became of one image.

    Attributes:
        image: (size, size, 3) or (size, size) uint8.
        masks: (K, size, size) bool.
        row: JSON-able: its label and patient, where it came from, and `record`, a digest of all
            that is known of it.
    """

    image: np.ndarray
    masks: np.ndarray
    row: dict[str, Any]


def make(recipe: Recipe, item: Item, counts: Counter[str]) -> Made:
    """Read and prepare one image; what was clipped or left out is added to `counts`.

    Raises:
        DataError: the image, a mask of it or (under `stop`) a box cannot be used.
    """
    place = str(recipe.store.path / item.name)
    data = recipe.store.read(item.name)
    picture = view_of(recipe.view).read(data, place)
    height, width = picture.pixels.shape[:2]
    geometry = Geometry(height, width, recipe.size, picture.crop)
    masks, known = _masks(recipe, item, geometry, counts)
    image = geometry.image(picture.pixels)
    if recipe.grey:
        image = _grey(image, place)
    annotated = bool(known) if item.annotated is None else item.annotated
    sha256 = hashlib.sha256(data).hexdigest()
    label = list(item.label) if isinstance(item.label, tuple) else item.label
    row = {
        "id": item.id,
        "name": item.name,
        "label": label,
        "patient": item.patient,
        "annotated": annotated,
        "sha256": sha256,
        "width": width,
        "height": height,
        "crop": picture.crop,
        "notes": list(picture.notes),
        "record": digest([item.id, label, item.patient, item.split, annotated], sha256, known),
    }
    return Made(image, masks, row)


def _grey(image: np.ndarray, place: str) -> np.ndarray:
    if (image != image[:, :, :1]).any():
        raise DataError(f"{place}: has colours, expected a grey image as the others of this set.")
    return np.ascontiguousarray(image[:, :, 0])


def _masks(
    recipe: Recipe, item: Item, geometry: Geometry, counts: Counter[str]
) -> tuple[np.ndarray, list[Any]]:
    """The masks (K, size, size) bool of one image, and a list of what they were made from."""
    masks = np.zeros((len(recipe.mask_names), recipe.size, recipe.size), bool)
    known: list[Any] = []

    def add(kind: str, mask: np.ndarray) -> None:
        if not mask.any():
            counts[f"marks of class {kind!r} lie outside the central square"] += 1
        masks[recipe.mask_names.index(kind)] |= mask

    for mark in item.boxes:
        inside = clip_box(mark.box, geometry.height, geometry.width)
        if inside is None:
            if recipe.on_error == "stop":
                raise _outside(mark, item, geometry)
            counts[OUTSIDE] += 1
            continue
        if inside != mark.box:
            counts["boxes are clipped at the edge of their image"] += 1
        add(mark.kind, geometry.box_mask(inside))
        known.append([mark.kind, *map(float, mark.box)])
    for drawn in item.masks:
        place = recipe.store.path / drawn.name
        mask = decode_mask(recipe.store.read(drawn.name), place)
        if mask.shape != (geometry.height, geometry.width):
            raise DataError(
                f"{place}: {mask.shape[1]} x {mask.shape[0]} pixels, its image "
                f"{item.id!r} has {geometry.width} x {geometry.height}."
            )
        if mask.any():
            add(drawn.kind, geometry.mask(mask))
        known.append([drawn.kind, digest(np.packbits(mask).tobytes())])
    return masks, known


def _outside(mark: Mark, item: Item, geometry: Geometry) -> DataError:
    return DataError(
        f"{mark.place or item.id}: the box {mark.box} (x, y, width, height) lies outside the "
        f"image of {geometry.width} x {geometry.height} pixels."
    )
