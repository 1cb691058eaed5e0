"""Two processes against one: the same gradients, the same weights, and none left waiting."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from softcam.checkpoints import checkpoint_command
from softcam.common import SoftCAMError
from softcam.objective import WHOLE, class_weights, share_of_batch
from softcam.processes import check_batch, filled_together, is_first_process, join
from softcam.runs import Run, TrainConfig
from softcam.training import train
from tests.tiny import TINY
from tests.two_processes import CASES, KILLED, SAME, gradients

CHECKOUT = Path(__file__).resolve().parent.parent
SECONDS = 240  # more than ten times what it takes: a hang ends, a busy machine does not fail


def launched(root: Path, *words: str) -> subprocess.Popen[str]:
    """Two processes on the CPU, at a free port that the launcher finds."""
    told = ("ACCELERATE_", "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_")
    keep = {name: value for name, value in os.environ.items() if not name.startswith(told)}
    environment = {
        **keep, "SOFTCAM_ROOT": str(root), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT),
        "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", *words,
    ]  # fmt: skip
    return subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> str:
    """What it printed, if it ended well and in time."""
    try:
        text, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        for child in (*psutil.Process(process.pid).children(recursive=True), process):
            child.kill()
        pytest.fail(f"two processes hung: {process.communicate()[0][-3000:]}")
    assert process.returncode == 0, text[-3000:]
    return text


@dataclass(frozen=True)
class Found:
    """What two processes left: their folder, what each said, and the gradients of each case."""

    root: Path
    printed: str
    each: list[dict[str, Any]]
    gradients: dict[str, dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """One start of two processes for the parts, at the same time as one of the command."""
    root = tmp_path_factory.mktemp("two")
    parts = launched(root, "tests.two_processes", str(root))
    command = launched(root, *shlex.split(checkpoint_command(SAME)))
    said(parts)
    each = [json.loads((root / f"{rank}.json").read_text()) for rank in (0, 1)]
    return Found(root, said(command), each, torch.load(root / "g.pt", weights_only=True))


def only_run(root: Path, config: TrainConfig) -> Run:
    (path,) = (root / "runs" / "phantoms-cxr").glob(f"*-{config.arm}-s{config.seed}-*")
    return Run.open(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_have_the_gradients_of_one(name: str, found: Found) -> None:
    assert [each["processes"] for each in found.each] == [2, 2]
    alone, together = gradients(join("no"), CASES[name]), found.gradients[name]
    assert set(alone) == set(together)
    assert max(float(each.abs().max()) for each in alone.values()) > 1e-3
    for key, value in alone.items():
        assert value.dtype == torch.float64
        torch.testing.assert_close(together[key], value, rtol=0, atol=1e-10, msg=f"{name}: {key}")


@pytest.mark.slow
@pytest.mark.parametrize("config", [SAME, KILLED], ids=["by the command", "killed and resumed"])
def test_two_processes_train_the_weights_of_one(
    config: TrainConfig, found: Found, project: Path
) -> None:
    alone, together = train(config, progress=False), only_run(found.root, config)
    assert alone.id == together.id, "the number of processes is no part of what is trained"
    for name in ("last.safetensors", "weights.safetensors"):
        one, two = load_file(alone.path / name), load_file(together.path / name)
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-6, msg=key)
    tables = [run.history().drop(columns="seconds") for run in (alone, together)]
    np.testing.assert_allclose(tables[1], tables[0], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_only_the_first_process_writes_and_prints(found: Found) -> None:
    run = only_run(found.root, SAME)
    assert len(list((run.path / "tensorboard").iterdir())) == 1
    assert found.printed.count(str(run.path)) == 1
    assert not (run.path / "resume").exists()


@pytest.mark.slow
def test_what_one_process_meets_both_learn(found: Found) -> None:
    first, second = found.each
    assert first["diverges"] == second["diverges"]
    assert first["diverges"].startswith("TrainingDiverged") and "batch 1" in first["diverges"]
    assert first["refusal"] == second["refusal"] and "3 to 4 epochs" in first["refusal"]
    assert first["agreed"] == second["agreed"] == 7
    for each in found.each:
        assert each["rows"] == {str(n): [[i, i * i] for i in range(n)] for n in (1, 5)}


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_shares_make_the_mean_of_the_parts_that_of_the_whole(
    processes: int, multi_label: bool
) -> None:
    labels = torch.tensor([0, 1, 1, 0, 0, 0, 1])
    labels = torch.stack([labels, labels.roll(3)], 1) if multi_label else labels
    weights, values = class_weights(labels.numpy(), 2), torch.rand(labels.shape)
    counts = weights[labels] if not multi_label else torch.where(labels > 0, weights[1], weights[0])
    parts = []
    for r in range(processes):
        share = share_of_batch(SAME, labels, r, processes, weights)
        mine = slice(r, None, processes)
        mean = (values[mine] * counts[mine]).sum() / counts[mine].sum()
        parts.append(mean * share.cross_entropy)
        assert share.penalty == pytest.approx(len(labels[mine]) / 7 * processes)
    whole = (values * counts).sum() / counts.sum()
    assert float(sum(parts)) / processes == pytest.approx(whole.item(), rel=1e-6)
    if processes == 1:
        assert share == WHOLE


def test_a_process_by_itself_needs_nothing_of_this(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_first_process()
    monkeypatch.setenv("RANK", "1")
    assert not is_first_process()
    rows = filled_together(join("no"), 3, lambda some: torch.tensor([float(i) for i in some]))
    assert rows.tolist() == [0, 1, 2]


def test_a_batch_has_an_image_for_each_process() -> None:
    check_batch(replace(TINY, batch_size=4), 4)
    with pytest.raises(SoftCAMError, match="a batch of 4 has no image for some of 5 processes"):
        check_batch(replace(TINY, batch_size=4), 5)


@pytest.mark.slow
def test_a_precision_follows_another_in_the_same_python(project: Path) -> None:
    """And bf16 trains: batches lie channels-last, and the penalty is summed in float32."""
    quick = replace(TINY.with_arm("hoyer", 0.5), epochs=1)
    plain = train(quick, progress=False).history()
    half = train(replace(quick, mixed_precision="bf16"), progress=False).history()
    assert half["train_loss"][0] != plain["train_loss"][0]
    np.testing.assert_allclose(half["train_loss"], plain["train_loss"], rtol=0.05)
