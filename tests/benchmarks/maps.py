"""Measures on maps against the plain one-image way: `python start.py bench maps`.

Streams images of 512 px with five maps each through `measure_maps`, in one thread. Printed are the
milliseconds a map of each measure and of what they share, the growth of the memory, and the
ratio to calling the plain NumPy oracle one image at a time, again for every k. Oracles that would
take minutes an image are left out of the oracle's time but not out of ours, so the ratio is a
lower bound. The oracle is timed on one image, ours on all: milliseconds of the processor, which
do not count the time that other programs take.

`--images 1000` is the full size, `--cells 16 512` the resolutions of the maps.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import psutil
import torch
from torch import Tensor

from softcam.common import rng
from softcam.metrics import MapBatch, Measure, measure_maps, measures
from softcam.metrics.paper.quirks import PUBLIC
from softcam.metrics.registry import PIXELS, Protocol
from tests.metrics import oracle, oracle_paper

SIDE, MAPS, CHUNK = 512, 5, 48
PROTOCOLS: tuple[Protocol, ...] = ("corrected", "paper")
Plain = Callable[[np.ndarray, np.ndarray, int], object]  # map, finding, k
ORACLES: dict[tuple[Protocol, str], Plain] = {
    ("corrected", "pointing-accuracy"): lambda m, f, k: oracle.pointing(m, f),
    ("corrected", "activation-precision"): lambda m, f, k: oracle.precision(m, f),
    ("corrected", "activation-sensitivity"): lambda m, f, k: oracle.sensitivity(m, f),
    ("corrected", "energy-outside"): lambda m, f, k: oracle.outside(m, f),
    ("corrected", "patch-precision"): lambda m, f, k: oracle.patches(m, f, 0.9)[:k],
    ("paper", "patch-precision"): oracle_paper.patch_counts,
    ("paper", "patch-precision-tp"): oracle_paper.patch_counts,
    ("paper", "patch-precision-positive"): lambda m, f, k: oracle_paper.patch_counts(
        m, f, k, PUBLIC.at(0.0)
    ),
    ("paper", "patch-precision-all"): lambda m, f, k: oracle_paper.patch_counts(m, f),
    ("paper", "activation-precision"): lambda m, f, k: oracle_paper.mass_within(m, f),
    ("paper", "activation-sensitivity"): lambda m, f, k: oracle_paper.mass_within(m, f),
    ("paper", "activation-precision-hard"): lambda m, f, k: oracle_paper.hard_precision(m, f),
}


def scenes(images: int, cells: int, seed: int) -> tuple[Tensor, Tensor]:
    """Maps (n, cells, cells), noise with a bright spot, and a finding near it in each image."""
    draw = rng(seed, images, cells)
    findings = torch.zeros(images, SIDE, SIDE, dtype=torch.bool)
    maps = draw.normal(size=(images, cells, cells)).astype(np.float32)
    for values, finding in zip(maps, findings, strict=True):
        y, x = draw.integers(0, SIDE - 96, 2)
        finding[y : y + 80, x : x + 96] = True
        row, column = (y + 40) * cells // SIDE, (x + 48) * cells // SIDE
        values[row : row + 1 + cells // 16, column : column + 1 + cells // 16] += 4
    return torch.from_numpy(maps), findings


def milliseconds(call: Callable[[], object]) -> float:
    """Processor time of one call."""
    started = time.process_time()
    call()
    return (time.process_time() - started) * 1000


@contextmanager
def memory_growth(found: list[float]) -> Iterator[None]:
    """Append by how many MB the process grew at most, looked at every 5 ms."""
    process, done = psutil.Process(), threading.Event()
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        found.append((peak - before) / 1e6)


def streamed(images: int, cells: int, protocol: Protocol) -> tuple[float, float]:
    """Milliseconds a map for all measures together, and MB by which the memory grew."""
    spent, grown = 0.0, list[float]()
    with memory_growth(grown):
        for start in range(0, images, CHUNK):
            for source in range(MAPS):
                maps, findings = scenes(min(CHUNK, images - start), cells, start * MAPS + source)
                spent += milliseconds(
                    lambda m=maps, f=findings: measure_maps(m, f, protocol=protocol)
                )  # type: ignore[misc]
    return spent / (images * MAPS), grown[0]


def alone(cells: int, protocol: Protocol, repeats: int = 5) -> dict[str, float]:
    """Median milliseconds a map of each measure; what is shared falls on the first to read it."""
    size = PIXELS // SIDE**2
    times: dict[str, list[float]] = {}
    for repeat in range(repeats):
        maps, findings = scenes(size, cells, repeat)
        batch = MapBatch(maps, findings)
        parts: list[tuple[str, Callable[[], object]]] = [
            ("(taking the batch)", lambda m=maps, f=findings: MapBatch(m, f)),  # type: ignore[misc]
        ]
        if protocol == "corrected":
            parts.append(("(enlarging)", lambda b=batch: b.upsampled))  # type: ignore[misc]
            parts.append(("(sorting)", lambda b=batch: b.ranking))  # type: ignore[misc]
        parts += [
            (each.name, lambda e=each, b=batch: e(b))  # type: ignore[misc]
            for each in measures("map", protocol)
        ]
        for name, part in parts:
            times.setdefault(name, []).append(milliseconds(part) / size)
    return {name: statistics.median(each) for name, each in times.items()}


def plain(cells: int, each: Measure) -> float | None:
    """Milliseconds a map of the oracle, called once for every k; None without one that is fast."""
    call = ORACLES.get((each.protocol, each.name))
    if call is None:
        return None
    maps, findings = scenes(1, cells, 0)
    values, finding = maps[0].double().numpy(), findings[0].numpy()
    if each.steps is None:
        return milliseconds(lambda: call(values, finding, 0))
    some = each.steps[:: max(1, len(each.steps) // 4)]  # the others lie between
    return statistics.mean(milliseconds(lambda k=k: call(values, finding, k)) for k in some) * len(  # type: ignore[misc]
        each.steps
    )


def table(images: int, cells: int, protocol: Protocol) -> None:
    """Print one block: every measure, the totals, and what the bar asks for."""
    out = sys.stdout.write
    out(f"\n{protocol}: {images} images of {SIDE} px x {MAPS} maps of {cells}x{cells} cells\n")
    out(f"{'ms a map':<28}{'here':>10}{'one image, every k':>20}\n")
    oracles = {each.name: plain(cells, each) for each in measures("map", protocol)}
    for name, ours in alone(cells, protocol).items():
        theirs = oracles.get(name)
        out(f"{name:<28}{ours:>10.3f}{'-' if theirs is None else f'{theirs:.1f}':>20}\n")
    ours, grown = streamed(images, cells, protocol)
    theirs = sum(each for each in oracles.values() if each is not None)
    out(f"{'all, streamed':<28}{ours:>10.3f}{theirs:>20.1f}\n")
    top = oracles["patch-precision"] or float("nan")
    out(f"everything / everything: {theirs / ours:.0f} times faster (bar: 10)\n")
    out(f"everything here / their top-k alone: {top / ours:.1f} times faster\n")
    out(f"memory growth: {grown:.0f} MB (bar: 500)\n")


def main(arguments: list[str]) -> None:
    """Both protocols at each resolution."""
    parser = argparse.ArgumentParser(prog="bench maps", description="Speed of measures on maps.")
    parser.add_argument("--images", type=int, default=100, help="images of 512 px; 1000 in full")
    parser.add_argument("--cells", type=int, nargs="+", default=[16, 512], help="sides of the maps")
    options = parser.parse_args(arguments)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for cells in options.cells:
            for protocol in PROTOCOLS:
                table(options.images, cells, protocol)
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main(sys.argv[1:])
