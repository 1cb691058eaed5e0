"""Phantoms: what is drawn follows from the options, the seed and the index, and from no more."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.common import DataError, UnknownNameError
from softcam.data.phantoms import (
    ANATOMY,
    CLASSES,
    LESIONS,
    MODALITIES,
    PhantomOptions,
    draw_scene,
    grade_of,
    ideal_map,
    mask_names,
    phantom_splits,
    render,
)

HERE = Path(__file__).parent / "phantoms"
REFERENCES = json.loads((HERE / "references.json").read_text(encoding="utf-8"))
TASKS = sorted(CLASSES)


def scenes(options: PhantomOptions, count: int = 40):
    return [draw_scene(options, index) for index in range(count)]


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_pixels_match_the_committed_reference(name):
    entry = REFERENCES[name]
    image = render(draw_scene(PhantomOptions(**entry["options"]), entry["index"]), 128).image
    expected = np.asarray(Image.open(HERE / f"{name}.png"))
    assert image.shape == expected.shape
    worst = int(np.abs(image.astype(int) - expected.astype(int)).max())
    assert worst <= 1, (
        f"{name} differs by {worst} grey levels: if the change is wanted, raise GENERATOR_VERSION "
        "and run `python tools/draw_phantoms.py --references`"
    )


def test_references_cover_every_modality_marker_and_counter_case():
    table = [(name, PhantomOptions(**e["options"]), e["index"]) for name, e in REFERENCES.items()]
    for modality in MODALITIES:
        mine = [(o, draw_scene(o, i)) for _, o, i in table if o.modality == modality]
        assert len(mine) == 4
        assert any(scene.marker for _, scene in mine)
        assert any(options.sign != "local" for options, _ in mine) or modality == "fundus"
        assert len({scene.label for _, scene in mine}) >= 2


@pytest.mark.parametrize("modality", MODALITIES)
def test_an_item_does_not_depend_on_what_else_is_drawn(modality):
    few = PhantomOptions(modality, seed=7, n_train=2)
    many = PhantomOptions(modality, seed=7, n_train=900)
    for index in range(5):
        draw_scene(many, index)  # drawn before, in another order
    first, again = render(draw_scene(few, 3), 64), render(draw_scene(many, 3), 64)
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, render(draw_scene(few, 4), 64).image)
    other = PhantomOptions(modality, seed=8)
    assert not np.array_equal(first.image, render(draw_scene(other, 3), 64).image)


@pytest.mark.slow
@pytest.mark.parametrize(("modality", "task"), TASKS)
def test_masks_are_the_fixed_list_and_lesions_are_where_the_label_says(modality, task):
    options = PhantomOptions(modality, task, size=96, seed=2)
    for scene in scenes(options, 30):
        phantom = render(scene)
        assert tuple(phantom.masks) == mask_names(modality)
        shape = phantom.image.shape[:2]
        assert all(m.dtype == bool and m.shape == shape for m in phantom.masks.values())
        drawn = {lesion.kind for lesion in scene.lesions}
        marked = {name for name in LESIONS[modality] if phantom.masks[name].any()}
        assert marked == drawn, f"item {scene.index}: drawn {drawn}, marked {marked}"
        assert bool(drawn) == (scene.label > 0)
        assert phantom.masks["marker"].any() == (scene.marker is not None)
        missing = [name for name in ANATOMY[modality] if not phantom.masks[name].any()]
        assert not missing, f"item {scene.index} has no {missing}"


@pytest.mark.parametrize("sign", ["diffuse", "relational"])
@pytest.mark.parametrize("modality", MODALITIES)
def test_counter_cases_carry_one_sign_with_a_mask(modality, sign):
    options = PhantomOptions(modality, sign=sign, size=96, seed=3)
    for scene in scenes(options, 12):
        kinds = [lesion.kind for lesion in scene.lesions]
        assert kinds == ([options.classes[1]] if scene.label else [])
        if scene.label:
            phantom = render(scene)
            assert phantom.masks[options.classes[1]].sum() > 20


def test_opacities_lie_in_the_lungs():
    options = PhantomOptions("cxr", seed=4)
    for scene in scenes(options, 30):
        masks = render(scene).masks
        outside = masks["opacity"] & ~masks["lungs"]
        assert outside.sum() <= 0.1 * max(1, masks["opacity"].sum())


def test_opacities_are_an_eighth_to_a_third_of_the_width():
    options = PhantomOptions("cxr", seed=4)
    diameters = []
    for scene in scenes(options, 60):
        for k in range(len(scene.lesions)):
            alone = scene
            for other in reversed([i for i in range(len(scene.lesions)) if i != k]):
                alone = alone.without(other)
            area = render(alone).masks["opacity"].sum()
            diameters.append(2 * np.sqrt(area / np.pi) / 128)
    low, high = np.quantile(diameters, [0.05, 0.95])
    assert 0.10 < low < high < 0.34, (low, high)


def test_the_grade_follows_from_the_lesions():
    options = PhantomOptions("fundus", "multi", seed=5)
    drawn = scenes(options, 200)
    assert {scene.true_label for scene in drawn} == {0, 1, 2, 3, 4}
    assert all(grade_of(scene.lesions) == scene.true_label for scene in drawn)
    four = next(scene for scene in drawn if scene.true_label == 4)
    assert grade_of(four.without("new_vessel").lesions) < 4


@pytest.mark.parametrize(("modality", "task"), TASKS)
def test_classes_are_balanced(modality, task):
    options = PhantomOptions(modality, task, seed=6)
    labels = np.array([draw_scene(options, index).label for index in range(600)])
    counts = np.bincount(labels, minlength=len(options.classes))
    share = 1 / len(options.classes)
    spread = 4 * np.sqrt(600 * share * (1 - share))  # four standard errors
    assert np.all(np.abs(counts - 600 * share) < spread), counts


@pytest.mark.slow
@pytest.mark.parametrize(("strength", "rate"), [(0.0, 0.3), (0.5, 0.5), (1.0, 0.5)])
def test_the_shortcut_has_the_strength_it_says(strength, rate):
    options = PhantomOptions("cxr", shortcut=strength, marker=rate, seed=7)
    drawn = scenes(options, 800)
    for label in (0, 1):
        seen = [scene.marker is not None for scene in drawn if scene.label == label]
        expected = (1 - strength) * rate + strength * label
        error = 4 * np.sqrt(max(expected * (1 - expected), 0) / len(seen))
        assert abs(np.mean(seen) - expected) <= error
    assert not any(s.marker for s in scenes(PhantomOptions("cxr", marker=False, seed=7)))


def test_the_marker_stays_off_the_lungs():
    options = PhantomOptions("cxr", marker=1.0, seed=8)
    for scene in scenes(options, 60):
        masks = render(scene, 64).masks
        assert not (masks["marker"] & masks["lungs"]).any()


def test_label_noise_flips_labels_and_leaves_the_pixels():
    clean, noisy = (PhantomOptions("oct", "multi", label_noise=p, seed=9) for p in (0.0, 0.25))
    flipped = 0
    for index in range(400):
        a, b = draw_scene(clean, index), draw_scene(noisy, index)
        assert a.label == a.true_label == b.true_label
        assert a.lesions == b.lesions
        flipped += b.label != b.true_label
    assert abs(flipped / 400 - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 400)


def test_look_alikes_are_as_frequent_in_both_classes_and_can_be_left_out():
    options = PhantomOptions("fundus", seed=10)
    drawn = scenes(options, 400)
    means = [np.mean([len(s.lookalikes) for s in drawn if s.label == c]) for c in (0, 1)]
    assert abs(means[0] - means[1]) < 0.6 and min(means) > 1
    assert not any(s.lookalikes for s in scenes(PhantomOptions("fundus", lookalikes=False)))


def test_difficulty_changes_the_drawing_and_not_the_scene():
    easy, hard = (PhantomOptions("cxr", difficulty=d, seed=11) for d in ("easy", "hard"))
    index = next(i for i in range(20) if draw_scene(easy, i).label)
    a, b = draw_scene(easy, index), draw_scene(hard, index)
    assert a.lesions == b.lesions and a.anatomy == b.anatomy

    def effect(scene):
        with_it, without = render(scene).image, render(scene.without("lesions")).image
        return np.abs(with_it.astype(float) - without).sum()

    assert effect(b) < 0.7 * effect(a)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 8}, "from 32"),
        ({"size": 64.0}, "whole number"),
        ({"shortcut": 1.5}, "from 0 to 1"),
        ({"label_noise": float("nan")}, "from 0 to 1"),
        ({"marker": 2.0}, "marker is 2.0"),
        ({"marker": False, "shortcut": 0.5}, "needs a marker"),
        ({"task": "multi", "sign": "diffuse"}, "binary"),
        ({"n_train": 0}, "n_train"),
        ({"lookalikes": 1}, "True or False"),
        ({"seed": -1}, "seed"),
    ],
)
def test_options_that_make_no_sense_are_refused(change, words):
    with pytest.raises(DataError, match=words):
        PhantomOptions("cxr", **change)


@pytest.mark.parametrize(
    "change", [{"modality": "mri"}, {"task": "ternary"}, {"difficulty": "hrd"}, {"sign": "odd"}]
)
def test_unknown_names_are_refused_with_the_known_ones(change):
    with pytest.raises(UnknownNameError, match="Known"):
        PhantomOptions(**{"modality": "cxr", **change})


def test_negative_items_are_refused():
    with pytest.raises(DataError, match="index is -1"):
        draw_scene(PhantomOptions("cxr"), -1)


def test_splits_are_the_scenes_and_share_no_item(tmp_path, monkeypatch):
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))
    options = PhantomOptions("fundus", size=32, n_train=5, n_val=3, n_test=4, seed=12)
    splits = phantom_splits(options)
    assert [len(splits[name]) for name in ("train", "val", "test")] == [5, 3, 4]
    assert splits.name == "phantoms-fundus" and splits.classes == options.classes
    ids = [i for name in ("train", "val", "test") for i in splits[name].ids]
    assert len(set(ids)) == 12
    part = splits.test
    for k, name in enumerate(part.ids):
        scene = draw_scene(options, int(name))
        phantom = render(scene)
        assert np.array_equal(part.images[k], phantom.image)
        assert part.labels[k] == scene.label
        for mask in mask_names("fundus"):
            assert np.array_equal(part.mask(k, mask), phantom.masks[mask])
    assert phantom_splits(options).fingerprint == splits.fingerprint
    harder = PhantomOptions("fundus", size=32, n_train=5, n_val=3, n_test=4, difficulty="hard")
    assert phantom_splits(harder).fingerprint != splits.fingerprint


@pytest.mark.parametrize("sign", ["local", "diffuse", "relational"])
@pytest.mark.parametrize("modality", MODALITIES)
def test_the_ideal_map_is_written_down(modality, sign):
    plain = PhantomOptions(modality, sign=sign, marker=False, lookalikes=False)
    full = PhantomOptions(modality, sign=sign, shortcut=0.5, label_noise=0.1)
    assert len(ideal_map(plain)) > 60
    assert ideal_map(full).startswith(ideal_map(plain))
    assert "marker" in ideal_map(full) and "Look-alikes" in ideal_map(full)
