"""Maps of the two shipped models on fixed phantoms, and on their twins without the marker.

They lie beside this file as `marker_maps.npz`, so that a check needs neither the models nor the
phantoms. `computed_maps` works them out anew from both; a test compares.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

__all__ = ["MODELS", "ShippedMaps", "computed_maps", "shipped_maps", "write_maps"]

MODELS = {"cheating": "cxr-marker", "honest": "cxr-sparse"}  # as in notebook 00
COUNT, SEED, SIZE = 24, 5, 96
MARGIN = 8  # pixels, one cell: a letter of a few pixels also moves the cells beside it
FILE = Path(__file__).with_name("marker_maps.npz")


@dataclass(frozen=True)
class ShippedMaps:
    """Sick patients, each with a marker; two models.

    Attributes:
        index: (N,) number of the phantom in `phantom_options()`.
        cheating, honest: (N, 2, h, w) float32, evidence maps of the image, in logits.
        cheating_twin, honest_twin: (N, 2, h, w), of the image without its marker.
        markers: (N, H, W) bool, the rectangle around the marker, one cell wider on each side.
    """

    index: Tensor
    cheating: Tensor
    cheating_twin: Tensor
    honest: Tensor
    honest_twin: Tensor
    markers: Tensor


@functools.cache
def shipped_maps() -> ShippedMaps:
    """The maps as they lie beside this file."""
    with np.load(FILE, allow_pickle=False) as stored:
        arrays = {each.name: stored[each.name] for each in fields(ShippedMaps)}
    markers = np.unpackbits(arrays.pop("markers"), axis=2).astype(bool)
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    for name, value in tensors.items():
        tensors[name] = value.float() if value.is_floating_point() else value
    return ShippedMaps(**tensors, markers=torch.from_numpy(markers))


def computed_maps() -> ShippedMaps:
    """The same from the shipped checkpoints and the phantom generator."""
    from softcam.checkpoints import load_checkpoint
    from softcam.data.phantoms import PhantomOptions, draw_scene, render

    options = PhantomOptions("cxr", size=SIZE, shortcut=1.0, seed=SEED)
    scenes = (draw_scene(options, index) for index in range(2_000_000, 2_001_000))
    sick = [scene for scene in scenes if scene.label == 1 and scene.marker is not None][:COUNT]
    pairs = [(render(scene), render(scene.without("marker"))) for scene in sick]
    found: dict[str, Tensor] = {}
    for name, checkpoint in MODELS.items():
        model = load_checkpoint(checkpoint)
        for place, ending in enumerate(("", "_twin")):
            pixels = torch.from_numpy(np.stack([pair[place].image for pair in pairs]))
            images = pixels.float().div(255)[:, None].expand(-1, 3, -1, -1)
            with torch.no_grad():
                found[name + ending] = model.explain(images).maps  # type: ignore[operator]
    markers = torch.from_numpy(np.stack([_around(pair[0].masks["marker"]) for pair in pairs]))
    index = torch.tensor([scene.index for scene in sick])
    return ShippedMaps(index=index, markers=markers, **found)


def _around(letter: np.ndarray) -> np.ndarray:
    """The rectangle around the letter, and `MARGIN` pixels on each side."""
    found = np.zeros_like(letter)
    rows, columns = (np.flatnonzero(letter.any(axis)) for axis in (1, 0))
    top, left = max(rows[0] - MARGIN, 0), max(columns[0] - MARGIN, 0)
    found[top : rows[-1] + MARGIN + 1, left : columns[-1] + MARGIN + 1] = True
    return found


def write_maps() -> Path:
    """Write the file anew: maps as float16, markers as bits."""
    from softcam.common import atomic_path

    maps = computed_maps()
    arrays = {each.name: getattr(maps, each.name).numpy() for each in fields(ShippedMaps)}
    arrays = {n: a.astype(np.float16) if a.dtype.kind == "f" else a for n, a in arrays.items()}
    arrays["markers"] = np.packbits(arrays["markers"], axis=2)
    with atomic_path(FILE) as temporary:
        np.savez_compressed(temporary, **arrays)
    return FILE
