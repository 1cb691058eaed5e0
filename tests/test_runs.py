"""Configuration, run directory, and what can be read back from a run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from softcam.common import SoftCAMError, UnknownNameError
from softcam.penalties import paper_lambdas
from softcam.runs import (
    ARMS,
    Run,
    TrainConfig,
    build_model,
    find_runs,
    run_directory,
    run_hash,
)
from tests.tiny import TINY

RECORD = {
    "config": asdict(TINY), "dataset": "phantoms-cxr", "classes": ["a", "b"], "fingerprint": "f",
    "normalize": [[0.5] * 3] * 2, "lambda1": 0.0, "lambda2": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("arm", sorted(ARMS))
def test_each_arm_wants_its_own_weights(arm: str) -> None:
    l1, l2 = ARMS[arm]
    TINY.with_arm(arm, 0.1 * l1, 0.1 * l2)
    with pytest.raises(SoftCAMError, match=f"arm '{arm}' wants"):
        TINY.with_arm(arm, 0.1 * (not l1), 0.1 * (not l2))


def test_unknown_options_are_answered_with_the_closest_name() -> None:
    with pytest.raises(UnknownNameError, match="'epochs'"):
        TrainConfig.from_dict({"epoch": 3})
    with pytest.raises(UnknownNameError, match="'sparse'"):
        replace(TINY, arm="spars")


def test_frozen_batch_norm_from_scratch_must_be_forced() -> None:
    with pytest.raises(SoftCAMError, match="from scratch"):
        replace(TINY, freeze_bn="yes")
    replace(TINY, freeze_bn="force")


def test_the_hash_follows_contents_and_leaves_paths_out(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("a.bin", "b.bin", "c.bin"))
    first.write_bytes(b"same")
    second.write_bytes(b"same")
    third.write_bytes(b"other")
    base = run_hash(replace(TINY, weights=str(first)), "data")
    assert run_hash(replace(TINY, weights=str(second)), "data") == base
    assert run_hash(replace(TINY, weights=str(first), data="folder:elsewhere"), "data") == base
    assert run_hash(replace(TINY, weights=str(third)), "data") != base
    assert run_hash(replace(TINY, weights=str(first)), "other data") != base
    assert run_hash(replace(TINY, weights=str(first), lr=1e-4), "data") != base


def test_the_hash_of_a_configuration_stays_what_it_was() -> None:
    assert run_hash(TINY, "data") == "545c78af", "runs of earlier versions are found by it"
    paper = replace(TINY, optimizer="sgd-paper")
    assert run_hash(replace(paper, cosine_epochs=50), "data") != run_hash(paper, "data")
    with pytest.raises(UnknownNameError, match="cosine_epochs"):
        replace(TINY, cosine_epochs=50)
    with pytest.raises(SoftCAMError, match="cosine_epochs"):
        replace(paper, cosine_epochs=0)
    assert run_hash(replace(TINY, link="softmax"), "data") == "545c78af"
    assert run_hash(replace(TINY, link="sigmoid"), "data") == "0eab5514"


def test_a_younger_option_changes_the_hash_only_where_it_is_used() -> None:
    sparse = TINY.with_arm("sparse", 0.01)
    assert run_hash(sparse, "data") == "c3781c3a"
    assert run_hash(replace(sparse, penalty_on="all"), "data") == "c3781c3a"
    assert run_hash(replace(sparse, penalty_on="first"), "data") not in ("c3781c3a", "545c78af")
    old = {key: value for key, value in asdict(sparse).items() if key != "penalty_on"}
    assert TrainConfig.from_dict(old) == sparse, "what an older run says is read as what it was"
    with pytest.raises(UnknownNameError, match="unknown penalty_on 'last'"):
        replace(sparse, penalty_on="last")  # type: ignore[arg-type]


def test_the_link_follows_the_labels() -> None:
    assert TINY.for_labels(False).link == "softmax" and TINY.for_labels(True).link == "sigmoid"
    sigmoid = replace(TINY, link="sigmoid")
    assert sigmoid.for_labels(False) == sigmoid == sigmoid.for_labels(True)
    with pytest.raises(SoftCAMError, match=r"exactly one class.*leave link out.*label_column=ONE"):
        replace(TINY, link="softmax").for_labels(True)
    assert sigmoid.outputs(3, multi_label=True) == 3 and TINY.outputs(3) == 3
    for classes in (2, 3):
        model = build_model(TINY, classes, None, multi_label=True)
        assert model.link == "sigmoid" and model.bias.shape == (classes,)  # type: ignore[union-attr]


def test_a_sigmoid_has_one_logit_for_two_classes_and_no_more() -> None:
    config = replace(TINY, link="sigmoid")
    assert config.outputs(2) == 1
    with pytest.raises(SoftCAMError, match="two classes"):
        config.outputs(3)


def test_a_folder_that_is_no_finished_run_is_refused(project: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown run"):
        Run.open(project / "runs" / "nothing")
    unfinished = project / "runs" / "phantoms-cxr" / "half"
    unfinished.mkdir(parents=True)
    with pytest.raises(SoftCAMError, match=r"not a run \(no config.json\).*DATASET/MODEL-ARM"):
        Run.open(unfinished)  # the folder of an evaluation, say
    (unfinished / "config.json").write_text("{}")
    with pytest.raises(SoftCAMError, match="not a finished run"):
        Run.open(unfinished)
    with pytest.raises(SoftCAMError, match="has no finished run, only half: run the same"):
        Run.open("phantoms-cxr")
    assert find_runs() == []


def test_the_name_of_a_data_set_is_no_run_but_a_folder_below_runs_is(project: Path) -> None:
    finished = project / "runs" / "phantoms-cxr" / "whole"
    finished.mkdir(parents=True)
    (finished / "done.json").write_text("{}")
    assert Run.open("phantoms-cxr/whole").path == finished
    with pytest.raises(SoftCAMError, match=r"folder of a data set.*find_runs\('phantoms-cxr'\)"):
        Run.open("phantoms-cxr")


def test_a_run_knows_its_lambdas_on_both_scales(project: Path) -> None:
    from softcam.checkpoints import resolved_record
    from softcam.data import open_data

    config = TINY.with_arm("elastic", 0.02, 0.04)
    data = open_data(config.data, size=config.size, **config.data_options)
    model = build_model(config, 2, None)
    record = resolved_record(config, data, model, None)
    assert record["map_size"] == [4, 4]  # 32 px at output stride 8
    expected = paper_lambdas(0.02, 0.04, 2, 4, 4)
    assert (record["lambda1"], record["lambda2"]) == pytest.approx(expected)
    assert expected == pytest.approx((0.02 / 32, 0.04 / 32**0.5))
    assert run_directory(config, data).parent == project / "runs" / "phantoms-cxr"


def test_all_arms_start_from_the_same_numbers() -> None:
    black_box = build_model(TINY.with_arm("black-box"), 2, None)
    sparse = build_model(TINY.with_arm("sparse", 0.01), 2, None)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(black_box.eval()(x), sparse.eval()(x), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("config.json", '{"config":', "missing or damaged"),
        ("config.json", "[]", "expected an object"),
        ("weights.safetensors", "half a file", "cannot be read as safetensors"),
        ("weights.safetensors", None, "no weights file"),
    ],
)
def test_a_damaged_run_is_named(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(RECORD))
    (tmp_path / "done.json").write_text("{}")
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(SoftCAMError, match=said):
        Run.open(tmp_path).model()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"config": None}, "'config': expected an object, found None"),
        ({"config": {}}, "'config': it has no data, model, arm, size, seed"),
        ({"config": {**asdict(TINY), "arm": "spars"}}, "did you mean 'sparse'"),
        ({"config": {**asdict(TINY), "size": "x"}}, "size is 'x'"),
        ({"config": {**asdict(TINY), "model": 3}}, "expected a word, found 3"),
        ({"config": {**asdict(TINY), "data_options": None}}, "expected an object as data_options"),
        ({"classes": None}, "'classes': expected a list of words"),
        ({"classes": ["a", 3]}, "'classes': expected a word, found 3"),
        ({"lambda1": "x"}, "'lambda1': the weight is 'x'"),
        ({"fingerprint": 3}, "'fingerprint': expected a word"),
        ({"normalize": [[0.5] * 3]}, "'normalize'"),
        ({"normalize": [[0.5], [0.5]]}, "expected three means"),
        ({"dataset": ""}, "'dataset': expected a word"),
    ],
)
def test_a_garbled_field_is_named(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(RECORD | changed))
    assert any("config.json is missing or damaged" in e and said in e for e in refusals(tmp_path))


@pytest.mark.parametrize("name", RECORD)
def test_a_missing_field_is_named(tmp_path: Path, name: str) -> None:
    rest = {key: value for key, value in RECORD.items() if key != name}
    (tmp_path / "config.json").write_text(json.dumps(rest))
    assert any(f"missing or damaged (it has no {name!r})" in e for e in refusals(tmp_path))


def refusals(path: Path) -> list[str]:
    """What is said when each part of a run is read."""
    run, said = Run(path), []
    for part in ("config", "classes", "lambdas", "dataset", "model", "data"):
        try:
            found = getattr(run, part)
            _ = found(*{"data": ["test"]}.get(part, [])) if callable(found) else found
        except SoftCAMError as error:
            said.append(str(error))
    return said
