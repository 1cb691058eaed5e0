"""Two things that take turns in one process, and how their times are printed."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable


def paired(one: Callable[[], object], other: Callable[[], object], pairs: int = 25) -> list[float]:
    """Ratios time(one) / time(other), sorted; the two take turns, each first half the time."""
    for _ in range(3):
        one()
        other()
    ratios = []
    for k in range(pairs):
        first, second = (one, other) if k % 2 else (other, one)
        seconds = {}
        for function in (first, second):
            started = time.perf_counter()
            function()
            seconds[function] = time.perf_counter() - started
        ratios.append(seconds[one] / seconds[other])
    return sorted(ratios)


def report(name: str, ratios: list[float]) -> None:
    """One line: median and quartiles of the paired ratios."""
    low, median, high = statistics.quantiles(ratios, n=4)
    sys.stdout.write(f"{name:<58} {median:.3f}  [{low:.3f}, {high:.3f}]\n")
