"""How the bytes of a stored file become an upright RGB image: one function a kind of file.

A view is named in the catalogue and looked up here, so that a process which prepares images needs
only its name, and the packages of a kind of file are imported where such a file is read.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from softcam.common import choose
from softcam.data.geometry import Box
from softcam.data.images import decode_image

__all__ = ["VIEWS", "Picture", "Reader", "View", "read_plain", "view_of"]


@dataclass(frozen=True)
class Picture:
    """A stored image, upright and in colour.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, all of the stored image.
        crop: x, y, width, height in pixels of it: what is taken before `Geometry`, in whole
            pixels; it may reach outside, where black is put. None takes everything.
        notes: what was assumed of the file, worded as what images do ("have no ..."); a
            preparation counts and names the images of each.
    """

    pixels: np.ndarray
    crop: Box | None = None
    notes: tuple[str, ...] = ()


class Reader(Protocol):
    """Stored bytes to a picture; `name` is for messages.

    Raises:
        DataError: the bytes are no image of this kind that can be used; it begins with `name`.
    """

    def __call__(self, data: bytes, name: str) -> Picture: ...


@dataclass(frozen=True)
class View:
    """A reader by its place in the package.

    Attributes:
        reader: `module:function`, imported on first use; the function is a `Reader`.
        version: counts up when the same bytes would become other pixels.
    """

    reader: str
    version: int = 1

    def read(self, data: bytes, name: str) -> Picture:
        """The picture in the bytes of a file; errors as in `Reader`."""
        module, _, function = self.reader.partition(":")
        found: Reader = getattr(importlib.import_module(module), function)
        return found(data, name)


def read_plain(data: bytes, name: str) -> Picture:
    """PNG, JPEG, TIFF ...: see `images`."""
    return Picture(decode_image(data, name))


VIEWS: dict[str, View] = {
    "image": View("softcam.data.views:read_plain"),
    "dicom": View("softcam.data.dicom:read_dicom"),
    "fundus": View("softcam.data.fundus:read_fundus"),
}


def view_of(name: str) -> View:
    """A view by name; an `UnknownNameError` with the closest ones where there is none."""
    return VIEWS[choose("view", name, VIEWS)]
