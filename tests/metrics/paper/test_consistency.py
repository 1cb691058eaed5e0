"""Consistency on 16x16 cubic cells: by hand and by the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.metrics import consistency, get_measure
from softcam.metrics.paper.consistency import (
    consistency_negative,
    consistency_positive,
)
from softcam.metrics.records import LabelledMaps
from tests.metrics import oracle_sets

BOTH = [(consistency_positive, 1), (consistency_negative, -1)]


@pytest.mark.parametrize("shape", [(16, 16), (60, 60), (5, 7), (40, 12)])
def test_equals_the_definition(shape: tuple[int, int]) -> None:
    draw = np.random.default_rng(shape[1])
    maps = draw.normal(size=(12, *shape)).astype(np.float32)
    maps[:2] = 0
    maps[2, 0, 0] = maps[3, 0, 0] = np.nan
    labels = np.array([0, 1, 0, 2] * 3)
    for function, sign in BOTH:
        indices, ratios = function(LabelledMaps.of(torch.from_numpy(maps), labels))
        expected = [
            oracle_sets.paper_share(maps[i].astype(float), sign)
            if np.isfinite(maps[i]).all()
            else np.nan
            for i in indices
        ]
        np.testing.assert_array_equal(indices, np.flatnonzero((labels > 0) == (sign > 0)))
        np.testing.assert_allclose(ratios.per_image[:, 0], expected, atol=1e-12)
        np.testing.assert_allclose(ratios.value, np.nanmean(expected))
        assert ratios.n_excluded == 1
        np.testing.assert_allclose(consistency.mean_and_deviation(ratios)[1], np.nanstd(expected))


def test_signs_equal_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    maps = np.random.default_rng(1).normal(size=(6, 60, 60)).astype(np.float32)
    _, ratios = consistency_positive(LabelledMaps.of(torch.from_numpy(maps), np.ones(6)))
    small = [cv2.resize(each, (16, 16), interpolation=cv2.INTER_CUBIC) for each in maps]
    np.testing.assert_allclose(ratios.per_image[:, 0], [(each > 0).mean() for each in small])


def test_the_pooled_version_has_the_same_value_and_counts_cells() -> None:
    maps = torch.from_numpy(np.random.default_rng(2).normal(size=(8, 9, 9)))
    maps[0, 0, 0] = torch.nan
    for function, sign in BOTH:
        split = LabelledMaps.of(maps, np.full(8, int(sign > 0)))
        pooled, single = function(split, pooled=True)[1], function(split)[1]
        np.testing.assert_allclose(pooled.value, single.value)
        assert pooled.denominator[:, 0].tolist() == [0] + [256] * 7
        assert (pooled.numerator == pooled.numerator.round()).all()


def test_ringing_gives_cells_a_sign_that_no_cell_had() -> None:
    one = torch.zeros(1, 12, 12)
    one[0, 6, 6] = -262.0
    split = LabelledMaps.of(one, np.ones(1, int))
    assert consistency_positive(split)[1].value > 0
    assert get_measure("consistency-positive", "corrected")(split)[1].value == 0


def test_a_split_without_such_images_is_an_error() -> None:
    with pytest.raises(SoftCAMError, match="diseased"):
        consistency_positive(LabelledMaps.of(torch.zeros(2, 2, 2), np.zeros(2, int)))
    with pytest.raises(SoftCAMError, match="healthy"):
        consistency_negative(LabelledMaps.of(torch.zeros(2, 2, 2), np.ones(2, int)))
