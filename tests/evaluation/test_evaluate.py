"""The results tables as a whole, on a network whose maps are known by construction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from softcam.common import SoftCAMError, UnknownNameError
from softcam.data.records import pack_masks
from softcam.evaluation import evaluate, evaluate_to, measure_catalogue
from softcam.explainers.registry import _EXPLAINERS, explainer
from softcam.results import COLUMNS, KEYS, read_results, write_results
from tests.evaluation.known import CELL, QUICK, SIZE, FakeRun, bright_square, one, rows, same

Tables = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def results() -> Tables:
    data = bright_square(misplaced=2)
    return evaluate([FakeRun(data), FakeRun(data, "sparse")], profile="unit", **QUICK)


@pytest.mark.slow
def test_columns_are_those_agreed_and_nothing_is_blank(results: Tables) -> None:
    table, per_image = results
    assert tuple(table.columns) == COLUMNS
    assert tuple(per_image.columns) == (*KEYS, "image_id", "patient_id", "value", "weight")
    keys = table[list(KEYS)]
    assert not keys.isna().any().any() and not (keys == "").any().any()
    assert not table.duplicated(list(KEYS)).any(), "two rows say the same thing"
    assert not per_image.duplicated([*KEYS, "image_id"]).any()
    assert set(table["profile"]) == {"unit"} and set(table["backbone"]) == {"resnet10t"}


def test_what_has_no_value_says_why(results: Tables) -> None:
    table, _ = results
    undefined = table[table["value"].isna()]
    assert (undefined["ci_kind"].str.len() > len("none: ")).all()
    assert np.isfinite(table["value"]).mean() > 0.9


def test_every_arm_and_method_is_there(results: Tables) -> None:
    table, _ = results
    found = set(map(tuple, table[["arm", "method", "gauge"]].to_numpy()))
    gauges = ("raw", "centred", "contrast")
    plain = ("random", "centre", "edge", "chance", "reference-ceiling", "true-mask")
    assert found == {
        *((arm, "-", "-") for arm in ("black-box", "converted", "sparse")),
        *(("black-box", "grad-cam", g) for g in gauges),
        *((arm, "softcam", g) for arm in ("converted", "sparse") for g in gauges),
        *((arm, method, "-") for arm in ("black-box", "sparse") for method in plain),
    }


def test_values_worked_out_by_hand(results: Tables) -> None:
    table, _ = results
    for arm in ("black-box", "converted", "sparse"):
        assert one(table, arm=arm, metric="auc")["value"] == 1
    method = {"arm": "sparse", "method": "softcam", "gauge": "contrast"}
    pointing = one(table, **method, metric="pointing-accuracy")
    assert pointing["value"] == pytest.approx(4 / 6)  # 2 of 6 marks are elsewhere
    assert (pointing["n"], pointing["n_excluded"]) == (6, 0)
    assert pointing["ci_kind"] == "bootstrap over groups"
    floor = one(table, arm="sparse", method="chance", metric="pointing-accuracy")
    assert floor["value"] == pytest.approx(CELL**2 / SIZE**2)
    ceiling = {"arm": "sparse", "method": "reference-ceiling"}
    assert one(table, **ceiling, metric="pointing-accuracy")["value"] == 1


def test_converted_black_box_equals_the_same_softcam(results: Tables) -> None:
    table, _ = results
    columns = ["method", "gauge", "metric", "step", "fill"]
    halves = [
        rows(table, arm=arm)[lambda t: t["method"].isin(["softcam", "-"])].set_index(columns)
        for arm in ("converted", "sparse")
    ]
    shared = halves[0].index.intersection(halves[1].index)
    assert len(shared) > 150
    pd.testing.assert_series_equal(
        halves[0].loc[shared, "value"], halves[1].loc[shared, "value"], atol=1e-6
    )


def test_contrast_of_grad_cam_is_the_contrast_of_the_evidence_map(results: Tables) -> None:
    table, _ = results
    for metric in ("pointing-accuracy", "audc", "auic"):  # of the order of the cells alone
        a = one(table, arm="black-box", method="grad-cam", gauge="contrast", metric=metric)
        b = one(table, arm="converted", method="softcam", gauge="contrast", metric=metric)
        assert a["value"] == pytest.approx(b["value"])


def test_per_image_averages_to_the_table(results: Tables) -> None:
    table, per_image = results
    words = per_image.astype(dict.fromkeys(KEYS, str))
    words["total"] = words["value"] * words["weight"]
    sums = words.groupby(list(KEYS))[["total", "weight"]].sum()
    means = sums["total"] / sums["weight"]
    checked = 0
    for _, row in table.iterrows():
        value = means.get(tuple(str(row[k]) for k in KEYS))
        if value is not None:
            assert value == pytest.approx(row["value"]), f"{row['metric']} {row['method']}"
            checked += 1
    assert checked > 500


def test_gauges_of_two_classes_stand_under_both_names(results: Tables) -> None:
    table, _ = results
    softcam = rows(table, method="softcam", arm="sparse")
    halves = [rows(softcam, gauge=g).drop(columns="gauge") for g in ("contrast", "centred")]
    key = ["metric", "step", "fill", "finding", "threshold"]
    same(*(half.sort_values(key) for half in halves))


def test_written_and_read_again(results: Tables, tmp_path) -> None:
    table, per_image = results
    write_results(table, per_image, tmp_path)
    again, images = read_results(tmp_path)
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    assert len(images) == len(per_image)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["per_image.parquet", "results.csv"]
    with pytest.raises(SoftCAMError, match="gauge"):
        write_results(table.drop(columns="gauge"), per_image, tmp_path)


def test_into_a_folder_is_the_same(tmp_path) -> None:
    run = FakeRun(bright_square())
    options = {"metrics": ["auc", "pointing-accuracy", "audc"], **QUICK}
    table, per_image = evaluate([run], **options)
    assert evaluate_to(tmp_path / "new" / "out", [run], **options) == tmp_path / "new" / "out"
    again, images = read_results(tmp_path / "new" / "out")
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    same(images.astype(str), per_image.astype(str))
    with pytest.raises(UnknownNameError, match="'n_boot'"):
        evaluate_to(tmp_path, [run], nboot=3)


def test_several_classes_are_asked_for_their_label() -> None:
    data = bright_square(24, classes=3)
    table, _ = evaluate(
        [FakeRun(data, "dense", classes=3)], methods=["softcam"],
        metrics=["accuracy", "quadratic-kappa", "pointing-accuracy"], **QUICK,
    )  # fmt: skip
    assert set(table["task"]) == {"multi-class"}
    assert "quadratic-kappa" in set(table["metric"])
    pointing = rows(table, metric="pointing-accuracy", method="softcam")
    assert set(pointing["target"]) == {"label"} and set(pointing["n"]) == {12}
    assert list(pointing["gauge"]) == ["raw", "centred", "contrast"]


def test_one_logit_has_a_raw_map_only() -> None:
    run = FakeRun(bright_square(), "dense", classes=1)
    table, _ = evaluate([run], methods=["softcam"], limit=2, **QUICK)
    assert set(rows(table, method="softcam")["gauge"]) == {"raw"}
    pointing = one(table, method="softcam", metric="pointing-accuracy")
    assert (pointing["value"], pointing["target"]) == (1, "class:1")
    assert one(table, method="softcam", metric="audc")["n"] == 2


def test_without_findings_there_are_no_localisation_values() -> None:
    table, _ = evaluate([FakeRun(bright_square(finding_names=()))], limit=2, **QUICK)
    pointing = rows(table, metric="pointing-accuracy")
    assert pointing["value"].isna().all() and (pointing["n"] == 0).all()
    assert pointing["ci_kind"].str.contains("no image has a value").all()
    mask = rows(table, method="true-mask", metric="audc").iloc[0]
    assert (mask["n"], mask["n_excluded"]) == (0, 2)
    assert one(table, arm="black-box", metric="auc")["value"] == 1


@pytest.mark.parametrize("n, labels", [(6, 0), (1, 1), (1, 0)])
def test_no_diseased_image_or_a_single_one(n: int, labels: int) -> None:
    data = bright_square(n)
    data.labels[:] = labels
    table, _ = evaluate([FakeRun(data)], **QUICK)
    undefined = table[table["value"].isna()]
    assert undefined["ci_kind"].str.startswith("none: ").all()
    assert (undefined["ci_kind"].str.len() > len("none: ")).all()
    assert one(table, arm="black-box", metric="accuracy")["n"] == n
    assert np.isnan(one(table, arm="black-box", metric="auc")["value"])
    assert ("audc" in set(table["metric"])) == (labels == 1)


def test_only_correct_takes_the_images_every_run_predicts() -> None:
    data = bright_square(12)
    data.labels[[0, 3]] = [1, 0]  # both runs are wrong about these
    runs = [FakeRun(data), FakeRun(data, "sparse")]
    metrics = ["pointing-accuracy", "audc", "accuracy"]
    table, _ = evaluate(runs, methods=["softcam"], metrics=metrics, only="correct", **QUICK)
    assert (rows(table, metric="pointing-accuracy", method="softcam")["n"] == 5).all()
    assert (rows(table, metric="audc", method="softcam")["n"] == 5).all()
    assert (rows(table, metric="accuracy")["n"] == 12).all(), "of all images, as it should"
    with pytest.raises(SoftCAMError, match="same images"):
        other = FakeRun(bright_square(fingerprint="other"), "dense")
        evaluate([*runs, other], only="correct", **QUICK)


def test_nobody_is_right_and_everything_is_undefined() -> None:
    data = bright_square(6)
    data.labels[:] = 1 - data.labels
    table, _ = evaluate(
        [FakeRun(data)], only="correct", metrics=["pointing-accuracy", "audc"], **QUICK
    )
    assert set(table["metric"]) == {"pointing-accuracy"}
    assert table["value"].isna().all() and (table["n"] == 0).all()


def test_a_measure_of_predictions_computes_no_map(monkeypatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("a map was computed")

    for name, each in list(_EXPLAINERS.items()):
        new = type(each)(**{**each.__dict__, "function": forbidden, "all_classes": forbidden})
        monkeypatch.setitem(_EXPLAINERS, name, new)
    table, _ = evaluate([FakeRun(bright_square())], metrics=["auc"], **QUICK)
    assert set(table["metric"]) == {"auc"} and len(table) == 2


def test_each_kind_of_measure_alone() -> None:
    run = FakeRun(bright_square(), "sparse")
    for name in ("consistency-positive", "audc", "average-drop", "cascade-correlation", "gini"):
        table, _ = evaluate([run], methods=["softcam"], metrics=[name], **QUICK)
        values = rows(table, method="softcam", metric=name)
        assert len(values) and values["value"].notna().all(), name


def test_two_data_sets_in_one_table() -> None:
    runs = [
        FakeRun(bright_square(), name="a"),
        FakeRun(
            bright_square(24, classes=3, fingerprint="other", name="more"), classes=3, name="b"
        ),
    ]
    table, _ = evaluate(runs, metrics=["accuracy", "pointing-accuracy"], occlude="all", **QUICK)
    assert set(rows(table, run_id="a")["dataset"]) == {"fake"}
    assert set(rows(table, run_id="b")["dataset"]) == {"more"}


def test_catalogue_covers_the_story() -> None:
    story = {"accuracy", "auc", "quadratic-kappa", "ece", "brier", "audc", "patch-precision"}
    story |= {"pointing-accuracy", "activation-precision", "activation-sensitivity"}
    assert story <= set(measure_catalogue())
    assert {each.protocol for each in measure_catalogue("both")["audc"]} == {"corrected", "paper"}
    assert "auc" in measure_catalogue("paper")


def test_maps_with_nan_are_excluded_and_counted(tmp_path) -> None:
    @explainer(name="broken", title="", paper="", cost="", gauges=("-",), needs="nothing")
    def broken(model, images, targets):
        maps = images[:, 0, ::CELL, ::CELL].clone()
        maps[images.amax((1, 2, 3)) > 0.5] = float("nan")
        return maps

    try:
        run = FakeRun(bright_square(), "sparse")
        evaluate_to(tmp_path, [run], methods=["broken"], **QUICK)
    finally:
        del _EXPLAINERS["broken"]
    table, _ = read_results(tmp_path)
    kinds = rows(table, method="broken")
    for metric in ("pointing-accuracy", "gini", "audc", "average-drop", "audc-over-random"):
        row = one(kinds, metric=metric)
        assert (row["n"], row["n_excluded"]) == (0, 6), metric
        assert np.isnan(row["value"]) and row["ci_kind"].startswith("none: no image has a value")
    line = next(
        each for each in (tmp_path / "results.csv").read_text().splitlines()
        if ",broken," in each and ",gini," in each
    )  # fmt: skip
    assert ",-,-,-,none: no image has a value,0,6" in line


def test_maps_of_the_wrong_shape_are_an_error_that_names_the_method() -> None:
    @explainer(name="flat", title="", paper="", cost="", gauges=("-",), needs="nothing")
    def flat(model, images, targets):
        return images.mean((1, 2, 3))

    try:
        with pytest.raises(SoftCAMError, match=r"'flat' returned maps of shape \(12,\)"):
            evaluate([FakeRun(bright_square())], methods=["flat"], **QUICK)
    finally:
        del _EXPLAINERS["flat"]


@pytest.mark.slow
def test_both_protocols_at_512_px() -> None:
    """The public definitions beside ours on the same maps; what has no second protocol, once."""
    small = bright_square(4)
    finding = np.stack([small.finding(i) for i in range(4)])
    large = [np.kron(each, np.ones((1, 16, 16))) for each in (small.images, finding)]
    data = replace(small, images=large[0].astype(np.uint8), masks=pack_masks(large[1][:, None]))
    run = FakeRun(data, "dense")
    table, _ = evaluate([run], methods=["softcam"], protocol="both", limit=1, **QUICK)
    assert data.size == (512, 512)
    own = rows(table, method="softcam", gauge="raw")
    paper, corrected = rows(own, protocol="paper"), rows(own, protocol="corrected")
    shared = set(paper["metric"]) & set(corrected["metric"])
    assert {"patch-precision", "activation-precision", "activation-sensitivity"} <= shared
    assert not table.duplicated(list(KEYS)).any()
    assert table["value"].notna().mean() > 0.8
    alone, _ = evaluate([run], methods=["softcam"], protocol="paper", limit=1, **QUICK)
    assert "auc" in set(alone["metric"]), "what concerns predictions has one protocol"
    both = [rows(each, method="softcam", gauge="raw", protocol="paper") for each in (alone, table)]
    same(*(each.sort_values(["metric", "threshold", "fill"], kind="stable") for each in both))
