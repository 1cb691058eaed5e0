"""Training with several processes, as `accelerate launch -m softcam train ...` starts them.

Each process has a GPU, a copy of the network and a part of each batch: process r of N holds the
images r, r + N, ... of it. (On CPUs: `torchrun --nproc-per-node 2 -m softcam train ...`.) Their
gradients are averaged, so that a step is that of one process with the whole batch
(`objective.share_of_batch`). Two things are not the same: batch norm that is not frozen measures
each part by itself, and dropout and augmentation draw other numbers.

Only the first process writes. What a process cannot know by itself, it is told by the first, and
what one process finds wrong (a loss that is no number) all of them learn in the same step, so
that all raise and none waits for another. A process that ends for a reason of its own (a full
disk) is noticed by the launcher, which ends the others. On several machines, the project folder
must be one that all of them share.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.runs import TrainConfig

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = [
    "agreed",
    "check_batch",
    "check_resumed",
    "filled_together",
    "first_ahead",
    "is_first_process",
    "join",
    "locked",
    "share_buffers",
    "warn_of_batch_norm",
]

log = logging.getLogger(__name__)
_PATIENCE = 60.0  # seconds: short against the ten minutes after which a waiting process gives up
T = TypeVar("T")


def join(mixed_precision: str) -> Accelerator:
    """This process as one of a training; alone, where no launcher started it."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # It remembers the precision of the first training in a process and refuses any other.
    AcceleratorState._reset_state()
    # Without being told, processes on CPUs would not look for each other, and each train it all.
    one_device = torch.backends.mps.is_available() or not torch.accelerator.is_available()
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return Accelerator(mixed_precision=mixed_precision, cpu=several and one_device)


def is_first_process() -> bool:
    """Whether this process is the one that prints and writes; true of a process by itself."""
    return int(os.environ.get("RANK", "0")) == 0


def check_batch(config: TrainConfig, processes: int) -> None:
    """Refuse a batch that leaves a process without an image."""
    if config.batch_size < processes:
        raise SoftCAMError(
            f"a batch of {config.batch_size} has no image for some of {processes} processes: "
            f"raise batch_size (it is that of all processes together) to {processes} or more, "
            "or start fewer processes."
        )


def warn_of_batch_norm(model: nn.Module, config: TrainConfig, processes: int) -> None:
    """Say that statistics of a part of the batch are not those of the batch."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if processes > 1 and norms:
        log.warning(
            "batch norm measures the %d or so images of each process by itself, not all %d of a "
            "batch: the result is not that of one process. freeze_bn, or a network without batch "
            "norm, gives the same.",
            config.batch_size // processes,
            config.batch_size,
        )


def agreed(accelerator: Accelerator, value: int) -> int:
    """The number (or truth) that the first process holds, in all of them."""
    own = int(value) if accelerator.is_main_process else 0  # one type in all: a bool is shorter
    return int(accelerator.reduce(torch.tensor(own, device=accelerator.device), "sum"))


def check_resumed(accelerator: Accelerator, epochs: int) -> None:
    """Refuse, in all processes, a start after another number of epochs in some of them."""
    ends = torch.tensor([epochs, -epochs], device=accelerator.device)
    most, least = accelerator.reduce(ends, "max").tolist()
    if most != -least:
        raise SoftCAMError(
            f"the processes found different states to go on from ({-least} to {most} epochs): "
            "the project folder must be one that all machines share (SOFTCAM_ROOT)."
        )


def first_ahead(accelerator: Accelerator, work: Callable[[], T]) -> T:
    """The same work in all processes, the first ahead: the others find in the cache what it left.

    An error of the first does not keep the others waiting: they try, and meet it too.
    """
    if not accelerator.is_main_process:
        accelerator.wait_for_everyone()
        return work()
    try:
        return work()
    finally:
        accelerator.wait_for_everyone()


@contextlib.contextmanager
def locked(path: Path, accelerator: Accelerator) -> Iterator[None]:
    """Hold the run directory; the first of several processes of one training does it for all."""
    from filelock import FileLock, Timeout

    lock = FileLock(path / "lock")

    def acquired(patience: float) -> bool:
        if accelerator.is_main_process:
            try:
                lock.acquire(timeout=patience)
            except Timeout:
                return False
        return True

    try:
        if not agreed(accelerator, acquired(0)):
            if accelerator.is_main_process:
                log.warning("another process is training %s: waiting for it to end", path.name)
            while not agreed(accelerator, acquired(_PATIENCE)):
                pass  # the others wait with it, never longer at once than they are ready to
        yield
        accelerator.wait_for_everyone()
    finally:
        lock.release()


def share_buffers(model: nn.Module, accelerator: Accelerator) -> None:
    """Put the buffers of the first process (batch-norm statistics) into the model of each.

    Gradients keep the weights equal; what a network measures on its own part of a batch is not.
    """
    from accelerate.utils import broadcast

    if accelerator.num_processes > 1:
        for buffer in model.buffers():
            buffer.copy_(broadcast(buffer.clone(), from_process=0))


def filled_together(accelerator: Accelerator, n: int, rows: Callable[[range], Tensor]) -> Tensor:
    """A tensor of which each process computes its own rows and gets all.

    Args:
        accelerator: says how many processes there are, and which this one is.
        n: number of rows.
        rows: gives the rows of some indices, on the CPU, (len(indices), ...).

    Returns:
        (n, ...) on the CPU, the same in all processes; a NaN stays one.
    """
    if accelerator.num_processes == 1:
        return rows(range(n))
    mine = range(accelerator.process_index, n, accelerator.num_processes)
    # With fewer rows than processes, one is computed for its shape and not counted.
    own = rows(mine if mine else range(1))
    whole = own.new_zeros((n, *own.shape[1:]))
    if mine:
        whole[list(mine)] = own
    total: Any = accelerator.reduce(whole.to(accelerator.device), "sum")
    return torch.as_tensor(total).cpu()
