"""Every architecture in a process of its own: one that breaks does not stop the rest.

A server process imports torch and timm once, and each architecture gets a child of it, which
writes its row as one small file. Where processes cannot be forked safely, each child imports
everything anew. A child that takes too long or too much memory is ended, and one that is ended by
the system or by itself leaves a row that says so.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from softcam.common import hides_bar, read_json, write_json
from softcam.coverage.architecture import Row, measure, version

__all__ = ["Limits", "path_of", "work_through"]

log = logging.getLogger(__name__)
Task = Callable[[str, str, float, bool], Row]  # library, name, most parameters, timed
LOOK_EVERY = 0.5  # s, at the time and the memory of a child


@dataclass(frozen=True)
class Limits:
    """Of one architecture: parameters (timm's), seconds, GB; and whether it is timed."""

    max_parameters: float = 60e6
    timeout: float = 900
    memory: float = 8
    timed: bool = False


@dataclass
class Job:
    """A child at work on one architecture."""

    library: str
    name: str
    path: Path
    before: int  # when an older row was written, if there is one
    process: BaseProcess
    started: float


def path_of(folder: Path, library: str, name: str) -> Path:
    """Where the row of one architecture lies."""
    return folder / "rows" / f"{library}-{name}.json"


def work_through(
    folder: Path,
    todo: list[tuple[str, str]],
    key: dict[str, str],
    limits: Limits,
    processes: int,
    total: int,
    progress: bool,
    task: Task = measure,
) -> None:
    """Leave a row for each (library, name) in `todo`.

    Every child that is alive when this ends is ended too, however it comes to that.

    Args:
        folder: for `rows/` and `logs/`.
        todo: what to measure, in this order.
        key: stored with each row: what it depends on besides its name.
        limits: of one architecture.
        processes: at the same time.
        total: what the progress bar counts to; the rest is done already.
        progress: show it.
        task: what a child does; it must be importable by name.
    """
    from tqdm.auto import tqdm

    context = _context()
    waiting, live = list(reversed(todo)), list[Job]()
    bar = tqdm(total=total, initial=total - len(todo), desc="convert", disable=hides_bar(progress))
    with bar, _ended(live):
        while waiting or live:
            while waiting and len(live) < processes:
                library, name = waiting.pop()
                live.append(_start(context, folder, (library, name), key, limits, processes, task))
                bar.set_postfix_str(name)
            wait([job.process.sentinel for job in live], timeout=LOOK_EVERY)
            for job in list(live):
                problem = _problem(job, limits)
                if problem or not job.process.is_alive():
                    _finish(job, key, problem)
                    live.remove(job)
                    bar.update()


def _context() -> ForkServerContext | SpawnContext:
    """A server that has imported the heavy packages, on Linux; elsewhere a fresh interpreter."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["timm", "torchvision", __name__])
    return context


def _start(
    context: ForkServerContext | SpawnContext,
    folder: Path,
    each: tuple[str, str],
    key: dict[str, str],
    limits: Limits,
    processes: int,
    task: Task,
) -> Job:
    library, name = each
    path = path_of(folder, library, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    before = _written(path)
    threads = max(1, torch.get_num_threads() // processes)
    arguments = (library, name, path, key, limits, threads, task)
    process = context.Process(target=_work, args=arguments, daemon=True)
    process.start()
    return Job(library, name, path, before, process, time.monotonic())


def _written(path: Path) -> int:
    """When a file was written, in ns; 0 without one."""
    return path.stat().st_mtime_ns if path.is_file() else 0


def _log_of(path: Path) -> Path:
    return path.parent.parent / "logs" / f"{path.stem}.log"


def _work(
    library: str,
    name: str,
    path: Path,
    key: dict[str, str],
    limits: Limits,
    threads: int,
    task: Task,
) -> None:
    """In the child: measure one architecture and write its row; what it prints goes to a log."""
    said = _log_of(path)
    said.parent.mkdir(parents=True, exist_ok=True)
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    with contextlib.suppress(OSError):  # Linux: where memory runs out, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000")
    threading.Thread(target=_end_with_survey, daemon=True).start()
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    try:
        row = task(library, name, limits.max_parameters, limits.timed)
    except Exception as error:  # a library may raise anything, and the rest must go on
        row = _failed(library, name, f"{type(error).__name__}: {error}".strip())
        log.exception("%s/%s", library, name)
    write_json(path, {"key": key, "row": asdict(row)})


def _end_with_survey() -> None:
    """Should the survey be killed, nobody else would end its children."""
    survey = multiprocessing.parent_process()
    if survey is not None:
        survey.join()  # also where a server stands between
        os._exit(1)


def _problem(job: Job, limits: Limits) -> str:
    """Ends a child that takes too long or too much memory, and says which; else nothing."""
    import psutil

    problem = ""
    if time.monotonic() - job.started > limits.timeout:
        problem = f"not finished after {limits.timeout:g} s"
    with contextlib.suppress(psutil.Error):  # it may be gone already
        if psutil.Process(job.process.pid).memory_info().rss > limits.memory * 1e9:
            problem = f"took more than {limits.memory:g} GB of memory"
    if problem:
        job.process.kill()
    return problem


def _finish(job: Job, key: dict[str, str], problem: str) -> None:
    """Every child that ended leaves a row."""
    job.process.join()
    said = _log_of(job.path)
    if _written(job.path) == job.before:
        lines = said.read_text("utf-8", "replace").split("\n") if said.is_file() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        reason = problem or "; ".join(filter(None, (_exit(job.process.exitcode), last)))
        row = _failed(job.library, job.name, reason)
        write_json(job.path, {"key": key, "row": asdict(row)})
    elif read_json(job.path)["row"]["kind"] != "failed":
        said.unlink(missing_ok=True)


def _failed(library: str, name: str, reason: str) -> Row:
    return Row(library, version(library), name, "failed", notes=reason)


def _exit(code: int | None) -> str:
    """What an exit status says about how a process ended."""
    if code is None or code >= 0:
        return f"its process ended with exit status {code}"
    name = signal.Signals(-code).name
    killed = ", as the system does where memory runs short" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{killed}"


@contextlib.contextmanager
def _ended(live: list[Job]) -> Iterator[None]:
    try:
        yield
    finally:
        for job in live:
            job.process.kill()
            job.process.join()
