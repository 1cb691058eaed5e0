"""The same patients with one thing changed: without the marker, without the lesions, swapped.

Each image is drawn again from its scene, so every pixel that the change does not concern stays as
it was. Unlike `softcam.twins`, which takes out one lesion at a time, all lesions go together: the
twin of a patient is then a healthy one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from softcam.common import SoftCAMError, choose
from softcam.data.phantoms import GENERATOR_VERSION, PhantomOptions, Scene, draw_scene, render
from softcam.data.records import ImageSet
from softcam.twins import is_phantom

__all__ = ["CHANGES", "redrawn"]

CHANGES = ("nothing", "without marker", "without lesions", "marker on all", "markers swapped")


def redrawn(data: ImageSet, indices: Iterable[int] | np.ndarray, change: str) -> Tensor:
    """Phantoms drawn again with one change: (N, 3, H, W) float32 in [0, 1].

    Args:
        data: a split of phantoms.
        indices: which of its images.
        change: `nothing`; `without marker`; `without lesions` (all of them); `marker on all`;
            or `markers swapped`: who had a marker has none, who had none has one. A marker that
            is added is the one that the scene would have had.

    Raises:
        SoftCAMError: no phantoms, or drawn by another version of the generator.
        UnknownNameError: another change.
    """
    choose("change", change, CHANGES)
    if not is_phantom(data):
        raise SoftCAMError(f"{data.name} is no set of phantoms: only a phantom can be drawn again.")
    version = data.options["generator"]
    if version != GENERATOR_VERSION:
        raise SoftCAMError(
            f"version {version} of the generator drew these phantoms, this is version "
            f"{GENERATOR_VERSION}: draw the set again."
        )
    options = PhantomOptions(**{k: v for k, v in data.options.items() if k != "generator"})
    drawn = [render(_changed(options, int(data.ids[int(i)]), change)).image for i in indices]
    pixels = torch.from_numpy(np.stack(drawn) if drawn else np.zeros((0, *data.size), np.uint8))
    colour = pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels[:, None]
    return colour.expand(-1, 3, -1, -1).float().div(255).contiguous()


def _changed(options: PhantomOptions, index: int, change: str) -> Scene:
    scene = draw_scene(options, index)
    if change == "without lesions":
        return scene.without("lesions")
    had = scene.marker is not None
    if change == "without marker" or (change == "markers swapped" and had):
        return scene.without("marker")
    if change in ("marker on all", "markers swapped") and not had:
        # The marker is drawn from a stream of its own: only whether it is shown changes here.
        always = replace(options, marker=1.0, shortcut=0.0)
        return replace(scene, marker=draw_scene(always, index).marker)
    return scene
