"""Spearman's rank correlation of two maps: against SciPy and by hand, with every odd case."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.metrics import cascade_correlation, get_measure, label_correlation
from softcam.metrics.agreement import mean_ranks


def maps(seed: int, levels: int | None = None) -> Tensor:
    """(6, 3, 5) signed; with few levels many cells are equal."""
    draw = np.random.default_rng(seed)
    if levels:
        return torch.from_numpy(draw.integers(-levels, levels, (6, 3, 5)) / 4).float()
    return torch.from_numpy(draw.normal(size=(6, 3, 5)))


@pytest.mark.parametrize("levels", [None, 1, 2, 5])
def test_equals_scipy_image_by_image_ties_included(levels: int | None) -> None:
    a, b = maps(0, levels), maps(1, levels)
    found = label_correlation(a, b)
    expected = [spearmanr(x.ravel(), y.ravel())[0] for x, y in zip(a, b, strict=True)]
    assert np.allclose(found.per_image[:, 0], expected, atol=1e-12)
    assert found.value[0] == pytest.approx(np.mean(expected))


def test_equal_values_share_their_mean_rank() -> None:
    rows = np.array([[3.0, 1, 3, -2, 3], [0.0, -0.0, 0, 0, 0], [5, 4, 3, 2, 1]])
    expected = [rankdata(row) - 1 for row in rows]
    assert np.array_equal(mean_ranks(rows), expected)
    assert expected[0].tolist() == [3, 1, 3, 0, 3]


def test_only_the_order_counts_and_a_turned_sign_turns_the_value() -> None:
    a = maps(0)
    assert label_correlation(a, 7 + 2 * a.exp()).per_image.tolist() == [[1.0]] * 6
    assert label_correlation(a, -a).per_image.tolist() == [[-1.0]] * 6


def test_steps_begin_with_the_trained_model_itself() -> None:
    a, b, c = maps(0), maps(1, 2), maps(2)
    found = cascade_correlation(a, [b, c])
    assert found.per_image.shape == (6, 3)
    assert found.per_image[:, 0].tolist() == [1.0] * 6
    for step, other in enumerate((b, c), 1):
        assert np.array_equal(found.per_image[:, step], label_correlation(a, other).per_image[:, 0])


def test_constant_and_damaged_maps_are_excluded_and_counted() -> None:
    a, b = maps(0), maps(1)
    a[0] = 0.3  # constant before: at no step
    b[1] = -2.0  # constant afterwards: at that step alone
    a[2, 0, 0] = torch.nan
    b[3, 1, 1] = torch.inf
    found = cascade_correlation(a, [b, maps(2)])
    assert np.isnan(found.per_image).tolist() == [
        [True] * 3, [False, True, False], [True] * 3, [False, True, False], [False] * 3, [False] * 3
    ]  # fmt: skip
    assert found.n_excluded.tolist() == [2, 4, 2] and found.n.tolist() == [4, 2, 4]


def test_one_cell_is_a_constant_map() -> None:
    one = torch.rand(3, 1, 1)
    assert label_correlation(one, one).n_excluded.tolist() == [3]


@pytest.mark.parametrize("other", [(6, 5, 3), (5, 3, 5), (6, 15)])
def test_maps_of_another_shape_are_refused(other: tuple[int, ...]) -> None:
    with pytest.raises(SoftCAMError, match="one shape"):
        label_correlation(maps(0), torch.rand(other))


def test_the_list_says_what_they_are() -> None:
    cascade, label = get_measure("cascade-correlation"), get_measure("label-correlation")
    assert cascade.steps == tuple(range(9)) and label.steps is None
    for each in (cascade, label):
        assert (each.kind, each.direction, each.gauge) == ("sanity", "lower", "order")
