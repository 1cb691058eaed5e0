"""Matching with masks against the definition, chance and hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.common import SoftCAMError
from softcam.data import PhantomOptions, phantom_splits
from softcam.layerwise import ClusterMap, LayerExplanation, concept_scores, masks_of, match_concepts
from softcam.layerwise.concepts import LABEL_COLUMNS
from tests.layerwise.oracle import chance_by_definition, mass, overlap, score_by_definition


def boxes(side: int = 12) -> dict[str, np.ndarray]:
    """A small and a large mask that overlap, and one that is neither."""
    masks = {name: np.zeros((side, side), bool) for name in ("lesion", "lung", "bone")}
    masks["lesion"][2:5, 2:5] = True
    masks["lung"][1:9, 1:7] = True
    masks["bone"][1:11, 10] = True
    return masks


def explained(
    *maps: np.ndarray, shares: tuple[float, ...] = (), layer: str = "last"
) -> LayerExplanation:
    shares = shares or tuple(range(len(maps), 0, -1))
    clusters = tuple(
        ClusterMap(layer, i, m.astype(np.float32), share, (i,))
        for i, (m, share) in enumerate(zip(maps, shares, strict=True))
    )
    return LayerExplanation(layer, maps[0].shape, 10, len(maps), clusters, None)


def test_scores_are_those_of_the_definition() -> None:
    values = np.random.default_rng(0).random((12, 12))
    found = concept_scores(values, boxes()).set_index("label")
    for name, mask in boxes().items():
        row = found.loc[name]
        assert row["area"] == mask.mean()
        assert row["iou"] == pytest.approx(overlap(values, mask)[0])
        assert row["mass"] == pytest.approx(mass(values, mask)[0])
        assert row["score"] == pytest.approx(score_by_definition(values, mask))
        assert row["chance"] == pytest.approx(chance_by_definition(values, mask))


def test_a_map_on_its_mask_scores_one_and_beside_it_below_zero() -> None:
    masks = boxes()
    for name, mask in masks.items():
        found = concept_scores(mask.astype(float), masks)
        assert found["label"][0] == name
        assert found.loc[0, ["iou", "mass", "score"]].tolist() == pytest.approx([1, 1, 1])
        assert found["chance"][0] == pytest.approx(1 / mask.size)
    bone = concept_scores(masks["bone"].astype(float), masks).set_index("label")["score"]
    assert bone["lesion"] < 0 and bone["lung"] < 0


def test_a_map_within_a_large_mask_is_called_by_the_small_one() -> None:
    masks = boxes()
    y, x = np.mgrid[:12, :12]
    peak = np.exp(-((y - 3) ** 2 + (x - 3) ** 2) / 6)  # on the lesion, which lies in the lung
    found = concept_scores(peak, masks)
    assert found["label"][0] == "lesion"
    raw = found.set_index("label")["mass"]
    assert raw["lung"] > raw["lesion"], "as it is, the mass would have called it the lung"


def test_a_large_mask_does_not_win_by_its_size() -> None:
    generator = np.random.default_rng(0)
    sizes = {f"{n}": n for n in (2, 6, 12, 18)}
    masks = {name: np.zeros((20, 20), bool) for name in sizes}
    for name, n in sizes.items():
        masks[name][:n, :n] = True
    rows = [
        concept_scores(generator.random((20, 20)), masks).set_index("label") for _ in range(120)
    ]
    for column in ("iou", "mass"):
        means = [np.mean([r.loc[name, column] for r in rows]) for name in sizes]
        assert np.all(np.diff(means) > 0.02), f"{column} as it is grows with the mask"
    for name in sizes:
        scores = [r.loc[name, "score"] for r in rows]
        assert abs(np.mean(scores)) < 4 * np.std(scores) / np.sqrt(len(scores))
        # Under chance a label is kept as often as was asked for, whatever the size.
        lucky = np.mean([r.loc[name, "chance"] <= 0.05 for r in rows])
        assert lucky <= 0.11, f"{name} is kept in {lucky:.0%} of maps of noise"


def test_equal_pixels_are_counted_in_parts() -> None:
    values = np.zeros((6, 6))
    values[0, :2], values[1:3] = 2, 1
    mask = np.zeros((6, 6), bool)
    mask[0, :4], mask[1, :4] = True, True  # eight pixels: two above, six of twelve tied
    found = concept_scores(values, {"mask": mask})
    hit = 2 + 4 * 6 / 12
    assert found["iou"][0] == pytest.approx(hit / (16 - hit))
    assert overlap(values, mask, 4000)[1] == pytest.approx((hit / 8 - 8 / 36) / (28 / 36), abs=0.02)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_constant_map_says_nothing(value: float) -> None:
    found = concept_scores(np.full((3, 3), value), boxes())
    assert (found["score"] == 0).all() and (found["chance"] == 1).all()
    assert match_concepts(explained(np.full((3, 3), value)), boxes()).empty


def test_masks_that_are_nowhere_or_everywhere_are_left_out() -> None:
    masks = {**boxes(), "absent": np.zeros((12, 12), bool), "image": np.ones((12, 12), bool)}
    found = concept_scores(np.random.default_rng(0).random((4, 4)), masks)
    assert set(found["label"]) == set(boxes())
    assert concept_scores(np.ones((2, 2)), {}).empty
    empty = match_concepts(explained(np.ones((2, 2))), {})
    assert empty.empty and tuple(empty.columns) == LABEL_COLUMNS


def test_a_small_map_is_enlarged_bilinearly() -> None:
    mask = np.zeros((8, 8), bool)
    mask[:4, :4] = True
    found = concept_scores(np.array([[1.0, 0.0], [0.0, 0.0]]), {"corner": mask})
    axis = np.clip((np.arange(8) + 0.5) / 4 - 0.5, 0, 1)
    large = np.outer(1 - axis, 1 - axis)
    assert found["mass"][0] == pytest.approx(mass(large, mask)[0])
    assert found["score"][0] == pytest.approx(score_by_definition(large, mask))


def test_the_table_of_labels() -> None:
    masks = boxes()
    maps = explained(masks["lesion"], masks["bone"], shares=(60.0, 30.0))
    found = match_concepts([maps], masks, image="7", class_name="opacity")
    assert tuple(found.columns) == LABEL_COLUMNS
    assert found.groupby("cluster")["label"].first().tolist() == ["lesion", "bone"]
    assert found["score"].between(0, 1).all() and (found["votes"] == 1).all()
    assert set(found["image"]) == {"7"} and set(found["class_name"]) == {"opacity"}
    assert set(found["layer"]) == {"last"}
    for _, rows in found.groupby("cluster"):
        assert rows["score"].is_monotonic_decreasing
    assert match_concepts(maps, masks, best=1).groupby("cluster").size().tolist() == [1, 1]
    assert match_concepts(maps, masks, chance=0).empty


def test_cluster_maps_with_the_same_best_label_are_merged() -> None:
    masks = boxes()
    other = masks["lesion"] + 0.05 * masks["bone"]
    maps = explained(masks["lesion"], masks["bone"], other, shares=(50.0, 30.0, 10.0))
    apart = match_concepts(maps, masks, merge=False)
    assert apart["cluster"].unique().tolist() == [0, 1, 2]
    found = match_concepts(maps, masks)
    assert found["cluster"].unique().tolist() == [0, 1]
    assert found.attrs["merged"] == [
        {"image": "", "layer": "last", "cluster": 0, "members": [0, 2]}
    ]
    lesion = found[found["cluster"] == 0]
    assert (lesion["share"] == 60).all()
    score = [
        concept_scores(each, masks).set_index("label")["score"]
        for each in (maps.clusters[0].map, maps.clusters[2].map)
    ]
    top = lesion[lesion["label"] == "lesion"].iloc[0]
    assert top["votes"] == 2
    assert top["score"] == pytest.approx((50 * score[0]["lesion"] + 10 * score[1]["lesion"]) / 60)


def test_phantoms_and_what_is_marked_in_them(project: object) -> None:
    options = PhantomOptions("cxr", size=48, n_train=8, n_val=1, n_test=1, label_noise=0.0)
    data = phantom_splits(options, progress=False).train
    sick = int(np.flatnonzero(data.labels)[0])
    masks = masks_of(data, sick)
    assert {"opacity", "lungs", "heart", "ribs"} <= set(masks)
    assert all(mask.any() for mask in masks.values()) and "effusion" not in masks
    labels = match_concepts(explained(masks["opacity"].astype(float)), masks)
    assert labels["label"][0] == "opacity"


@pytest.mark.parametrize(
    ("cells", "masks", "says"),
    [
        (np.ones(4), boxes(), "the map has shape"),
        (np.full((2, 2), np.nan), boxes(), "finite"),
        (-np.ones((2, 2)), boxes(), "0 or more"),
        (np.ones((2, 2)), {"a": np.ones((2, 2), bool), "b": np.ones((3, 3), bool)}, "one shape"),
        (np.ones((2, 2)), {"a": np.ones(4, bool)}, "one shape"),
        (np.ones((2, 2)), {"a": np.ones((2, 2))}, "expected bool"),
    ],
)
def test_bad_input(cells: np.ndarray, masks: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(SoftCAMError, match=says):
        concept_scores(cells, masks)
