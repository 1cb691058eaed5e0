"""A whole small sweep: a kill in the middle, a changed configuration, a hole, missing data."""

from __future__ import annotations

import csv
import json
import multiprocessing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import softcam.training
from softcam.common import DataError, SoftCAMError, digest
from softcam.objective import TrainingDiverged
from softcam.reproduce import Space, collect, load_plan, run_cell, runner
from softcam.reproduce.cells import train_id
from softcam.results import COLUMNS, read_per_image, read_table
from softcam.training import train
from tests.reproduce.small import MODEL, SMALL, write_plan

GRID = [train_id("cxr", MODEL, "sparse", 0, weight) for weight in (0.01, 0.1)]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims and figures have tests of their own; here they would take longer than the sweep."""

    def claims(folder: Path, **_: Any) -> Path:
        (folder / "claims.csv").write_text("claim\n")
        return folder / "claims.csv"

    def draw(folder: Path, out: Path) -> list[Path]:
        out.mkdir(parents=True, exist_ok=True)
        (out / "one.png").write_text("drawn")
        return [out / "one.png"]

    monkeypatch.setattr(collect, "judge", claims)
    monkeypatch.setattr(collect, "draw", draw)


def sweep(space: Space) -> Space:
    """Every cell in the order of the plan, in this process."""
    for id in space.cells:
        run_cell(space, id, progress=False)
    return space


def runs(root: Path) -> dict[str, int]:
    """Every finished training and when it was finished."""
    return {p.parent.name: p.stat().st_mtime_ns for p in root.glob("runs/phantoms-cxr/*/done.json")}


@pytest.mark.slow
def test_kill_and_go_on_change_and_hole(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = load_plan(write_plan(tmp_path))
    space = Space.of(plan)

    def killed(config: Any, **_: Any) -> Any:
        if config.arm == "elastic":
            raise KeyboardInterrupt
        return train(config, progress=False)

    monkeypatch.setattr(softcam.training, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        sweep(space)
    before, begun = runs(project), {p.name: p.stat().st_mtime_ns for p in records(space)}
    assert len(before) == 3, "the grid and the black box come before the killed arm"
    monkeypatch.setattr(softcam.training, "train", train)
    sweep(space)
    after = runs(project)
    assert {name: after[name] for name in before} == before, "a finished training was repeated"
    now = {p.name: p.stat().st_mtime_ns for p in records(space)}
    assert {name: now[name] for name in begun} == begun, "a finished cell was repeated"
    assert len(after) == 2 + 3 + 3
    check_tables(space)

    files = [p for p in space.folder.rglob("*") if p.is_file() and "prepare" not in p.name]
    unchanged = {p: p.stat().st_mtime_ns for p in files}  # data are looked at in every call
    sweep(Space.of(plan))
    assert {p: p.stat().st_mtime_ns for p in unchanged} == unchanged, "a second call did something"
    check_change(project, tmp_path, space)
    check_hole(project, tmp_path, monkeypatch)


def records(space: Space) -> list[Path]:
    return sorted((space.folder / "cells").glob("*.json"))


def check_tables(space: Space) -> None:
    """What stands in the tables is what the cells came to."""
    selection = pd.read_csv(space.folder / "selection.csv")
    assert list(selection["lambda"] > 0) == [True, True]
    assert selection["chosen"].sum() == 1
    assert set(selection["oracle"]) <= {True, False}
    chosen = selection[selection["chosen"]].iloc[0]
    table = read_table(space.folder / "results.csv")
    assert list(table.columns) == list(COLUMNS)
    # the first seed has every arm once, and the unchosen weight beside
    first = table[(table["seed"] == 0) & (table["metric"] == "auc")]
    assert sorted(first["arm"]) == [
        "black-box",
        "converted",
        "dense",
        "elastic",
        "sparse",
        "sparse",
    ]
    assert set(selection["run_id"]) <= set(first["run_id"])
    assert "grad-cam" not in set(table.loc[table["seed"] == 1, "method"]), "`later` was not heard"
    unchosen = selection.loc[~selection["chosen"], "run_id"].iloc[0]
    assert set(table.loc[table["run_id"] == unchosen, "metric"]) == {"auc"}
    second = table[(table["seed"] == 1) & (table["arm"] == "sparse")]
    assert second["lambda1"].iloc[0] == pytest.approx(chosen["lambda"])
    elastic = space.record(space.cell(train_id("cxr", MODEL, "elastic", 1)))
    assert elastic is not None
    assert elastic.result["l1_per_cell"] == pytest.approx(0.5 * chosen["per_cell"])
    assert elastic.result["l2_per_cell"] == pytest.approx(0.25 * chosen["per_cell"])
    images = read_per_image(space.folder / "per_image.parquet")
    assert set(images["run_id"]) == set(table["run_id"])
    assert (space.folder / "failed.csv").read_text().count("\n") == 1
    assert (space.folder / "figures" / "one.png").is_file()


def check_change(project: Path, tmp_path: Path, old: Space) -> None:
    """Another learning rate: new trainings, and no old number in the new table."""
    plan = load_plan(write_plan(tmp_path, train={**SMALL["train"], "lr": 1e-4}))
    space = Space.of(plan)
    assert space.folder == old.folder
    ready = [id for id, cell in space.cells.items() if space.record(cell) is not None]
    assert ready == ["prepare-cxr"]
    before = set(read_table(old.folder / "results.csv")["run_id"])
    sweep(space)
    assert before.isdisjoint(read_table(space.folder / "results.csv")["run_id"])
    # and the first configuration is still done
    again = Space.of(load_plan(write_plan(tmp_path)))
    assert all(again.record(again.cell(id)) for id in GRID)


def check_hole(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One weight of the grid and one arm diverge; everything else is there."""

    def diverging(config: Any, **_: Any) -> Any:
        if config.arm == "dense" or config.l1_per_cell == 0.1:
            raise TrainingDiverged("the loss is NaN,\nlower lr")
        return train(config, progress=False)

    monkeypatch.setattr(softcam.training, "train", diverging)
    space = sweep(Space.of(load_plan(write_plan(tmp_path, name="hole"))))
    with (space.folder / "failed.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["dataset"], r["arm"], r["seed"], r["message"]) for r in rows] == [
        ("phantoms-cxr", "sparse", "0", "the loss is NaN, lower lr"),
        ("phantoms-cxr", "dense", "0", "the loss is NaN, lower lr"),
    ]
    for row in rows:
        assert "TrainingDiverged" in (space.folder / row["log"]).read_text()
    selection = pd.read_csv(space.folder / "selection.csv")
    assert selection["val_auc"].isna().tolist() == [False, True]
    assert selection["chosen"].tolist() == [True, False]
    arms = set(read_table(space.folder / "results.csv")["arm"])
    assert arms == {"black-box", "converted", "sparse", "elastic"}
    assert space.forget_failures() == 2
    assert space.record(space.cell(train_id("cxr", MODEL, "dense", 0))) is None


