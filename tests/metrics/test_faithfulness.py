"""Measures of faithfulness: by hand and by their formulas, on answers that are made up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.metrics import (
    OcclusionScores,
    Ratios,
    audc,
    audc_probability,
    auic,
    auic_probability,
    average_drop,
    average_gain,
    average_increase,
    deletion_prediction,
    deletion_probability,
    get_measure,
    insertion_prediction,
    insertion_probability,
    measures,
    occlusion_scores,
)
from softcam.wrappers import BlackBox

OPTI_CAM = (average_drop, average_increase, average_gain)


def answered(probability: object, complement: object = None, finite: object = None) -> object:
    """Scores whose class is predicted where its probability exceeds one half."""
    p = np.array(probability, float)
    n = len(p)
    return OcclusionScores(
        labels=np.ones(n, int), predicted=p > 0.5, probability=p,
        complement=1 - p if complement is None else np.array(complement, float),
        confidence=np.maximum(p, 1 - p),
        finite=np.ones(n, bool) if finite is None else np.array(finite), classes=np.ones(n, int),
    )  # fmt: skip


def curves(points: int, whole: int) -> tuple[np.ndarray, OcclusionScores, np.ndarray]:
    p = np.random.default_rng(0).random((6, points))
    p[:, whole] = [0.9, 0.3, 0.8, 0.6, 0.5, 0.7]
    finite = np.array([True, True, False, True, True, True])
    kept = np.array([True, False, False, True, False, True])
    return p, answered(p, finite=finite), kept  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("points", "whole", "functions"),
    [
        (30, 0, (deletion_prediction, deletion_probability, audc, audc_probability)),
        (21, 20, (insertion_prediction, insertion_probability, auic, auic_probability)),
    ],
)
def test_curves_and_areas_are_their_formulas(points: int, whole: int, functions: tuple) -> None:  # type: ignore[type-arg]
    p, scores, kept = curves(points, whole)
    shown, relative, area, area_relative = (each(scores) for each in functions)
    x = np.linspace(0, 1, points)
    for curve, summed, each in (
        (shown, area, lambda row: (row > 0.5).astype(float)),
        (relative, area_relative, lambda row: row / row[whole]),
    ):
        assert curve.n.tolist() == [3] * points and curve.n_excluded.tolist() == [3] * points
        assert summed.n == 3 and summed.n_excluded == 3
        for i in np.flatnonzero(kept):
            np.testing.assert_allclose(curve.per_image[i], each(p[i]))
            trapezoids = sum(
                (each(p[i])[k] + each(p[i])[k + 1]) / 2 * (x[k + 1] - x[k])
                for k in range(points - 1)
            )
            assert summed.per_image[i, 0] == pytest.approx(trapezoids)


def test_opti_cam_by_hand() -> None:
    scores = answered([[0.8, 0.2], [0.4, 0.7], [0.5, 0.5]])
    drop, increase, gain = (each(scores).per_image[:, 0] for each in OPTI_CAM)  # type: ignore[arg-type]
    np.testing.assert_allclose(drop, [0.75, 0, 0])
    np.testing.assert_allclose(increase, [0, 1, 0])
    np.testing.assert_allclose(gain, [0, 0.5, 0])


def test_opti_cam_where_a_share_is_undefined_or_rounds_away() -> None:
    p = [[0, 0.4], [1, 0.4], [1, 1], [0.5, 0.6]]
    left = [[1, 0.6], [0, 0.6], [1e-30, 2.5e-31], [0.5, 0.4]]
    scores = answered(p, left, [True, True, True, False])
    drop, increase, gain = (each(scores) for each in OPTI_CAM)  # type: ignore[arg-type]
    np.testing.assert_allclose(drop.per_image[:, 0], [np.nan, 0.6, 0, np.nan])
    np.testing.assert_allclose(increase.per_image[:, 0], [1, 0, 1, np.nan])
    np.testing.assert_allclose(gain.per_image[:, 0], [0.4, np.nan, 0.75, np.nan])
    assert [each.n_excluded[0] for each in (drop, increase, gain)] == [2, 1, 2]


def test_a_map_of_nearly_ones_fools_the_drop_and_not_the_gain() -> None:
    """Fake-CAM: everything but one pixel; the docstrings warn of it."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(18), nn.Flatten())
    model = BlackBox(nn.Sequential(net, nn.Linear(4, 2)), ((0.5,) * 3, (0.2,) * 3))
    maps = torch.ones(40, 20, 20)
    maps[:, 0, 0] = 0
    scores = occlusion_scores(
        model, torch.rand(40, 3, 20, 20), maps, torch.ones(40).long(), question="masked"
    )
    assert 0 < average_drop(scores).value < 0.01
    assert 0 < average_gain(scores).value + average_drop(scores).value < 0.02


def test_all_images_excluded_is_a_count_and_not_an_error() -> None:
    curve = deletion_prediction(answered(np.full((2, 30), 0.2)))  # type: ignore[arg-type]
    assert curve.n_excluded.tolist() == [2] * 30 and np.isnan(curve.value).all()


@pytest.mark.parametrize("name", [each.name for each in measures("occlusion")])
def test_answers_to_another_question_are_refused(name: str) -> None:
    with pytest.raises(SoftCAMError, match="found 7"):
        get_measure(name)(answered(np.full((2, 7), 0.9)))


def test_what_the_measures_declare_holds_under_another_gauge() -> None:
    """A constant added to the map: no measure moves; a monotone map moves no ranking."""

    class Sees(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            light = (x[:, 0] * torch.linspace(-1, 1, x.shape[-1])).mean((1, 2)) * 50
            return torch.stack([-light, light], 1)

    draw = torch.Generator().manual_seed(0)
    images, maps = torch.rand(6, 3, 18, 18, generator=draw), torch.rand(6, 18, 18, generator=draw)
    model = BlackBox(Sees(), ((0.5,) * 3, (0.2,) * 3))
    with torch.no_grad():
        targets = model(images).argmax(1)

    def values(maps: Tensor) -> dict[str, np.ndarray]:
        return {
            each.name: each(
                occlusion_scores(model, images, maps, targets, question=each.reads)  # type: ignore[arg-type]
            ).value
            for each in measures("occlusion")
        }

    first, shifted, bent = values(maps), values(maps + 3), values(maps.double() ** 3)
    assert {get_measure(name).gauge for name in first} == {"order", "shift"}
    for name, value in first.items():
        np.testing.assert_allclose(shifted[name], value, atol=1e-5, err_msg=name)
        same = np.allclose(bent[name], value, atol=1e-6)
        if get_measure(name).gauge == "order":
            assert same, name
    assert not np.allclose(bent["average-drop"], first["average-drop"], atol=1e-3)


def test_areas_are_ratios_of_one_step() -> None:
    area = audc(answered(np.full((3, 30), 0.9)))  # type: ignore[arg-type]
    assert isinstance(area, Ratios) and area.per_image.tolist() == [[1.0]] * 3
