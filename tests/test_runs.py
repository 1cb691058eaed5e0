"""Configuration, run directory, and what can be read back from a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from softcam.common import SoftCAMError, UnknownNameError
from softcam.evidence import paper_lambdas
from softcam.runs import ARMS, Run, TrainConfig, find_runs, run_directory, run_hash
from tests.tiny import TINY


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
    with pytest.raises(SoftCAMError, match="not a finished run"):
        Run.open(unfinished)
    assert find_runs() == []


def test_a_run_knows_its_lambdas_on_both_scales(project: Path) -> None:
    from softcam.checkpoints import resolved_record
    from softcam.data import open_data
    from softcam.runs import build_model

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
    from softcam.runs import build_model

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
    import json
    from dataclasses import asdict

    record = {"config": asdict(TINY), "classes": ["a", "b"], "normalize": [[0.5] * 3] * 2}
    (tmp_path / "config.json").write_text(json.dumps(record))
    (tmp_path / "done.json").write_text("{}")
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(SoftCAMError, match=said):
        Run.open(tmp_path).model()
