"""Scenes and their pixels: `draw_scene` decides what is there, `render` draws it."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from softcam.common import DataError
from softcam.data.phantoms import cxr, fundus, oct
from softcam.data.phantoms.options import PhantomOptions, mask_names
from softcam.data.phantoms.scene import Marker, Phantom, Scene, stream

__all__ = ["draw_scene", "render"]

MODULES: dict[str, ModuleType] = {"cxr": cxr, "oct": oct, "fundus": fundus}


def draw_scene(options: PhantomOptions, index: int) -> Scene:
    """Item `index` of a set, without pixels.

    It depends on the options, the seed and the index alone, and its anatomy, look-alikes and
    noise do not depend on its label.

    Raises:
        DataError: a negative index.
    """
    if index < 0:
        raise DataError(f"index is {index}: the items of a set are counted from 0.")
    classes = len(options.classes)
    true_label = int(stream(options, index, "label").integers(classes))
    noise = stream(options, index, "label noise")
    label = true_label
    if noise.random() < options.label_noise:
        label = (true_label + int(noise.integers(1, classes))) % classes
    module = MODULES[options.modality]
    anatomy, lesions, lookalikes = module.draw(options, index, true_label)
    marker_draws = stream(options, index, "marker")
    present = marker_draws.random() < options.marker_probability(label)
    marker: Marker | None = module.draw_marker(marker_draws) if present else None
    return Scene(options, index, label, true_label, anatomy, lesions, lookalikes, marker)


def render(scene: Scene, size: int | None = None) -> Phantom:
    """The pixels of a scene and the truth about them.

    Args:
        scene: from `draw_scene`, or a twin from `Scene.without`.
        size: side in pixels; the options' size where it is not given. At another size the
            structures are the same and the pixel noise is drawn anew.

    Returns:
        The image, (H, W) uint8 (cxr, oct) or (H, W, 3) uint8 (fundus), and every mask of the
        modality, in the order of `mask_names`; a part that is not there has an empty mask.
    """
    side = scene.options.size if size is None else size
    phantom = MODULES[scene.options.modality].render(scene, side)
    empty = np.zeros((side, side), bool)
    names = mask_names(scene.options.modality)
    return Phantom(phantom.image, {name: phantom.masks.get(name, empty) for name in names})
