"""Twins: one part taken out, all else identical to the pixel; and the drawing tools under them."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.common import DataError, UnknownNameError
from softcam.data.phantoms import LESIONS, MODALITIES, PhantomOptions, draw_scene, render
from softcam.data.phantoms.drawing import edge, letters, smooth_noise, strokes, trails


def first(options: PhantomOptions, wanted):
    return next(s for s in (draw_scene(options, i) for i in range(200)) if wanted(s))


def changed(scene, twin, size=128):
    before, after = render(scene, size).image, render(twin, size).image
    difference = before.astype(int) - after.astype(int)
    return np.abs(difference if difference.ndim == 2 else difference.max(-1)) > 0


def grown(mask, pixels):
    out = mask.copy()
    for _ in range(pixels):
        out[1:] |= out[:-1]
        out[:-1] |= out[1:]
        out[:, 1:] |= out[:, :-1]
        out[:, :-1] |= out[:, 1:]
    return out


@pytest.mark.parametrize("modality", MODALITIES)
def test_without_the_marker_only_the_marker_changes(modality):
    scene = first(PhantomOptions(modality, marker=1.0, seed=1), lambda s: s.label == 1)
    where = changed(scene, scene.without("marker"))
    mask = render(scene).masks["marker"]
    assert where[mask].mean() > 0.95
    assert not (where & ~grown(mask, 2)).any()


@pytest.mark.parametrize(("modality", "task"), [("cxr", "multi"), ("fundus", "multi")])
def test_without_lesions_nothing_far_from_them_changes(modality, task):
    options = PhantomOptions(modality, task, seed=2)
    for wanted in range(1, len(options.classes)):
        scene = first(options, lambda s, wanted=wanted: s.label == wanted)
        masks = render(scene).masks
        union = np.any([masks[name] for name in LESIONS[modality]], axis=0)
        where = changed(scene, scene.without("lesions"))
        assert where[union].mean() > 0.8
        assert not (where & ~grown(union, 8)).any()


def test_oct_lesions_change_only_their_columns_and_nothing_below_the_membrane():
    """Fluid lifts the layers above it, so an OCT twin differs in columns."""
    scene = first(PhantomOptions("oct", seed=3), lambda s: s.label == 1)
    where = changed(scene, scene.without("lesions"))
    mask = render(scene).masks["drusen"]
    columns = grown(mask.any(0)[None].repeat(128, 0), 6)
    assert where.any() and not (where & ~columns).any()
    below = render(scene).masks["choroid"] & ~grown(mask, 3)
    assert below.any() and not where[below].any()


@pytest.mark.parametrize("modality", MODALITIES)
def test_one_lesion_out_leaves_the_others_as_they_were(modality):
    scene = first(PhantomOptions(modality, seed=4), lambda s: len(s.lesions) > 1)
    twin = scene.without(0)
    assert twin.lesions == scene.lesions[1:]
    assert twin.anatomy == scene.anatomy and twin.marker == scene.marker
    assert twin.lookalikes == scene.lookalikes and twin.label == scene.label
    assert changed(scene, twin).any()


def test_one_type_out_empties_its_mask_only():
    options = PhantomOptions("fundus", "multi", seed=5)
    scene = first(options, lambda s: {"haemorrhage", "hard_exudate"} <= {x.kind for x in s.lesions})
    before, after = render(scene).masks, render(scene.without("haemorrhage")).masks
    assert before["haemorrhage"].any() and not after["haemorrhage"].any()
    same = [name for name in before if name != "haemorrhage"]
    assert all(np.array_equal(before[name], after[name]) for name in same)


@pytest.mark.parametrize("sign", ["diffuse", "relational"])
@pytest.mark.parametrize("modality", MODALITIES)
def test_without_its_sign_a_counter_case_is_healthy(modality, sign):
    options = PhantomOptions(modality, sign=sign, seed=6)
    scene = first(options, lambda s: s.label == 1)
    twin = scene.without("lesions")
    assert twin.lesions == () and changed(scene, twin).mean() > 0.003
    assert not any(render(twin).masks[name].any() for name in LESIONS[modality])


def test_a_healthy_scene_is_its_own_twin():
    scene = first(PhantomOptions("oct", seed=7), lambda s: s.label == 0)
    assert not changed(scene, scene.without("lesions")).any()


def test_parts_that_do_not_exist_are_refused():
    scene = first(PhantomOptions("cxr", seed=8), lambda s: s.label == 1)
    with pytest.raises(UnknownNameError, match="opacity"):
        scene.without("opacitty")
    with pytest.raises(DataError, match="counted from 0"):
        scene.without(len(scene.lesions))


def test_an_edge_is_a_smooth_step():
    values = edge(np.array([-1.0, -0.1, 0.0, 0.1, 1.0], np.float32), 0.2)
    assert values.tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0], abs=1e-6)


def test_smooth_noise_has_unit_variance_and_no_jumps():
    fields = np.stack([smooth_noise(np.random.default_rng(seed), 64, 8, 8) for seed in range(60)])
    assert fields.std() == pytest.approx(1.0, abs=0.08)
    assert np.abs(np.diff(fields, axis=1)).max() < 0.8  # a cell is 8 pixels wide


def test_a_stroke_is_half_as_strong_one_radius_away():
    along = np.linspace(0.2, 0.8, 200)
    line = np.stack([along, np.full(200, 0.5 + 0.5 / 64)], 1)  # on the centres of row 32
    drawn = strokes(64, line, np.full(200, 3 / 64), np.ones(200))
    assert drawn[32, 32] == pytest.approx(1.0, abs=1e-3)
    assert drawn[35, 32] == pytest.approx(0.5, abs=1e-3)
    assert drawn[29, 32] == pytest.approx(drawn[35, 32], abs=1e-6)
    assert drawn[50].max() == 0


def test_letters_cover_their_dots():
    ink = letters(70, "L", 0.1, 0.2, 0.7)  # 7 dots of 7 pixels
    assert ink[14:63, 7:14].min() == pytest.approx(1.0)  # the stem: 5 x 7 dots from (7, 14)
    assert ink[56:63, 7:42].min() == pytest.approx(1.0)  # the foot
    assert ink.sum() == pytest.approx((7 + 4) * 49, rel=1e-4)


def test_a_trail_without_bend_is_straight_and_as_long_as_asked():
    path = trails(np.zeros((1, 2)), np.array([0.0]), np.zeros(1), np.array([0.5]), 11)[0]
    assert path[-1] == pytest.approx([0.5, 0.0])
    assert np.allclose(path[:, 1], 0)
