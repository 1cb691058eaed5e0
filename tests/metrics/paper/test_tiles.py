"""Tiles in the order of hiding, and the paper's deletion curves: by hand and by the oracle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.metrics import Ratios, get_measure
from softcam.metrics.occlusion import OcclusionScores, occlusion_scores
from softcam.metrics.paper.tiles import (
    NO_TILE,
    audc,
    audc_confidence,
    deletion_confidence,
    deletion_prediction,
    first_bright_row,
    paper_tile_ranks,
)
from tests.metrics import oracle_sets


def scores(seed: int = 0, classes: int = 4, images: int = 40, steps: int = 30) -> OcclusionScores:
    draw = np.random.default_rng(seed)
    predicted = draw.random((images, steps)) < 0.7
    finite = draw.random(images) < 0.9
    confidence = draw.uniform(1 / classes, 1, (images, steps))
    confidence[~finite] = np.nan
    labels = draw.integers(0, classes, images)
    own = np.where(draw.random(images) < 0.8, labels, 0)
    p = np.minimum(0.3, confidence)
    return OcclusionScores(labels, predicted, p, 1 - p, confidence, finite, own)


def picture(side: int, top: int, seed: int = 0) -> Tensor:
    """(1, 3, side, side), black above `top` and grey noise around 80 of 255 from there."""
    image = torch.zeros(1, 3, side, side)
    noise = torch.from_numpy(np.random.default_rng(seed).uniform(0.28, 0.36, (3, side - top, side)))
    image[0, :, top:] = noise.float()
    return image


@pytest.mark.parametrize(("side", "top", "cells"), [(512, 0, 16), (512, 45, 60), (496, 7, 9)])
def test_ranks_equal_the_definition(side: int, top: int, cells: int) -> None:
    image = picture(side, top)
    one = torch.from_numpy(np.random.default_rng(top).normal(size=(1, cells, cells + 1)))
    if cells == 9:
        one = one.round()  # ties
    ranks = paper_tile_ranks(image, one)[0].numpy()
    order = oracle_sets.tile_order(image[0].double().numpy(), one[0].numpy())
    expected = np.full((side, side), NO_TILE)
    for place, (y, x) in enumerate(order):
        expected[y : y + 33, x : x + 33] = place
    np.testing.assert_array_equal(ranks, expected)


def test_the_brightest_tile_goes_first_and_the_last_are_cut_off() -> None:
    one = torch.zeros(1, 512, 512)
    one[0, 511, 511] = 2.0
    one[0, 40, 70] = 1.0
    ranks = paper_tile_ranks(torch.ones(1, 3, 512, 512), one)[0]
    assert (ranks == 0).nonzero().aminmax(dim=0).min.tolist() == [495, 495]
    assert (ranks == 0).sum() == 17 * 17  # 512 - 15 * 33
    assert (ranks == 1).nonzero()[[0, -1]].tolist() == [[33, 66], [65, 98]]
    assert ranks.max() == 16 * 16 - 1


def test_each_image_has_its_own_first_row() -> None:
    images = torch.zeros(3, 3, 496, 496)
    images[0, :, 100:] = 1.0
    images[1, :, 490:] = 1.0
    ranks = paper_tile_ranks(images, torch.zeros(3, 4, 4))
    # The blur lets the row above reach 85 of 255.
    assert (ranks[0, :99] == NO_TILE).all() and (ranks[0, 99] < NO_TILE).all()
    assert ranks[1, 489].max() == 15 and (ranks[1, :489] == NO_TILE).all()
    assert ranks[2, 0].tolist()[:34] == [0] * 33 + [1]  # no bright row, and every tile equal


def test_the_first_row_equals_the_definition_and_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    draw = np.random.default_rng(0)
    for _ in range(30):
        levels = draw.integers(0, 120, (12, 9, 3)).astype(np.uint8)
        image = torch.from_numpy(levels / 255).permute(2, 0, 1)[None].float()
        blurred = cv2.blur(cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY), (3, 3))
        bright = (blurred > 80).any(1)
        expected = int(bright.argmax()) if bright.any() else 0
        assert int(first_bright_row(image)) == expected
        assert oracle_sets.first_row(image[0].double().numpy()) == expected


@pytest.mark.parametrize(
    ("images", "maps", "words"),
    [
        (torch.zeros(1, 3, 224, 224), torch.zeros(1, 4, 4), "512"),
        (torch.zeros(1, 3, 512, 496), torch.zeros(1, 4, 4), "512"),
        (torch.zeros(2, 3, 512, 512), torch.zeros(1, 4, 4), "found"),
        (torch.zeros(1, 1, 512, 512), torch.zeros(1, 4, 4), "found"),
        (torch.full((1, 3, 512, 512), 200.0), torch.zeros(1, 4, 4), "normalised"),
        (torch.zeros(1, 3, 512, 512, dtype=torch.uint8), torch.zeros(1, 4, 4), "uint8"),
        (torch.zeros(1, 3, 512, 512), torch.full((1, 4, 4), torch.nan), "NaN"),
        (torch.zeros(1, 3, 512, 512), torch.zeros(1, 4, 0), "finite"),
    ],
)
def test_what_does_not_fit_is_said(images: Tensor, maps: Tensor, words: str) -> None:
    with pytest.raises(SoftCAMError, match=words):
        paper_tile_ranks(images, maps)


@pytest.mark.parametrize("seed", range(3))
def test_curves_and_areas_equal_the_definition(seed: int) -> None:
    s = scores(seed)
    prediction = oracle_sets.prediction_curve(s.predicted, s.labels, s.finite)
    confidence = oracle_sets.confidence_curve(
        s.confidence, s.predicted, s.labels, s.classes, s.finite
    )
    pairs: list[tuple[Callable[..., Ratios], np.ndarray | float]] = [
        (deletion_prediction, prediction),
        (deletion_confidence, confidence),
        (audc, oracle_sets.area(prediction)),
        (audc_confidence, oracle_sets.area(confidence)),
    ]
    for function, expected in pairs:
        found = function(s)
        np.testing.assert_allclose(found.value, np.atleast_1d(expected), atol=1e-9)
        assert len(found) == len(s.labels)
    assert deletion_prediction(s).value[0] == 1


def test_by_hand_with_classes_of_unequal_size() -> None:
    s = OcclusionScores(
        labels=np.array([1, 1, 2, 0, 2]),
        classes=np.array([1, 1, 2, 0, 2]),
        probability=np.full((5, 2), 0.5),
        complement=np.full((5, 2), 0.5),
        predicted=np.array([[1, 1], [1, 0], [1, 0], [1, 1], [0, 1]], bool),
        confidence=np.array([[0.8, 0.4], [0.5, 0.9], [1.0, 0.1], [0.9, 0.1], [0.6, 0.1]]),
        finite=np.ones(5, bool),
    )
    # Class 1: 0.5 and 1 (0.9 is cut to 0.5 / 0.5); class 2: 0.1; the last one starts wrong.
    np.testing.assert_allclose(deletion_confidence(s).value, [1, (0.75 + 0.1) / 2])
    np.testing.assert_allclose(deletion_confidence(s).n_excluded, [2, 2])
    np.testing.assert_allclose(deletion_prediction(s).value, [1, 0.5])
    np.testing.assert_allclose(audc(s).per_image[:, 0], [1, 0.5, np.nan, np.nan, np.nan])


def test_nothing_to_ask_is_counted_and_one_point_has_no_area() -> None:
    s = scores(images=3)
    none = replace(s, labels=np.zeros(3, int), classes=np.zeros(3, int))
    for function in (deletion_prediction, deletion_confidence, audc):
        assert np.isnan(function(none).value).all()
        assert (function(none).n_excluded == 3).all()
    with pytest.raises(SoftCAMError, match="2 points"):
        audc(scores(steps=1))


@pytest.mark.parametrize(
    "name", ["deletion-prediction", "deletion-confidence", "audc", "audc-confidence"]
)
def test_they_are_in_the_list(name: str) -> None:
    entry = get_measure(name, "paper")
    assert (entry.kind, entry.reads, entry.direction) == ("occlusion", "deletion", "lower")


def test_a_model_that_counts_bright_pixels_is_watched_tile_by_tile() -> None:
    """From images to the curve: the model says 1 while two of three bright pixels are left."""
    image = torch.zeros(1, 3, 512, 512)
    image[:, :, 0, 0] = image[:, :, 40, 40] = image[:, :, 100, 300] = 1.0
    one = torch.zeros(1, 512, 512)
    one[0, 0, 0], one[0, 40, 40], one[0, 100, 300], one[0, 200, 200] = 3.0, 1.0, 2.0, 4.0

    class Counter(torch.nn.Module):
        link, mean_colour = "softmax", torch.zeros(3)

        def forward(self, x: Tensor) -> Tensor:
            bright = x[:, 0].flatten(1).sum(1)
            return torch.stack([torch.full_like(bright, 1.5), bright], 1)

        def probabilities(self, logits: Tensor) -> Tensor:
            return logits.softmax(1)

    asked = occlusion_scores(Counter(), image, one, torch.ones(1).long(), protocol="paper")
    # Tile of 4.0 holds no bright pixel; then 3, 2, 1 and 0 bright pixels are left.
    assert deletion_prediction(asked).value.tolist() == [1, 1, 1] + [0] * 27
    sides = [3, 3, 2] + [1] + [0] * 26
    p = [max(np.exp(n), np.exp(1.5)) / (np.exp(n) + np.exp(1.5)) for n in sides]
    expected = np.minimum(p, p[0]) / p[0]
    np.testing.assert_allclose(deletion_confidence(asked).value, expected, atol=1e-6)
