"""Rank accuracy, IoU at the best threshold, average precision: by hand and against others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from softcam.metrics import MapBatch, best_iou, pixel_auprc, relevance_rank_accuracy
from softcam.metrics.ordering import marked_levels
from softcam.metrics.records import Ratios
from tests.metrics import oracle
from tests.metrics.test_localisation import scenes

Function = Callable[[MapBatch], Ratios]
MEASURES = [
    (relevance_rank_accuracy, oracle.rank_accuracy),
    (best_iou, oracle.best_iou),
    (pixel_auprc, oracle.auprc),
]
FUNCTIONS = [function for function, _ in MEASURES]


@pytest.mark.parametrize(("function", "definition"), MEASURES)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition(
    function: Function, definition: Callable[..., float], seed: int
) -> None:
    """With every odd case: nothing or all marked, ties, constant maps, NaN, another aspect."""
    maps, findings = scenes(seed)
    expected = [
        definition(m, f) for m, f in zip(maps.double().numpy(), findings.numpy(), strict=True)
    ]
    np.testing.assert_allclose(
        function(MapBatch(maps, findings)).per_image[:, 0], expected, atol=1e-9
    )


def test_average_precision_is_scikit_learns() -> None:
    maps, findings = scenes(3)
    batch = MapBatch(maps, findings)
    found = pixel_auprc(batch).per_image[:, 0]
    kept = np.flatnonzero(batch.scored.numpy())
    expected = [
        average_precision_score(findings[i].flatten(), batch.upsampled[i].flatten()) for i in kept
    ]
    np.testing.assert_allclose(found[kept], expected, atol=1e-12)
    assert np.isnan(np.delete(found, kept)).all() and len(kept) == 11


def test_by_hand_at_image_size() -> None:
    """Brightest first: marked, not, marked, not. Two of four are marked."""
    maps = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]])
    batch = MapBatch(maps, torch.tensor([[[True, False], [True, False]]]))
    assert relevance_rank_accuracy(batch).value == 1 / 2
    assert best_iou(batch).value == pytest.approx(2 / 3)  # the brightest three
    assert pixel_auprc(batch).value == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5, 4, 4, 4, 1, 0], (1 + 1 * 1 / 3) / 2),  # one place left for three equal ones
        ([5, 5, 5, 5, 1, 0], 2 * (2 / 4) / 2),
        ([0, 5, 4, 0, 0, 0], (2 / 4) * 0),  # unmarked ones fill both places
        ([3, 3, 2, 2, 2, 2], 2 / 2),
    ],
)
def test_ties_at_the_kth_value_count_by_expectation(values: list[float], expected: float) -> None:
    """Pixels 0 and, for the first two and the last row, 1 are marked."""
    finding = torch.zeros(1, 1, 6, dtype=torch.bool)
    finding[0, 0, [0, 3] if values[0] == 0 else [0, 1]] = True
    batch = MapBatch(torch.tensor([[values]], dtype=torch.float64), finding)
    assert relevance_rank_accuracy(batch).value == pytest.approx(expected)


def test_the_expectation_is_the_mean_over_drawn_orders() -> None:
    draw = np.random.default_rng(5)
    values, marked = draw.integers(0, 4, (4, 5)).astype(float), draw.random((4, 5)) < 0.4
    batch = MapBatch(torch.from_numpy(values)[None], torch.from_numpy(marked)[None])
    shares = []
    for _ in range(4000):
        order = np.lexsort((draw.random(20), -values.ravel()))
        shares.append(marked.ravel()[order[: marked.sum()]].mean())
    deviation = np.std(shares) / np.sqrt(4000)
    assert abs(relevance_rank_accuracy(batch).value - np.mean(shares)) < 4 * deviation


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_constant_map_gives_the_marked_share_and_a_full_mask_1(function: Function) -> None:
    finding = torch.zeros(1, 8, 8, dtype=torch.bool)
    finding[0, :4, :4] = True
    assert function(MapBatch(torch.full((1, 2, 2), -3.0), finding)).value == 1 / 4
    assert function(MapBatch(torch.randn(1, 2, 2), torch.ones_like(finding))).value == 1


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_map_that_is_the_mask_gives_1_and_its_negative_little(function: Function) -> None:
    finding = torch.zeros(1, 10, 10, dtype=torch.bool)
    finding[0, 2:4, 5:9] = True
    assert function(MapBatch(finding.double(), finding)).value == 1
    assert function(MapBatch(-finding.double(), finding)).value < 0.09


@pytest.mark.parametrize("function", FUNCTIONS)
def test_any_growing_function_of_the_map_gives_the_same(function: Function) -> None:
    """At image size, where the values are not mixed afterwards."""
    maps, findings = torch.randn(4, 9, 9, dtype=torch.float64), torch.rand(4, 9, 9) < 0.2
    once, again = (function(MapBatch(each, findings)).per_image for each in (maps, maps.exp()))
    np.testing.assert_allclose(once, again, atol=1e-12)


def test_the_counts_by_hand() -> None:
    values = np.array([[3.0, 2.0, 2.0], [1.0, 0.0, 2.0]])
    levels = marked_levels(values, np.array([[False, True, True], [False, True, False]]))
    assert levels.pixels.tolist() == [4, 6] and levels.hits.tolist() == [2, 3]
    assert (levels.last, levels.brighter, levels.marked) == (0, 1, 3)


def test_the_sort_is_shared() -> None:
    batch = MapBatch(*scenes())
    assert batch.ranking is batch.ranking
    assert [each is None for each in batch.ranking] == (~batch.scored).tolist()
