"""Configurations: what is refused, what they unfold into, and what changes a hash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import softcam.notebooks
from softcam.common import SoftCAMError, UnknownNameError
from softcam.reproduce import expand, load_plan, plan_names
from tests.reproduce.small import MODEL, SMALL, write_plan

GRID = ("train-cxr-{m}-sparse-w0.01-s0", "train-cxr-{m}-sparse-w0.1-s0")


def by_hand() -> dict[str, tuple[str, ...]]:
    """Every cell of `SMALL` with what it needs, written down from the file."""
    ready, chosen = "prepare-cxr", f"select-cxr-{MODEL}-sparse"
    grid = tuple(name.format(m=MODEL) for name in GRID)
    first = {
        ready: (), grid[0]: (ready,), grid[1]: (ready,), chosen: grid,
        f"train-cxr-{MODEL}-black-box-s0": (ready,),
        f"train-cxr-{MODEL}-elastic-s0": (ready, chosen),
        f"train-cxr-{MODEL}-dense-s0": (ready,),
    }  # fmt: skip
    second = {
        f"train-cxr-{MODEL}-black-box-s1": (ready,),
        f"train-cxr-{MODEL}-sparse-s1": (ready, chosen),
        f"train-cxr-{MODEL}-elastic-s1": (ready, chosen),
    }
    trained = tuple(name for name in first if name.startswith("train"))
    measured = {
        f"evaluate-cxr-{MODEL}-s0": (*trained, chosen),
        f"evaluate-cxr-{MODEL}-s1": tuple(second),
        f"evaluate-cxr-{MODEL}-path": (*grid, chosen),
    }
    last = {"collect": tuple(measured), "figures": ("collect",)}
    return {**first, **second, **measured, **last}


def test_the_cells_are_those_of_a_list_made_by_hand(tmp_path: Path) -> None:
    cells = expand(load_plan(write_plan(tmp_path)))
    assert {id: cell.needs for id, cell in cells.items()} == by_hand()
    seen: set[str] = set()
    for id, cell in cells.items():
        assert seen.issuperset(cell.needs), f"{id} stands before something it needs"
        seen.add(id)


def test_a_data_set_may_have_fewer_arms_and_seeds(tmp_path: Path) -> None:
    oct = {"source": "phantoms:oct", "arms": ["black-box", "sparse", "dense"], "seeds": [0]}
    cells = expand(load_plan(write_plan(tmp_path, data={**SMALL["data"], "oct": oct})))
    assert {id.replace("oct", "cxr") for id in cells if "oct" in id} == {
        id for id in by_hand() if not id.endswith("-s1") and "elastic" not in id and "cxr" in id
    }
    assert {id for id in cells if "oct" not in id} == set(by_hand()), "the other set has them all"


@pytest.mark.parametrize(
    "own, message",
    [
        ({"arms": ["sprase"]}, "did you mean 'sparse'"),
        ({"arms": ["elastic"]}, "follow the arm 'sparse'"),
        ({"seeds": [1]}, "with 0 first"),
        ({"seeds": [0, 9]}, r"expected some of \[0, 1\]"),
    ],
)
def test_own_arms_and_seeds_are_those_of_the_plan(
    tmp_path: Path, own: dict[str, Any], message: str
) -> None:
    oct = {"source": "phantoms:oct", **own}
    with pytest.raises(SoftCAMError, match=message):
        load_plan(write_plan(tmp_path, data={**SMALL["data"], "oct": oct}))


def test_two_data_sets_two_models_and_their_own_grids(tmp_path: Path) -> None:
    oct = {"source": "phantoms:oct", "train": {"augment": "light"}}
    models = {MODEL: {}, "resnet10t-w16-os8": {"lambdas": {"sparse": [0.5]}}}
    path = write_plan(tmp_path, data={**SMALL["data"], "oct": oct}, models=models)
    plan = load_plan(path)
    cells = expand(plan)
    grid = [c for c in cells.values() if c.stage == "train" and c.weight is not None]
    assert len(grid) == 2 * (2 + 1)
    assert {c.weight for c in grid if c.model == "resnet10t-w16-os8"} == {0.5}
    assert "evaluate-oct-resnet10t-w16-os8-path" not in cells, "a single weight leaves no path"
    assert plan.config("oct", MODEL, "dense", 0).augment == "light"
    assert plan.config("cxr", MODEL, "dense", 0).augment == "flip"


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Stages and ids whose hash is another one."""
    return {id for id in before if id in after and before[id].hash != after[id].hash}


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({"title": "other words"}, set()),
        ({"notebooks": ["12"]}, set()),
        ({"path": {"metrics": ["accuracy"]}}, {"path", "collect", "figures"}),
        ({"later": {"methods": ["grad-cam"]}}, {"s1", "collect", "figures"}),
        ({"select": {"draws": 21}}, {"select", "follows", "evaluate", "collect", "figures"}),
        ({"train": {**SMALL["train"], "lr": 0.1}},
         {"train", "select", "evaluate", "collect", "figures"}),
    ],
)  # fmt: skip
def test_a_hash_covers_what_decides_a_cell_and_nothing_else(
    tmp_path: Path, changes: dict[str, Any], stages: set[str]
) -> None:
    before = expand(load_plan(write_plan(tmp_path)))
    found = changed(before, expand(load_plan(write_plan(tmp_path, **changes))))
    expected = set()
    for id, cell in before.items():
        follows = any(need.startswith("select") for need in cell.needs)
        words = {cell.stage, id.rsplit("-", 1)[-1] if cell.stage == "evaluate" else ""}
        words |= {"follows"} if follows and cell.stage == "train" else set()
        expected |= {id} if words & stages else set()
    assert found == expected


