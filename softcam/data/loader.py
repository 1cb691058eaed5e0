"""Training batches prepared ahead, so that training does not wait for them.

A batch is what `augment(data.batch(indices), policy, generator)` gives, whoever prepares it and
in whatever order: each has a generator of its own. Threads suffice, for torch lets go of Python's
lock while it works, and they share the memory map of the images, which processes would copy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import Barrier

import torch
from torch import Tensor

from softcam.data.records import ImageSet
from softcam.data.transforms import augment

__all__ = ["batches"]

AHEAD = 2  # batches that wait ready for each worker


def batches(
    data: ImageSet,
    indices: Iterable[Sequence[int]],
    policy: str,
    generator: Callable[[int], torch.Generator],
    *,
    workers: int = 2,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Iterator[Tensor]:
    """Augmented batches in order, prepared ahead by threads.

    Args:
        data: the images.
        indices: which images make up each batch.
        policy: a name in `AUGMENTATIONS`.
        generator: gives the generator of batch 0, 1, ...; called once for each.
        workers: number of threads; 0 prepares each batch when it is asked for.
        memory_format: how a batch lies in memory.

    Yields:
        (B, 3, H, W) float32 in [0, 1]. What a worker raises is raised here, in its turn.
    """

    def prepared(step: int, chosen: Sequence[int]) -> Tensor:
        images = augment(data.batch(chosen), policy, generator(step))
        return images.contiguous(memory_format=memory_format)

    tasks = enumerate(indices)
    if workers == 0:
        yield from (prepared(step, chosen) for step, chosen in tasks)
        return
    with _one_thread_each(workers) as pool:
        waiting: deque[Future[Tensor]] = deque()
        try:
            for task in islice(tasks, workers * AHEAD):
                waiting.append(pool.submit(prepared, *task))
            while waiting:
                done = waiting.popleft().result()
                for task in islice(tasks, 1):
                    waiting.append(pool.submit(prepared, *task))
                yield done
                del done  # or a batch more is kept while the next one is awaited
        finally:  # also when the caller stops early
            for future in waiting:
                future.cancel()


def _one_thread_each(workers: int) -> ThreadPoolExecutor:
    """A pool whose threads do not divide their small tensors among further threads.

    torch keeps a number for each thread, and hands what was set last to threads that first ask
    for theirs: so each asks at once, and this thread sets its own again for those to come.
    """
    mine = torch.get_num_threads()
    met = Barrier(workers)  # so that each of these runs on a thread of its own

    def settle() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()
        met.wait()

    pool = ThreadPoolExecutor(workers, "loader")
    for future in [pool.submit(settle) for _ in range(workers)]:
        future.result()
    torch.set_num_threads(mine)
    return pool
