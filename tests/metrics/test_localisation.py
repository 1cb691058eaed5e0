"""Pointing accuracy, activation precision and sensitivity: by hand and against the oracle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from softcam.metrics import (
    MapBatch,
    activation_precision,
    activation_sensitivity,
    pointing_accuracy,
)
from tests.metrics import oracle

MEASURES = [
    (pointing_accuracy, oracle.pointing),
    (activation_precision, oracle.precision),
    (activation_sensitivity, oracle.sensitivity),
]


def scenes(seed: int = 0, size: tuple[int, int] = (24, 30)) -> tuple[Tensor, Tensor]:
    """Random maps and findings, with every odd case among them."""
    draw = np.random.default_rng(seed)
    maps = draw.normal(size=(14, 4, 5))
    findings = np.zeros((14, *size), bool)
    for finding in findings:
        y, x = draw.integers(0, 16, 2)
        finding[y : y + 7, x : x + 9] = True
    findings[0] = False  # nothing marked
    findings[1] = True  # everything marked
    findings[2, 0, 0] = True  # two findings
    maps[3] = -np.abs(maps[3])  # no positive evidence
    maps[4] = 0.3  # constant
    maps[5] = -0.3
    maps[6, 0, 0] = np.nan
    maps[7, 1, 1] = np.inf
    maps[8] = np.abs(maps[8])  # no zero in the map
    maps[9] = np.round(maps[9])  # ties
    maps[10] = 0
    maps[10, -1, -1] = 1  # the maximum is a plateau at the border
    return torch.from_numpy(maps).float(), torch.from_numpy(findings)


@pytest.mark.parametrize(("function", "definition"), MEASURES)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition(
    function: Callable[..., object], definition: Callable[..., float], seed: int
) -> None:
    maps, findings = scenes(seed)
    found = function(MapBatch(maps, findings)).per_image[:, 0]  # type: ignore[attr-defined]
    expected = [
        definition(m, f) for m, f in zip(maps.double().numpy(), findings.numpy(), strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_by_hand_at_image_size() -> None:
    maps = torch.tensor([[[4.0, 1.0], [-3.0, 0.0]]])
    finding = torch.tensor([[[True, False], [True, False]]])
    batch = MapBatch(maps, finding)
    assert pointing_accuracy(batch).value == 1
    assert activation_precision(batch).value == pytest.approx(4 / 5)  # S = 1, 1/4, 0, 0
    assert activation_sensitivity(batch).value == pytest.approx(1 / 2)


def test_a_map_of_one_cell_above_zero_has_no_contrast() -> None:
    batch = MapBatch(torch.full((1, 1, 1), 2.0), torch.ones(1, 8, 8, dtype=torch.bool))
    assert pointing_accuracy(batch).value == 0  # even though pixel (0, 0) is marked
    assert activation_precision(batch).n_excluded == 1
    assert activation_sensitivity(batch).value == 0


@pytest.mark.parametrize(
    ("function", "excluded"),
    [(pointing_accuracy, 3), (activation_precision, 6), (activation_sensitivity, 3)],
)
def test_what_is_excluded_is_counted(function: Callable[..., object], excluded: int) -> None:
    """Nothing marked, NaN, infinity; for precision also three maps without positive contrast."""
    ratios = function(MapBatch(*scenes()))
    assert ratios.n_excluded == excluded  # type: ignore[attr-defined]
    assert ratios.n == 14 - excluded  # type: ignore[attr-defined]
    assert np.isfinite(ratios.value).all()  # type: ignore[attr-defined]


def test_pointing_does_not_follow_rounding_at_the_border() -> None:
    """A border cell is a plateau after enlarging; rounding does not choose its first pixel."""
    for value in torch.rand(50, generator=torch.Generator().manual_seed(4)).tolist():
        maps = torch.zeros(1, 3, 3)
        maps[0, 2, 2] = value
        finding = torch.zeros(1, 50, 50, dtype=torch.bool)
        finding[0, 42, 42] = True  # the first pixel whose centre lies beyond the cell's centre
        assert pointing_accuracy(MapBatch(maps, finding)).value == 1


def test_the_shares_follow_the_scale_but_not_the_unit() -> None:
    maps, findings = scenes()
    for function in (pointing_accuracy, activation_precision, activation_sensitivity):
        once = function(MapBatch(maps, findings)).per_image
        np.testing.assert_allclose(
            function(MapBatch(maps * 1000, findings)).per_image, once, atol=1e-6
        )
