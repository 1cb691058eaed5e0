"""The same function over many jobs in several processes, with results in the order of the jobs.

Beside what `concurrent.futures` does: the first error is that of the first job that has one, as if
the jobs had run one after the other; few jobs are under way at a time, so memory stays flat; a
process ends when the one that started it is killed; and a script without an `if __name__ ==
"__main__"` is not run again by every process.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import types
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from softcam.common import SoftCAMError, UnknownNameError

__all__ = ["available", "in_order"]

J = TypeVar("J")
S = TypeVar("S")
R = TypeVar("R")

WORTH = 10.0  # seconds of work that is left, from which on processes are worth their start
_shared: Any = None  # in a process: what all its jobs share


def available() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    task: Callable[[S, J], R], shared: S, jobs: Sequence[J], workers: int | None = None
) -> Iterator[R]:
    """`task(shared, job)` of every job, in the order of the jobs.

    Args:
        task: a function of a module; jobs and results must be picklable.
        shared: sent to each process once; where it cannot be (a store that is defined in the
            script or notebook that is running), all is done in this process.
        jobs: what is to be done.
        workers: processes; 0 is this one alone. None begins in this one, and takes as many as
            there are processors once more than a few seconds of work are seen to be left.
    """
    done = 0
    count = available() if workers is None else workers
    if count and (multiprocessing.current_process().daemon or not _can_travel(task, shared)):
        count = 0  # a daemon may have no children
    if workers is None or count == 0:
        started = time.perf_counter()
        for job in jobs:
            yield task(shared, job)
            done += 1
            left = (time.perf_counter() - started) / done * (len(jobs) - done)
            if count > 1 and left > WORTH:
                break
    yield from _in_processes(task, shared, jobs[done:], min(count, len(jobs) - done))


def _in_processes(
    task: Callable[[S, J], R], shared: S, jobs: Sequence[J], workers: int
) -> Iterator[R]:
    if not jobs:
        return
    executor = ProcessPoolExecutor(workers, _context(task), _begin, (shared,))
    waiting: deque[Future[R]] = deque()
    todo = iter(jobs)
    try:
        while True:
            with _no_script():
                while len(waiting) < 2 * workers and (job := next(todo, None)) is not None:
                    waiting.append(executor.submit(_do, task, job))
            if not waiting:
                return
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise SoftCAMError(
            "a process ended without a word, perhaps for want of memory, or at a file that a "
            "decoder does not survive: call again, it goes on where it stopped; fewer processes "
            "(workers=1, or 0 for none) need less memory."
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _can_travel(*things: object) -> bool:
    """Whether other processes can be given these; they know nothing of the script running here."""
    try:
        with _no_script():
            pickle.dumps(things)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _context(task: Callable[..., Any]) -> Any:
    """Processes that share no thread or lock with this one; on Linux they start fast."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([task.__module__])
    return context


@contextlib.contextmanager
def _no_script() -> Iterator[None]:
    """In this block a process that starts does not import the script that is running here."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _begin(shared: Any) -> None:
    """In a process: keep what is shared, leave Ctrl-C to the parent, and end when it ends."""
    global _shared
    _shared = shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(task: Callable[[Any, J], R], job: J) -> R:
    try:
        return task(_shared, job)
    except UnknownNameError as error:  # its arguments are not those of an exception
        raise SoftCAMError(str(error)) from error
