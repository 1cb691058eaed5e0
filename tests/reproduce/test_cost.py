"""What a dry run says: the counts against counts by hand, the seconds against given timings."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from softcam.cli import app
from softcam.reproduce import Space, cost, estimate, load_plan, run_cell
from softcam.reproduce.asking import Asked, Timing, evaluation_seconds
from softcam.reproduce.cells import train_id
from tests.reproduce.small import MODEL, SMALL, write_plan

TIMING = Timing(step=0.1, forward=0.01, measured=0.001, features=64)
COUNTS = {"train": 20, "val": 24, "test": 16}


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network takes `TIMING`."""

    def timings(plan: object, cells: list, processes: int) -> dict:
        return {(cell.data, cell.model): TIMING for cell in cells}

    monkeypatch.setattr(cost, "_timings", timings)


def test_the_grid_is_counted_and_what_is_done_costs_nothing(
    project: Path, tmp_path: Path, timed: None
) -> None:
    space = Space.of(load_plan(write_plan(tmp_path)))
    found = estimate(space, processes=2)
    counted = {"prepare": 1, "train": 8, "select": 1, "evaluate": 3, "collect": 1, "figures": 1}
    assert found.cells == {stage: (n, n) for stage, n in counted.items()}
    # 8 trainings of one epoch: 2 batches of 8, and 24 validation images
    assert found.seconds["train"] == pytest.approx(8 * (cost.SETUP + 16 * 0.1 + 24 * 0.01))
    run_cell(space, "prepare-cxr", progress=False)
    run_cell(space, train_id("cxr", MODEL, "black-box", 0), progress=False)
    later = estimate(space, processes=2)
    assert later.cells["train"] == (8, 7)
    assert later.seconds["train"] == pytest.approx(found.seconds["train"] * 7 / 8)
    assert later.minutes < found.minutes
    work = sum(later.seconds[stage] for stage in ("train", "select", "evaluate"))
    alone = estimate(space, processes=1).minutes
    assert alone - later.minutes == pytest.approx(work / 2 / 60), "two processes share the work"


def test_forward_passes_by_hand() -> None:
    """Sixteen test images, eight with a finding."""

    def passes(arm: str, **options: object) -> float:
        only = Timing(step=0, forward=1, measured=0, features=64)
        return evaluation_seconds(Asked(arm, options), COUNTS, only) - idle

    idle = 0.0
    idle = passes("sparse", methods=["softcam"], metrics=["auc"]) - 16
    assert passes("sparse", methods=["softcam"], metrics=["pointing-accuracy"]) == 16 + 8
    assert passes("sparse", methods=["softcam"], metrics=["consistency-positive"]) == 16 + 16
    # RISE is post hoc: 256 passes for each of 8 findings, on the black box alone
    rise = {"methods": ["rise"], "metrics": ["pointing-accuracy"]}
    assert passes("black-box", **rise) == 16 + 8 * 256
    assert passes("sparse", **rise) == 16
    # two images: softcam's two maps, chance and the true mask, 31 points
    deletion = {"methods": ["softcam"], "metrics": ["deletion-prediction"], "limit": 2}
    assert passes("sparse", **deletion) == 16 + 2 * 4 * 31
    # on each of three networks, with chance and the true mask
    crossed = Asked("sparse", {**deletion, "occlude": "all"}, networks=3)
    only = Timing(step=0, forward=1, measured=0, features=64)
    assert evaluation_seconds(crossed, COUNTS, only) - idle == 16 + 2 * (3 * 2 + 2) * 31


def test_data_that_are_not_here_are_named_and_nothing_is_made_up(
    project: Path, tmp_path: Path, timed: None
) -> None:
    data = {**SMALL["data"], "own": {"source": "folder:absent"}}
    found = estimate(Space.of(load_plan(write_plan(tmp_path, data=data))), processes=2)
    alone = estimate(Space.of(load_plan(write_plan(tmp_path))), processes=2)
    assert found.unknown == ("own",)
    assert found.seconds["train"] == pytest.approx(alone.seconds["train"])
    assert found.cells["train"] == (16, 16)
    assert "own: its data are not here" in "\n".join(found.lines())


@pytest.mark.slow
def test_a_dry_run_times_this_machine_prints_and_writes_nothing(
    project: Path, tmp_path: Path
) -> None:
    path = write_plan(tmp_path)
    result = CliRunner().invoke(
        app, ["reproduce", "all", "--config", path, "--dry-run", "--processes", "1"]
    )
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert any(line.split()[:4] == ["small:", "train", "8", "8"] for line in lines), lines
    assert "GB of disk" in lines[-1]
    assert not (project / "runs").exists()
