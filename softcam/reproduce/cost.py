"""What a sweep would cost here and now: minutes and disk, from a timing of seconds.

Each network of the plan is timed at its size: a few training steps, a few forward passes, and the
measures on some maps, in as many processes as the sweep would use, so that they get in each
other's way as they will then. The rest is counting: steps and epochs, passes of each method on
the images it is asked about, points of the occlusion curves, draws of the sanity checks.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from softcam.common import SoftCAMError
from softcam.reproduce.asking import Asked, Timing, evaluation_seconds
from softcam.reproduce.cells import Cell, prepare_id
from softcam.reproduce.checks import STAGES
from softcam.reproduce.plan import Plan
from softcam.reproduce.runner import cores, start_worker
from softcam.reproduce.space import Space
from softcam.runs import TrainConfig

__all__ = ["Estimate", "estimate"]

SETUP = 2.0  # seconds a cell: opening data, building the network, writing the record
LAST = 60.0  # seconds of claims and figures
DRAWN = 0.02  # seconds a phantom of 96 px; as the area of the image
BYTES = 40_000_000  # of maps and answers that an evaluated network keeps, at 96 px
Counts = dict[str, int]


@dataclass(frozen=True)
class Estimate:
    """The grid of a plan and its cost.

    Attributes:
        plan: its name.
        processes: cells at a time.
        cells: stage to (cells, still to do).
        seconds: stage to processor seconds of what is still to do.
        disk: bytes of what is still to do.
        unknown: data sets that are not here, so that nothing is known of their cost.
    """

    plan: str
    processes: int
    cells: dict[str, tuple[int, int]]
    seconds: dict[str, float]
    disk: float
    unknown: tuple[str, ...]

    @property
    def minutes(self) -> float:
        """How long it would take from now on."""
        alone = sum(self.seconds.get(stage, 0.0) for stage in ("collect", "figures", "notebooks"))
        return ((sum(self.seconds.values()) - alone) / self.processes + alone) / 60

    def lines(self) -> list[str]:
        """For the terminal."""
        found = [f"{self.plan}: {'stage':10} {'cells':>6} {'to do':>6} {'minutes':>8}"]
        for stage, (number, todo) in self.cells.items():
            shared = 1 if stage in ("collect", "figures", "notebooks") else self.processes
            minutes = self.seconds.get(stage, 0.0) / 60 / shared
            found.append(f"{self.plan}: {stage:10} {number:6} {todo:6} {minutes:8.1f}")
        total, todo = (sum(each[i] for each in self.cells.values()) for i in (0, 1))
        found.append(f"{self.plan}: {'all':10} {total:6} {todo:6} {self.minutes:8.1f}")
        found.append(
            f"about {self.minutes:.0f} minutes with {self.processes} processes, "
            f"{self.disk / 1e9:.1f} GB of disk"
        )
        found += [f"{name}: its data are not here, so nothing is known of its cost"
                  for name in self.unknown]  # fmt: skip
        return found


def estimate(space: Space, *, processes: int | None = None, progress: bool = True) -> Estimate:
    """Count the cells that are not done, time the networks, and add up.

    Args:
        space: of the plan.
        processes: as in `reproduce`.
        progress: say nothing where False; the timing takes seconds a network.
    """
    count = cores() if processes is None else processes
    todo = [cell for cell in space.cells.values() if space.record(cell) is None]
    counts = {data.name: _counts(space, data.name) for data in space.plan.data}
    known = [cell for cell in todo if counts.get(cell.data) is not None or cell.data == "-"]
    timings = _timings(space.plan, known, count)
    seconds: dict[str, float] = {}
    disk = 0.0
    for cell in known:
        timing = timings.get((cell.data, cell.model))
        spent, bytes_ = _cost(space, cell, counts.get(cell.data) or {}, timing)
        seconds[cell.stage] = seconds.get(cell.stage, 0.0) + spent
        disk += bytes_
    cells = {}
    for stage in STAGES:
        every = [cell for cell in space.cells.values() if cell.stage == stage]
        if every:
            cells[stage] = (len(every), sum(cell in todo for cell in every))
    unknown = tuple(name for name, found in counts.items() if found is None)
    return Estimate(space.plan.name, count, cells, seconds, disk, unknown)


def _counts(space: Space, data: str) -> Counts | None:
    """Images of each split; None where the data are not here."""
    from softcam.data.phantoms import PhantomOptions
    from softcam.data.sources import open_catalogue

    record = space.record(space.cells[prepare_id(data)])
    if record is not None:
        return dict(record.result["counts"])
    entry = space.plan.data_set(data)
    if entry.source.startswith("phantoms:"):
        config = space.plan.config(data, space.plan.models[0].name, "dense", space.plan.first_seed)
        options = dict(config.data_options)
        chosen = PhantomOptions(entry.source.partition(":")[2], size=config.size, **options)
        return {"train": chosen.n_train, "val": chosen.n_val, "test": chosen.n_test}
    try:
        _, catalogue = open_catalogue(entry.source, progress=False, **entry.options)
    except SoftCAMError:
        return None
    splits = [item.split for item in catalogue.items]
    return {name: splits.count(name) for name in ("train", "val", "test")}


def _timings(plan: Plan, cells: list[Cell], processes: int) -> dict[tuple[str, str], Timing]:
    """Every network at its size, timed in all processes at once; the median counts."""
    wanted = sorted({(c.data, c.model) for c in cells if c.model != "-"})
    if not wanted:
        return {}
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    context, threads = multiprocessing.get_context("spawn"), max(1, cores() // processes)
    configs: dict[tuple[str, int], TrainConfig] = {}
    for data, model in wanted:
        config = plan.config(data, model, "dense", plan.first_seed)
        configs.setdefault((model, config.size), config)
    found = {}
    with ProcessPoolExecutor(processes, context, start_worker, (threads,)) as pool:
        list(pool.map(_wake, range(processes), chunksize=1))
        for key, config in configs.items():
            several = list(pool.map(_time_network, [config] * processes, chunksize=1))
            found[key] = Timing(*(statistics.median(v) for v in zip(*several, strict=True)))
    sizes = {(d, m): plan.config(d, m, "dense", plan.first_seed).size for d, m in wanted}
    return {(data, model): found[model, sizes[data, model]] for data, model in wanted}


def _wake(number: int) -> int:
    """Load what training loads, so that no process is timed while another one starts."""
    import softcam.training  # noqa: F401

    return number


def _time_network(config: TrainConfig) -> tuple[float, float, float, float]:
    """The values of `Timing` for one network with two classes."""
    import torch

    from softcam.metrics import measure_maps
    from softcam.objective import Objective, build_optimizer
    from softcam.runs import build_model

    config = replace(config, pretrained=False, weights=None, freeze_bn="no")
    model = build_model(config, 2, ((0.5,) * 3, (0.5,) * 3)).to(memory_format=torch.channels_last)
    batch = max(2, min(config.batch_size, 32 * 224**2 // config.size**2))
    images, labels = torch.rand(batch, 3, config.size, config.size), torch.arange(batch) % 2
    objective, optimizer = Objective(model, config, 0.0, 0.0), build_optimizer(config, model)

    def step() -> None:
        optimizer.zero_grad()
        sum(objective(images, labels)).backward()
        optimizer.step()

    @torch.no_grad()
    def forward() -> None:
        model(images)

    side = max(1, config.size // 8)
    maps, findings = torch.randn(batch, side, side), torch.zeros(batch, config.size, config.size)
    findings[:, : config.size // 4, : config.size // 4] = 1

    def measured() -> None:
        measure_maps(maps, findings.bool(), predicted=labels > 0)

    training = _seconds(step) / batch
    model.eval()
    features = float(getattr(model, "num_features", 0))
    return training, _seconds(forward) / batch, _seconds(measured) / batch, features


def _seconds(work: object, least: float = 1.5) -> float:
    """Median seconds of a call: one to warm up, then calls for `least` seconds."""
    assert callable(work)
    work()
    taken: list[float] = []
    while sum(taken) < least and len(taken) < 30 or len(taken) < 2:
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _cost(space: Space, cell: Cell, counts: Counts, timing: Timing | None) -> tuple[float, float]:
    """Processor seconds and bytes of one cell."""
    plan = space.plan
    if cell.stage == "prepare":
        sizes = {plan.config(cell.data, m.name, "dense", plan.first_seed).size for m in plan.models}
        pixels = sum(counts.values()) * sum(size**2 for size in sizes)
        return SETUP + DRAWN * pixels / 96**2, 4.0 * pixels
    if cell.model == "-" or timing is None:
        return LAST, 5e6
    config = plan.config(cell.data, cell.model, "dense", plan.first_seed)
    if cell.stage == "train":
        steps = counts["train"] // config.batch_size * config.batch_size
        once = steps * timing.step + counts["val"] * timing.forward
        return SETUP + config.epochs * once, 0.0
    if cell.stage == "select":
        return SETUP + len(cell.needs) * counts["val"] * 2 * timing.forward, 1e5
    networks = list(_networks(space, cell))
    networks = [replace(each, networks=len(networks)) for each in networks]
    spent = sum(evaluation_seconds(each, counts, timing) for each in networks)
    return SETUP + spent, len(networks) * BYTES * (config.size / 96) ** 2


def _networks(space: Space, cell: Cell) -> Iterator[Asked]:
    """The networks of an evaluation and what each is asked."""
    plan = space.plan
    options = plan.asked(cell.model, cell.seed, cell.path)
    grids = {space.cells[id].arm for id in cell.needs if space.cells[id].stage == "select"}
    arms = [c.arm for id in cell.needs if (c := space.cells[id]).stage == "train"]
    first: set[str] = set()
    for arm in arms:
        if cell.path:
            if arm not in first:  # all of a grid but the chosen one
                first.add(arm)
                continue
        elif arm in grids:
            if arm in first:
                continue
            first.add(arm)
        yield Asked(arm, options)
