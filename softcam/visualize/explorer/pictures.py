"""The images of an explorer, whatever they come as, and files that a reader brings along."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softcam.common import DataError, SoftCAMError, as_integer, rng
from softcam.data import Geometry, ImageSet, read_image
from softcam.data.images import decode_image, image_size
from softcam.twins import is_phantom

__all__ = [
    "MOST_BYTES",
    "MOST_PIXELS",
    "Picture",
    "deal_rows",
    "decode_upload",
    "open_pictures",
    "renamed",
]

MOST_BYTES = 40_000_000  # of an uploaded file
# Decoded, turned and converted it is held about three times, at three bytes a pixel.
MOST_PIXELS = 50_000_000
_STREAM = 91  # of the choice of images
_UNREAD = (("DICOM", 128, b"DICM"), ("HEIC", 4, b"ftyphei"), ("HEIC", 4, b"ftypmif1"),
           ("SVG", 0, b"<svg"), ("PDF", 0, b"%PDF"))  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One image.

    Attributes:
        name: unique within an explorer.
        image: (3, H, W) float32 in [0, 1].
        truth: the name of its class, or of its findings; empty where it is not known.
        finding: (H, W) bool, or None where nobody marked anything.
        data, row: the phantoms it is one of, so that its twins can be drawn; else None.
        uploaded: whether a reader brought it.
    """

    name: str
    image: Tensor
    truth: str = ""
    finding: np.ndarray | None = None
    data: ImageSet | None = None
    row: int = 0
    uploaded: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self.image.shape[1]), int(self.image.shape[2])


def open_pictures(
    images: Any, size: int | None, rows: Sequence[int] | None = None
) -> list[Picture]:
    """The pictures that `explore` is given.

    Args:
        images: an `ImageSet`; images (B, 3, H, W) or one (3, H, W) as floats in [0, 1]; uint8
            (H, W), (H, W, 3) or (N, H, W, 3); the path of a file; or a list of single ones.
        size: side in pixels that files are resized and cropped to.
        rows: which images of an `ImageSet`; None takes all.

    Returns:
        One picture or more; of those with one name the second gets ` (2)`, and so on.

    Raises:
        SoftCAMError: nothing to show, something else than images in [0, 1], or rows of none.
    """
    if rows is not None and not isinstance(images, ImageSet):
        raise SoftCAMError(f"rows choose from an ImageSet, found a {type(images).__name__}.")
    if isinstance(images, ImageSet):
        chosen = range(len(images)) if rows is None else rows
        found = [_of_set(images, as_integer("row", row, 0, len(images) - 1)) for row in chosen]
    elif isinstance(images, (str, Path)):
        found = [_of_file(images, size)]
    elif isinstance(images, (Tensor, np.ndarray)):
        found = [Picture(f"image {n}", each) for n, each in enumerate(_tensors(images))]
    elif not isinstance(images, Iterable):
        raise _no_image(images)
    else:
        found = []
        for number, each in enumerate(images):
            if isinstance(each, (str, Path)):
                found.append(_of_file(each, size))
            else:
                found += [Picture(f"image {number}", one) for one in _tensors(each)]
    if not found:
        raise SoftCAMError("no image to show: expected one or more.")
    taken: set[str] = set()
    for number, each in enumerate(found):
        found[number] = renamed(each, taken)
        taken.add(found[number].name)
    return found


def renamed(picture: Picture, taken: Iterable[str]) -> Picture:
    """A picture under a name that no other one has."""
    taken, name, number = set(taken), picture.name, 2
    while name in taken:
        name, number = f"{picture.name} ({number})", number + 1
    return replace(picture, name=name)


def deal_rows(data: ImageSet, count: int, seed: int = 0) -> list[int]:
    """Random images, as many of each class as of the next, in turn; fewer where there are fewer.

    Args:
        data: one split.
        count: how many rows, 1 or more.
        seed: of the choice.
    """
    labels = np.asarray(data.labels)
    has = labels == 1 if data.multi_label else labels[:, None] == np.arange(len(data.classes))
    each = [rng(seed, c, _STREAM).permutation(np.flatnonzero(mine)) for c, mine in enumerate(has.T)]
    each.reverse()  # the last class first: the first one is mostly the healthy one
    dealt = [int(rows[i]) for i in range(max(map(len, each))) for rows in each if i < len(rows)]
    return list(dict.fromkeys(dealt))[:count]