def test_the_weights_file_counts_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    plan, files = write_plan(tmp_path), [tmp_path / name for name in ("a", "b", "c")]
    for file, text in zip(files, (b"1", b"1", b"2"), strict=True):
        file.write_bytes(text)
    a, b, c = (expand(load_plan(plan, file)) for file in files)
    assert not changed(a, b)
    assert {id for id in a if not id.startswith("prepare")} == changed(a, c)


def test_weights_on_the_papers_scale(tmp_path: Path) -> None:
    lambdas = {"scale": "paper", "sparse": [2e-5, 5e-5], "ridge": [7e-5]}
    data = {"cxr": {**SMALL["data"]["cxr"], "classes": 2}}
    path = write_plan(tmp_path, data=data, models={MODEL: {"map": 16}}, lambdas=lambdas,
                      arms=["black-box", "sparse", "ridge"])  # fmt: skip
    plan = load_plan(path)
    assert plan.per_cell("cxr", MODEL, "sparse", 5e-5) == pytest.approx(5e-5 * 2 * 16 * 16)
    assert plan.per_cell("cxr", MODEL, "ridge", 7e-5) == pytest.approx(7e-5 * (2 * 256) ** 0.5)
    with pytest.raises(SoftCAMError, match="`map`"):
        load_plan(write_plan(tmp_path, data=data, lambdas=lambdas, arms=["sparse", "ridge"]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sedes": [1]}, "did you mean 'seeds'"),
        ({"data": {"cxr": {"sorce": "phantoms:cxr"}}}, "did you mean 'source'"),
        ({"lambdas": {"sparce": [1]}}, "did you mean 'sparse'"),
        ({"evaluate": {"metrics": ["pointing-acuracy"]}}, "did you mean 'pointing-accuracy'"),
        ({"later": {"methods": ["grad-cma"]}}, "did you mean 'grad-cam'"),
        ({"path": {"limits": 3}}, "did you mean 'limit'"),
        ({"train": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"arms": ["sparse", "ridg"]}, "did you mean 'ridge'"),
        ({"resources": {"trian": {}}}, "did you mean 'train'"),
        ({"seeds": [0, 0]}, "twice"),
        ({"seeds": None}, "says nothing of seeds"),
        ({"arms": ["sparse", "elastic", "logit-control"]}, "'logit-control' takes its weight from"),
        ({"lambdas": {"sparse": [0.1, 0.1]}, "arms": ["sparse"]}, "different weights above 0"),
        ({"lambdas": {"sparse": []}, "arms": ["sparse"]}, "different weights above 0"),
        ({"arms_once": ["sparse"]}, "twice"),
        ({"given_weights": True}, "--weights FILE"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SoftCAMError, match=words):
        load_plan(write_plan(tmp_path, **changes))


def test_names_of_configurations(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'laptop'"):
        load_plan("laptpo")
    with pytest.raises(SoftCAMError, match="no configuration"):
        load_plan(str(tmp_path / "none.yaml"))
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(SoftCAMError, match="expected keys and values"):
        load_plan(str(tmp_path / "list.yaml"))


@pytest.mark.parametrize("name", plan_names())
def test_every_configuration_of_the_project_can_be_read(name: str, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"any")
    given = {"nih-cxr", "codras"}
    plan = load_plan(name, weights if name in given else None)
    cells = expand(plan)
    assert cells["figures"].needs == ("collect",)
    assert (plan.figures == "project") == (name in ("laptop", "full"))
    assert "dense" not in plan.arms, "with a linear head dense is the black box: one seed shows it"


def test_the_papers_settings_are_as_published() -> None:
    """Reference 1.4 and 1.8: sizes, schedule, statistics; the chosen lambdas are in the grids."""
    expected = {
        "paper-fundus": (512, "paper-fundus", {"resnet50": (5e-5,), "vgg16": (1e-6,)}, "sparse"),
        "paper-oct": (496, "paper-oct", {"resnet50": (9e-4,), "vgg16": (3e-6,)}, "sparse"),
        "paper-cxr": (512, "paper-cxr", {"resnet50": (7e-5,), "vgg16": (2e-4,)}, "ridge"),
    }
    for name, (size, augment, chosen, arm) in expected.items():
        plan = load_plan(name)
        for data in plan.data:
            config = plan.config(data.name, "resnet50", "dense", 0)
            assert (config.size, config.augment, config.select) == (size, augment, "accuracy")
            assert (config.optimizer, config.lr, config.weight_decay) == ("sgd-paper", 1e-3, 5e-4)
            assert (config.batch_size, config.epochs, config.pretrained) == (16, 70, True)
            assert config.cosine_epochs == 50
            assert plan.lambdas.fixed["hoyer"] == {"l1_per_cell": 0.01} and "hoyer" in plan.arms
            assert config.normalize is not None
        for model, weights in chosen.items():
            assert set(weights) <= set(plan.grid(model, arm)), f"{name}, {model}"


def test_a_changed_notebook_is_executed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "01_one.ipynb").write_text("{}")
    monkeypatch.setattr(softcam.notebooks, "notebook_folder", lambda: tmp_path)
    plan = load_plan(write_plan(tmp_path, notebooks=["01"]))
    before = expand(plan)
    assert expand(plan) == before
    (tmp_path / "01_one.ipynb").write_text('{"cells": []}')
    after = expand(plan)
    assert {id for id in before if before[id] != after[id]} == {"notebooks"}
