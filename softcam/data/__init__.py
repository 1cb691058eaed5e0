"""Data sets: phantoms drawn on demand and folders of real images, as one record type.

>>> from softcam.data import open_data
>>> data = open_data("phantoms:cxr", size=96)  # doctest: +SKIP
>>> images, labels = data.train.batch([0, 1]), data.train.labels[[0, 1]]  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softcam.data.folder import folder_splits
    from softcam.data.geometry import Geometry
    from softcam.data.images import read_image
    from softcam.data.phantoms import PhantomOptions, draw_scene, phantom_splits, render
    from softcam.data.records import ImageSet, Splits
    from softcam.data.sources import open_data
    from softcam.data.transforms import AUGMENTATIONS, augment, channel_statistics

# Loaded on first use, as in `softcam`.
_LAZY = {
    "AUGMENTATIONS": "softcam.data.transforms",
    "Geometry": "softcam.data.geometry",
    "ImageSet": "softcam.data.records",
    "PhantomOptions": "softcam.data.phantoms",
    "Splits": "softcam.data.records",
    "augment": "softcam.data.transforms",
    "channel_statistics": "softcam.data.transforms",
    "draw_scene": "softcam.data.phantoms",
    "folder_splits": "softcam.data.folder",
    "open_data": "softcam.data.sources",
    "phantom_splits": "softcam.data.phantoms",
    "read_image": "softcam.data.images",
    "render": "softcam.data.phantoms",
}

__all__ = [
    "AUGMENTATIONS",
    "Geometry",
    "ImageSet",
    "PhantomOptions",
    "Splits",
    "augment",
    "channel_statistics",
    "draw_scene",
    "folder_splits",
    "open_data",
    "phantom_splits",
    "read_image",
    "render",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'softcam.data' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
