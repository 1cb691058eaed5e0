"""A whole sweep on one machine: cells side by side in a few processes of one thread each.

On two cores two processes of one thread train faster than one process of two, and a process that
stays pays for starting torch once. A kill at any moment costs what was running; a worker ends when
the process that started it is gone.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for
from pathlib import Path

from tqdm.auto import tqdm

from softcam.common import SoftCAMError, as_integer, hides_bar
from softcam.reproduce.cells import Cell
from softcam.reproduce.plan import Plan
from softcam.reproduce.space import TIMES, Space
from softcam.reproduce.stages import run_cell

__all__ = ["cores", "reproduce", "run_cells", "start_worker"]

log = logging.getLogger(__name__)
Answer = tuple[float, bool, str]  # seconds, whether it failed, the error that stopped it
SHOWN = 5  # cells that stopped and are named in the error


def reproduce(
    plan: Plan, *, processes: int | None = None, retry: bool = False, progress: bool = True
) -> Path:
    """Do every cell of a plan that is not done yet; returns its folder.

    Args:
        plan: see `load_plan`.
        processes: how many cells at a time; None takes one a core.
        retry: try again what failed before.
        progress: show a bar.

    A second call for the same folder waits until the first has ended.

    Raises:
        SoftCAMError: cells cannot be done (one that diverges is a hole, no error). What does not
            need them is done first, and kept; the same call goes on.
    """
    space = Space.of(plan)
    with _alone(space.folder):
        if retry:
            space.forget_failures()
        run_cells(space, list(space.cells), processes=processes, progress=progress)
    return space.folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder of a sweep, as soon as nobody else does."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning(
            "another `softcam reproduce all` is at work in %s: waiting for it to end", folder
        )
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def run_cells(
    space: Space, ids: Sequence[str], *, processes: int | None = None, progress: bool = True
) -> None:
    """Do these cells, in an order that fits what each needs; the others must be done already.

    Raises:
        SoftCAMError: cells cannot be done; it names them and their logs. It comes when everything
            is done that does not need them.
    """
    count = cores() if processes is None else as_integer("processes", processes, 1, 1024)
    waiting, stopped = {id: space.cell(id) for id in ids}, dict[str, str]()
    _look_at_data(space, waiting, stopped, progress)
    unsettled = set(waiting) | set(stopped)
    ready = _begin(space, waiting, unsettled)
    log.info("%s: %d of %d cells are done", space.plan.name, len(ids) - len(unsettled), len(ids))
    if ready:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read once, when torch is loaded
        workers = _Workers(count)
        try:
            with tqdm(total=len(unsettled), unit="cell", disable=hides_bar(progress)) as bar:
                _work(space, ready, waiting, unsettled, stopped, workers, bar)
        finally:
            workers.end()
    if stopped:
        raise SoftCAMError(_words(space, stopped, len(unsettled)))


def _look_at_data(
    space: Space, waiting: dict[str, Cell], stopped: dict[str, str], progress: bool
) -> None:
    """Look again at data that were prepared before: a change meanwhile is noticed here."""
    for id, cell in list(waiting.items()):
        if cell.stage == "prepare" and space.record(cell) is not None:
            del waiting[id]
            try:
                run_cell(space, id, progress=progress)
            except (SoftCAMError, OSError) as error:
                _stop(space, id, str(error) or repr(error), stopped)


class _Workers:
    """A pool that is made anew where a worker died, which breaks it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        context, threads = multiprocessing.get_context("spawn"), max(1, cores() // self.count)
        return ProcessPoolExecutor(self.count, context, start_worker, (threads,))

    def submit(self, plan: Plan, id: str) -> Future[Answer]:
        try:
            return self._pool.submit(_one, plan, id)
        except BrokenProcessPool:
            self.end()
            self._pool = self._start()
            return self._pool.submit(_one, plan, id)

    def end(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _begin(space: Space, waiting: dict[str, Cell], unsettled: set[str]) -> list[str]:
    """Take out of `waiting` what can begin; what turns out to be done is settled on the way."""
    ready = []
    for id, cell in list(waiting.items()):  # in the order of the plan: needs come first
        if unsettled.isdisjoint(cell.needs):
            del waiting[id]
            if space.record(cell) is None:
                ready.append(id)
            else:
                unsettled.remove(id)
    return ready


def _work(
    space: Space,
    ready: list[str],
    waiting: dict[str, Cell],
    unsettled: set[str],
    stopped: dict[str, str],
    workers: _Workers,
    bar: tqdm,
) -> None:
    """Hand out what can begin until nothing more can; what stopped stays unsettled."""
    running: dict[Future[Answer], str] = {}
    deaths = 0  # of cells in a row
    while ready or running:
        while ready and len(running) < workers.count:  # so that a death costs what was running
            id = ready.pop(0)
            running[workers.submit(space.plan, id)] = id
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            id = running.pop(future)
            (seconds, failed, error), died = _answer(future)
            deaths = deaths + 1 if died else 0
            if error:
                _stop(space, id, error, stopped)
                continue
            unsettled.remove(id)
            log.info("%s: %s in %.0f s", id, "FAILED" if failed else "done", seconds)
            _note_time(space, space.cells[id], seconds)
            bar.update()
        ready += _begin(space, waiting, unsettled)
        if deaths >= 2 * workers.count:
            log.error("no worker stays alive: nothing more is begun")
            ready.clear()


def _answer(future: Future[Answer]) -> tuple[Answer, bool]:
    """What came of a cell, and whether its worker died."""
    try:
        return future.result(), False
    except BrokenProcessPool:
        text = (
            "a worker process ended at once while this cell ran, or one beside it. Often the "
            "memory is full: try fewer `--processes`."
        )
        return (0.0, False, text), True
    except Exception as error:  # such as an answer that cannot be sent
        return (0.0, False, f"{type(error).__name__}: {error}"), False


def _stop(space: Space, id: str, error: str, stopped: dict[str, str]) -> None:
    log.error("%s stopped, what does not need it goes on: %s", id, error)
    stopped[id] = error


def _words(space: Space, stopped: Mapping[str, str], left: int) -> str:
    """Every cell that stopped, with its log, and how to go on."""
    lines = []
    for id, error in list(stopped.items())[:SHOWN]:
        path = space.log_path(space.cells[id])
        lines.append(f"{id}: {error}" + (f" (log: {path})" if path.is_file() else ""))
    if len(stopped) > SHOWN:
        lines.append(f"and {len(stopped) - SHOWN} more")
    return (
        f"of {space.plan.name} {len(stopped)} cells stopped, and {left} in all are not done. Mend "
        "the cause and run the same command again, it goes on.\n" + "\n".join(lines)
    )


def _one(plan: Plan, id: str) -> Answer:
    """One cell in a worker; errors come back as text, for not all can be sent."""
    started = time.monotonic()
    try:
        record = run_cell(Space.of(plan), id, progress=False)
    except Exception as error:
        known = isinstance(error, SoftCAMError | OSError) and str(error)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        return time.monotonic() - started, False, text
    return time.monotonic() - started, record.failed, ""


def _note_time(space: Space, cell: Cell, seconds: float) -> None:
    """One line in `times.csv`, to hold against the estimate of a dry run."""
    from filelock import FileLock

    path = space.folder / TIMES
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(".times.lock")):  # commands of single stages run side by side
        fresh = not path.is_file()
        with path.open("a", encoding="utf-8", newline="\n") as file:
            head = "cell,stage,seconds\n" if fresh else ""
            file.write(f"{head}{cell.id},{cell.stage},{seconds:.1f}\n")


def start_worker(threads: int) -> None:
    """What each worker does first: so many threads and no more, and none without its parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    """End this process at once when the one that started it is gone, however it ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def cores() -> int:
    """Processor cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Windows or macOS
        return os.cpu_count() or 1
