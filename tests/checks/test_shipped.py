"""The maps that lie in the package are those of the shipped models, and what they are taken for."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor

from softcam.checkpoints import load_checkpoint
from softcam.checks.shipped import FILE, ShippedMaps, shipped_maps
from softcam.data.phantoms import PhantomOptions, draw_scene, render

MODELS = {"cheating": "cxr-marker", "honest": "cxr-sparse"}  # as in notebook 00
COUNT, SEED, SIZE = 24, 5, 96
MARGIN = 8  # pixels, one cell: a letter of a few pixels also moves the cells beside it


def computed_maps() -> ShippedMaps:
    """The maps from the shipped checkpoints and the phantom generator."""
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


def test_one_model_decides_by_the_marker_and_the_other_does_not() -> None:
    maps = shipped_maps()
    changed = {}
    for name in ("cheating", "honest"):
        margins = [getattr(maps, n).mean((2, 3)).diff(dim=1)[:, 0] for n in (name, f"{name}_twin")]
        changed[name] = float(((margins[0] > 0) != (margins[1] > 0)).float().mean())
        assert (margins[0] > 0).float().mean() > 0.9  # with the marker both pass the exam
    assert changed["cheating"] > 0.9 and changed["honest"] == 0.0
    assert maps.markers.flatten(1).any(1).all() and maps.markers.float().mean() < 0.1


def test_the_file_is_small() -> None:
    assert FILE.stat().st_size < 300_000


@pytest.mark.slow
def test_the_file_is_what_the_models_say() -> None:
    stored, anew = shipped_maps(), computed_maps()
    for each in fields(ShippedMaps):
        a, b = getattr(stored, each.name), getattr(anew, each.name)
        # stored as float16
        torch.testing.assert_close(a.float(), b.float(), rtol=2e-3, atol=2e-3, msg=each.name)
