"""The paper's top-k patch precision against its loop, and each trap alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.metrics import MapBatch, get_measure, paper
from softcam.metrics import patch_precision as corrected
from softcam.metrics.paper import CORRECTED, PUBLIC, TRAPS, Quirks
from softcam.metrics.paper.patches import patch_scores, public_grid, select_cells
from softcam.metrics.patches import STEPS, select_patches
from tests.metrics import oracle_paper

SHAPES = [(12, 12), (16, 16), (7, 9), (60, 60), (512, 512)]


def scenes(
    shape: tuple[int, int], side: int = 512, n: int = 3, scale: float = 4
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random maps with strong borders, and a box as finding that touches the border."""
    draw = np.random.default_rng([7, *shape])
    maps = draw.normal(scale=scale, size=(n, *shape))
    maps[:, :, [0, -1]] += 3
    maps[:, [0, -1]] += 3
    findings = np.zeros((n, side, side), dtype=bool)
    for finding in findings:
        top, left = draw.integers(0, side - 100, 2)
        finding[top : top + 60, left : left + 100] = True
    return torch.from_numpy(maps), torch.from_numpy(findings)


def check(batch: MapBatch, quirks: Quirks = PUBLIC) -> None:
    """Every k and the whole, hits and patch counts, image by image."""
    ratios = paper.patch_precision(batch, quirks=quirks)
    whole = paper.patch_precision_all(batch, quirks=quirks)
    pairs = zip(batch.maps.numpy(), batch.findings.numpy(), strict=True)
    for i, (cells, finding) in enumerate(pairs):
        for k in STEPS:
            expected = oracle_paper.patch_counts(cells, finding, k, quirks)
            got = ratios.numerator[i, k - 1], ratios.denominator[i, k - 1]
            assert got == expected, f"image {i}, k = {k}"
        expected = oracle_paper.patch_counts(cells, finding, None, quirks)
        assert (whole.numerator[i, 0], whole.denominator[i, 0]) == expected, f"image {i}"


@pytest.mark.slow
@pytest.mark.parametrize("side", [512, 496])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_loop(shape: tuple[int, int], side: int) -> None:
    check(MapBatch(*scenes(shape, side, n=2)))


@pytest.mark.slow
@pytest.mark.parametrize("trap", [*TRAPS, "transposed"])
def test_each_trap_alone_equals_the_loop(trap: str) -> None:
    """One switch, one change; all but the epsilon move hits or patch counts."""
    quirks = Quirks(transposed=True) if trap == "transposed" else PUBLIC.without(trap)
    same = []
    for shape in ((16, 16), (60, 60)):
        batch = MapBatch(*scenes(shape))
        check(batch, quirks)
        off, on = (paper.patch_precision_all(batch, quirks=each) for each in (quirks, PUBLIC))
        same += [np.array_equal(off.numerator, on.numerator)]
        same += [np.array_equal(off.denominator, on.denominator)]
    assert all(same) == (trap == "epsilon")


@pytest.mark.slow
def test_any_mixture_equals_the_loop() -> None:
    draw = np.random.default_rng(0)
    batch = MapBatch(*scenes((7, 9), n=1))
    for _ in range(12):
        check(batch, PUBLIC.without(*(each for each in TRAPS if draw.random() < 0.5)))


@pytest.mark.parametrize("shape", SHAPES)
def test_without_any_trap_it_is_the_corrected_measure(shape: tuple[int, int]) -> None:
    batch = MapBatch(*scenes(shape))
    ours, theirs = paper.patch_precision(batch, quirks=CORRECTED), corrected(batch)
    np.testing.assert_array_equal(ours.numerator, theirs.numerator)
    np.testing.assert_array_equal(ours.denominator, theirs.denominator)
    grid = public_grid(512)
    scores = patch_scores(batch.clean, batch.size, CORRECTED)
    chosen = select_cells(scores, CORRECTED)
    taken = select_patches(scores, grid, chosen.shape[1])
    assert torch.equal(chosen, taken)


def test_ties_go_in_reading_order() -> None:
    """Maps of few values, many of them equal, and plateaus at the threshold."""
    maps, findings = scenes((60, 60))
    check(MapBatch(maps.round().clamp(0, 3), findings))
    coarse, _ = scenes((12, 12))
    check(MapBatch(coarse.sign() * 2, findings))


def test_the_threshold_is_strict() -> None:
    findings = torch.ones(1, 512, 512, dtype=torch.bool)
    at = paper.patch_precision(MapBatch(torch.ones(1, 16, 16), findings))
    assert at.denominator[0, -1] == 0  # exactly 1 everywhere: nothing is above 1
    above = paper.patch_precision_all(MapBatch(torch.full((1, 16, 16), 1.5), findings))
    assert above.denominator[0, 0] == 1  # each cell suppresses the next


def test_suppression_wraps_to_the_other_end() -> None:
    """The last cell of row 10 takes the first cells of rows 9 to 12, by their flat index."""
    scores = torch.zeros(1, 60, 60)
    scores[0, 10, 59], scores[0, 11, 0], scores[0, 30, 30] = 9.0, 8.0, 7.0
    first, other, third = 10 * 60 + 59, 11 * 60, 30 * 60 + 30
    assert select_cells(scores).tolist() == [[first, third]]
    clipped = select_cells(scores, PUBLIC.without("wraps"))
    assert clipped.tolist() == [[first, other, third]]


