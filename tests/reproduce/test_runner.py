"""The processes of a sweep: a kill of the parent, a worker that dies, two calls at a time."""

from __future__ import annotations

import logging
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from softcam.common import SoftCAMError
from softcam.reproduce import Space, load_plan, reproduce, runner
from softcam.reproduce.cells import train_id
from softcam.reproduce.plan import Plan
from tests.reproduce.small import MODEL, write_plan

ROOT = Path(__file__).resolve().parents[2]
DIES, ODD = train_id("cxr", MODEL, "black-box", 0), train_id("cxr", MODEL, "dense", 0)
GOES_ON = train_id("cxr", MODEL, "black-box", 1)


def busy() -> None:
    """A worker's job that never ends; it says its process."""
    os.write(1, f"{os.getpid()}\n".encode())
    signal.pause()


def hold() -> None:
    """Two busy workers, until this process is killed."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context, runner.start_worker, (1,)) as pool:
        for future in [pool.submit(busy), pool.submit(busy)]:
            future.result()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux's handles of processes")
def test_no_worker_outlives_a_killed_parent() -> None:
    words = [sys.executable, "-c", "from tests.reproduce.test_runner import hold; hold()"]
    places = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    parent = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": places}
    )
    giving_up = threading.Timer(120, parent.kill)
    giving_up.start()
    assert parent.stdout is not None
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    handles = [os.pidfd_open(worker) for worker in workers]
    try:
        parent.send_signal(signal.SIGKILL)
        parent.wait(timeout=30)
        for worker, handle in zip(workers, handles, strict=True):
            ended = select.select([handle], [], [], 20)[0]
            assert ended, f"worker {worker} lives on"
    finally:
        giving_up.cancel()
        for handle in handles:
            if not select.select([handle], [], [], 0)[0]:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
        parent.stdout.close()


def pretended(plan: Plan, id: str) -> runner.Answer:
    """Instead of the work: one cell takes its worker along, one meets an odd error."""
    space = Space.of(plan)
    with space.logged(space.cell(id)):
        if id == DIES:
            os.kill(os.getpid(), signal.SIGKILL)
        if id == ODD:
            raise ZeroDivisionError("odd")
    space.keep(space.cell(id), {})
    return 1.0, False, ""


@pytest.mark.slow
def test_what_stops_is_named_and_the_others_go_on(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_one", pretended)
    space = Space.of(load_plan(write_plan(tmp_path)))
    with pytest.raises(SoftCAMError, match="2 cells stopped, and 4 in all are not done") as found:
        wanted = ["prepare-cxr", DIES, ODD, GOES_ON, f"evaluate-cxr-{MODEL}-s0", "collect"]
        runner.run_cells(space, wanted, processes=1, progress=False)
    text = str(found.value)
    assert f"{DIES}: a worker process ended at once" in text
    assert "ZeroDivisionError: odd" in text
    for id in (DIES, ODD):
        assert str(space.log_path(space.cell(id))) in text
        assert space.record(space.cell(id)) is None
    assert space.record(space.cell(GOES_ON)) is not None
    assert list(pd.read_csv(space.folder / "times.csv")["cell"]) == ["prepare-cxr", GOES_ON]
    assert not multiprocessing.active_children()


def dying(plan: Plan, id: str) -> runner.Answer:
    """Every worker dies."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.slow
def test_where_no_worker_stays_alive_the_rest_is_not_tried(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_one", dying)
    space = Space.of(load_plan(write_plan(tmp_path)))
    space.keep(space.cell("prepare-cxr"), {})
    monkeypatch.setattr(runner, "_look_at_data", lambda *_: None)
    trainings = [id for id, cell in space.cells.items() if cell.needs == ("prepare-cxr",)]
    with pytest.raises(SoftCAMError, match=f"2 cells stopped, and {len(trainings)} in all"):
        runner.run_cells(space, trainings, processes=1, progress=False)


def test_a_second_call_waits_for_the_first(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, said, worked = load_plan(write_plan(tmp_path)), threading.Event(), threading.Event()
    words: list[str] = []

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            words.append(record.getMessage())
            said.set()

    handler = Listening(logging.WARNING)
    monkeypatch.setattr(runner, "run_cells", lambda *_, **__: worked.set())
    folder = Space.of(plan).folder
    folder.mkdir(parents=True)
    second = threading.Thread(target=reproduce, args=(plan,), daemon=True)
    runner.log.addHandler(handler)
    try:
        with FileLock(folder / ".lock"):
            second.start()
            assert said.wait(20), "the second call says nothing"
            assert not worked.is_set(), "both are at work"
        second.join(20)
    finally:
        runner.log.removeHandler(handler)
    assert worked.is_set()
    assert words == [f"another `softcam reproduce all` is at work in {folder}: "
                     "waiting for it to end"]  # fmt: skip
