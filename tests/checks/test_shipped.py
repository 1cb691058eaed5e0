"""The maps that lie in the package are those of the shipped models, and what they are taken for."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from softcam.checks.shipped import FILE, ShippedMaps, computed_maps, shipped_maps


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
