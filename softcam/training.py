"""One training loop for every arm, readable from top to bottom.

All arms share the initialisation, the order of the images, the augmentation and the number of
epochs, and differ in the penalty alone. Everything random in epoch e is derived from (seed, e),
so a killed run goes on from its last whole epoch and ends in the same weights. Several GPUs and
nodes share a training under `accelerate launch -m softcam train ...` (see `processes`).
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from softcam.checkpoints import environment, finish, keep_epoch, load_state, resolved_record
from softcam.common import SoftCAMError, choose, hides_bar, rng, seed_everything, write_json
from softcam.objective import (
    Objective,
    TrainingDiverged,
    build_optimizer,
    class_weights,
    divergence,
    freezes_bn,
    learning_rate,
    loss_of_part,
)
from softcam.processes import (
    agreed,
    check_batch,
    check_resumed,
    first_ahead,
    join,
    locked,
    warn_of_batch_norm,
)
from softcam.runs import Run, TrainConfig, build_model, run_directory
from softcam.validation import validate

if TYPE_CHECKING:
    from accelerate import Accelerator

    from softcam.data.records import ImageSet, Splits

__all__ = ["train"]

log = logging.getLogger(__name__)
_ORDER, _AUGMENT, _DROPOUT = 11, 12, 13  # streams of random numbers, one a purpose


def train(config: TrainConfig, *, progress: bool = True, resume: bool = True) -> Run:
    """Train one arm and return its run; a finished run of the same configuration is returned as is.

    Args:
        config: what to train on what; see `TrainConfig`.
        progress: show a progress bar.
        resume: go on after the last whole epoch of a killed run; False begins anew.

    Raises:
        TrainingDiverged: the loss became NaN or infinite.
        SoftCAMError: data, model and options do not fit together, said before training starts.
    """
    from softcam.data.sources import open_data

    _check_model(config)
    accelerator = join(config.mixed_precision)
    check_batch(config, accelerator.num_processes)
    shown = progress and accelerator.is_main_process
    data = first_ahead(
        accelerator,
        lambda: open_data(config.data, size=config.size, progress=shown, **config.data_options),
    )
    config = config.for_labels(data.multi_label)
    _check(config, data)
    path = run_directory(config, data)
    done = path / "done.json"
    if agreed(accelerator, done.is_file() and not (path / "resume").exists()):
        return Run.open(path)  # needs no lock, so a folder that cannot be written will do
    path.mkdir(parents=True, exist_ok=True)
    with locked(path, accelerator):
        if not agreed(accelerator, done.is_file()):
            _train_locked(config, data, path, accelerator, progress=progress, resume=resume)
        if accelerator.is_main_process:
            shutil.rmtree(path / "resume", ignore_errors=True)  # left over if killed just before
    return Run.open(path)


def _train_locked(
    config: TrainConfig,
    data: Splits,
    path: Path,
    accelerator: Accelerator,
    *,
    progress: bool,
    resume: bool,
) -> None:
    first = accelerator.is_main_process
    normalize = config.normalize or _measured_normalization(data)
    model = build_model(config, len(data.classes), normalize, data.multi_label)
    record = resolved_record(config, data, model, normalize)
    if first:
        for note in data.notes:
            log.info("%s: %s", data.name, note)
        if not freezes_bn(config):
            warn_of_batch_norm(model, config, accelerator.num_processes)
        write_json(path / "config.json", record)
        write_json(path / "environment.json", environment(accelerator.device))

    model = model.to(memory_format=torch.channels_last)
    weights = class_weights(data.train.labels, len(data.classes)) if config.class_weights else None
    objective = Objective(model, config, record["lambda1"], record["lambda2"], weights)
    optimizer = build_optimizer(config, model)
    wrapped, optimizer = accelerator.prepare(objective, optimizer)
    state = load_state(path, model, optimizer) if resume else None
    history: list[dict[str, float]] = state["history"] if state else []
    check_resumed(accelerator, len(history))

    steps = len(data.train) // config.batch_size
    done = len(history)
    hidden = hides_bar(progress and first)
    bar = tqdm(total=steps * config.epochs, initial=steps * done, desc=path.name, disable=hidden)
    with bar, _board(path, done, first) as board:
        for epoch in range(done, config.epochs):
            started = time.perf_counter()
            sums = _train_epoch(
                accelerator, wrapped, optimizer, config, data.train, weights, epoch, bar
            )
            row = {"epoch": epoch, **sums, **validate(model, data.val, config, accelerator, epoch)}
            row["seconds"] = time.perf_counter() - started
            history.append(row)
            if first:
                if hidden and progress:
                    log.info(_progress_line(path, config, row))
                for name, value in row.items():
                    board.add_scalar(name, value, epoch)
                keep_epoch(path, model, optimizer, config.select, history)
            accelerator.wait_for_everyone()
    if first:
        finish(path, model, config.select, history)


@contextlib.contextmanager
def _board(path: Path, done: int, first: bool) -> Iterator[Any]:
    """TensorBoard's file, which the first process writes; None in the others."""
    from torch.utils.tensorboard import SummaryWriter

    if not first:
        yield None
        return
    with SummaryWriter(str(path / "tensorboard"), purge_step=done) as board:
        yield board


