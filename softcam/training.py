"""One training loop for every arm, readable from top to bottom.

All arms share the initialisation, the order of the images, the augmentation and the number of
epochs, and differ in the penalty alone. Everything random in epoch e is derived from (seed, e),
so a killed run goes on from its last whole epoch and ends in the same weights.
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
from softcam.evidence import SoftCAM
from softcam.objective import (
    Objective,
    build_optimizer,
    class_weights,
    cross_entropy,
    divergence,
    freezes_bn,
    learning_rate,
)
from softcam.runs import SELECT, Run, TrainConfig, build_model, run_directory
from softcam.wrappers import BlackBox

if TYPE_CHECKING:
    from accelerate import Accelerator

    from softcam.data.records import ImageSet, Splits

__all__ = ["TrainingDiverged", "predict", "train"]

log = logging.getLogger(__name__)
_ORDER, _AUGMENT, _DROPOUT = 11, 12, 13  # streams of random numbers, one a purpose


class TrainingDiverged(SoftCAMError):
    """The loss is no longer a number; says where, and what to try."""


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
    from accelerate import Accelerator

    from softcam.data.sources import open_data

    _check_model(config)
    data = open_data(config.data, size=config.size, progress=progress, **config.data_options)
    config = config.for_labels(data.multi_label)
    _check(config, data)
    path = run_directory(config, data)
    if (path / "done.json").is_file() and not (path / "resume").exists():
        return Run.open(path)  # needs no lock, so a folder that cannot be written will do
    path.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    with _locked(path, accelerator):
        if not (path / "done.json").is_file():
            _train_locked(config, data, path, accelerator, progress=progress, resume=resume)
        if accelerator.is_main_process:
            shutil.rmtree(path / "resume", ignore_errors=True)  # left over if killed just before
    return Run.open(path)


@contextlib.contextmanager
def _locked(path: Path, accelerator: Accelerator) -> Iterator[None]:
    """Hold the run directory; the first of several processes of one training does it for all."""
    from filelock import FileLock, Timeout

    lock = FileLock(path / "lock")
    try:
        if accelerator.is_main_process:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                log.warning("another process is training %s: waiting for it to end", path.name)
                lock.acquire()
        accelerator.wait_for_everyone()
        yield
        accelerator.wait_for_everyone()
    finally:
        lock.release()


def _train_locked(
    config: TrainConfig,
    data: Splits,
    path: Path,
    accelerator: Accelerator,
    *,
    progress: bool,
    resume: bool,
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    for note in data.notes:
        log.info("%s: %s", data.name, note)
    normalize = config.normalize or _measured_normalization(data)
    model = build_model(config, len(data.classes), normalize, data.multi_label)
    record = resolved_record(config, data, model, normalize)
    write_json(path / "config.json", record)
    write_json(path / "environment.json", environment(accelerator.device))

    model = model.to(memory_format=torch.channels_last)
    weights = class_weights(data.train.labels, len(data.classes)) if config.class_weights else None
    objective = Objective(model, config, record["lambda1"], record["lambda2"], weights)
    optimizer = build_optimizer(config, model)
    wrapped, optimizer = accelerator.prepare(objective, optimizer)
    state = load_state(path, model, optimizer) if resume else None
    history: list[dict[str, float]] = state["history"] if state else []

    steps = len(data.train) // config.batch_size
    done = len(history)
    hidden = hides_bar(progress and accelerator.is_main_process)
    bar = tqdm(total=steps * config.epochs, initial=steps * done, desc=path.name, disable=hidden)
    with bar, SummaryWriter(str(path / "tensorboard"), purge_step=done) as board:
        for epoch in range(done, config.epochs):
            started = time.perf_counter()
            sums = _train_epoch(accelerator, wrapped, optimizer, config, data.train, epoch, bar)
            row = {"epoch": epoch, **sums, **validate(model, data.val, config, accelerator, epoch)}
            row["seconds"] = time.perf_counter() - started
            history.append(row)
            if hidden and progress:
                log.info(_progress_line(path, config, row))
            for name, value in row.items():
                board.add_scalar(name, value, epoch)
            if accelerator.is_main_process:
                keep_epoch(path, model, optimizer, config.select, history)
            accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        finish(path, model, config.select, history)


def _train_epoch(
    accelerator: Accelerator,
    objective: nn.Module,
    optimizer: Any,
    config: TrainConfig,
    data: ImageSet,
    epoch: int,
    bar: Any,
) -> dict[str, float]:
    """One pass over the training split; returns the mean loss, cross-entropy and penalty."""
    objective.train()
    if freezes_bn(config):
        for module in objective.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    seed_everything(int(rng(config.seed, epoch, _DROPOUT).integers(2**31)))
    first, every = accelerator.process_index, accelerator.num_processes
    shards = [indices[first::every] for indices in epoch_batches(len(data), config, epoch)]
    totals = torch.zeros(3, dtype=torch.float64)
    with contextlib.closing(_images_ahead(data, shards, config, epoch)) as ahead:
        for step, (shard, images) in enumerate(zip(shards, ahead, strict=True)):
            lr = learning_rate(config, epoch, step, len(shards))
            for group in optimizer.param_groups:
                group["lr"] = lr
            labels = torch.from_numpy(data.labels[shard]).to(accelerator.device)
            with accelerator.autocast():
                ce, penalty = objective(images.to(accelerator.device), labels)
            loss = ce + penalty
            if not torch.isfinite(loss):
                raise TrainingDiverged(divergence(config, epoch, step, lr, ce, penalty))
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            totals += torch.stack([loss, ce, penalty]).detach().double().cpu()
            bar.update()
            bar.set_postfix(epoch=epoch + 1, loss=f"{float(loss.detach()):.3f}", refresh=False)
    names = ("train_loss", "train_cross_entropy", "train_penalty")
    return {**dict(zip(names, (totals / len(shards)).tolist(), strict=True)), "lr": lr}


def epoch_batches(n: int, config: TrainConfig, epoch: int) -> Iterator[np.ndarray]:
    """Shuffled index batches of one epoch; the last partial batch is dropped."""
    order = rng(config.seed, epoch, _ORDER).permutation(n)
    for start in range(0, n - config.batch_size + 1, config.batch_size):
        yield order[start : start + config.batch_size]


@torch.no_grad()
def predict(
    model: BlackBox | SoftCAM, data: ImageSet, *, batch_size: int = 64, device: Any = None
) -> Tensor:
    """Logits (N, C) of every image of a split, on the CPU; the model's mode is restored."""
    was_training = model.training
    model.eval()
    try:
        parts = [
            model(data.batch(range(start, min(start + batch_size, len(data)))).to(device)).float()
            for start in range(0, len(data), batch_size)
        ]
    finally:
        model.train(was_training)
    return torch.cat(parts).cpu()


