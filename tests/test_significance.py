"""Tables of comparisons: like with like, the numbers of the single comparison, Holm over all."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pandas as pd
import pytest

from softcam.common import SoftCAMError, UnknownNameError
from softcam.compare import compare
from softcam.metrics import Ratios, hierarchical_difference, holm, paired_permutation
from softcam.significance import COLUMNS, against_black_box, against_controls, significance
from tests.results_tables import Tables

N = 30
MAPS = (
    ("black-box", "grad-cam", 0.3),
    ("converted", "softcam", 0.3),
    ("sparse", "softcam", 0.8),
)
POINTING = {"metric": "pointing-accuracy", "target": "class:1"}


def study(seeds: int = 2) -> Tables:
    """A black box with Grad-CAM, a converted one, a sparse SoftCAM; controls on each."""
    tables = Tables()
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        labels = np.arange(N) % 2
        base = draw.random(N)
        for arm, method, gain in MAPS:
            run = {"run_id": f"{arm.replace('converted', 'black-box')}-{seed}"}
            who = {**run, "arm": arm, "seed": seed}
            tables.predict(labels, labels * gain + draw.normal(size=N), **who)
            tables.add(base + gain, **who, **POINTING, method=method, gauge="contrast")
            tables.add(base * 0, **who, **POINTING, method=method, gauge="raw")
            if arm != "converted":
                tables.add(base, **who, **POINTING, method="random")
                tables.add(base + 0.3, **who, **POINTING, method="centre")
                tables.add(base + 9, **who, **POINTING, method="reference-ceiling")
    return tables


def test_controls_of_the_same_run() -> None:
    tables = study()
    found = against_controls(tables.table(), tables.per_image(), seeds="each", n_draws=999)
    assert list(found.columns) == list(COLUMNS)
    shown = {
        (r.arm, r.method, r.gauge, r.seed, r.b_method): round(r.difference, 9)
        for r in found.itertuples()
    }
    expected = {}
    for seed in "01":
        for arm, method, gain in MAPS:
            expected[arm, method, "contrast", seed, "random"] = gain
            expected[arm, method, "contrast", seed, "centre"] = round(gain - 0.3, 9)
    assert shown == expected, "each map against both controls; neither controls nor raw maps"
    sparse = found[(found["arm"] == "sparse") & (found["b_method"] == "random")]
    assert (sparse["p"] == 1 / 1000).all() and (sparse["better"] == "a").all()
    equal = found[(found["arm"] == "black-box") & (found["b_method"] == "centre")]
    assert (equal["better"] == "neither").all()
    np.testing.assert_allclose(found["p_holm"], holm(found["p"].to_numpy()))


@pytest.mark.slow
def test_black_box_by_seed_and_pooled() -> None:
    tables = study(3)
    table, images = tables.table(), tables.per_image()
    found = against_black_box(table, images, n_draws=499, n_boot=200, seed=5)
    assert set(found["arm"]) == {"sparse"} and set(found["b_arm"]) == {"black-box"}
    assert found["metric"].tolist().count("auc") == found["metric"].tolist().count(
        "pointing-accuracy"
    )
    assert found[found["metric"] == "auc"]["seed"].tolist() == ["0", "1", "2", "pooled"]
    one = found[(found["metric"] == "auc") & (found["seed"] == "1")].iloc[0]
    single = compare(images, "sparse-1", "black-box-1", "auc", n_boot=200)
    assert one["difference"] == pytest.approx(single.value) and one["n"] == N
    pooled = found[(found["metric"] == "auc") & (found["seed"] == "pooled")].iloc[0]
    alone = found[(found["metric"] == "auc") & (found["seed"] != "pooled")]
    assert pooled["difference"] == pytest.approx(alone["difference"].mean())
    assert "3 seeds and images, the same in every seed" in pooled["ci_kind"]


def test_pooled_numbers_are_those_of_the_measures_room() -> None:
    """The labels agree, so the images are taken for the same: crossed."""
    tables = study(2)
    images = tables.per_image()
    found = against_controls(
        tables.table(), images, seeds="pooled", controls=["random"], n_boot=100, n_draws=99
    )
    row = found[found["arm"] == "sparse"].iloc[0]
    sides = []
    for method in ("softcam", "random"):
        gauge = "contrast" if method == "softcam" else "-"
        side = []
        for seed in range(2):
            own = images[(images["run_id"] == f"sparse-{seed}") & (images["method"] == method)]
            own = own[own["gauge"] == gauge].sort_values("image_id")
            side.append(Ratios(own["value"].to_numpy(), np.ones(N)))
        sides.append(side)
    interval = hierarchical_difference(*sides, 100, 0, crossed=True)
    test = paired_permutation(*sides, 99, 0, crossed=True)
    np.testing.assert_allclose(
        [row["difference"], row["ci_low"], row["ci_high"], row["p"]],
        [interval.value[0], interval.low[0], interval.high[0], test.p[0]],
    )
    assert row["seed"] == "pooled" and row["n"] == N


def test_a_lower_value_can_be_the_better_one() -> None:
    tables = Tables()
    values = np.random.default_rng(0).random(N)
    own = {"run_id": "r", "arm": "sparse", "metric": "energy-outside", "direction": "lower"}
    tables.add(values, **own, method="softcam", gauge="raw")
    tables.add(values + 1, **own, method="random")
    found = against_controls(tables.table(), tables.per_image(), n_draws=999)
    assert found["better"].tolist() == ["a"] and found["difference"].iloc[0] == pytest.approx(-1)


def crossed() -> Tables:
    """Two runs whose maps rank the tiles of both, under two fills."""
    tables = Tables()
    for fill, shift in (("mean-colour", 0.0), ("blur", 0.1)):
        for a, (run, arm, method) in enumerate(
            [("box", "black-box", "grad-cam"), ("own", "sparse", "softcam")]
        ):
            for o, occluded in enumerate(("box", "own")):
                draw = np.random.default_rng(4 * a + o).random(N) * 0.01
                keys = {"run_id": run, "arm": arm, "metric": "audc", "direction": "lower",
                        "fill": fill, "occluded_run": occluded, "gauge": "contrast"}  # fmt: skip
                tables.add(draw + a + 2 * o + shift, method=method, **keys)
    return tables


def test_crossed_tables_compare_like_with_like() -> None:
    tables = crossed()
    table, images = tables.table(), tables.per_image()
    own = against_black_box(table, images, n_draws=99)
    assert own["fill"].tolist() == ["mean-colour", "blur"] and set(own["occluded"]) == {"own"}
    np.testing.assert_allclose(own["difference"], 3, atol=0.02)  # networks and maps
    same = against_black_box(table, images, occluded="same", n_draws=99)
    assert set(zip(same["fill"], same["occluded"], strict=True)) == {
        (fill, arm) for fill in ("mean-colour", "blur") for arm in ("black-box", "sparse")
    }
    np.testing.assert_allclose(same["difference"], 1, atol=0.02)  # the maps alone


def test_any_columns_choose_a_reference() -> None:
    tables = study()
    reference = {"arm": "black-box", "method": "grad-cam"}
    found = significance(tables.table(), tables.per_image(), reference=reference, seeds="each",
                         metrics=["pointing-accuracy"], n_draws=99)  # fmt: skip
    assert {(r.arm, r.method) for r in found.itertuples()} == {
        ("converted", "softcam"), ("sparse", "softcam"),
    }  # fmt: skip


def test_nothing_to_compare_and_bad_names(caplog: pytest.LogCaptureFixture) -> None:
    tables = study(1)
    table, images = tables.table(), tables.per_image()
    nothing = against_controls(table, images, controls=["edge"])
    assert len(nothing) == 0 and list(nothing.columns) == list(COLUMNS)
    with pytest.raises(UnknownNameError, match="auk"):
        against_black_box(table, images, metrics=["auk"])
    with pytest.raises(UnknownNameError, match="'method'"):
        significance(table, images, reference={"metod": "random"})
    with pytest.raises(UnknownNameError):
        against_black_box(table, images, seeds="every")
    with pytest.raises(SoftCAMError, match="at least one column"):
        significance(table, images, reference={})
    with caplog.at_level(logging.WARNING):
        against_controls(table, images, n_draws=20)
    assert "raise n_draws" in caplog.text


# Two findings in four images, and the logits of two models. By counting pairs of an image with the
# finding and one without: A has an AUC of 1 and 3/4, B of 0 and 1.
FINDINGS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
A = np.array([[0.0, 0], [1, 1], [2, 2], [3, 3]])
B = np.array([[3.0, 0], [2, 3], [1, 1], [0, 2]])
BY_HAND = {"class:0": 1 - 0, "class:1": 3 / 4 - 1, "-": (1 - 0 + 3 / 4 - 1) / 2}


def pairs(labels: np.ndarray, logits: np.ndarray) -> float:
    """Mean over findings of the share of pairs in the right order; ties are half."""
    shares = []
    for y, z in zip(labels.T, logits.T, strict=True):
        diff = z[y == 1][:, None] - z[y == 0]
        shares.append((np.sign(diff).mean() + 1) / 2)
    return float(np.mean(shares))


def by_findings(b: np.ndarray = B, seeds: int = 2) -> Tables:
    tables = Tables()
    for seed in range(seeds):
        for arm, logits in (("dense", A), ("black-box", b)):
            who = {"run_id": f"{arm}-{seed}", "arm": arm, "seed": seed}
            tables.predict_findings(FINDINGS, logits * (1 + seed), **who)
    return tables


def test_several_findings_by_hand() -> None:
    tables = by_findings()
    found = against_black_box(tables.table(), tables.per_image(), n_boot=50, n_draws=999)
    shown = {(r.target, r.seed): r.difference for r in found.itertuples()}
    assert shown == {(t, s): v for t, v in BY_HAND.items() for s in ("0", "1", "pooled")}
    assert (found["n"] == 4).all() and (found["metric"] == "auc").all()
    one = found[(found["seed"] == "0")].set_index("target")
    for target, columns in (("-", [0, 1]), ("class:0", [0]), ("class:1", [1])):
        y, a, b = (each[:, columns] for each in (FINDINGS, A, B))
        swaps = [np.array(each)[:, None] for each in itertools.product((False, True), repeat=4)]
        all_of_them = [
            pairs(y, np.where(swap, b, a)) - pairs(y, np.where(swap, a, b)) for swap in swaps
        ]
        p = np.mean(np.abs(all_of_them) >= abs(BY_HAND[target]) - 1e-12)
        assert one.loc[target, "p"] == pytest.approx(p)
    pooled = found[found["seed"] == "pooled"]
    assert pooled["ci_kind"].str.contains("2 seeds and images, the same in every seed").all()


def test_findings_without_their_logits_or_with_other_labels_are_refused() -> None:
    tables = by_findings(seeds=1)
    table, images = tables.table(), tables.per_image()
    short = images[~((images["metric"] == "logit") & (images["target"] == "class:1"))]
    with pytest.raises(SoftCAMError, match="2 findings and 1 logits; expected a logit for each"):
        against_black_box(table, short)
    other = (images["run_id"] == "black-box-0") & (images["metric"] == "label")
    turned = images.assign(value=images["value"].where(~other, 1 - images["value"]))
    with pytest.raises(SoftCAMError, match="dense-0 and black-box-0 have the same images and oth"):
        against_black_box(table, turned)


def test_seeds_without_a_partner_are_left_out() -> None:
    tables = study(2)
    table = tables.table()
    lonely = table[~((table["arm"] == "black-box") & (table["seed"] == 1))]
    found = against_black_box(lonely, tables.per_image(), metrics=["pointing-accuracy"], n_draws=99)
    assert found["seed"].tolist() == ["0"]
    assert isinstance(found, pd.DataFrame)
