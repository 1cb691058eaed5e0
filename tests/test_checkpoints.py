"""What training leaves on disk: whole or not there, and read back without unpickling."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

import softcam.checkpoints as checkpoints
from softcam.common import SoftCAMError, UnknownNameError
from softcam.runs import TrainConfig
from softcam.training import train
from tests.tiny import TINY


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_file_whole(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(TINY, progress=False)
    before = (run.path / "weights.safetensors").read_bytes()

    def full(path: Path, data: bytes) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save_weights(run.path / "weights.safetensors", run.model())
    assert (run.path / "weights.safetensors").read_bytes() == before
    assert not list(run.path.glob(".*.tmp*")), "a half-written file was left behind"


@pytest.mark.slow
def test_a_shipped_checkpoint_reads_back(project: Path) -> None:
    run = train(TINY.with_arm("sparse", 0.1), progress=False)
    file = checkpoints.export_checkpoint(run, project / "small.safetensors")
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected, found = run.model()(x), checkpoints.load_checkpoint(file)(x)
    assert torch.allclose(expected, found, atol=2e-2), "float16 weights changed the logits"
    assert "--arm sparse" in checkpoints.checkpoint_command(run.config)
    checkpoints.save_weights(project / "plain.safetensors", run.model())
    with pytest.raises(SoftCAMError, match="no softcam configuration"):
        checkpoints.load_checkpoint(project / "plain.safetensors")


def test_a_damaged_or_unknown_checkpoint_is_named(project: Path) -> None:
    (project / "half.safetensors").write_bytes(b"half")
    with pytest.raises(SoftCAMError, match="no whole safetensors file"):
        checkpoints.load_checkpoint(project / "half.safetensors")
    shipped = project / "data" / "checkpoints"
    shipped.mkdir(parents=True)
    (shipped / "cxr-sparse.safetensors").write_bytes(b"half")
    with pytest.raises(UnknownNameError, match="did you mean 'cxr-sparse'"):
        checkpoints.load_checkpoint("cxr-spars")


def test_the_best_epoch_is_the_first_of_the_best() -> None:
    history = [{"val_auc": v, "val_loss": w} for v, w in ((0.8, 0.5), (0.9, 0.4), (0.9, 0.6))]
    assert checkpoints.best_epoch(history, "auc") == 1
    assert checkpoints.best_epoch(history, "loss") == 1


def test_the_command_of_a_checkpoint_says_what_differs_from_the_defaults() -> None:
    config = TrainConfig(
        arm="sparse",
        l1_per_cell=0.01,
        data_options={"shortcut": 1.0},
        normalize=((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    )
    assert checkpoints.checkpoint_command(config) == (
        "softcam train phantoms:cxr --arm sparse --l1-per-cell 0.01 "
        "--normalize 0.5,0.5,0.5/0.25,0.25,0.25 --data-option 'shortcut=1.0'"
    )
