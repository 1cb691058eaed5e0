"""Shortcuts taken apart: parts that sum to the logit, exact redrawings, and the penalty."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from softcam.common import SoftCAMError, UnknownNameError
from softcam.data.phantoms import PhantomOptions, draw_scene, phantom_splits, render
from softcam.data.records import ImageSet
from softcam.evidence import SoftCAM
from softcam.metrics import evidence_on
from softcam.objective import TrainingDiverged
from softcam.runs import build_model
from softcam.shortcuts import (
    CHANGES,
    evidence_inside,
    part_masks,
    redrawn,
    repair,
    repairing,
    take_apart,
    widen,
)
from tests.tiny import TINY

OPTIONS = PhantomOptions("cxr", size=32, shortcut=1.0, n_train=24, n_val=4, n_test=12, seed=5)


@pytest.fixture
def data(project: Path) -> ImageSet:
    return phantom_splits(OPTIONS, progress=False).train


@pytest.fixture
def model() -> SoftCAM:
    built = build_model(TINY, 2, None)
    assert isinstance(built, SoftCAM)
    return built.eval()


def by_hand(values: np.ndarray, parts: list[np.ndarray]) -> np.ndarray:
    """What each part adds, a pixel at a time; a pixel adds its share of its cell's contribution."""
    rows, columns = parts[0].shape
    sums = np.zeros(len(parts) + 1)
    tall, wide = rows // values.shape[0], columns // values.shape[1]
    for y in range(rows):
        for x in range(columns):
            pixel = values[y // tall, x // wide] / values.size / (tall * wide)
            first = next((k for k, part in enumerate(parts) if part[y, x]), len(parts))
            sums[first] += pixel
    return sums


def drawn_parts(seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(3, 4, 3, generator=generator, dtype=torch.float64)
    masks = {n: torch.rand(3, 8, 12, generator=generator) < 0.3 for n in ("marker", "lesion")}
    return maps, masks


def test_parts_are_what_a_loop_over_the_pixels_says() -> None:
    maps, masks = drawn_parts()
    found = take_apart(maps, masks)
    assert found.parts == ("marker", "lesion", "elsewhere") and len(found) == 3
    for i in range(3):
        parts = [each[i].numpy() for each in masks.values()]
        values = maps[i].numpy()
        np.testing.assert_allclose(found.signed[i], by_hand(values, parts), atol=1e-12)
        np.testing.assert_allclose(found.absolute[i], by_hand(np.abs(values), parts), atol=1e-12)
        positive = by_hand(np.maximum(values, 0), parts)
        np.testing.assert_allclose(found.positive[i], positive, atol=1e-12)
        np.testing.assert_allclose(found.area[i], by_hand(np.ones_like(values), parts), atol=1e-12)


def test_parts_sum_to_the_logit_and_shares_to_one() -> None:
    maps, masks = drawn_parts(1)
    found = take_apart(maps, masks)
    np.testing.assert_allclose(found.signed.sum(1), maps.mean((1, 2)), atol=1e-12)
    for kind in ("positive", "absolute", "area"):
        np.testing.assert_allclose(found.share(kind).sum(1), 1)  # type: ignore[arg-type]


def test_the_first_part_is_what_evidence_on_says() -> None:
    maps, masks = drawn_parts(2)
    expected = evidence_on(maps, np.arange(3), masks["marker"].numpy(), width=12)
    np.testing.assert_allclose(take_apart(maps, masks).of("marker"), expected, atol=1e-12)


def test_a_map_without_positive_evidence_has_no_share_of_it() -> None:
    maps, masks = drawn_parts()
    maps[1] = -maps[1].abs()
    found = take_apart(maps, masks)
    assert np.isnan(found.share("positive")[1]).all()
    assert np.isfinite(found.share("positive")[[0, 2]]).all()
    table = found.table(n_boot=50).set_index(["quantity", "part"])
    assert table.loc[("positive", "marker"), "n"] == 2 and table.loc[("logit", "marker"), "n"] == 3
    mean = found.of("marker").mean()
    row = table.loc[("logit", "marker")]
    assert row["value"] == pytest.approx(mean) and row["low"] <= mean <= row["high"]


def test_what_has_no_parts_is_refused() -> None:
    maps, masks = drawn_parts()
    with pytest.raises(SoftCAMError, match="choose one class"):
        take_apart(maps[None], masks)
    with pytest.raises(SoftCAMError, match="another name"):
        take_apart(maps, {"elsewhere": masks["marker"]})
    with pytest.raises(SoftCAMError, match="one bool mask"):
        take_apart(maps, {"marker": masks["marker"][:2]})
    with pytest.raises(SoftCAMError, match="NaN"):
        take_apart(maps * float("nan"), masks)
    with pytest.raises(UnknownNameError, match="'marker'"):
        take_apart(maps, masks).of("markr")
    with pytest.raises(UnknownNameError, match="absolute"):
        take_apart(maps, masks).share("absolut")  # type: ignore[arg-type]


def test_a_mask_grows_by_a_square() -> None:
    mask = torch.zeros(2, 7, 9, dtype=torch.bool)
    mask[0, 3, 4] = True
    grown = widen(mask, 2)
    assert grown[0, 1:6, 2:7].all() and grown.sum() == 25
    assert torch.equal(widen(mask, 0), mask) and widen(mask[:0], 3).shape == (0, 7, 9)
    with pytest.raises(SoftCAMError, match="0 or more"):
        widen(mask, -1)


@pytest.mark.slow
def test_redrawn_patients_differ_in_the_one_thing(data: ImageSet) -> None:
    rows = range(len(data))
    drawn = {change: redrawn(data, rows, change) for change in CHANGES}
    assert torch.equal(drawn["nothing"], data.batch(rows))
    always = replace(OPTIONS, shortcut=0.0, marker=1.0)
    assert 0 < (data.labels == 1).sum() < len(data)
    for i, name in enumerate(data.ids):
        scene, marked = draw_scene(OPTIONS, int(name)), draw_scene(always, int(name))
        assert (scene.marker is not None) == (data.labels[i] == 1)
        swapped = scene.without("marker") if scene.marker else marked
        expected = {
            "without marker": scene.without("marker"),
            "without lesions": scene.without("lesions"),
            "marker on all": marked,
            "markers swapped": swapped,
        }
        for change, twin in expected.items():
            pixels = torch.from_numpy(render(twin).image).float() / 255
            assert torch.equal(drawn[change][i], pixels.expand(3, -1, -1)), (change, name)


def test_only_phantoms_of_this_generator_are_redrawn(data: ImageSet) -> None:
    with pytest.raises(UnknownNameError, match="without marker"):
        redrawn(data, [0], "without markers")
    with pytest.raises(SoftCAMError, match="no set of phantoms"):
        redrawn(replace(data, options={}), [0], "nothing")
    with pytest.raises(SoftCAMError, match="draw the set again"):
        redrawn(replace(data, options={**data.options, "generator": 0}), [0], "nothing")


def test_masks_of_marker_and_lesion(data: ImageSet) -> None:
    masks = part_masks(data, [3, 0, 7])
    for k, i in enumerate([3, 0, 7]):
        assert torch.equal(masks["marker"][k], torch.from_numpy(data.mask(i, "marker")))
        assert torch.equal(masks["lesion"][k], torch.from_numpy(data.finding(i)))
    assert part_masks(data, [])["lesion"].shape == (0, 32, 32)


def test_the_penalty_reads_each_marked_pixels_cell() -> None:
    maps = torch.randn(3, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    masks = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.2
    masks[1] = False
    found = evidence_inside(maps, masks)
    half = (maps[:, 1] - maps[:, 0]).abs() / 2
    large = half.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert found[1] == 0
    for i in (0, 2):
        assert found[i].item() == pytest.approx(large[i][masks[i]].mean().item(), rel=1e-12)
    raw = evidence_inside(maps[:, :1], masks, "sigmoid")
    large = maps[:, 0].abs().repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert raw[0].item() == pytest.approx(large[0][masks[0]].mean().item(), rel=1e-12)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert maps.grad is not None
    untouched = ~masks.view(3, 4, 2, 4, 2).any(4).any(2)
    assert maps.grad.abs().sum(1)[untouched].max() == 0 < maps.grad.abs().max()


def test_no_gauge_changes_the_penalty_of_a_softmax() -> None:
    maps, masks = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.ones(2, 8, 8).bool()
    shifted = maps + torch.randn(2, 1, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(evidence_inside(maps, masks), evidence_inside(shifted, masks))
    with pytest.raises(SoftCAMError, match="expected maps"):
        evidence_inside(maps, masks[:1])


def test_images_and_masks_are_flipped_alike(data: ImageSet) -> None:
    """An image that *is* its mask stays so."""
    masks = np.stack([data.mask(i, "marker") for i in range(len(data))])
    drawn = replace(data, images=(masks * 255).astype(np.uint8))
    rows = np.flatnonzero(masks.any((1, 2)))
    images, moved = repairing._batch(drawn, rows, ("marker",), 0, (0, 1))
    assert moved is not None and torch.equal(images[:, 0] > 0, moved)
    assert not torch.equal(moved, torch.from_numpy(masks[rows])), "none was flipped"


def test_a_repair_is_repeatable_and_leaves_the_model_alone(data: ImageSet, model: SoftCAM) -> None:
    before = copy.deepcopy(model.state_dict())
    options = {"avoid": ("marker",), "weight": 0.1, "epochs": 1, "batch_size": 8}
    twice = [repair(model, data, progress=False, **options) for _ in range(2)]  # type: ignore[arg-type]
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), f"{key} of the model that was given changed"
    first, second = (each.state_dict() for each in twice)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not twice[0].training
    other = repair(model, data, progress=False, **{**options, "seed": 1})  # type: ignore[arg-type]
    assert any(not torch.equal(first[key], value) for key, value in other.state_dict().items())


def test_the_loss_is_cross_entropy_and_the_weighted_penalty(data: ImageSet, model: SoftCAM) -> None:
    rows = np.arange(8)
    images, labels = data.batch(rows), torch.from_numpy(data.labels[rows])
    masks = part_masks(data, rows)["marker"]
    maps = model.evidence_maps(images)
    expected = F.cross_entropy(maps.mean((2, 3)), labels) + 3 * evidence_inside(maps, masks).mean()
    found = repairing._loss(model, images, labels, masks, 3.0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    plain = repairing._loss(model, images, labels, None, 0.0)
    assert plain.item() == pytest.approx(F.cross_entropy(maps.mean((2, 3)), labels).item())
    assert plain < found


def test_a_repair_that_cannot_be_done_is_refused(data: ImageSet, model: SoftCAM) -> None:
    with pytest.raises(SoftCAMError, match="masks to avoid"):
        repair(model, data, weight=1.0)
    with pytest.raises(SoftCAMError, match="masks to avoid"):
        repair(model, data, avoid=("marker",))
    with pytest.raises(SoftCAMError, match="do not fill one batch"):
        repair(model, data, batch_size=64)
    with pytest.raises(UnknownNameError, match="'marker'"):
        repair(model, data, avoid=("markr",), weight=1.0, batch_size=8, progress=False)
    with torch.no_grad():
        model.get_classifier().weight.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match="epoch 0, batch 0"):
        repair(model, data, batch_size=8, progress=False)
