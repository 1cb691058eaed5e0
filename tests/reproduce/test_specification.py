"""The specification curve against a slow loop over the public measures, and known answers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from softcam.common import SoftCAMError
from softcam.metrics import MapBatch, Ratios, get_measure, paired_difference
from softcam.metrics.geometry import patch_grid
from softcam.metrics.paper import cubic_resize
from softcam.reproduce.specification import (
    CAPTION,
    CURVE,
    SHARES,
    plot_specification,
    read_specification,
    write_specification,
    writing,
)
from softcam.reproduce.specification.curve import curve_of
from softcam.reproduce.specification.gathering import (
    Choice,
    Sides,
    from_occlusion,
    without_repeats,
)
from softcam.reproduce.specification.maps import NothingMarked
from softcam.reproduce.specification.measuring import Way, map_measures
from softcam.reproduce.specification.resizing import INTERPOLATIONS, at_patches, at_pixels
from softcam.results import write_results
from tests.results_tables import Tables

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


@pytest.mark.slow
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


def test_each_task_of_a_data_set_has_a_column_of_its_own() -> None:
    table = curve_of(sides(0.05), n_boot=50, n_draws=50).table
    places = [("x", "binary"), ("x", "multi-class"), ("y", "binary")]
    whole = pd.concat([table.assign(dataset=d, model="m", task=t) for d, t in places])
    titles = [ax.get_title() for ax in plot_specification(whole).axes[:3]]
    assert [title.split("\n")[:2] for title in titles[:2]] == [list(each) for each in places[:2]]
    assert titles[2].startswith("y\n6 ways to ask:"), "a task is named where there are several"


def test_titles_of_four_columns_do_not_meet() -> None:
    table = curve_of(sides(0.05), n_boot=50, n_draws=50).table
    places = [("phantoms-cxr", "binary"), ("phantoms-oct", "binary"),
              ("phantoms-fundus", "binary"), ("phantoms-fundus", "multi-class")]  # fmt: skip
    whole = pd.concat([table.assign(dataset=d, model="m", task=t) for d, t in places])
    figure = plot_specification(whole)
    FigureCanvasAgg(figure).draw()
    boxes = [ax.title.get_window_extent() for ax in figure.axes[:4]]
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes)), [(b.x0, b.x1) for b in boxes]


def test_every_interval_is_drawn_whole_and_data_sets_have_their_names() -> None:
    table = curve_of(sides(0.05), n_boot=50, n_draws=50).table
    table = table.assign(dataset="folder-codras", model="m", task="binary")
    table.loc[0, ["ci_low", "ci_high"]] = [-0.9, 0.8]
    top = plot_specification(table).axes[0]
    low, high = top.get_ylim()
    assert low < -0.9 and high > 0.8
    assert top.get_title().startswith("CODRAS\n")


def test_legend_and_title_mean_the_same_by_ahead() -> None:
    table = curve_of(sides(0.05), n_boot=50, n_draws=50).table
    table = table.assign(dataset="x", model="m", task="t", effect=0.01, ahead="neither")
    table.loc[:2, "ahead"] = ["sparse", "rival", "sparse"]
    ax = plot_specification(table).axes[0]
    assert ax.get_title() == "x\n6 ways to ask:\nsparse ahead 33%\nGrad-CAM ahead 17%"
    dots = {each.get_label(): len(each.get_offsets()) for each in ax.collections[2:]}
    assert dots == {"sparse ahead": 2, "Grad-CAM ahead": 1, "neither ahead": 3}
    assert "advantage of sparse" in ax.get_ylabel() and "sign is turned" in CAPTION


def occlusion(gauges: tuple[str, ...]) -> pd.DataFrame:
    tables = Tables()
    for arm, method in (("sparse", "softcam"), ("black-box", "grad-cam")):
        for gauge in gauges:
            tables.add(
                np.linspace(0, 1, 4), metric="audc", arm=arm, method=method, run_id=arm,
                gauge=gauge, occluded_run=arm, fill="mean-colour", target="label",
                direction="lower",
            )  # fmt: skip
    return tables.per_image().assign(direction="lower")


@pytest.mark.parametrize("asked", [("raw",), ("raw", "contrast"), ("raw", "centred", "contrast")])
def test_occlusion_takes_the_zeros_that_the_maps_take(asked: tuple[str, ...]) -> None:
    rows = occlusion(("raw", "centred", "contrast"))
    found = list(from_occlusion(rows, "sparse", "black-box", "f" * 12, asked))
    assert sorted(choice.gauge for choice, _ in found) == sorted(asked)


def test_without_a_pair_the_tables_are_empty(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tables = Tables()
    tables.add(np.ones(4), metric="pixel-auprc", arm="sparse", method="softcam", run_id="s")
    write_results(tables.table(), tables.per_image(), tmp_path)
    assert write_specification(tmp_path, progress=False) == tmp_path / "specification.csv"
    table, shares = read_specification(tmp_path)
    assert table.empty and tuple(table.columns) == CURVE
    assert shares.empty and tuple(shares.columns) == SHARES
    assert "no seed with a sparse SoftCAM and a black box" in caplog.text


def test_data_without_any_finding_have_no_curve(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = Tables()
    for arm, method in (("sparse", "softcam"), ("black-box", "grad-cam")):
        tables.add(np.ones(4), metric="audc", arm=arm, method=method, run_id=arm)

    def none(*_: object, **__: object) -> None:
        raise NothingMarked("d/test has no image with a finding.")

    monkeypatch.setattr(writing, "kept_maps", none)
    monkeypatch.setattr(writing.Run, "open", lambda path: path)
    write_results(tables.table(), tables.per_image(), tmp_path)
    write_specification(tmp_path, progress=False)
    assert read_specification(tmp_path)[0].empty and "no image with a finding" in caplog.text
