"""Floors that look at no image, and ceilings that know the finding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.metrics import (
    MapBatch,
    Measure,
    activation_precision,
    centre_map,
    measures,
    pointing_accuracy,
    pointing_chance,
    random_maps,
    reference_ceiling,
)


def squares(n: int = 6, size: int = 32, side: int = 8, seed: int = 0) -> torch.Tensor:
    draw = np.random.default_rng(seed)
    findings = torch.zeros(n, size, size, dtype=torch.bool)
    for finding, (y, x) in zip(findings, draw.integers(0, size - side, (n, 2)), strict=True):
        finding[y : y + side, x : x + side] = True
    return findings


def test_a_random_map_belongs_to_its_image() -> None:
    many = random_maps(["a", "b", "c"], (4, 5), seed=1)
    assert many.shape == (3, 4, 5)
    assert torch.equal(random_maps(["c"], (4, 5), seed=1)[0], many[2])
    assert not torch.equal(many[0], many[1])
    assert not torch.equal(random_maps(["a"], (4, 5), seed=2)[0], many[0])
    assert random_maps([], (4, 5)).shape == (0, 4, 5)


def test_a_random_map_is_uniform_and_signed() -> None:
    maps = random_maps(range(200), (10, 10))
    assert -1 <= maps.min() < -0.999 and 0.999 < maps.max() < 1
    assert float(maps.mean()) == pytest.approx(0, abs=0.02)


def test_random_maps_point_at_chance() -> None:
    findings = squares(2000, side=12)
    maps = random_maps(range(2000), (32, 32))
    found = pointing_accuracy(MapBatch(maps, findings)).value[0]
    chance = pointing_chance(findings).value[0]
    assert chance == pytest.approx((12 / 32) ** 2)
    assert found == pytest.approx(chance, abs=4 * (chance * (1 - chance) / 2000) ** 0.5)


def test_chance_leaves_out_images_without_a_finding() -> None:
    findings = squares(4)
    findings[1] = False
    chance = pointing_chance(findings)
    assert chance.n_excluded == 1 and chance.value == (8 / 32) ** 2


def test_the_centre_map_peaks_in_the_middle_and_is_symmetric() -> None:
    centre = centre_map((5, 8))
    assert centre.shape == (5, 8)
    torch.testing.assert_close(centre, centre.flip(0))
    torch.testing.assert_close(centre, centre.flip(1))
    assert centre[2, 3] == centre.max() <= 1
    assert float(centre_map((2, 2))[0, 0]) == pytest.approx(np.exp(-1))  # one sigma each way


@pytest.mark.parametrize("each", measures("map"), ids=lambda each: each.name)
def test_the_ceiling_is_the_better_of_mask_and_best_cell(each: Measure) -> None:
    """Against every cell tried one by one, where the findings touch few of them."""
    sign = -1 if each.direction == "lower" else 1
    findings, shape = squares(5, side=6), (4, 4)
    pooled = findings.double().reshape(5, 4, 8, 4, 8).mean((2, 4))
    references = [each(MapBatch(pooled, findings)).value]
    numerators, denominators = [], []
    for i in range(5):
        tried = []
        for cell in range(16):
            one = torch.zeros(16)
            one[cell] = 1
            if pooled[i].flatten()[cell] > 0:
                batch = MapBatch(one.reshape(1, 4, 4), findings[i : i + 1])
                tried.append(each(batch))
        best = np.argmax([sign * t.per_image[0] for t in tried], axis=0)
        numerators.append([tried[b].numerator[0, s] for s, b in enumerate(best)])
        denominators.append([tried[b].denominator[0, s] for s, b in enumerate(best)])
    references.append(np.sum(numerators, 0) / np.sum(denominators, 0))
    ceiling = reference_ceiling(each, findings, shape, chunk=2)
    best_reference = sign * np.max(np.multiply(sign, references), 0)
    np.testing.assert_allclose(ceiling.value, best_reference, atol=1e-9)


def test_the_ceiling_grows_with_the_map() -> None:
    findings = squares(20, size=64, side=6)
    coarse, fine = (
        reference_ceiling("activation-precision", findings, (n, n)).value[0] for n in (4, 16)
    )
    assert coarse < fine < 1
    random = activation_precision(MapBatch(random_maps(range(20), (4, 4)), findings)).value[0]
    assert random < coarse


def test_the_ceiling_leaves_out_images_without_a_finding() -> None:
    findings = squares(4)
    findings[2] = False
    ceiling = reference_ceiling("pointing-accuracy", findings, (4, 4))
    assert ceiling.n_excluded == 1 and ceiling.n == 3