def test_suppressed_cells_suppress() -> None:
    """9 takes 8 away, and 8, though it was never selected, takes 7 away."""
    scores = torch.zeros(1, 60, 60)
    scores[0, 20, 20], scores[0, 20, 22], scores[0, 20, 24] = 9.0, 8.0, 7.0
    assert select_cells(scores).tolist() == [[20 * 60 + 20]]
    selected = select_cells(scores, PUBLIC.without("chained"))
    assert selected.tolist() == [[20 * 60 + 20, 20 * 60 + 24]]


def test_suppression_leans_up_and_to_the_right() -> None:
    for cell, survives in [((18, 20), 0), ((22, 20), 1), ((20, 22), 0), ((20, 18), 1)]:
        scores = torch.zeros(1, 60, 60)
        scores[0, 20, 20], scores[0, *cell] = 9.0, 8.0
        assert select_cells(scores).shape[1] == 1 + survives
        assert select_cells(scores, PUBLIC.without("lopsided")).shape[1] == 1


def test_bad_maps_and_findings_are_counted() -> None:
    maps, findings = scenes((16, 16), n=6)
    maps[0, 3, 3], maps[1, 0, 0] = torch.nan, torch.inf
    maps[2] = -5.0  # nothing above the threshold
    findings[3] = False
    findings[4] = True
    ratios = paper.patch_precision(MapBatch(maps, findings))
    assert ratios.n_excluded.tolist() == [4] * len(STEPS)
    assert ratios.per_image[4].tolist() == [1.0] * len(STEPS)
    check(MapBatch(maps, findings))


def test_no_image_has_a_patch() -> None:
    _, findings = scenes((16, 16))
    dark = torch.full((3, 16, 16), -1.0)
    for measured in (paper.patch_precision, paper.patch_precision_tp, paper.patch_precision_all):
        for quirks in (PUBLIC, PUBLIC.without("chained")):
            ratios = measured(MapBatch(dark, findings), quirks=quirks)
            assert ratios.n_excluded[0] == 3
            assert np.isnan(ratios.value).all()


def test_only_images_predicted_as_the_class() -> None:
    maps, findings = scenes((16, 16))
    predicted = torch.tensor([True, False, True])
    every = paper.patch_precision(MapBatch(maps, findings, predicted))
    some = paper.patch_precision_tp(MapBatch(maps, findings, predicted))
    np.testing.assert_array_equal(some.denominator[[0, 2]], every.denominator[[0, 2]])
    assert not some.denominator[1].any()
    assert every.denominator[1].any()


def test_positive_cells_need_no_unit() -> None:
    """At threshold 0 the unit of the map does not count; at 1 a map in [0, 1] has no patch."""
    maps, findings = scenes((16, 16))
    small = MapBatch(maps / maps.abs().max() / 2, findings)
    ratios = paper.patch_precision_positive(small)
    np.testing.assert_array_equal(
        ratios.numerator, paper.patch_precision_positive(MapBatch(maps, findings)).numerator
    )
    for i in range(3):
        expected = oracle_paper.patch_counts(
            small.maps[i].numpy(), findings[i].numpy(), 29, PUBLIC.at(0.0)
        )
        assert (ratios.numerator[i, -1], ratios.denominator[i, -1]) == expected
    assert not paper.patch_precision(small).denominator.any()


def test_other_sizes_are_refused() -> None:
    batch = MapBatch(torch.zeros(1, 4, 4), torch.ones(1, 256, 256, dtype=torch.bool))
    with pytest.raises(SoftCAMError, match="512x512 and 496x496"):
        paper.patch_precision(batch)


def test_an_unknown_trap_is_an_error() -> None:
    with pytest.raises(SoftCAMError, match="wraps"):
        PUBLIC.without("wrap")


def test_registered_with_the_public_defaults() -> None:
    names = ("patch-precision", "patch-precision-tp", "patch-precision-positive")
    for name, steps in [*((each, STEPS) for each in names), ("patch-precision-all", None)]:
        entered = get_measure(name, "paper")
        assert entered.steps == steps
        assert entered.kind == "map"
        ratios = entered(MapBatch(*scenes((12, 12))))
        assert ratios.numerator.shape == (3, len(steps) if steps else 1)


def test_the_count_is_what_the_precision_rests_on() -> None:
    generator = np.random.default_rng(5)
    maps = torch.from_numpy(generator.normal(size=(4, 16, 16)) * 3)
    maps[3] = 0.5  # nothing above 1
    findings = torch.zeros(4, 512, 512, dtype=torch.bool)
    findings[:, 100:200, 300:400] = True
    batch = MapBatch(maps, findings)
    precision, count = paper.patch_precision(batch), paper.patch_count(batch)
    np.testing.assert_array_equal(count.numerator, precision.denominator)
    assert count.denominator.min() == 1, "an image without a patch counts as 0"
    assert count.numerator[3].max() == 0 < count.numerator[0].max()
