"""Rows as they come in: the two tables, and a file that appears whole or not at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from softcam.evaluation import recorder as module
from softcam.evaluation.recorder import Recorder, patient_groups
from softcam.metrics import Interval, Ratios, get_measure
from softcam.results import COLUMNS, KEYS, PER_IMAGE, read_per_image
from tests.evaluation.known import bright_square

POINTING, DELETION = get_measure("pointing-accuracy"), get_measure("deletion-prediction")
EVERY = np.arange(8)


def ratios(steps: int = 1) -> Ratios:
    values = np.arange(8.0)[:, None] + 100 * np.arange(steps)
    weights = np.ones((8, steps))
    weights[2] = 0
    return Ratios(values * weights, weights)


def test_one_row_a_step_and_the_images_that_have_a_value() -> None:
    data = bright_square(8)
    with Recorder(n_boot=10) as recorder:
        recorder.add_ratios({"run_id": "a"}, DELETION, ratios(3), data, EVERY)
    table, images = recorder.table(), recorder.per_image()
    recorder.close()
    assert list(table.columns) == list(COLUMNS) and list(images.columns) == list(PER_IMAGE)
    assert table["step"].tolist() == ["0", "1", "2"]
    assert table["value"].tolist() == pytest.approx([26 / 7, 26 / 7 + 100, 26 / 7 + 200])
    assert (table["n"] == 7).all() and (table["n_excluded"] == 1).all()
    assert (table["ci_kind"] == "bootstrap over groups").all()
    assert len(images) == 21 and "i2" not in set(images["image_id"])
    first = images[images["step"] == "0"]
    assert first["value"].tolist() == [0, 1, 3, 4, 5, 6, 7]
    assert first["patient_id"].tolist() == ["p0"] * 3 + ["p1"] * 4
    assert set(table["fill"]) == {"-"} and set(table["metric"]) == {"deletion-prediction"}


def test_predictions_and_statistics() -> None:
    data = bright_square(8)
    logits = np.arange(6.0).reshape(3, 2)
    nan = np.array(np.nan)
    with Recorder() as recorder:
        recorder.add_predictions({"run_id": "a"}, data, np.array([1, 4, 5]), logits)
        recorder.add_statistic({}, POINTING, Interval(nan, nan, nan, "kind", "a reason"), 3, 2)
    images, table = recorder.per_image(), recorder.table()
    recorder.close()
    found = {
        (row["metric"], row["target"], row["image_id"]): row["value"]
        for _, row in images.astype(dict.fromkeys(KEYS, str)).iterrows()
    }
    assert found["label", "label", "i5"] == 1 and found["logit", "class:1", "i4"] == 3
    assert len(found) == 9
    assert table.iloc[0][["ci_kind", "n", "n_excluded"]].tolist() == ["none: a reason", 3, 2]


def test_many_rows_go_to_the_file_in_groups_of_bounded_size(tmp_path, monkeypatch) -> None:
    import pyarrow.parquet

    monkeypatch.setattr(module, "BUFFER", 5)
    file = tmp_path / "images.parquet"
    with Recorder(n_boot=0, file=file) as recorder:
        for run in ("a", "b", "c"):
            recorder.add_ratios({"run_id": run}, POINTING, ratios(), bright_square(8), EVERY)
            assert recorder._held < 5
    groups = pyarrow.parquet.ParquetFile(file).metadata
    assert [groups.row_group(k).num_rows for k in range(groups.num_row_groups)] == [5, 5, 5, 5, 1]
    images = read_per_image(file)
    assert images.groupby("run_id", observed=True)["value"].sum().tolist() == [26.0] * 3


def test_nothing_recorded_is_an_empty_table(tmp_path) -> None:
    with Recorder(file=tmp_path / "images.parquet") as recorder:
        pass
    assert list(read_per_image(tmp_path / "images.parquet").columns) == list(PER_IMAGE)
    assert recorder.table().shape == (0, len(COLUMNS))


@pytest.mark.parametrize("when", ["before", "in", "at the end"])
def test_a_block_that_fails_leaves_no_file_and_keeps_the_old_one(
    tmp_path, monkeypatch, when: str
) -> None:
    file = tmp_path / "images.parquet"
    file.write_bytes(b"old")
    monkeypatch.setattr(module, "BUFFER", 5)
    with pytest.raises(ZeroDivisionError), Recorder(n_boot=0, file=file) as recorder:
        if when != "before":
            recorder.add_ratios({}, POINTING, ratios(), bright_square(8), EVERY)
        if when == "at the end":
            monkeypatch.setattr(module, "_dictionary", lambda *_: 1 / 0)
        else:
            raise ZeroDivisionError
    assert file.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["images.parquet"]


def test_the_patients_of_some_images() -> None:
    data = bright_square(12)
    assert patient_groups(data, np.array([0, 4, 8])) is None
    groups = patient_groups(data, np.array([0, 1, 5, 4]))
    assert groups is not None and groups[0] == groups[1] != groups[2] == groups[3]


def test_draws_do_not_depend_on_how_patients_are_written() -> None:
    """Patients are numbered in the order of their names, as a bootstrap over names draws them."""
    from softcam.metrics import bootstrap_ratio

    data = bright_square(8, patients=("z", "a", "z", "b", "b", "a", "c", "c"))
    with Recorder(n_boot=50, seed=3) as recorder:
        recorder.add_ratios({}, POINTING, ratios(), data, EVERY)
    row = recorder.table().iloc[0]
    recorder.close()
    plain = bootstrap_ratio(ratios(), 50, 3, data.patients)
    assert [row["ci_low"], row["ci_high"]] == [float(plain.low[0]), float(plain.high[0])]
    assert isinstance(recorder.table(), pd.DataFrame)