def _train_epoch(
    accelerator: Accelerator,
    objective: nn.Module,
    optimizer: Any,
    config: TrainConfig,
    data: ImageSet,
    weights: Tensor | None,
    epoch: int,
    bar: Any,
) -> dict[str, float]:
    """One pass over the training split; the mean loss, cross-entropy and penalty of all parts."""
    objective.train()
    if freezes_bn(config):
        for module in objective.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    process, processes = accelerator.process_index, accelerator.num_processes
    dropout = _of_process(process, config.seed, epoch, _DROPOUT)
    seed_everything(int(rng(*dropout).integers(2**31)))
    batches = list(epoch_batches(len(data), config, epoch))
    shards = [indices[process::processes] for indices in batches]
    totals = torch.zeros(3, dtype=torch.float64)
    with contextlib.closing(_images_ahead(data, shards, config, epoch, process)) as ahead:
        for step, (indices, images) in enumerate(zip(batches, ahead, strict=True)):
            lr = learning_rate(config, epoch, step, len(batches))
            for group in optimizer.param_groups:
                group["lr"] = lr
            labels = torch.from_numpy(data.labels[indices])
            loss, means = loss_of_part(accelerator, objective, config, images, labels, weights)
            if not torch.isfinite(means[0]):  # of any process, so all raise
                raise TrainingDiverged(divergence(config, epoch, step, lr, *means[1:]))
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            totals += means.double().cpu()
            bar.update()
            bar.set_postfix(epoch=epoch + 1, loss=f"{float(means[0]):.3f}", refresh=False)
    names = ("train_loss", "train_cross_entropy", "train_penalty")
    return {**dict(zip(names, (totals / len(batches)).tolist(), strict=True)), "lr": lr}


def _of_process(process: int, *key: int) -> tuple[int, ...]:
    """A key of `rng` for one of several processes; the first draws what one by itself draws."""
    return (*key, process) if process else key


def epoch_batches(n: int, config: TrainConfig, epoch: int) -> Iterator[np.ndarray]:
    """Shuffled index batches of one epoch; the last partial batch is dropped."""
    order = rng(config.seed, epoch, _ORDER).permutation(n)
    for start in range(0, n - config.batch_size + 1, config.batch_size):
        yield order[start : start + config.batch_size]


def _progress_line(path: Path, config: TrainConfig, row: dict[str, float]) -> str:
    return (
        f"{path.name}: epoch {row['epoch'] + 1:.0f} of {config.epochs}, "
        f"train loss {row['train_loss']:.3f}, "
        f"val {config.select} {row[f'val_{config.select}']:.3f}, {row['seconds']:.0f} s"
    )


def _check_model(config: TrainConfig) -> None:
    """A model or weights that do not exist are refused before a directory bears their name."""
    from softcam.backbones import parse_model_name, read_weights

    parse_model_name(config.model)
    if config.weights:
        read_weights(config.weights)


def _check(config: TrainConfig, data: Splits) -> None:
    from softcam.data.transforms import AUGMENTATIONS

    config.outputs(len(data.classes), data.multi_label)
    choose("augmentation", config.augment, AUGMENTATIONS)
    if data.multi_label and config.select == "quadratic-kappa":
        raise SoftCAMError(
            "select='quadratic-kappa' is for one class an image, in an order; the classes of "
            f"{data.name} are findings, which have none: select auc, accuracy or loss."
        )
    if len(data.train) < config.batch_size:
        raise SoftCAMError(
            f"{len(data.train)} training images do not fill one batch of {config.batch_size}: "
            "lower batch_size."
        )


def _measured_normalization(data: Splits) -> tuple[list[float], list[float]]:
    from softcam.data.transforms import channel_statistics

    mean, std = channel_statistics(data.train)
    return list(map(float, mean)), list(map(float, std))


def _images_ahead(
    data: ImageSet, shards: Sequence[np.ndarray], config: TrainConfig, epoch: int, process: int
) -> Generator[Tensor, None, None]:
    """The augmented images of each step, prepared while the network works on those before."""
    from softcam.data.loader import batches

    def generator(step: int) -> torch.Generator:
        key = _of_process(process, config.seed, epoch, step, _AUGMENT)
        return torch.Generator().manual_seed(int(rng(*key).integers(2**62)))

    chosen = (shard.tolist() for shard in shards)
    channels_last = torch.channels_last
    yield from batches(data, chosen, config.augment, generator, memory_format=channels_last)
