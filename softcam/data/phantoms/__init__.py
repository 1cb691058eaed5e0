"""Phantoms: procedural chest X-rays, OCT B-scans and fundus photographs with known truth.

Every image can be drawn again with one lesion or the marker taken out and all else identical
(`Scene.without`), so what a model reacts to can be measured instead of guessed.
"""

from __future__ import annotations

from softcam.data.phantoms.dataset import SPLIT_START, phantom_splits, split_indices
from softcam.data.phantoms.generate import draw_scene, render
from softcam.data.phantoms.grades import grade_of
from softcam.data.phantoms.ideal import ideal_map
from softcam.data.phantoms.options import (
    ANATOMY,
    CLASSES,
    GENERATOR_VERSION,
    LESIONS,
    MODALITIES,
    SIGNS,
    PhantomOptions,
    mask_names,
)
from softcam.data.phantoms.scene import Marker, Phantom, Scene, Thing

__all__ = [
    "ANATOMY",
    "CLASSES",
    "GENERATOR_VERSION",
    "LESIONS",
    "MODALITIES",
    "SIGNS",
    "SPLIT_START",
    "Marker",
    "Phantom",
    "PhantomOptions",
    "Scene",
    "Thing",
    "draw_scene",
    "grade_of",
    "ideal_map",
    "mask_names",
    "phantom_splits",
    "render",
    "split_indices",
]
