"""Top-k patch precision: patch by patch against the definition, and the traps it avoids."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.metrics import MapBatch, patch_count, patch_precision
from softcam.metrics.geometry import PatchGrid, patch_grid
from softcam.metrics.patches import LEVEL, STEPS, select_patches
from tests.metrics import oracle
from tests.metrics.test_localisation import scenes


@pytest.mark.parametrize("size", [(24, 30), (64, 50), (80, 80)])
def test_equals_the_definition(size: tuple[int, int]) -> None:
    maps, findings = scenes(5, size)
    ratios = patch_precision(MapBatch(maps, findings))
    for i, (cells, finding) in enumerate(zip(maps.double().numpy(), findings.numpy(), strict=True)):
        holds = oracle.patches(cells, finding, LEVEL)
        for k in STEPS:
            first = holds[:k]
            assert ratios.denominator[i, k - 1] == len(first), f"image {i}: number of patches"
            assert ratios.numerator[i, k - 1] == sum(first), f"image {i}, k = {k}: hits"


def test_fine_maps_are_averaged_over_the_stride() -> None:
    draw = np.random.default_rng(6)
    maps = draw.normal(size=(3, 130, 130))
    findings = draw.random((3, 130, 130)) > 0.99
    ratios = patch_precision(MapBatch(torch.from_numpy(maps), torch.from_numpy(findings)))
    for i in range(3):
        holds = oracle.patches(maps[i], findings[i], LEVEL)
        assert ratios.denominator[i, -1] == len(holds)
        np.testing.assert_array_equal(ratios.numerator[i, : len(holds)], np.cumsum(holds))


def test_pools_patches_and_not_images() -> None:
    """One image with many patches weighs more than one with few."""
    maps = torch.zeros(2, 32, 32)
    maps[0, 4, 4] = 1.0  # one spot, inside the finding
    maps[1] = torch.rand(32, 32, generator=torch.Generator().manual_seed(0))
    findings = torch.zeros(2, 32, 32, dtype=torch.bool)
    findings[0, 3:6, 3:6] = True
    findings[1, 31, 31] = True
    ratios = patch_precision(MapBatch(maps, findings))
    few, many = ratios.denominator[:, -1]
    assert few < many
    assert ratios.value[-1] == pytest.approx(ratios.numerator[:, -1].sum() / (few + many))


def test_selection_by_hand() -> None:
    """Reach 1: the centre takes its eight neighbours away, the next best is further out."""
    grid = PatchGrid(size=3, stride=1, rows=4, columns=4)
    scores = torch.tensor([[
        [9.0, 8.0, 7.0, 1.0],
        [8.0, 8.5, 6.0, 1.0],
        [5.0, 5.0, 5.0, 5.5],
        [0.0, 0.0, 0.0, 0.0],
    ]])  # fmt: skip
    assert select_patches(scores, grid, 5, level=0.25).tolist() == [[0, 2, 11, 8, -1]]


def test_suppression_does_not_run_over_the_border() -> None:
    """The last patch of a row leaves the first patch of the next rows alone."""
    grid = PatchGrid(size=3, stride=1, rows=5, columns=5)
    scores = torch.zeros(1, 5, 5)
    scores[0, 1, 4], scores[0, 2, 0], scores[0, 1, 0] = 3.0, 2.0, 1.0
    assert select_patches(scores, grid, 3, level=0.5).tolist() == [[9, 10, -1]]


def test_equal_scores_go_in_reading_order() -> None:
    grid = patch_grid(32, 32)
    scores = torch.zeros(1, grid.rows, grid.columns)
    scores[0, 10, 20] = scores[0, 20, 10] = 1.0
    chosen = select_patches(scores, grid, 2)
    assert chosen.tolist() == [[10 * grid.columns + 20, 20 * grid.columns + 10]]


@pytest.mark.parametrize("value", [0.0, -1.0, 2.5])
def test_a_constant_map_has_no_patch(value: float) -> None:
    ratios = patch_precision(
        MapBatch(torch.full((1, 4, 4), value), torch.ones(1, 32, 32, dtype=torch.bool))
    )
    assert ratios.n_excluded.tolist() == [1] * len(STEPS)


def test_a_full_mask_is_always_hit() -> None:
    maps = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(1))
    ratios = patch_precision(MapBatch(maps, torch.ones(3, 48, 48, dtype=torch.bool)))
    assert (ratios.value == 1).all()


def test_the_count_is_what_the_precision_rests_on() -> None:
    generator = np.random.default_rng(5)
    maps = torch.from_numpy(generator.normal(size=(6, 7, 9)))
    maps[4], maps[5, 0, 0] = 1.0, torch.nan  # a constant map has no patch, a NaN no value
    findings = torch.zeros(6, 96, 96, dtype=torch.bool)
    findings[:5, 20:50, 30:60] = True
    batch = MapBatch(maps, findings)
    precision, count = patch_precision(batch), patch_count(batch)
    np.testing.assert_array_equal(count.numerator, precision.denominator)
    assert count.denominator[:, 0].tolist() == [1, 1, 1, 1, 1, 0]
    assert count.numerator[4].tolist() == [0] * len(STEPS)
    assert (count.value <= np.arange(1, 30)).all()


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5])
def test_the_mask_itself_is_measured_however_much_it_covers(share: float) -> None:
    """A plateau of brightest patches fills more than the level leaves over, and is no constant."""
    side = round(96 * share**0.5)
    finding = torch.zeros(1, 96, 96, dtype=torch.bool)
    finding[0, 10 : 10 + side, 20 : 20 + side] = True
    ratios = patch_precision(MapBatch(finding.double(), finding))
    assert ratios.n_excluded[0] == 0, f"a mask over {share:.0%} of the image was left out"
    assert ratios.value[0] == 1, f"the first patch of a mask over {share:.0%} misses it"
    holds = oracle.patches(finding[0].double().numpy(), finding[0].numpy(), LEVEL)
    assert ratios.denominator[0, -1] == len(holds)
