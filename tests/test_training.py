"""The loop: same trajectory for the same function, same result after a kill, clear refusals."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import softcam
import softcam.checkpoints as checkpoints
import softcam.training as training
from softcam.common import SoftCAMError
from softcam.data.transforms import augment
from softcam.objective import TrainingDiverged
from softcam.runs import Run
from softcam.training import epoch_batches, train
from tests.tiny import TINY


class Killed(BaseException):
    """Stands for a kill: no `except Exception` may catch it."""


def weights(run: Run) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(run.path / "last.safetensors")


@pytest.mark.slow
def test_black_box_and_dense_follow_the_same_trajectory(project: Path) -> None:
    black_box = train(TINY.with_arm("black-box"), progress=False)
    dense = train(TINY.with_arm("dense"), progress=False)
    for column in ("train_loss", "val_loss"):
        np.testing.assert_allclose(
            black_box.history()[column], dense.history()[column], rtol=1e-3, err_msg=column
        )
    x = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(black_box.model("last")(x), dense.model("last")(x), atol=1e-2)


@pytest.mark.slow
def test_the_penalty_is_what_tells_the_arms_apart(project: Path) -> None:
    dense = train(TINY, progress=False).history()
    sparse = train(TINY.with_arm("sparse", 0.5), progress=False).history()
    assert (dense["train_penalty"] == 0).all()
    assert (sparse["train_penalty"] > 0).all()
    assert sparse["train_cross_entropy"][0] != dense["train_cross_entropy"][0]


@pytest.mark.slow
@pytest.mark.parametrize("when", ["in the first epoch", "before the state", "after the state"])
def test_a_killed_run_goes_on_and_ends_in_the_same_weights(
    when: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = train(replace(TINY, epochs=3), progress=False)
    expected, table = weights(straight), straight.history().drop(columns="seconds")
    (straight.path).rename(project / "straight")

    with monkeypatch.context() as patch:
        _kill(patch, when)
        with pytest.raises(Killed):
            train(replace(TINY, epochs=3), progress=False)
    assert not (straight.path / "done.json").exists()

    resumed = train(replace(TINY, epochs=3), progress=False)
    assert resumed.path == straight.path
    for name, value in weights(resumed).items():
        assert torch.equal(value, expected[name]), f"{name} differs after a kill {when}"
    assert resumed.history().drop(columns="seconds").equals(table)
    assert not (resumed.path / "resume").exists()


def _kill(patch: pytest.MonkeyPatch, when: str) -> None:
    if when == "in the first epoch":
        patch.setattr(training, "validate", _raise)
    elif when == "before the state":
        patch.setattr(torch, "save", _raise)
    else:
        keep: Callable[..., None] = checkpoints.keep_epoch

        def keep_then_die(
            path: Path, model: Any, optimizer: Any, select: str, history: Any
        ) -> None:
            keep(path, model, optimizer, select, history)
            if len(history) == 2:
                raise Killed

        patch.setattr(training, "keep_epoch", keep_then_die)


def _raise(*_: Any, **__: Any) -> None:
    raise Killed


@pytest.mark.slow
def test_a_finished_run_is_recognised(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(TINY, progress=False)
    monkeypatch.setattr(training, "_train_epoch", _raise)
    assert train(TINY, progress=False).path == first.path


@pytest.mark.slow
def test_nan_stops_with_epoch_batch_and_advice(project: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"epoch \d+, batch \d+.*lower lr"):
        train(replace(TINY, lr=1e30, optimizer="sgd-paper"), progress=False)
    left = [each for each in threading.enumerate() if each.name.startswith("loader")]
    assert not left, "no thread goes on preparing batches"


def test_too_few_images_for_one_batch(project: Path) -> None:
    with pytest.raises(SoftCAMError, match="do not fill one batch of 64"):
        train(replace(TINY, batch_size=64), progress=False)


@pytest.mark.slow
def test_the_record_names_scale_data_and_environment(project: Path) -> None:
    run = train(TINY.with_arm("sparse", 0.1), progress=False)
    assert run.lambdas == pytest.approx((0.1 / (2 * 4 * 4), 0))
    done = json.loads((run.path / "done.json").read_text())
    best = run.history()["val_auc"]
    assert done["value"] == pytest.approx(best.max())
    assert done["best_epoch"] == int(best.to_numpy().argmax())
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["versions"]["softcam"] == softcam.__version__, "also in a checkout"
    assert environment["versions"]["torch"] == torch.__version__.split("+")[0]
    assert list((run.path / "tensorboard").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("change", [{}, {"data": "phantoms:fundus", "augment": "light"}])
def test_batches_prepared_ahead_change_no_bit(
    change: dict[str, Any], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(TINY, **change)
    ahead = train(config, progress=False)
    found, table = weights(ahead), ahead.history().drop(columns="seconds")
    ahead.path.rename(project / "ahead")

    def one_by_one(data: Any, shards: Any, config: Any, epoch: int, process: int) -> Any:
        for step, shard in enumerate(shards):
            number = training.rng(config.seed, epoch, step, training._AUGMENT).integers(2**62)
            generator = torch.Generator().manual_seed(int(number))
            images = augment(data.batch(shard), config.augment, generator)
            yield images.contiguous(memory_format=torch.channels_last)

    monkeypatch.setattr(training, "_images_ahead", one_by_one)
    plain = train(config, progress=False)
    assert plain.path == ahead.path
    for name, value in weights(plain).items():
        assert torch.equal(value, found[name]), name
    assert plain.history().drop(columns="seconds").equals(table)


def test_epochs_shuffle_anew_and_lose_no_image() -> None:
    config = replace(TINY, batch_size=4)
    first, again, second = (
        np.concatenate(list(epoch_batches(12, config, epoch))) for epoch in (0, 0, 1)
    )
    assert sorted(first) == list(range(12))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)


@pytest.mark.slow
def test_an_empty_weights_file_is_not_taken_for_no_weights(project: Path) -> None:
    train(TINY, progress=False)
    (project / "zero.safetensors").write_bytes(b"")
    with pytest.raises(SoftCAMError, match="cannot be read as safetensors"):
        train(replace(TINY, weights=str(project / "zero.safetensors")), progress=False)


def test_logits_that_overflow_in_validation_are_a_divergence(project: Path) -> None:
    with pytest.raises(TrainingDiverged, match="lower lr"):
        train(replace(TINY, lr=1e30, epochs=1), progress=False)
