"""The specification curve against a slow loop over the public measures, and known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.metrics import MapBatch, Ratios, get_measure, paired_difference
from softcam.metrics.geometry import patch_grid
from softcam.metrics.paper import cubic_resize
from softcam.reproduce.specification.curve import curve_of
from softcam.reproduce.specification.figure import plot_specification
from softcam.reproduce.specification.gathering import Choice, Sides, without_repeats
from softcam.reproduce.specification.measuring import Way, map_measures
from softcam.reproduce.specification.resizing import INTERPOLATIONS, at_patches, at_pixels

SIZE, CELLS, N = 32, 4, 12
PUBLIC = {
    "activation-precision": "positive", "activation-sensitivity": "positive",
    "energy-outside": "positive", "pixel-auprc": "signed", "relevance-rank-accuracy": "signed",
    "iou-best": "signed", "pointing-accuracy": "signed",
}  # fmt: skip


def made_up(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = np.random.default_rng(seed)
    maps = torch.from_numpy(draw.normal(size=(N, CELLS, CELLS)))
    maps[0] = 0.5  # the same everywhere
    maps[1] = -maps[1].abs()  # nothing positive
    maps[2] = maps[2].abs() + 1  # nothing negative
    findings = torch.from_numpy(draw.random((N, SIZE, SIZE)) < 0.1)
    findings[3] = True
    return maps, findings


def per_image(way: Way, found) -> np.ndarray:
    numerator, denominator = found[way]
    return Ratios(numerator, denominator).per_image[:, 0]


@pytest.mark.parametrize("name", PUBLIC)
def test_uncut_and_bilinear_it_is_the_public_measure(name: str) -> None:
    maps, findings = made_up()
    found = map_measures(maps, findings, "bilinear")
    direction = "lower" if name == "energy-outside" else "higher"
    way = Way(name, "corrected", PUBLIC[name], "-", "-", direction)
    expected = get_measure(name)(MapBatch(maps, findings)).per_image[:, 0]
    np.testing.assert_allclose(per_image(way, found), expected, atol=1e-12)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_patches_are_those_of_the_public_measure(k: int) -> None:
    maps, findings = made_up()
    way = Way("patch-precision", "corrected", "signed", "quantile 0.9", str(k))
    found = map_measures(maps, findings, "bilinear")[way]
    expected = get_measure("patch-precision")(MapBatch(maps, findings))
    np.testing.assert_array_equal(found[0], expected.numerator[:, k - 1])
    np.testing.assert_array_equal(found[1], expected.denominator[:, k - 1])


def test_rectified_rankings_are_the_public_measure_of_a_rectified_map() -> None:
    maps, findings = made_up(1)
    fine = at_pixels(maps, (SIZE, SIZE), "nearest")
    found = map_measures(maps, findings, "nearest")
    for name, changed in (("positive", fine.clamp(min=0)), ("absolute", fine.abs())):
        way = Way("pixel-auprc", "corrected", name, "-", "-")
        expected = get_measure("pixel-auprc")(MapBatch(changed, findings)).per_image[:, 0]
        np.testing.assert_allclose(per_image(way, found), expected, atol=1e-12)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_thresholds_against_plain_counting(level: float) -> None:
    maps, findings = made_up(2)
    found = map_measures(maps, findings, "bilinear")
    fine = at_pixels(maps, (SIZE, SIZE), "bilinear").numpy()
    for i in range(4, N):  # without ties at the top
        bright = fine[i] > np.sort(fine[i].ravel())[int(np.ceil(level * SIZE**2)) - 1]
        marked = findings[i].numpy()
        both = (bright & marked).sum()
        for name, whole in (("precision", bright.sum()), ("iou", (bright | marked).sum())):
            way = Way(f"threshold-{name}", "corrected", "signed", f"quantile {level}", "-")
            assert per_image(way, found)[i] == pytest.approx(both / whole)


def test_each_interpolation_is_what_its_name_says() -> None:
    maps, _ = made_up(3)
    size = (SIZE, SIZE)
    torch.testing.assert_close(
        at_pixels(maps, size, "nearest"),
        maps.repeat_interleave(8, 1).repeat_interleave(8, 2), atol=1e-9, rtol=0,
    )  # fmt: skip
    torch.testing.assert_close(at_pixels(maps, size, "bicubic"), cubic_resize(maps, size))
    pooled = torch.nn.functional.interpolate(maps[:, None], (2, 2), mode="area")[:, 0]
    torch.testing.assert_close(at_pixels(maps, (2, 2), "area"), pooled, atol=1e-9, rtol=0)
    grid = patch_grid(*size)
    flat = torch.full((1, CELLS, CELLS), 2.5)
    for each in INTERPOLATIONS:
        patches = at_patches(flat, size, grid, each)
        assert patches.shape == (1, grid.rows, grid.columns)
        torch.testing.assert_close(patches, torch.full_like(patches, 2.5))


def sides(lead: float, spread: float = 0.05, n: int = 80, seed: int = 0, ways: int = 6):
    """Specifications that read the same images, with a known lead of sparse."""
    draw = np.random.default_rng(seed)
    names = np.array([f"i{k:03}" for k in range(n)])
    found: dict[Choice, dict[int, Sides]] = {}
    for w in range(ways):
        base, one = draw.random(n), np.ones(n)
        ahead = base + lead + spread * draw.normal(size=n)
        lower = w % 2 == 1
        a, b = (1 - ahead, 1 - base) if lower else (ahead, base)
        way = Way(f"m{w}", "corrected", "signed", "-", "-", "lower" if lower else "higher")
        choice = Choice(way, "raw", "bilinear", "label", "-")
        found[choice] = {0: Sides(names, names, (a, one), (b, one))}
    return found


def test_a_known_lead_is_found_in_every_specification() -> None:
    curve = curve_of(sides(0.2), n_boot=300, n_draws=300)
    assert curve.shares["share_sparse"] == 1 == curve.shares["share_sparse_clear"]
    assert curve.shares["median"] == pytest.approx(0.2, abs=0.02)
    assert curve.shares["p_median"] < 0.01  # the share says little where all move together
    assert (curve.table["effect"] > curve.table["null_high"]).all()
    assert curve.table["effect"].is_monotonic_increasing
    behind = curve_of(sides(-0.2), n_boot=300, n_draws=300)
    assert behind.shares["share_sparse"] == 0 and behind.shares["share_rival_clear"] == 1


def test_without_a_difference_the_curve_stays_in_its_band() -> None:
    inside, small = [], 0
    for seed in range(20):
        curve = curve_of(sides(0.0, seed=seed), n_boot=50, n_draws=200)
        held = curve.table["effect"].between(curve.table["null_low"], curve.table["null_high"])
        inside.append(held.mean())
        small += curve.shares["p_median"] <= 0.05
    assert np.mean(inside) > 0.85 and small <= 4


def test_effects_and_intervals_are_those_of_the_paired_difference() -> None:
    found = sides(0.1)
    table = curve_of(found, n_boot=200, n_draws=50).table.set_index("measure")
    for choice, by_seed in found.items():
        own = by_seed[0]
        value, low, high = paired_difference(Ratios(*own.sparse), Ratios(*own.rival), 200, 0)
        row = table.loc[choice.way.measure]
        sign = -1 if choice.way.direction == "lower" else 1
        assert row["effect"] == pytest.approx(sign * value[0])
        assert sorted([row["ci_low"], row["ci_high"]]) == pytest.approx(
            sorted([sign * low[0], sign * high[0]])
        )


def test_a_choice_that_changes_nothing_is_counted_once() -> None:
    found = sides(0.1, ways=2)
    first = next(iter(found))
    again = Choice(first.way, "contrast", *(first.interpolation, first.target, first.fill))
    kept, repeats = without_repeats({**found, again: found[first]})
    assert list(kept) == list(found) and repeats == 1


def test_the_figure_shows_every_data_set_and_choice() -> None:
    table = curve_of(sides(0.05), n_boot=50, n_draws=50).table
    both = pd.concat([table.assign(dataset=d, model="m", task="binary") for d in ("x", "y")])
    figure = plot_specification(both)
    assert figure.get_size_inches()[0] * 25.4 == pytest.approx(175)
    assert len(figure.axes) == 4
    labels = [text.get_text() for text in figure.axes[2].get_yticklabels()]
    assert labels == [f"m{w}" for w in range(6)]
    with pytest.raises(SoftCAMError, match="no specification"):
        plot_specification(table.iloc[:0])
