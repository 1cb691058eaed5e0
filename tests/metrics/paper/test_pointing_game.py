"""The paper's 2x2 pointing game: by hand and by the oracle."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.metrics.paper.pointing_game import pointing_game_counts
from softcam.metrics.records import LabelledMaps
from tests.metrics import oracle_sets


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition(seed: int) -> None:
    draw = np.random.default_rng(seed)
    maps, labels = draw.normal(0, 0.004, size=(30, 4, 5)), draw.integers(0, 3, 30)
    maps[np.flatnonzero(labels == 0)[0], 0, 0] = np.nan
    maps[np.flatnonzero(labels > 0)[0], 0, 0] = np.inf
    indices, ratios = pointing_game_counts(LabelledMaps.of(torch.from_numpy(maps), labels))
    scores, total = oracle_sets.paper_game(maps, labels)
    np.testing.assert_array_equal(indices, np.flatnonzero(labels > 0))
    np.testing.assert_allclose(ratios.per_image[:, 0], scores, atol=1e-12)
    np.testing.assert_allclose(ratios.value, total, atol=1e-12)
    assert ratios.n_excluded == np.isnan(scores).sum() >= 1


def test_by_hand_the_totals_are_divided() -> None:
    maps = torch.zeros(5, 1, 4, dtype=torch.float64)
    maps[0, 0, :2] = 1.0
    maps[1, 0, :4] = 0.004
    maps[2, 0, :1] = 5.0  # the healthy ones: 1, 1 and 0 values above 0.003
    maps[3, 0] = torch.tensor([0.0031, 0.003, -1.0, 0.0], dtype=torch.float64)
    split = LabelledMaps.of(maps, np.array([1, 2, 0, 0, 0]))
    _, ratios = pointing_game_counts(split)
    np.testing.assert_allclose(ratios.per_image[:, 0], [2 / 4, 4 / 6])
    np.testing.assert_allclose(ratios.value, 6 / 10)


def test_the_draw_is_that_of_the_index_in_the_split() -> None:
    labels = np.array([0, 0, 0, 0, 0, 0, 1])
    random.seed(6)
    drawn = random.sample(range(6), 3)
    maps = torch.zeros(7, 1, 1)
    maps[drawn] = 1.0
    _, ratios = pointing_game_counts(LabelledMaps.of(maps, labels))
    assert (ratios.numerator.item(), ratios.denominator.item()) == (0, 3)


def test_the_state_of_random_is_left_alone() -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    pointing_game_counts(LabelledMaps.of(torch.ones(4, 1, 1), np.array([1, 0, 0, 0])))
    assert random.random() == expected


def test_a_game_without_a_value_above_the_threshold_is_counted() -> None:
    split = LabelledMaps.of(torch.full((4, 2, 2), 0.001), np.array([1, 0, 0, 0]))
    ratios = pointing_game_counts(split)[1]
    assert ratios.n_excluded == 1 and np.isnan(ratios.value).all()


@pytest.mark.parametrize("labels", [[1, 0, 0], [0, 0, 0], [1, 1, 1]])
def test_too_few_images_are_an_error(labels: list[int]) -> None:
    with pytest.raises(SoftCAMError, match="healthy|diseased"):
        pointing_game_counts(LabelledMaps.of(torch.zeros(3, 2, 2), np.array(labels)))
