"""Data sets: phantoms drawn on demand and real images of several sources, as one record type.

>>> from softcam.data import open_data
>>> data = open_data("phantoms:cxr", size=96)  # doctest: +SKIP
>>> images, labels = data.train.batch([0, 1]), data.train.labels[[0, 1]]  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from softcam.lazy import lazy_names

if TYPE_CHECKING:
    from softcam.data.auditing import Audit, audit
    from softcam.data.catalogue import Catalogue, Item, Mark, MaskFile
    from softcam.data.folder import folder_splits, read_folder
    from softcam.data.geometry import Geometry
    from softcam.data.images import read_image
    from softcam.data.phantoms import PhantomOptions, draw_scene, phantom_splits, render
    from softcam.data.prepare import prepared_splits
    from softcam.data.records import ImageSet, Splits
    from softcam.data.registry import SOURCES, Source
    from softcam.data.sample import Sample, open_sample, sample_of
    from softcam.data.sources import open_catalogue, open_data
    from softcam.data.store import Store, open_store
    from softcam.data.transforms import AUGMENTATIONS, augment, channel_statistics

# Loaded on first use, as in `softcam`.
_LAZY = {
    "AUGMENTATIONS": "softcam.data.transforms",
    "Audit": "softcam.data.auditing",
    "Catalogue": "softcam.data.catalogue",
    "Geometry": "softcam.data.geometry",
    "ImageSet": "softcam.data.records",
    "Item": "softcam.data.catalogue",
    "Mark": "softcam.data.catalogue",
    "MaskFile": "softcam.data.catalogue",
    "PhantomOptions": "softcam.data.phantoms",
    "SOURCES": "softcam.data.registry",
    "Sample": "softcam.data.sample",
    "Source": "softcam.data.registry",
    "Splits": "softcam.data.records",
    "Store": "softcam.data.store",
    "audit": "softcam.data.auditing",
    "augment": "softcam.data.transforms",
    "channel_statistics": "softcam.data.transforms",
    "draw_scene": "softcam.data.phantoms",
    "folder_splits": "softcam.data.folder",
    "open_catalogue": "softcam.data.sources",
    "open_data": "softcam.data.sources",
    "open_sample": "softcam.data.sample",
    "open_store": "softcam.data.store",
    "phantom_splits": "softcam.data.phantoms",
    "prepared_splits": "softcam.data.prepare",
    "read_folder": "softcam.data.folder",
    "read_image": "softcam.data.images",
    "render": "softcam.data.phantoms",
    "sample_of": "softcam.data.sample",
}

__all__ = [
    "AUGMENTATIONS",
    "Audit",
    "Catalogue",
    "Geometry",
    "ImageSet",
    "Item",
    "Mark",
    "MaskFile",
    "PhantomOptions",
    "SOURCES",
    "Sample",
    "Source",
    "Splits",
    "Store",
    "audit",
    "augment",
    "channel_statistics",
    "draw_scene",
    "folder_splits",
    "open_catalogue",
    "open_data",
    "open_sample",
    "open_store",
    "phantom_splits",
    "prepared_splits",
    "read_folder",
    "read_image",
    "render",
    "sample_of",
]

__getattr__, __dir__ = lazy_names(__name__, _LAZY)
