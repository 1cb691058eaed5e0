"""Two things that take turns in one process, and how their times are printed."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn


def paired(
    one: Callable[[], object], other: Callable[[], object], pairs: int = 25, warm: int = 3
) -> list[float]:
    """Ratios time(one) / time(other), sorted; the two take turns, each first half the time.

    `warm` turns before them do not count.
    """
    for _ in range(warm):
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


def quartiles(ratios: list[float]) -> str:
    low, median, high = statistics.quantiles(ratios, n=4)
    return f"{median:8.2f} [{low:.2f}, {high:.2f}]"


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@contextmanager
def watched(model: nn.Module, seen: list[int]) -> Iterator[None]:
    """Append the number of images each time the first convolution runs."""
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    handle = first.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    try:
        yield
    finally:
        handle.remove()