def validate(
    model: BlackBox | SoftCAM,
    data: ImageSet,
    config: TrainConfig,
    accelerator: Accelerator,
    epoch: int,
) -> dict[str, float]:
    """Cross-entropy (without the penalty) and the metrics of `SELECT`; of findings their means."""
    from softcam.metrics import classification_measures, multi_label_measures

    with accelerator.autocast():
        logits = predict(model, data, device=accelerator.device)
    if not torch.isfinite(logits).all():
        raise TrainingDiverged(
            f"training of arm {config.arm} diverged in epoch {epoch}: logits of the validation "
            f"split are NaN or infinite. Try a lower lr (now {config.lr:g}), a lower weight_decay "
            f"(now {config.weight_decay:g}), or mixed_precision='no'."
        )
    labels = torch.from_numpy(data.labels)
    if data.multi_label:
        found = multi_label_measures(data.labels, logits.numpy())
    else:
        found = classification_measures(data.labels, logits.numpy(), model.link)
    values = {"loss": float(cross_entropy(logits, labels, model.link, None)), **found}
    return {f"val_{name}": values[name] for name in SELECT if name in values}


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
    data: ImageSet, shards: Sequence[np.ndarray], config: TrainConfig, epoch: int
) -> Generator[Tensor, None, None]:
    """The augmented images of each step, prepared while the network works on those before."""
    from softcam.data.loader import batches

    def generator(step: int) -> torch.Generator:
        seed = int(rng(config.seed, epoch, step, _AUGMENT).integers(2**62))
        return torch.Generator().manual_seed(seed)

    chosen = (shard.tolist() for shard in shards)
    channels_last = torch.channels_last
    yield from batches(data, chosen, config.augment, generator, memory_format=channels_last)
