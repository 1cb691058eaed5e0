"""By how much a process grows at most while it does one thing."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.maps import memory_growth

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGEST = 32 * 2**20  # where glibc's own thresholds end up after some large tensors


def growth(call: Callable[[], object]) -> float:
    """MB by which the process grew at most during one call, inside `returned`.

    On Linux the kernel's own mark is read, which misses no short peak; elsewhere one looks every
    5 ms.
    """
    gc.collect()
    if sys.platform != "linux":
        grown = list[float]()
        with memory_growth(grown):
            call()
        return grown[0]
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    CLEAR.write_text("5")  # sets the mark to what is held now
    before = _resident("VmRSS")
    call()
    return (_resident("VmHWM") - before) / 1e6


@contextmanager
def returned() -> Iterator[None]:
    """In this block freed tensors go back to the system at once, which makes it slow.

    What the allocator holds back would be filled again unseen, and gaps between tensors counted.
    So it comes before anything that leaves gaps: measure memory first and times afterwards.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "mallopt"):  # another system, or musl
        yield
        return
    libc.mallopt(MMAP_THRESHOLD, 2**16)
    try:
        yield
    finally:
        libc.mallopt(MMAP_THRESHOLD, LARGEST)
        libc.mallopt(TRIM_THRESHOLD, 2 * LARGEST)


def _resident(field: str) -> int:
    """Bytes of a line in the kernel's account of this process."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    return int(lines[field].split()[0]) * 1024
