"""A whole sweep on one machine: cells side by side in a few processes of one thread each.

On two cores two processes of one thread train faster than one process of two, and a process that
stays pays for starting torch once. A kill at any moment costs what was running.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

from tqdm.auto import tqdm

from softcam.common import SoftCAMError, as_integer, hides_bar
from softcam.reproduce.cells import Cell
from softcam.reproduce.plan import Plan
from softcam.reproduce.space import Space
from softcam.reproduce.stages import run_cell

__all__ = ["cores", "reproduce", "run_cells", "start_worker"]

log = logging.getLogger(__name__)
Answer = tuple[float, bool, str]  # seconds, whether it failed, the error that stops all


def reproduce(
    plan: Plan, *, processes: int | None = None, retry: bool = False, progress: bool = True
) -> Path:
    """Do every cell of a plan that is not done yet; returns its folder.

    Args:
        plan: see `load_plan`.
        processes: how many cells at a time; None takes one a core.
        retry: try again what failed before.
        progress: show a bar.

    Raises:
        SoftCAMError: a cell cannot be done (one that diverges is a hole, no error). What was
            finished is kept; the same call goes on.
    """
    space = Space.of(plan)
    if retry:
        space.forget_failures()
    run_cells(space, list(space.cells), processes=processes, progress=progress)
    return space.folder


def run_cells(
    space: Space, ids: Sequence[str], *, processes: int | None = None, progress: bool = True
) -> None:
    """Do these cells, in an order that fits what each needs; the others must be done already."""
    count = cores() if processes is None else as_integer("processes", processes, 1, 1024)
    waiting = {id: space.cell(id) for id in ids}
    for id, cell in list(waiting.items()):  # data that were changed meanwhile are noticed here
        if cell.stage == "prepare" and space.record(cell) is not None:
            run_cell(space, id, progress=progress)
            del waiting[id]
    unsettled = set(waiting)
    ready = _begin(space, waiting, unsettled)
    log.info("%s: %d of %d cells are done", space.plan.name, len(ids) - len(unsettled), len(ids))
    if not ready:
        return
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read once, when a worker loads torch
    context, threads = multiprocessing.get_context("spawn"), max(1, cores() // count)
    pool = ProcessPoolExecutor(count, context, start_worker, (threads,))
    try:
        with tqdm(total=len(unsettled), unit="cell", disable=hides_bar(progress)) as bar:
            _work(space, ready, waiting, unsettled, pool, bar)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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
    pool: ProcessPoolExecutor,
    bar: tqdm,
) -> None:
    """Hand out what can begin until everything is settled."""
    running: dict[Future[Answer], str] = {}
    while ready or running:
        running |= {pool.submit(_one, space.plan, id): id for id in ready}
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            id = running.pop(future)
            seconds, failed, error = future.result()
            if error:
                log.error("%s stopped; waiting for the cells under way", id)
                raise SoftCAMError(error)
            unsettled.remove(id)
            log.info("%s: %s in %.0f s", id, "FAILED" if failed else "done", seconds)
            _note_time(space, space.cells[id], seconds)
            bar.update()
        ready = _begin(space, waiting, unsettled)


def _one(plan: Plan, id: str) -> Answer:
    """One cell in a worker; errors with a mend come back as text, for not all can be sent."""
    started = time.monotonic()
    try:
        record = run_cell(Space.of(plan), id, progress=False)
    except (SoftCAMError, OSError) as error:
        return time.monotonic() - started, False, str(error) or repr(error)
    return time.monotonic() - started, record.failed, ""


def _note_time(space: Space, cell: Cell, seconds: float) -> None:
    """One line in `times.csv`, to hold against the estimate of a dry run."""
    path = space.folder / "times.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.is_file()
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write("cell,stage,seconds\n" if fresh else "")
        file.write(f"{cell.id},{cell.stage},{seconds:.1f}\n")


def start_worker(threads: int) -> None:
    """What each worker does first: so many threads and no more."""
    import torch

    torch.set_num_threads(threads)


def cores() -> int:
    """Processor cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Windows or macOS
        return os.cpu_count() or 1
