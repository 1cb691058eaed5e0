"""The paper's numbers: the table is whole, its words and values are checked, ours stand beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from softcam.common import SoftCAMError
from softcam.reproduce.numbers import BESIDE, COLUMNS, KINDS, beside, paper_numbers, write_beside
from softcam.visualize.paper import Sweep, table_numbers
from tests.results_tables import Tables

FILE = Path(__file__).parents[2] / "figures" / "paper_numbers.csv"


def numbers() -> pd.DataFrame:
    return paper_numbers(file=FILE)


def written(tmp_path: Path, *rows: dict[str, str]) -> Path:
    plain = dict.fromkeys(COLUMNS, "-")
    plain |= {"id": "a", "dataset": "rsna", "task": "binary", "model": "vgg16", "arm": "sparse",
              "metric": "auc", "value": "0.9", "kind": "paper"}  # fmt: skip
    table = pd.DataFrame([{**plain, **row} for row in rows], columns=list(COLUMNS))
    table.to_csv(tmp_path / "numbers.csv", index=False)
    return tmp_path / "numbers.csv"


def test_the_table_comes_with_the_project_and_every_kind_can_be_asked_for() -> None:
    table = numbers()
    assert len(table) > 250
    parts = [paper_numbers(kind, file=FILE) for kind in KINDS]
    assert sum(map(len, parts)) == len(table)
    assert all(set(part["kind"]) <= {kind} for part, kind in zip(parts, KINDS, strict=True))


def test_splits_sum_up_and_have_no_class_twice() -> None:
    table = numbers()
    totals = table[table["metric"].str.fullmatch(r"images-(train|val|test|train-reduced)")]
    assert len(totals) >= 15
    for row in totals.to_dict("records"):
        own = table[table["dataset"] == row["dataset"]]
        classes = own[own["metric"].str.startswith(f"{row['metric']}-class-")]
        assert len(classes) >= 2 and classes["value"].sum() == row["value"], row["id"]


def test_grades_make_the_two_onsets() -> None:
    value = numbers().set_index("id")["value"]
    for split in ("train", "val", "test"):
        grades = [value[f"kaggle-dr-grade-multi-class-images-{split}-class-{c}"] for c in range(5)]
        healthy = value[f"kaggle-dr-onset1-binary-images-{split}-class-0"]
        assert (
            healthy == grades[0]
            and sum(grades[1:]) == (value[f"kaggle-dr-onset1-binary-images-{split}-class-1"])
        )
    assert value["kaggle-dr-onset2-binary-images-train-class-0"] == sum(
        value[f"kaggle-dr-grade-multi-class-images-train-class-{c}"] for c in (0, 1)
    )


def test_numbers_agree_with_what_follows_from_others() -> None:
    table = numbers()
    value = table.set_index("id")["value"]
    assert value["rsna-binary-images-all"] == sum(
        value[f"rsna-binary-images-{split}"] for split in ("train", "val", "test")
    )
    assert value[
        "kaggle-dr-binary-pointing-game-chance".replace("binary-", "binary-resnet50-")
    ] == (1 / 4)
    for row in table[table["metric"] == "grid-side"].to_dict("records"):
        side = value[f"{row['dataset']}-image-side"]
        assert row["value"] == (side - value["patch-side"]) // value["patch-stride"] + 1
    saved = (25088 - 512) * 4096  # weights of the first layer of VGG's head
    assert value["vgg16-weights-fewer"] == pytest.approx(saved, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "1.2"}, "row 2, column 'value': found '1.2', expected a number from 0 to 1"),
        ({"value": "nan"}, "column 'value'"),
        ({"metric": "boxes", "value": "2.5"}, "a whole number"),
        ({"kind": "rumour"}, "column 'kind': found 'rumour', expected one of paper, notebook"),
        ({"metric": "acuracy"}, "column 'metric'"),
        ({"task": "both"}, "column 'task'"),
        ({"arm": "lasso"}, "column 'arm'"),
        ({"spread": "0"}, "column 'spread'"),
        ({"k_or_lambda": "5e-5"}, "column 'k_or_lambda'"),
        ({"note": " "}, "column 'note'"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(SoftCAMError) as error:
        paper_numbers(file=written(tmp_path, change))
    assert message in str(error.value)


def test_a_repeated_row_and_a_missing_column_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="row 3, column 'id'"):
        paper_numbers(file=written(tmp_path, {}, {}))
    with pytest.raises(SoftCAMError, match="row 3, column 'metric': 'auc' repeats"):
        paper_numbers(file=written(tmp_path, {}, {"id": "b"}))
    file = written(tmp_path, {})
    pd.read_csv(file).drop(columns="note").to_csv(file, index=False)
    with pytest.raises(SoftCAMError, match="expected the columns"):
        paper_numbers(file=file)
    with pytest.raises(SoftCAMError, match="unknown kind of number 'papers'"):
        paper_numbers("papers", file=FILE)


def results(dataset: str, model: str) -> pd.DataFrame:
    tables = Tables()
    labels = np.array([0, 1] * 10)
    for seed, flips in ((0, 0), (1, 3)):
        logits = np.where(np.arange(20) < flips, -1.0, 1.0) * (2.0 * labels - 1)
        tables.predict(
            labels, logits, run_id=f"s{seed}", dataset=dataset, model=model, arm="sparse",
            task="binary", seed=seed, lambda1=1e-3,
        )  # fmt: skip
    return tables.table()


def test_ours_stands_beside_the_same_number_of_the_same_data(tmp_path: Path) -> None:
    file = written(tmp_path, {}, {"id": "b", "arm": "dense"})
    table = beside(results("rsna", "vgg16"), file=file)
    first = table.iloc[0]
    assert list(table.columns) == list(BESIDE)
    assert first["heading"] == "paper" and first["in_verdicts"] and first["seeds"] == 2
    assert first["lowest"] < first["ours"] < first["highest"] == 1
    assert table.iloc[1]["heading"] == "no partner" and np.isnan(table.iloc[1]["ours"])


def test_other_networks_and_substitutes_never_stand_for_the_paper(tmp_path: Path) -> None:
    file = written(tmp_path, {})
    assert beside(results("rsna", "resnet50"), file=file)["heading"].tolist() == ["no partner"]
    phantoms = beside(results("phantoms-cxr", "resnet10t"), file=file).iloc[0]
    assert phantoms["heading"] == "replication on substitutes" and not phantoms["in_verdicts"]
    assert beside(results("phantoms-oct", "vgg16"), file=file)["heading"].tolist() == ["no partner"]
    noted = written(tmp_path, {"kind": "reading-note"})
    assert not beside(results("rsna", "vgg16"), file=noted)["in_verdicts"].any()


def test_the_table_is_written_beside_the_results_and_printed(tmp_path: Path) -> None:
    file = written(tmp_path, {}, {"id": "b", "arm": "dense"})
    with pytest.raises(SoftCAMError, match="no results.csv"):
        write_beside(tmp_path, file=file)
    results("rsna", "vgg16").to_csv(tmp_path / "results.csv", index=False, na_rep="-")
    path = write_beside(tmp_path, file=file)
    assert path == tmp_path / "paper-against-ours.csv"
    sweep = Sweep(tmp_path)
    assert tuple(sweep.published.columns) == BESIDE and path in sweep.inputs()
    numbers = table_numbers("classification", sweep.table, published=sweep.published)
    assert numbers[["published", "published_kind"]].to_numpy().tolist() == [["0.9", "paper"]]
    chosen = pd.DataFrame({"run_id": ["s0", "s1"], "chosen": [True, False]})
    chosen.to_csv(tmp_path / "selection.csv", index=False)
    assert pd.read_csv(write_beside(tmp_path, file=file))["seeds"].tolist() == [1, 0]
