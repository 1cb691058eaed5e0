"""The rules by which a study tunes, and what it plans; nothing is trained."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from softcam import load_profile
from softcam.evaluation import evaluate
from softcam.explainers import explainers

ROOT = Path(__file__).resolve().parents[1]
STUDIES = sorted((ROOT / "tools" / "studies").glob("*.yaml"))


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    import sys

    spec = importlib.util.spec_from_file_location("study_tool", ROOT / "tools" / "study.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["study_tool"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def done(folder: Path, loss: float, select: str = "val_loss") -> str:
    folder.mkdir()
    (folder / "done.json").write_text(json.dumps({"select": select, "value": loss}))
    return str(folder)


def test_the_box_takes_the_lowest_loss_and_sparse_the_largest_penalty_within_the_slack(
    tool: ModuleType, tmp_path: Path
) -> None:
    study = {"tune": {"slack": 0.02}}
    losses = {
        "black-box": [({"weight_decay": w}, v) for w, v in ((0.1, 0.30), (0.5, 0.29), (1, 0.31))],
        "sparse": [({"l1_per_cell": w}, v) for w, v in ((1e-3, 0.300), (1e-2, 0.319), (0.1, 0.5))],
    }
    tried = [
        (tool.Cell("cxr", 0, arm, changes), done(tmp_path / f"{arm}{i}", loss))
        for arm, found in losses.items()
        for i, (changes, loss) in enumerate(found)
    ]
    assert tool.choose_tuned(study, tried) == {
        ("cxr", "black-box"): {"weight_decay": 0.5}, ("cxr", "sparse"): {"l1_per_cell": 1e-2},
    }  # fmt: skip
    wrong = [(tool.Cell("cxr", 0, "sparse"), done(tmp_path / "auc", 0.9, "val_auc"))]
    with pytest.raises(SystemExit, match="val_loss"):
        tool.choose_tuned(study, wrong)


def test_the_other_arms_follow_the_sparse_one(tool: ModuleType) -> None:
    study = yaml.safe_load((ROOT / "tools/studies/rivals.yaml").read_text())
    tuned = {
        (name, arm): changes
        for name in study["conditions"]
        for arm, changes in (
            ("black-box", {"weight_decay": 0.5}), ("sparse", {"l1_per_cell": 0.03})
        )
    }  # fmt: skip
    cells = tool.planned(study, tuned)
    of = {(c.condition, c.seed, c.arm, c.changes.get("model")): c.changes for c in cells}
    assert len(of) == len(cells) == 3 * (3 * 7 + 1)
    assert of["oct", 11, "ridge", None] == {"l2_per_cell": 0.03}
    assert of["oct", 11, "elastic", None] == {"l1_per_cell": 0.015, "l2_per_cell": 0.015}
    assert of["cxr", 10, "dense", None] == {"weight_decay": 0.5}
    b_cos = of["cxr", 12, "black-box", "bcos_resnet10-w32-os8"]
    assert b_cos == {"weight_decay": 0.5, "model": "bcos_resnet10-w32-os8"}
    bagnet = of["cxr", 12, "sparse", "bagnet33t-w32"]
    assert bagnet == {"l1_per_cell": 0.03, "model": "bagnet33t-w32"}
    for cell in cells:  # a configuration that training would refuse is refused now
        load_profile(study["profile"]).config(cell.arm, seed=cell.seed, **cell.changes)


def test_as_many_tuning_runs_for_the_box_as_for_the_sparse_arm(tool: ModuleType) -> None:
    study = yaml.safe_load((ROOT / "tools/studies/rivals.yaml").read_text())
    cells = tool.tuning(study)
    arms = [cell.arm for cell in cells]
    assert arms.count("black-box") == arms.count("sparse") > 0
    assert {cell.seed for cell in cells} == {study["seeds"][0]}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_can_be_planned_and_names_what_exists(tool: ModuleType, path: Path) -> None:
    import inspect

    study: dict[str, Any] = yaml.safe_load(path.read_text())
    assert tool.planned(study, {})
    assert set(study["evaluate"]) <= set(inspect.signature(evaluate).parameters)
    assert set(study["evaluate"].get("methods", [])) <= set(explainers())


def test_two_processes_get_their_work_seed_by_seed(tool: ModuleType) -> None:
    cells = [tool.Cell(name, seed, "sparse") for seed in (10, 11) for name in ("cxr", "oct")]
    groups = tool.grouped({}, cells, ["a", "b", "c", "d"])
    assert [(name, own, first) for _, name, own, first in groups] == [
        ("cxr", ["a"], True), ("oct", ["b"], True), ("cxr", ["c"], False), ("oct", ["d"], False),
    ]  # fmt: skip
    assert tool.is_dearest("rise") and not tool.is_dearest("score-cam")
