"""Twins: the effect of each part, its mask, and models for which the truth is known."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, UnknownNameError
from softcam.data.phantoms import (
    LESIONS,
    PhantomOptions,
    Scene,
    draw_scene,
    mask_names,
    render,
    split_indices,
)
from softcam.data.records import ImageSet, pack_masks, unpack_mask
from softcam.metrics import evidence_on, twin_slope
from softcam.twins import TwinEffects, is_phantom, twin_effects


class Linear(nn.Module):
    """Logits that are linear in the pixels: A = weights of class c times the grey value."""

    def __init__(self, size: int, classes: int = 2, seed: int = 0) -> None:
        super().__init__()
        drawn = torch.randn(classes, size, size, generator=torch.Generator().manual_seed(seed))
        self.weights = nn.Parameter(drawn.double())
        self.seen: list[int] = []

    def maps(self, images: Tensor) -> Tensor:
        return images.double().mean(1, keepdim=True) * self.weights

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training and not torch.is_grad_enabled()
        self.seen.append(len(images))
        return self.maps(images).mean((2, 3))


def phantoms(modality: str = "cxr", n: int = 6, **options: object) -> ImageSet:
    """The test split in memory."""
    chosen = PhantomOptions(modality, n_train=1, n_val=1, n_test=n, **options)  # type: ignore[arg-type]
    scenes = [draw_scene(chosen, i) for i in split_indices(chosen, "test")]
    drawn = [render(scene) for scene in scenes]
    names = mask_names(modality)
    ids = tuple(str(scene.index) for scene in scenes)
    return ImageSet(
        name=f"phantoms-{modality}", split="test", classes=chosen.classes,
        images=np.stack([each.image for each in drawn]),
        labels=np.array([scene.label for scene in scenes]), ids=ids, patients=ids,
        masks=pack_masks(np.stack([[each.masks[n] for n in names] for each in drawn])),
        mask_names=names, finding_names=LESIONS[modality],
        annotated=np.ones(n, bool), options=chosen.key(),
    )  # fmt: skip


def scenes_of(data: ImageSet) -> list[Scene]:
    options = PhantomOptions(**{k: v for k, v in data.options.items() if k != "generator"})
    return [draw_scene(options, int(name)) for name in data.ids]


def logits_of(model: nn.Module, image: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(image).float() / 255
    colour = pixels.permute(2, 0, 1) if pixels.ndim == 3 else pixels.expand(3, -1, -1)
    model.eval()
    with torch.no_grad():
        return np.asarray(model(colour[None])[0].double())


def one_at_a_time(
    model: nn.Module, data: ImageSet, indices: list[int]
) -> Iterator[tuple[int, str, np.ndarray]]:
    """The definition: image, part and change of the logits, each from two forward passes."""
    for index in indices:
        scene = scenes_of(data)[index]
        whole = render(scene).image
        marker = ["marker"] if scene.marker else []
        for what in [*range(len(scene.lesions)), *marker]:
            twin = render(scene.without(what)).image
            if (twin != whole).any():
                name = what if isinstance(what, str) else scene.lesions[what].kind
                yield index, name, logits_of(model, whole) - logits_of(model, twin)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modality", "task"), [("cxr", "multi"), ("oct", "multi"), ("fundus", "binary")]
)
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_equals_two_forward_passes_a_part(modality: str, task: str, batch_size: int) -> None:
    data = phantoms(modality, task=task, size=48, marker=0.7, seed=3)
    model, indices = Linear(48, 3), [4, 0, 2, 5]
    expected = list(one_at_a_time(model, data, indices))
    model.seen.clear()
    effects = twin_effects(model, data, indices, batch_size=batch_size)
    assert len(effects) == len(expected) > 3
    assert effects.image.tolist() == [row[0] for row in expected]
    assert effects.part == tuple(row[1] for row in expected)
    np.testing.assert_allclose(effects.change, np.stack([row[2] for row in expected]), atol=1e-9)
    asked = len(expected) + len({row[0] for row in expected})  # no image is asked twice
    assert sum(model.seen) == asked and max(model.seen) <= batch_size
    assert effects.masks.shape == (len(effects), 48, 6)
    drawn = [scene for i, scene in enumerate(scenes_of(data)) if i in indices]
    parts = sum(len(scene.lesions) + (scene.marker is not None) for scene in drawn)
    assert effects.n_hidden == parts - len(expected)


@pytest.mark.slow
def test_a_linear_model_has_slope_one() -> None:
    """Its map of the change, read where the pixels change, is the effect: exactly."""
    data = phantoms(size=64, n=30, marker=1.0, seed=1)
    model = Linear(64)
    effects = twin_effects(model, data, range(30))
    scenes = scenes_of(data)
    changes, where = [], []
    count: dict[int, int] = {}
    for index, name in zip(effects.image, effects.part, strict=True):
        number = count[index] = count.get(index, -1) + 1
        what = "marker" if name == "marker" else number
        whole, twin = (render(s).image for s in (scenes[index], scenes[index].without(what)))
        both = torch.from_numpy(np.stack([whole, twin])).float()[:, None].expand(-1, 3, -1, -1)
        maps = model.maps(both / 255)
        changes.append((maps[0] - maps[1])[1].detach())
        where.append(whole != twin)
    evidence = evidence_on(torch.stack(changes), np.arange(len(effects)), np.stack(where))
    ones = np.ones(len(effects), int)
    np.testing.assert_allclose(evidence, effects.effect("raw", ones), atol=1e-9)
    assert twin_slope(evidence, effects.effect("raw", ones)) == pytest.approx(1)


@pytest.mark.slow
def test_the_masks_of_overlapping_lesions_are_their_own() -> None:
    """Two opacities: each mask is that of the same scene with this lesion alone."""
    data = phantoms(size=64, n=60, seed=4)
    effects = twin_effects(Linear(64), data, range(60))
    overlapping = 0
    for index, scene in enumerate(scenes_of(data)):
        rows = [r for r in np.flatnonzero(effects.image == index) if effects.part[r] == "opacity"]
        masks = unpack_mask(effects.masks[rows], 64)
        assert len(rows) == len(scene.lesions)
        for mask, lesion in zip(masks, scene.lesions, strict=True):
            alone = render(replace(scene, lesions=(lesion,))).masks["opacity"]
            np.testing.assert_array_equal(mask, alone)
        if rows:
            np.testing.assert_array_equal(masks.any(0), data.mask(index, "opacity"))
        overlapping += len(rows) == 2 and bool(masks.all(0).any())
    assert overlapping > 0
    marked = [r for r in range(len(effects)) if effects.part[r] == "marker"]
    for r in marked:
        found = unpack_mask(effects.masks[r], 64)
        np.testing.assert_array_equal(found, data.mask(int(effects.image[r]), "marker"))


@pytest.mark.slow
def test_the_masks_of_cysts_are_where_the_cysts_lie() -> None:
    """Cysts lift the retina, so one alone lies elsewhere; together the masks are the data's."""
    data = phantoms("oct", task="multi", n=24, seed=5)
    effects = twin_effects(Linear(128), data, range(24))
    images = {i for i, name in zip(effects.image, effects.part, strict=True) if name == "cyst"}
    assert len(images) > 2
    for index in images:
        rows = [r for r in np.flatnonzero(effects.image == index) if effects.part[r] == "cyst"]
        masks = unpack_mask(effects.masks[rows], 128)
        np.testing.assert_array_equal(masks.any(0), data.mask(int(index), "cyst"))