def test_a_grid_that_fails_as_a_whole_takes_its_followers_along(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(config: Any, **_: Any) -> Any:
        raise TrainingDiverged("NaN")

    monkeypatch.setattr(softcam.training, "train", diverging)
    space = Space.of(load_plan(write_plan(tmp_path)))
    for id, cell in space.cells.items():
        if cell.stage in ("prepare", "train", "select", "evaluate"):
            record = run_cell(space, id, progress=False)
            assert record.failed == (cell.stage != "prepare" and not cell.path), id
    follower = space.record(space.cell(train_id("cxr", MODEL, "sparse", 1)))
    assert follower is not None and "no weight could be chosen" in follower.message


def test_missing_data_stop_at_once_with_the_command(project: Path, tmp_path: Path) -> None:
    absent = {"own": {"source": "folder:absent", "options": {"finding_classes": ["a b"]}}}
    space = Space.of(load_plan(write_plan(tmp_path, data=absent)))
    command = (
        r"softcam data prepare folder:absent --size 32 --data-option 'finding_classes=\[\"a b\"\]'"
    )
    with pytest.raises(DataError, match=command):
        run_cell(space, "prepare-own", progress=False)
    with pytest.raises(DataError, match=command):
        run_cell(space, train_id("own", MODEL, "black-box", 0), progress=False)


def test_a_method_that_refuses_a_network_says_so_before_it_trains(
    project: Path, tmp_path: Path
) -> None:
    asked = {"methods": ["softcam", "grad-cam", "guided-backprop", "rise"], "metrics": ["auc"]}
    space = Space.of(
        load_plan(write_plan(tmp_path, evaluate=asked, models={"mobilenetv2_035": {}}))
    )
    with pytest.raises(
        SoftCAMError, match="'guided-backprop', which does not explain mobilenetv2_035: .* hardtanh"
    ):
        run_cell(space, "prepare-cxr", progress=False)
    space = Space.of(load_plan(write_plan(tmp_path, evaluate=asked)))
    assert not run_cell(space, "prepare-cxr", progress=False).failed


@pytest.mark.slow
def test_data_that_are_no_longer_whole_stop_a_training(project: Path, tmp_path: Path) -> None:
    space = Space.of(load_plan(write_plan(tmp_path)))
    record = run_cell(space, "prepare-cxr", progress=False)
    Path(next(iter(record.result["files"]))).unlink()
    with pytest.raises(DataError, match="not whole. Run `softcam data prepare phantoms:cxr"):
        run_cell(space, GRID[0], progress=False)
    run_cell(space, "prepare-cxr", progress=False)
    assert not run_cell(space, GRID[0], progress=False).failed


def test_other_data_under_the_same_name_are_noticed(project: Path, tmp_path: Path) -> None:
    space = Space.of(load_plan(write_plan(tmp_path)))
    run_cell(space, "prepare-cxr", progress=False)
    run_cell(space, GRID[0], progress=False)
    ready, trained = space.cell("prepare-cxr"), space.cell(GRID[0])
    path = space.path(ready)
    values = json.loads(path.read_text())
    values["result"]["fingerprints"]["32"] = "other"
    path.write_text(json.dumps(values))
    assert space.record(trained) is None
    run_cell(space, "prepare-cxr", progress=False)  # looks again, and finds them as they were
    assert space.record(trained) is not None


def test_a_cell_before_its_needs_says_what_is_missing(project: Path, tmp_path: Path) -> None:
    space = Space.of(load_plan(write_plan(tmp_path)))
    with pytest.raises(SoftCAMError, match="reproduce train --config small --cell"):
        run_cell(space, f"select-cxr-{MODEL}-sparse", progress=False)
    with pytest.raises(SoftCAMError, match="did you mean 'collect'"):
        run_cell(space, "colect")


@pytest.mark.slow
def test_the_same_seed_twice_gives_the_same_table_also_in_two_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_plan(tmp_path)
    found = []
    for name in ("one", "two"):
        root = tmp_path / name
        root.mkdir()
        monkeypatch.setenv("SOFTCAM_ROOT", str(root))
        space = Space.of(load_plan(path))
        if name == "one":
            sweep(space)
        else:
            ids = [
                id for id, cell in space.cells.items() if cell.stage not in ("collect", "figures")
            ]
            runner.run_cells(space, ids, processes=2, progress=False)
            assert not multiprocessing.active_children()
            sweep(space)
        found.append(digest((space.folder / "results.csv").read_bytes()))
    assert found[0] == found[1]
    times = pd.read_csv(space.folder / "times.csv")
    assert set(times["stage"]) == {"prepare", "train", "select", "evaluate"}


@pytest.mark.slow
def test_a_worker_that_must_stop_says_why(project: Path, tmp_path: Path) -> None:
    absent = {"own": {"source": "folder:absent"}}
    space = Space.of(load_plan(write_plan(tmp_path, data=absent)))
    with pytest.raises(SoftCAMError, match="no 'absent'|softcam data prepare folder:absent"):
        runner.run_cells(space, list(space.cells), processes=1, progress=False)
