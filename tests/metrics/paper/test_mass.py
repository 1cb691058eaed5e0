"""The paper's activation precision and sensitivity against their text, and their epsilon."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.metrics import MapBatch, get_measure, paper
from softcam.metrics import activation_precision as corrected_precision
from softcam.metrics import activation_sensitivity as corrected_sensitivity
from softcam.metrics.paper import CORRECTED, PUBLIC, Quirks
from tests.metrics import oracle_paper
from tests.metrics.paper.test_patches import SHAPES, scenes


def check(batch: MapBatch, quirks: Quirks = PUBLIC) -> None:
    pairs = zip(batch.maps.numpy(), batch.findings.numpy(), strict=True)
    expected = np.array([oracle_paper.mass_within(*pair, quirks) for pair in pairs])
    got = [
        measured(batch, quirks=quirks).per_image[:, 0]
        for measured in (paper.activation_precision, paper.activation_sensitivity)
    ]
    np.testing.assert_allclose(np.stack(got, 1), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("side", [512, 496])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_definition(shape: tuple[int, int], side: int) -> None:
    batch = MapBatch(*scenes(shape, side, n=2))
    check(batch)
    hard = paper.activation_precision_hard(batch).per_image[:, 0]
    for i in range(2):
        expected = oracle_paper.hard_precision(batch.maps[i].numpy(), batch.findings[i].numpy())
        assert hard[i] == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    "quirks", [PUBLIC.without("cubic"), PUBLIC.without("epsilon"), Quirks(transposed=True)]
)
def test_each_trap_alone_equals_the_definition(quirks: Quirks) -> None:
    maps, findings = scenes((12, 12), n=2)
    maps[1] = -1.0
    check(MapBatch(maps, findings), quirks)


@pytest.mark.parametrize("shape", SHAPES)
def test_without_any_trap_they_are_the_corrected_measures(shape: tuple[int, int]) -> None:
    maps, findings = scenes(shape)
    maps[1] = -1.0
    batch = MapBatch(maps, findings)
    for ours, theirs in [
        (paper.activation_precision(batch, quirks=CORRECTED), corrected_precision(batch)),
        (paper.activation_sensitivity(batch, quirks=CORRECTED), corrected_sensitivity(batch)),
    ]:
        np.testing.assert_allclose(ours.numerator, theirs.numerator, rtol=1e-14)
        np.testing.assert_array_equal(ours.denominator, theirs.denominator)


@pytest.mark.parametrize("value", [-3.0, 0.0, 0.1, 7.0])
def test_maps_without_contrast_score_zero_and_count(value: float) -> None:
    findings = torch.zeros(1, 512, 512, dtype=torch.bool)
    findings[0, :99, :99] = True
    batch = MapBatch(torch.full((1, 7, 9), value), findings)
    check(batch)
    for measured in (paper.activation_precision, paper.activation_sensitivity):
        ratios = measured(batch)
        assert ratios.value.tolist() == [0.0]
        assert ratios.n_excluded.tolist() == [0]
    assert paper.activation_precision_hard(batch).n_excluded.tolist() == [1]
    off = PUBLIC.without("epsilon")
    assert paper.activation_precision(batch, quirks=off).n_excluded.tolist() == [1]


def test_the_epsilon_shrinks_tiny_maps() -> None:
    """A span of the size of the epsilon halves the sensitivity, and not the precision."""
    maps, findings = scenes((16, 16), n=1)
    maps = maps / maps.abs().max() * np.finfo(float).eps
    batch = MapBatch(maps, findings)
    check(batch)
    off = PUBLIC.without("epsilon")
    small, whole = (paper.activation_sensitivity(batch, quirks=q).value[0] for q in (PUBLIC, off))
    assert small < 0.6 * whole
    small, whole = (paper.activation_precision(batch, quirks=q).value[0] for q in (PUBLIC, off))
    assert small == pytest.approx(whole)


def test_hard_precision_by_hand() -> None:
    """Two plateaus, 4 on the left half and 1 on the right: the upper half of 1 to 4 is the left."""
    maps = torch.full((1, 512, 512), 1.0)
    maps[0, :, :256] = 4.0
    findings = torch.zeros(1, 512, 512, dtype=torch.bool)
    findings[0, :, 128:384] = True
    ratios = paper.activation_precision_hard(MapBatch(maps, findings))
    assert ratios.value.tolist() == [0.5]


def test_bad_maps_and_findings_are_counted() -> None:
    maps, findings = scenes((16, 16), n=5)
    maps[0, 3, 3], maps[1, 0, 0] = torch.nan, -torch.inf
    findings[2] = False
    findings[3] = True
    batch = MapBatch(maps, findings)
    check(batch)
    for name in ("activation-precision", "activation-sensitivity", "activation-precision-hard"):
        ratios = get_measure(name, "paper")(batch)
        assert ratios.n_excluded.tolist() == [3]
        assert ratios.per_image[3, 0] == pytest.approx(1.0) or name == "activation-sensitivity"


def test_other_sizes_are_refused() -> None:
    batch = MapBatch(torch.zeros(1, 4, 4), torch.ones(1, 496, 512, dtype=torch.bool))
    for name in ("activation-precision", "activation-sensitivity", "activation-precision-hard"):
        with pytest.raises(SoftCAMError, match="512x512 and 496x496"):
            get_measure(name, "paper")(batch)
