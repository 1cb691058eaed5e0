"""Paired differences: by hand on a few images, and against scikit-learn for the AUC."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from softcam.common import SoftCAMError, UnknownNameError
from softcam.compare import PerImage, compare
from softcam.results import KEYS

N = 60


def rows(run: str, metric: str, values: np.ndarray, **columns: object) -> pd.DataFrame:
    base = dict.fromkeys(KEYS, "-") | {"run_id": run, "arm": "sparse", "metric": metric}
    base |= {"direction": "lower" if metric == "brier" else "higher", **columns}
    frame = pd.DataFrame([base] * len(values))
    frame["image_id"] = [f"i{k}" for k in range(len(values))]
    frame["patient_id"] = frame["image_id"]
    frame["value"], frame["weight"] = values, 1.0
    return frame


@pytest.fixture
def table() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    labels = np.arange(N) % 2
    parts = []
    for run, noise in (("good", 0.7), ("bad", 3.0)):
        logit = labels - 0.5 + noise * draw.standard_normal(N)
        parts += [
            rows(run, "label", labels.astype(float), target="label"),
            rows(run, "logit", -logit, target="class:0"),
            rows(run, "logit", logit, target="class:1"),
            rows(run, "accuracy", ((logit > 0) == labels).astype(float)),
            rows(run, "brier", noise * np.ones(N)),
            rows(run, "pointing-accuracy", labels * 1.0, method="softcam", gauge="raw"),
            rows(run, "pointing-accuracy", labels * 0.5, method="softcam", gauge="contrast"),
        ]
    return pd.concat(parts, ignore_index=True)


def test_auc_difference_is_scikit_learns(table: pd.DataFrame) -> None:
    from sklearn.metrics import roc_auc_score

    def value(run: str) -> float:
        own = table[table["run_id"] == run]
        y, z = (own[(own["metric"] == m) & (own["target"] == t)]["value"]
                for m, t in (("label", "label"), ("logit", "class:1")))  # fmt: skip
        return roc_auc_score(y, z)

    found = compare(table, "good", "bad", "auc", n_boot=200)
    assert found.value == pytest.approx(value("good") - value("bad"))
    assert found.low < found.value < found.high and found.n == N and found.better == "a"
    assert compare(table, "bad", "good", "auc", n_boot=200).better == "b"


def test_a_single_image_has_no_interval(table: pd.DataFrame) -> None:
    alone = table[table["image_id"] == "i1"]
    assert str(compare(alone, "good", "bad", "accuracy")).endswith(" [no interval], n = 1")


def test_lower_is_better_turns_the_verdict_round(table: pd.DataFrame) -> None:
    found = compare(table, "good", "bad", "brier", n_boot=50)
    assert found.value == pytest.approx(0.7 - 3.0) and found.better == "a"


def test_a_run_against_itself_is_no_difference(table: pd.DataFrame) -> None:
    for metric in ("auc", "accuracy"):
        found = compare(table, "good", "good", metric, n_boot=50)
        assert (found.value, found.low, found.high, found.better) == (0, 0, 0, "neither")


def test_only_shared_images_count(table: pd.DataFrame) -> None:
    fewer = table[(table["run_id"] == "good") | (table["image_id"] != "i0")]
    assert compare(fewer, "good", "bad", "accuracy", n_boot=20).n == N - 1
    alien = table.assign(image_id=table["run_id"] + table["image_id"])
    with pytest.raises(SoftCAMError, match="no image in common"):
        compare(alien, "good", "bad", "accuracy")


def test_patients_are_drawn_together(table: pd.DataFrame) -> None:
    grouped = table.assign(patient_id=table["image_id"].str[:2])
    single = compare(table, "good", "bad", "accuracy", n_boot=50)
    found = compare(grouped, "good", "bad", "accuracy", n_boot=50)
    assert "groups" in found.kind and found.value == single.value and found.low != single.low


def test_an_unclear_selection_names_what_differs(table: pd.DataFrame) -> None:
    with pytest.raises(SoftCAMError, match=r"gauge \(raw, contrast\)"):
        compare(table, "good", "bad", "pointing-accuracy")
    raw = {"run_id": "good", "gauge": "raw"}
    contrast = {"run_id": "good", "gauge": "contrast"}
    found = compare(table, raw, contrast, "pointing-accuracy", n_boot=20)
    assert found.value == pytest.approx(0.25)


def test_unknown_names(table: pd.DataFrame) -> None:
    with pytest.raises(UnknownNameError, match="'auc'"):
        compare(table, "good", "bad", "auk")
    with pytest.raises(UnknownNameError, match="'gauge'"):
        compare(table, {"gage": "raw"}, "bad", "auc")
    with pytest.raises(SoftCAMError, match="no rows"):
        compare(table, "nobody", "bad", "auc")


def test_a_measure_that_only_the_table_knows_is_compared(table: pd.DataFrame) -> None:
    own = table["metric"] == "brier"
    derived = table.assign(metric=table["metric"].where(~own, "audc-over-random"))
    found = compare(derived, "good", "bad", "audc-over-random", n_boot=50)
    assert found.value == pytest.approx(0.7 - 3.0) and found.better == "a"  # its rows say `lower`


def test_rows_are_found_by_what_was_measured(table: pd.DataFrame) -> None:
    images = PerImage(table, ["pointing-accuracy"])
    where = dict.fromkeys(PerImage.COLUMNS, "-") | {"run_id": "good", "arm": "sparse"}
    own = {**where, "metric": "pointing-accuracy", "method": "softcam", "gauge": "raw"}
    found = images.rows(own)
    assert found is not None and found["value"].tolist() == [0.0, 1.0] * (N // 2)
    assert list(found.index[:2]) == ["i0", "i1"] and (found["weight"] == 1).all()
    assert images.rows({**own, "metric": "brier"}) is None, "left out"
    assert images.rows({**own, "gauge": "centred"}) is None
    predictions = images.predictions("good", "sparse")
    logit = table[(table["run_id"] == "good") & (table["target"] == "class:1")]["value"]
    assert predictions[1].tolist() == logit.tolist() and list(predictions.columns[1:]) == [
        "label",
        0,
        1,
    ]
    assert images.predictions("nobody", "sparse").empty
    twice = PerImage(pd.concat([table, table]), ["pointing-accuracy"])
    with pytest.raises(SoftCAMError, match="several values an image"):
        twice.rows(own)
