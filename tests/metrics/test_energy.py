"""Energy outside the finding and the Gini index: by hand, against the oracle, on odd input."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from softcam.metrics import MapBatch, activation_precision, energy_outside, gini
from softcam.metrics.records import Ratios
from softcam.metrics.registry import Measure, measures
from tests.metrics import oracle
from tests.metrics.test_localisation import scenes


@pytest.mark.parametrize(
    ("function", "definition"), [(energy_outside, oracle.outside), (gini, oracle.gini)]
)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition(
    function: Callable[[MapBatch], Ratios], definition: Callable[..., float], seed: int
) -> None:
    maps, findings = scenes(seed)
    expected = [
        definition(m, f) for m, f in zip(maps.double().numpy(), findings.numpy(), strict=True)
    ]
    np.testing.assert_allclose(
        function(MapBatch(maps, findings)).per_image[:, 0], expected, atol=1e-9
    )


def test_energy_by_hand_at_image_size() -> None:
    maps = torch.tensor([[[4.0, 1.0], [-3.0, 0.0]]])
    finding = torch.tensor([[[True, False], [True, False]]])
    assert energy_outside(MapBatch(maps, finding)).value == pytest.approx(1 / 5)
    assert energy_outside(MapBatch(maps, torch.ones_like(finding))).value == pytest.approx(0)
    assert energy_outside(MapBatch(-maps.abs(), finding)).n_excluded == 1


def test_energy_adds_up_with_activation_precision_only_where_the_map_reaches_zero() -> None:
    maps, finding = torch.rand(1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.bool)
    finding[0, 1] = True
    for lift, together in ((-0.3, True), (0.3, False)):
        batch = MapBatch(maps + lift, finding)
        total = energy_outside(batch).value + activation_precision(batch).value
        assert (total == pytest.approx(1)) == together
    constant = MapBatch(torch.full((1, 4, 4), 0.3), finding)
    assert energy_outside(constant).value == pytest.approx(3 / 4)
    assert activation_precision(constant).n_excluded == 1


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([1, 1, 1, 1], 0),
        ([0, 0, -5, 0], 3 / 4),  # 1 - 1/N, whatever the sign
        ([1, 2, 3, 4], 1 / 4),
        ([0, 0, 1, -1], 1 / 2),
        ([1e300, 1e300, 1e300, 1e300], 0),
    ],
)
def test_gini_by_hand(cells: list[float], expected: float) -> None:
    maps = torch.tensor(cells, dtype=torch.float64).reshape(1, 2, 2)
    assert gini(MapBatch(maps, torch.ones(1, 8, 8, dtype=torch.bool))).value == pytest.approx(
        expected
    )


def test_gini_reads_the_cells_and_not_the_finding() -> None:
    maps, findings = scenes()
    batch = MapBatch(maps, findings)
    other = findings.flip(2)[:, :20]
    np.testing.assert_array_equal(gini(batch).per_image, gini(MapBatch(maps, other)).per_image)
    assert gini(MapBatch(torch.zeros(1, 2, 2), findings[1:2])).n_excluded == 1


CORRECTED = measures("map")


@pytest.mark.parametrize("each", CORRECTED, ids=lambda each: each.name)
def test_every_measure_takes_masks_of_any_integer_type(each: Measure) -> None:
    maps, findings = scenes()
    expected = each(MapBatch(maps, findings))
    for found in (findings.to(torch.uint8) * 255, findings.int(), -findings.long()):
        ratios = each(MapBatch(maps, found))
        np.testing.assert_array_equal(ratios.numerator, expected.numerator)
        np.testing.assert_array_equal(ratios.denominator, expected.denominator)


@pytest.mark.parametrize("each", CORRECTED, ids=lambda each: each.name)
def test_every_measure_takes_one_image_of_any_aspect_and_several_findings(each: Measure) -> None:
    """A square map covers the long image: stretched by hand it scores the same."""
    maps = torch.from_numpy(np.random.default_rng(2).normal(size=(1, 6, 6)))
    findings = torch.zeros(1, 36, 72, dtype=torch.bool)
    findings[0, 3:12, 6:20] = True
    findings[0, 20:30, 50:64] = True  # two findings, united
    alone = each(MapBatch(maps, findings))
    assert alone.n.max() == 1 and np.isfinite(alone.value[alone.n == 1]).all()
    top = 1 if each.unit == "share" else np.inf
    assert (alone.value[alone.n == 1] >= 0).all() and (alone.value[alone.n == 1] <= top).all()
    both = each(MapBatch(maps.repeat(2, 1, 1), findings.repeat(2, 1, 1)))
    np.testing.assert_allclose(both.value, alone.value)


@pytest.mark.parametrize("each", CORRECTED, ids=lambda each: each.name)
def test_where_all_images_are_excluded_there_is_no_value_and_it_is_counted(each: Measure) -> None:
    maps = torch.randn(3, 4, 4)
    maps[1, 0, 0], maps[2, 1, 1] = torch.nan, -torch.inf
    findings = torch.ones(3, 24, 30, dtype=torch.bool)
    findings[0] = False
    ratios = each(MapBatch(maps, findings))
    assert np.isnan(ratios.value).all()
    assert (ratios.n == 0).all() and (ratios.n_excluded == 3).all()