@pytest.mark.parametrize("modality", ["cxr", "oct", "fundus"])
@pytest.mark.parametrize("sign", ["diffuse", "relational"])
def test_counter_cases_are_one_part(modality: str, sign: str) -> None:
    data = phantoms(modality, sign=sign, size=64, marker=False, seed=6)
    effects = twin_effects(Linear(64), data, range(6))
    assert effects.part == (data.classes[1],) * int(data.labels.sum())
    assert unpack_mask(effects.masks, 64).any((1, 2)).all()


def test_parts_that_nobody_can_see_are_counted() -> None:
    """Lesions that are drawn without contrast."""
    data = phantoms(size=48, n=8, marker=1.0, seed=7)
    hidden = sum(len(scene.lesions) for scene in scenes_of(data))

    def faint(options: PhantomOptions, index: int) -> Scene:
        scene = draw_scene(options, index)
        lesions = tuple(
            replace(each, parameters={**each.parameters, "contrast": 0.0}) for each in scene.lesions
        )
        return replace(scene, lesions=lesions)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("softcam.twins.draw_scene", faint)
        drawn = np.stack([render(faint(scene.options, scene.index)).image
                          for scene in scenes_of(data)])  # fmt: skip
        effects = twin_effects(Linear(48), replace(data, images=drawn), range(8))
    assert hidden > 0 and effects.n_hidden == hidden
    assert effects.part == ("marker",) * 8


def test_a_part_too_faint_for_a_mask_is_where_pixels_change() -> None:
    data = phantoms(size=48, n=8, marker=1.0, seed=7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("softcam.twins.render", _without_masks)
        effects = twin_effects(Linear(48), data, [0])
    scene = scenes_of(data)[0]
    before, after = render(scene).image, render(scene.without("marker")).image
    np.testing.assert_array_equal(unpack_mask(effects.masks[-1], 48), before != after)


def _without_masks(scene: Scene):  # noqa: ANN202
    drawn = render(scene)
    return replace(drawn, masks={name: mask & False for name, mask in drawn.masks.items()})


def test_no_part_at_all() -> None:
    data = phantoms(size=48, marker=False, n=12)
    healthy = np.flatnonzero(data.labels == 0)
    effects = twin_effects(Linear(48), data, healthy)
    assert len(effects) == 0 and effects.part == () and effects.masks.shape == (0, 48, 6)
    assert effects.effect("raw", np.zeros(0, int)).shape == effects.n_alike.shape == (0,)
    assert len(twin_effects(Linear(48), data, [])) == 0


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(2), nn.BatchNorm1d(2), nn.Dropout())
    data = phantoms(size=32)
    model.eval()
    model(data.batch([0, 1]))
    model.train()
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    twin_effects(model, data, range(6), progress=True)
    assert model.training and model[3].training and not model[2].training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