def decode_upload(data: bytes, name: str, size: int) -> Picture:
    """An uploaded file as the network takes it: short side resized to `size`, centre cropped.

    Upright by its EXIF tag; CMYK, palette, alpha and 16 bit converted; of an animation the first
    frame. The header is checked before a pixel is decoded, so that memory stays bounded.

    Raises:
        DataError: too large, or no image that can be used; the message names the file.
    """
    if len(data) > MOST_BYTES:
        raise DataError(
            f"{name}: {len(data) / 1e6:.0f} MB, at most {MOST_BYTES / 1e6:.0f} are taken; make the "
            "image smaller."
        )
    for kind, start, mark in _UNREAD:
        if data[start : start + len(mark)] == mark:
            raise DataError(f"{name}: {kind} files are not read here; save it as PNG or JPEG.")
    height, width = image_size(data, name)
    if height * width > MOST_PIXELS:
        raise DataError(
            f"{name}: {width} x {height} pixels, {height * width / 1e6:.0f} million; at most "
            f"{MOST_PIXELS / 1e6:.0f} million are taken; make it smaller."
        )
    return Picture(name, _fitted(decode_image(data, name), size), uploaded=True)


def _of_set(data: ImageSet, row: int) -> Picture:
    labels = np.asarray(data.labels[row])
    if data.multi_label:
        truth = ", ".join(n for n, has in zip(data.classes, labels, strict=True) if has) or "none"
    else:
        truth = data.classes[int(labels)]
    finding = data.finding(row)
    drawn = data if is_phantom(data) else None
    image = data.batch([row])[0]
    return Picture(data.ids[row], image, truth, finding if finding.any() else None, drawn, row)


def _of_file(path: str | Path, size: int | None) -> Picture:
    if size is None:
        raise SoftCAMError(f"{path} has to be resized for the network: give its side, size=224.")
    return Picture(Path(path).name, _fitted(read_image(path), size))


def _fitted(pixels: np.ndarray, size: int) -> Tensor:
    height, width = pixels.shape[:2]
    return _from_uint8(Geometry(height, width, size).image(pixels)[None])[0]


def _tensors(images: Any) -> list[Tensor]:
    """Single images (3, H, W) float32 in [0, 1]."""
    if isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.ndim in (2, 3, 4):
        grey = images.ndim == 2
        batch = np.repeat(images[..., None], 3, -1) if grey else images
        batch = batch[None] if batch.ndim == 3 else batch
        if batch.shape[-1] == 3:
            return list(_from_uint8(batch))
    given = torch.as_tensor(images) if isinstance(images, np.ndarray) else images
    if not isinstance(given, Tensor) or not given.is_floating_point():
        raise _no_image(images)
    found = given.detach().float().cpu()
    found = found[None] if found.ndim == 3 else found
    if found.ndim != 4 or found.shape[1] != 3 or not found.numel():
        raise _no_image(images)
    if not bool(((found >= 0) & (found <= 1)).all()):  # nor NaN
        raise _no_image(images)
    return list(found)


def _from_uint8(batch: np.ndarray) -> Tensor:
    """(N, H, W, 3) to (N, 3, H, W) in [0, 1]."""
    return torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255


def _no_image(images: Any) -> SoftCAMError:
    shape = tuple(getattr(images, "shape", ()))
    kind = f"{type(images).__name__} {shape or ''}".strip()
    if isinstance(images, (Tensor, np.ndarray)):
        kind += f" of {str(images.dtype).removeprefix('torch.')}"
    if isinstance(images, Tensor) and images.is_floating_point() and images.numel():
        kind += f" from {float(images.min()):g} to {float(images.max()):g}"
    return SoftCAMError(
        f"found {kind}: expected RGB images (B, 3, H, W) as floats "
        "in [0, 1] before any normalisation, uint8 (N, H, W, 3), an ImageSet, or paths of files."
    )
