"""How long, how much memory, how many words: the limits of a process that grades."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

__all__ = ["TimeIsUp", "TooManyWords", "limit_memory", "limit_words", "time_limit"]

AGAIN = 0.5  # seconds until code that swallowed the end of its time is told again


class TimeIsUp(BaseException):
    """The time of a check is over. Not an `Exception`, so that `except Exception` lets it pass."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"stopped after {seconds:g} seconds")
        self.seconds = seconds


class TooManyWords(RuntimeError):
    """A notebook printed more than anybody reads."""


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `TimeIsUp` in the block when its time is over.

    Needs SIGALRM and the main thread; elsewhere (on Windows) the time limit of the cell is the
    only one. Code inside C is not stopped before it returns.
    """
    able = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
    if seconds is None or not able:
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp(seconds)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def limit_memory(megabytes: int) -> str:
    """Allow this process so many MiB more than it has now; return why not, or nothing.

    POSIX only. On Linux the limit is on data (RLIMIT_DATA), so that the address space that torch
    reserves without using it does not count; on macOS the system does not keep to it.
    """
    if sys.platform == "win32":
        return "Windows has no memory limit for a process of its own"
    import resource

    import psutil

    process = psutil.Process()
    try:
        memory = process.memory_info()
        has = int(memory.data if sys.platform == "linux" else memory.rss)
        limit = has + megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    except (OSError, ValueError, AttributeError) as error:
        return f"the system refused a memory limit: {error}"
    return ""


def limit_words(stream: Any, most: int) -> None:
    """Let a stream's `write` raise `TooManyWords` after so many characters from now on.

    To be called before every cell: IPython gives its streams another `write` for each.
    """
    if isinstance(stream.write, _Counted):
        stream.write.written = 0
    else:
        stream.write = _Counted(stream.write, most)


class _Counted:
    """A `write` that counts."""

    def __init__(self, write: Callable[[str], Any], most: int) -> None:
        self.write, self.most, self.written = write, most, 0

    def __call__(self, text: str) -> Any:
        self.written += len(text)
        if self.written > self.most:
            raise TooManyWords(f"more than {self.most} characters printed in one cell: stopped.")
        return self.write(text)
