"""From a configuration to its cells: what is done, in which order, and what decides it.

A cell is one piece of work of one stage. Its hash covers its own settings and the hashes of the
cells it needs, so that a changed setting gives new names to everything that depends on it, and
nothing old is read for new. Data and weights enter by their content (`space`).

    prepare    a data set
    train      data set x model x arm x weight x seed
    select     data set x model x arm with a grid, on the first seed
    evaluate   data set x model x seed; on the first seed also the unchosen weights ("path")
    collect    everything into one table; figures and notebooks follow
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from softcam.common import SoftCAMError, digest
from softcam.reproduce.checks import GRIDS
from softcam.reproduce.plan import Plan

__all__ = ["Cell", "expand", "prepare_id", "select_id", "train_id"]

VERSION = 1  # counts up when the same settings would be worked out in another way


@dataclass(frozen=True)
class Cell:
    """One piece of work.

    Attributes:
        id: unique in the plan, and fit for a file name.
        stage: see above.
        hash: eight hex digits over what decides the result, but for data and weights.
        needs: ids of the cells that come first.
        data, model, arm, seed: where they apply.
        weight: of the grid, on the plan's scale; None where the cell has none of its own.
        path: an evaluation of the unchosen weights.
    """

    id: str
    stage: str
    hash: str
    needs: tuple[str, ...] = ()
    data: str = "-"
    model: str = "-"
    arm: str = "-"
    seed: int = 0
    weight: float | None = None
    path: bool = False


def expand(plan: Plan) -> dict[str, Cell]:
    """Every cell of a plan by its id, each after those it needs."""
    cells: dict[str, Cell] = {}

    def add(id: str, stage: str, decided: Any, needs: Iterable[str] = (), **more: Any) -> str:
        needed = tuple(needs)
        hashes = [cells[each].hash for each in needed]
        own = digest(VERSION, stage, decided, hashes, length=8)
        cells[id] = Cell(id, stage, own, needed, **more)
        return id

    for data in plan.data:
        sizes = [plan.config(data.name, m.name, "dense", plan.first_seed).size for m in plan.models]
        decided = [data.source, dict(data.options), sizes, plan.lambdas.scale]
        add(prepare_id(data.name), "prepare", decided, data=data.name)
    evaluated = []
    for data in plan.data:
        for model in plan.models:
            _training(plan, data.name, model.name, add)
            evaluated += _evaluations(plan, data.name, model.name, cells, add)
    collected = add("collect", "collect", [plan.name, package_digest()], evaluated)
    drawn = add("figures", "figures", plan.figures, [collected])
    if plan.notebooks:
        add("notebooks", "notebooks", _notebooks(plan), [drawn])
    return cells


def _training(plan: Plan, data: str, model: str, add: Any) -> None:
    """The grid of the first seed, the choices, and every other training."""
    first, ready = plan.first_seed, prepare_id(data)

    def train(arm: str, seed: int, weight: float | None, needs: list[str], more: Any) -> str:
        id = train_id(data, model, arm, seed, weight)
        decided = [_settings(plan, data, model, seed), arm, more]
        where = {"data": data, "model": model, "arm": arm, "seed": seed, "weight": weight}
        return str(add(id, "train", decided, needs, **where))

    for arm in GRIDS:
        if arm in plan.arms_of(data, first):
            grid = [
                train(arm, first, weight, [ready], plan.per_cell(data, model, arm, weight))
                for weight in plan.grid(model, arm)
            ]
            rule = asdict(plan.select)
            add(select_id(data, model, arm), "select", rule, grid, data=data, model=model, arm=arm,
                seed=first)  # fmt: skip
    for seed in plan.seeds_of(data):
        for arm in plan.arms_of(data, seed):
            if arm in GRIDS and seed != first:
                train(arm, seed, None, [ready, select_id(data, model, arm)], None)
            elif arm in plan.lambdas.follow:
                shares = dict(plan.lambdas.follow[arm])
                train(arm, seed, None, [ready, select_id(data, model, "sparse")], shares)
            elif arm not in GRIDS:
                train(arm, seed, None, [ready], dict(plan.lambdas.fixed.get(arm, {})))


def _evaluations(
    plan: Plan, data: str, model: str, cells: Mapping[str, Cell], add: Any
) -> list[str]:
    from softcam.shards import code_digest

    own = [c for c in cells.values() if (c.stage, c.data, c.model) == ("train", data, model)]
    arms = plan.arms_of(data, plan.first_seed)
    chosen = [select_id(data, model, arm) for arm in GRIDS if arm in arms]
    found = []
    for seed in plan.seeds_of(data):
        first = seed == plan.first_seed
        options = plan.asked(model, seed)
        needs = [c.id for c in own if c.seed == seed] + (chosen if first else [])
        where = {"data": data, "model": model, "seed": seed}
        id = f"evaluate-{data}-{model}-s{seed}"
        found.append(add(id, "evaluate", [options, code_digest()], needs, **where))
    grid = [c.id for c in own if c.weight is not None]
    if len(grid) > len(chosen):
        options = plan.asked(model, plan.first_seed, path=True)
        found.append(
            add(f"evaluate-{data}-{model}-path", "evaluate", [options, code_digest()],
                [*grid, *chosen], data=data, model=model, seed=plan.first_seed, path=True)
        )  # fmt: skip
    return found


@cache
def package_digest() -> str:
    """A digest of everything that turns tables into claims and figures."""
    checkout = Path(__file__).resolve().parents[2]
    folders = [(checkout / "softcam", "*.py"), (checkout / "softcam", "*.yaml"),
               (checkout / "workflow", "*.toml")]  # fmt: skip
    files = [path for folder, kind in folders for path in sorted(folder.rglob(kind))]
    numbers = checkout / "figures" / "paper_numbers.csv"
    sha = hashlib.sha256()
    for path in [*files, *([numbers] if numbers.is_file() else [])]:
        sha.update(path.relative_to(checkout).as_posix().encode() + b"\0" + path.read_bytes())
    return sha.hexdigest()[:16]


def prepare_id(data: str) -> str:
    """Id of the cell that prepares a data set."""
    return f"prepare-{data}"


def train_id(data: str, model: str, arm: str, seed: int, weight: float | None = None) -> str:
    """Id of a training; with its weight where it is one of the grid."""
    return f"train-{data}-{model}-{arm}{'' if weight is None else f'-w{weight:g}'}-s{seed}"


def select_id(data: str, model: str, arm: str) -> str:
    """Id of the choice of an arm's weight."""
    return f"select-{data}-{model}-{arm}"


def _settings(plan: Plan, data: str, model: str, seed: int) -> dict[str, Any]:
    """All of a training configuration but its arm, its penalty and its paths."""
    values = asdict(plan.config(data, model, "dense", seed))
    for name in ("arm", "l1_per_cell", "l2_per_cell", "weights"):
        del values[name]
    if values["cosine_epochs"] is None:  # younger than the cells that do without
        del values["cosine_epochs"]
    return {**values, "weights": _content(plan.weights)}


def _notebooks(plan: Plan) -> dict[str, str]:
    """The content of every notebook of a plan, by its name."""
    from softcam.notebooks import notebook_folder, select_notebooks

    names = select_notebooks(plan.notebooks)
    return {name: digest((notebook_folder() / f"{name}.ipynb").read_bytes()) for name in names}


@lru_cache(maxsize=4)
def _content(weights: str | None) -> str:
    if weights is None:
        return "-"
    try:
        return digest(Path(weights).read_bytes())
    except OSError as error:
        raise SoftCAMError(f"the weights {weights} cannot be read: {error.strerror}.") from error