EFFECTS = TwinEffects(
    image=np.array([0, 0, 3]),
    part=("opacity", "marker", "opacity"),
    change=np.array([[1.0, 4.0, -2.0], [0.0, 1.0, 2.0], [3.0, 3.0, 3.0]]),
    masks=pack_masks(np.eye(9, dtype=bool)[None].repeat(3, 0)),
    n_hidden=2,
)


def test_the_effect_in_each_gauge_by_hand() -> None:
    targets, others = np.array([1, 2, 0]), np.array([0, 1, 2])
    assert EFFECTS.effect("raw", targets).tolist() == [4, 2, 3]
    assert EFFECTS.effect("centred", targets).tolist() == [3, 1, 0]
    assert EFFECTS.effect("contrast", targets, others).tolist() == [3, 1, 0]
    assert EFFECTS.effect("contrast", targets, others[::-1].copy()).tolist() == [6, 1, 0]


def test_parts_of_one_type_are_counted_by_image() -> None:
    several = replace(EFFECTS, image=np.array([3, 0, 3]))
    assert several.n_alike.tolist() == [2, 1, 2]
    assert EFFECTS.n_alike.tolist() == [1, 1, 1]


def test_one_logit_has_the_raw_gauge_only() -> None:
    single = replace(EFFECTS, change=EFFECTS.change[:, :1])
    zeros = np.zeros(3, int)
    assert single.effect("raw", zeros).tolist() == [1, 0, 3]
    for gauge in ("centred", "contrast"):
        with pytest.raises(SoftCAMError, match="one logit has no other class"):
            single.effect(gauge, zeros, zeros)


def test_wrong_questions() -> None:
    good = np.zeros(3, int)
    with pytest.raises(UnknownNameError, match="centred"):
        EFFECTS.effect("centered", good)
    with pytest.raises(SoftCAMError, match="needs `others`"):
        EFFECTS.effect("contrast", good)
    for bad, message in (
        (good + 3, "from 3 to 3"), (good - 1, "from -1"), (good[:2], r"shape \(3,\)"),
        (good * 1.0, "float64"),
    ):  # fmt: skip
        with pytest.raises(SoftCAMError, match=message):
            EFFECTS.effect("raw", bad)
        with pytest.raises(SoftCAMError, match="others"):
            EFFECTS.effect("contrast", good, bad)


def test_kept_on_disk_without_pickles() -> None:
    file = io.BytesIO()
    np.savez(file, **EFFECTS.arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        back = TwinEffects.from_arrays(stored)
    assert back.part == EFFECTS.part and back.n_hidden == 2
    for name in ("image", "change", "masks"):
        np.testing.assert_array_equal(getattr(back, name), getattr(EFFECTS, name))
    arrays = EFFECTS.arrays()
    with pytest.raises(SoftCAMError, match="one row a part"):
        TwinEffects.from_arrays({**arrays, "change": arrays["change"][:2]})
    del arrays["masks"]
    with pytest.raises(SoftCAMError, match="masks missing"):
        TwinEffects.from_arrays(arrays)


def test_only_phantoms_have_twins() -> None:
    data = phantoms(size=32)
    assert is_phantom(data)
    for other in (
        replace(data, options={}),
        replace(data, options={"path": "x"}),
        replace(data, ids=tuple(f"p{i}" for i in range(6))),
    ):
        assert not is_phantom(other)
        with pytest.raises(SoftCAMError, match="no set of phantoms"):
            twin_effects(Linear(32), other, [0])


def test_phantoms_that_are_not_what_they_say() -> None:
    data = phantoms(size=32)
    old = replace(data, options={**data.options, "generator": 0})
    with pytest.raises(SoftCAMError, match="version 0 of the generator"):
        twin_effects(Linear(32), old, [0])
    with pytest.raises(SoftCAMError, match="not what its options draw"):
        twin_effects(Linear(32), replace(data, images=data.images[::-1]), range(6))
    rounded = np.minimum(data.images, 254) + 1
    assert len(twin_effects(Linear(32), replace(data, images=rounded), range(6)))
    for bad in ([6], [-1]):
        with pytest.raises(SoftCAMError, match="has 6 images"):
            twin_effects(Linear(32), data, bad)


def test_a_broken_model_is_no_truth() -> None:
    model = Linear(32)
    model.weights.data[1, 3, 3] = torch.nan
    with pytest.raises(SoftCAMError, match="NaN or infinite"):
        twin_effects(model, phantoms(size=32), range(6))
