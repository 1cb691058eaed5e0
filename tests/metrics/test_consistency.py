"""Consistency at the map's own resolution: by hand and by the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.metrics import measures
from softcam.metrics.consistency import (
    consistency_negative,
    consistency_positive,
    image_numbers,
    mean_and_deviation,
)
from softcam.metrics.records import LabelledMaps, Ratios
from tests.metrics import oracle_sets


def split(seed: int = 0) -> tuple[Tensor, np.ndarray]:
    """Maps and labels, with every odd case among both the diseased and the healthy."""
    draw = np.random.default_rng(seed)
    maps = draw.normal(size=(16, 5, 7))
    maps[0] = maps[1] = 0
    maps[2, 0, 0] = maps[3, 0, 0] = np.nan
    maps[4, 1, 1] = maps[5, 1, 1] = -np.inf
    maps[6] = maps[7] = 0.2
    maps[8] = maps[8].round()  # cells of exactly 0
    return torch.from_numpy(maps).float(), np.array([1, 0, 2, 0] * 4)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition(seed: int) -> None:
    maps, labels = split(seed)
    for function, wanted, share in (
        (consistency_positive, labels > 0, oracle_sets.share_positive),
        (consistency_negative, labels == 0, oracle_sets.share_negative),
    ):
        indices, ratios = function(LabelledMaps.of(maps, labels))
        expected = [share(maps[i].numpy()) if maps[i].isfinite().all() else np.nan for i in indices]
        np.testing.assert_array_equal(indices, np.flatnonzero(wanted))
        np.testing.assert_allclose(ratios.per_image[:, 0], expected, atol=1e-12)
        np.testing.assert_allclose(ratios.value, np.nanmean(expected))
        assert ratios.n_excluded == 2


def test_by_hand() -> None:
    maps = torch.tensor([[[1.0, -2.0], [0.0, 3.0]], [[-1.0, -1.0], [0.0, 1.0]]])
    both = LabelledMaps.of(maps, np.array([1, 0]))
    assert consistency_positive(both)[1].value == 0.5
    assert consistency_negative(both)[1].value == 0.5
    zeros = LabelledMaps.of(torch.zeros(2, 3, 3), np.array([1, 0]))
    assert consistency_positive(zeros)[1].value == 0
    assert consistency_negative(zeros)[1].value == 0


def test_a_scale_changes_nothing_and_a_shift_does() -> None:
    maps, labels = split()
    for function, shift in ((consistency_positive, 0.5), (consistency_negative, -0.5)):
        base = function(LabelledMaps.of(maps, labels))[1].value
        np.testing.assert_array_equal(function(LabelledMaps.of(maps * 8, labels))[1].value, base)
        assert function(LabelledMaps.of(maps + shift, labels))[1].value > base


def test_mean_and_deviation_are_over_the_images_that_count() -> None:
    mean, deviation = mean_and_deviation(Ratios(np.array([1.0, 0.0, 0.0]), np.array([1, 1, 0])))
    assert (mean, deviation) == (0.5, 0.5)
    assert np.isnan(mean_and_deviation(Ratios(np.zeros(2), np.zeros(2)))).all()


def test_maps_are_read_in_batches_and_only_those_asked() -> None:
    sizes: list[int] = []
    labels = np.arange(1200) % 2

    def read(indices: np.ndarray) -> Tensor:
        sizes.append(len(indices))
        assert (labels[indices] == 1).all()
        return torch.ones(len(indices), 2, 2)

    assert consistency_positive(LabelledMaps(labels, read))[1].value == 1
    assert sum(sizes) == 600 and max(sizes) <= 256


def test_a_split_without_such_images_is_an_error() -> None:
    with pytest.raises(SoftCAMError, match="diseased"):
        consistency_positive(LabelledMaps.of(torch.zeros(2, 2, 2), np.zeros(2, int)))
    with pytest.raises(SoftCAMError, match="healthy"):
        consistency_negative(LabelledMaps.of(torch.zeros(2, 2, 2), np.ones(2, int)))
    with pytest.raises(SoftCAMError, match="none among 0"):
        consistency_negative(LabelledMaps.of(torch.zeros(0, 2, 2), np.zeros(0, int)))


@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (3, 4, 4), (2, 0, 4)])
def test_maps_of_another_shape_are_an_error(shape: tuple[int, ...]) -> None:
    maps = LabelledMaps(np.ones(2, int), lambda indices: torch.zeros(shape))
    with pytest.raises(SoftCAMError, match="at least one cell"):
        image_numbers(maps, np.arange(2), lambda values: values.amax((1, 2)))


def test_the_measures_that_read_one_disease_on_all_images_say_so() -> None:
    found = {each.name for each in measures("labelled") if each.reads == "disease"}
    assert found == {"consistency-negative", "pointing-game", "pointing-game-peak"}


def test_for_two_classes_the_contrast_of_the_disease_is_the_negative_of_the_healthy() -> None:
    draw = np.random.default_rng(3)
    every = torch.from_numpy(draw.normal(size=(6, 2, 4, 4)))
    contrast = every[:, 1] - every[:, 0]
    healthy = LabelledMaps.of(contrast, np.zeros(6, int))
    moved = every + torch.from_numpy(draw.normal(size=(6, 1, 4, 4)))  # one map to both classes
    again = LabelledMaps.of(moved[:, 1] - moved[:, 0], np.zeros(6, int))
    expected = (every[:, 0] > every[:, 1]).double().mean()
    for split in (healthy, again):
        np.testing.assert_allclose(consistency_negative(split)[1].value, expected)
