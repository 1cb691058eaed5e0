"""The 2x2 pointing game without a threshold: by hand and by the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError, rng
from softcam.metrics.pointing_game import OPPONENTS, STREAM, pointing_game_peak, pointing_game_share
from softcam.metrics.records import LabelledMaps
from tests.metrics import oracle_sets

GAMES = [(pointing_game_share, oracle_sets.game_share), (pointing_game_peak, oracle_sets.game_peak)]


def split(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    maps, labels = draw.normal(size=(40, 3, 4)), draw.integers(0, 3, 40)
    maps[labels == 1] += 0.7
    one = np.flatnonzero(labels == 1)
    maps[one[0], 0, 0] = np.nan
    maps[np.flatnonzero(labels == 0)[0], 1, 1] = np.inf
    maps[one[1]] = -1
    return maps, labels


@pytest.mark.parametrize(("game", "definition"), GAMES)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition(game: Any, definition: Any, seed: int) -> None:
    maps, labels = split(seed)
    indices, ratios = game(LabelledMaps.of(torch.from_numpy(maps), labels), seed=seed)
    healthy = np.flatnonzero(labels == 0)
    expected = []
    for index in np.flatnonzero(labels == 1):
        against = rng(seed, int(index), STREAM).choice(healthy, OPPONENTS, replace=False)
        expected.append(definition([maps[index], *maps[against]]))
    np.testing.assert_array_equal(indices, np.flatnonzero(labels == 1))
    np.testing.assert_allclose(ratios.per_image[:, 0], expected, atol=1e-12)
    np.testing.assert_allclose(ratios.value, np.nanmean(expected))
    assert ratios.n_excluded == np.isnan(expected).sum() >= 1


def four(*values: float) -> LabelledMaps:
    """A diseased image and three healthy ones of 2x2 cells, one of them with this value."""
    maps = torch.zeros(4, 2, 2)
    maps[:, 0, 0] = torch.tensor(values)
    return LabelledMaps.of(maps, np.array([1, 0, 0, 0]))


def test_by_hand() -> None:
    assert pointing_game_share(four(3, 1, -5, 2))[1].value == 0.5
    assert pointing_game_peak(four(3, 1, -5, 2))[1].value == 1
    assert pointing_game_peak(four(2, 1, -5, 2))[1].value == 0  # shared
    assert pointing_game_peak(four(0, 0, 0, 0))[1].value == 0
    assert pointing_game_share(four(0, -1, 0, 0))[1].n_excluded == 1  # no positive evidence at all


def test_what_a_shift_and_a_scale_change() -> None:
    maps, labels = split()
    values = torch.from_numpy(maps)
    for game, _ in GAMES:
        base = game(LabelledMaps.of(values, labels))[1].per_image
        scaled = game(LabelledMaps.of(values * 16, labels))[1].per_image
        np.testing.assert_allclose(scaled, base)
    moved = LabelledMaps.of(values + 3, labels)
    plain = LabelledMaps.of(values, labels)
    np.testing.assert_array_equal(
        pointing_game_peak(moved)[1].per_image, pointing_game_peak(plain)[1].per_image
    )
    assert not np.isclose(pointing_game_share(moved)[1].value, pointing_game_share(plain)[1].value)


def test_one_strong_game_counts_as_one() -> None:
    maps = torch.zeros(5, 1, 1)
    maps[:, 0, 0] = torch.tensor([1e6, 0.0, 1.0, 1.0, 1.0])
    shares = pointing_game_share(LabelledMaps.of(maps, np.array([1, 1, 0, 0, 0])))[1]
    np.testing.assert_allclose(shares.value, 0.5, atol=1e-5)


def test_maps_that_know_nothing_are_at_chance() -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1], 2000)
    maps = LabelledMaps.of(torch.from_numpy(draw.normal(size=(4000, 4, 4))), labels)
    for game, _ in GAMES:  # 2000 games of deviation 0.43 at most: 0.01 is one standard error
        np.testing.assert_allclose(game(maps)[1].value, 0.25, atol=0.04)


def test_a_game_does_not_depend_on_the_others() -> None:
    maps, labels = split()
    values = torch.from_numpy(np.nan_to_num(maps, posinf=0))
    indices, every = pointing_game_share(LabelledMaps.of(values, labels))
    fewer = labels.copy()
    fewer[indices[2:]] = 2  # the first two alone
    _, two = pointing_game_share(LabelledMaps.of(values, fewer))
    np.testing.assert_array_equal(two.per_image, every.per_image[:2])


@pytest.mark.parametrize(
    ("labels", "target"), [([1, 0, 0, 2], 1), ([0, 0, 0, 2], 1), ([0, 0, 0, 0], 0)]
)
@pytest.mark.parametrize(("game", "definition"), GAMES)
def test_too_few_images_are_an_error(
    game: Any, definition: Any, labels: list[int], target: int
) -> None:
    with pytest.raises(SoftCAMError, match="game"):
        game(LabelledMaps.of(torch.zeros(4, 2, 2), np.array(labels), target))


def test_no_healthy_image_is_an_error() -> None:
    with pytest.raises(SoftCAMError, match="healthy"):
        pointing_game_share(LabelledMaps.of(torch.zeros(2, 2, 2), np.ones(2, int)))
