"""Jobs in several processes: in order, the first error first, few at a time."""

from __future__ import annotations

import os

import pytest

from softcam.common import SoftCAMError, choose
from softcam.data import workers
from softcam.data.workers import in_order


def power(base: int, job: int) -> int:
    return base**job


def pid_of(_: None, job: int) -> int:
    return os.getpid()


def fragile(_: None, job: int) -> int:
    if job % 3 == 2:
        choose("job", str(job), ["0", "1"])
    return job


def ending(_: None, job: int) -> int:
    os._exit(3)


def test_in_this_process_by_default_where_there_is_little_to_do() -> None:
    assert set(in_order(pid_of, None, range(5))) == {os.getpid()}
    assert list(in_order(power, 2, range(5), 0)) == [1, 2, 4, 8, 16]


def test_what_cannot_travel_stays_here() -> None:
    here = lambda: None  # noqa: E731
    assert list(in_order(lambda shared, job: shared is here and job, here, [3, 4], 2)) == [3, 4]
    assert set(in_order(pid_of, here, range(2), 2)) == {os.getpid()}  # type: ignore[arg-type]


@pytest.mark.slow
def test_results_and_errors_come_in_order() -> None:
    assert list(in_order(power, 2, range(30), 2)) == [2**n for n in range(30)]
    assert os.getpid() not in set(in_order(pid_of, None, range(4), 2))
    seen = []
    with pytest.raises(SoftCAMError, match="unknown job '2'"):
        for value in in_order(fragile, None, range(30), 2):
            seen.append(value)
    assert seen == [0, 1]
    with pytest.raises(SoftCAMError, match="ended without a word"):
        list(in_order(ending, None, range(3), 1))


@pytest.mark.slow
def test_much_work_moves_to_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "WORTH", 0.0)
    monkeypatch.setattr(workers, "available", lambda: 2)
    pids = list(in_order(pid_of, None, range(6)))
    assert pids[0] == os.getpid() and os.getpid() not in pids[1:]
