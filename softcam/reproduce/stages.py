"""What each stage does with one cell; each can be repeated, killed and gone on with.

A stage reads what the cells before it came to, does its work, and writes its record last. Work
that softcam keeps by itself (a prepared data set, a run, the maps of an evaluation) is found again
by its own hash, so that a cell which was killed goes on where it was.
"""

from __future__ import annotations

import json
import logging
import math
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from softcam.common import DataError, SoftCAMError, digest, runs_root
from softcam.reproduce.cells import Cell, select_id
from softcam.reproduce.checks import GRIDS
from softcam.reproduce.collect import collect, figures, notebooks
from softcam.reproduce.plan import DataSet, Plan
from softcam.reproduce.select import Candidate, choose_weight, selection_rows, validated
from softcam.reproduce.space import Record, Space
from softcam.reproduce.trying import try_methods

if TYPE_CHECKING:
    from softcam.data.records import Splits
    from softcam.runs import Run

__all__ = ["data_command", "run_cell", "weights_of"]

log = logging.getLogger(__name__)


def run_cell(space: Space, id: str, *, progress: bool = True) -> Record:
    """Do one cell; what is done already is returned as it is, but data are always looked at.

    Raises:
        SoftCAMError: no such cell, a cell before it is missing, or the stage cannot do its work,
            for whatever reason. A training that diverges is no error: its record says `failed`.
    """
    cell = space.cell(id)
    found = space.record(cell)
    if found is not None and cell.stage != "prepare":
        return found
    _check_data(space, cell)
    space.needed(cell)
    with space.logged(cell):
        return _STAGES[cell.stage](space, cell, progress)


def data_command(plan: Plan, data: DataSet, size: int) -> str:
    """The `softcam data prepare` command that brings a data set of a plan to its arrays."""
    words = ["softcam", "data", "prepare", data.source, "--size", str(size)]
    for key, value in data.options.items():
        text = value if isinstance(value, str) else json.dumps(value)
        words += ["--data-option", f"{key}={text}"]
    return shlex.join(words)


def _check_data(space: Space, cell: Cell) -> None:
    """A data set that is not there, or not whole, stops every stage but the one that makes it."""
    for id in cell.needs:
        before = space.cells[id]
        if before.stage == "prepare" and space.record(before) is None:
            data = space.plan.data_set(before.data)
            commands = [data_command(space.plan, data, size) for size in _sizes(space.plan, data)]
            raise DataError(
                f"{cell.id}: the data set {data.source!r} is not prepared, or not whole. Run "
                f"`{' && '.join(commands)}`, then `softcam reproduce prepare --config "
                f"{space.plan.name} --cell {id}`."
            )


def _sizes(plan: Plan, data: DataSet) -> list[int]:
    first = plan.first_seed
    sizes = [plan.config(data.name, m.name, "dense", first).size for m in plan.models]
    return sorted(set(sizes))


def _prepare(space: Space, cell: Cell, progress: bool) -> Record:
    """Bring the data set to arrays in every size that is asked for."""
    from softcam.data.sources import open_data
    from softcam.evaluation.subjects import task_of

    data, found = space.plan.data_set(cell.data), {}
    for size in _sizes(space.plan, data):
        try:
            found[size] = open_data(data.source, size=size, progress=progress, **data.options)
        except DataError as error:
            raise DataError(
                f"{data.name}: {error} Then run `{data_command(space.plan, data, size)}`; "
                "`softcam data list` says where the images come from."
            ) from error
    one = next(iter(found.values()))
    if data.classes and data.classes != len(one.classes):
        raise DataError(f"{data.name} has {len(one.classes)} classes, {data.classes} are planned.")
    _check_maps(space.plan, data, found)
    try_methods(space.plan, cell.data, {size: each.train for size, each in found.items()})
    folders = [each.folder for each in found.values() if each.folder is not None]
    return space.keep(cell, {
        "dataset": one.name, "task": task_of(one.train),
        "fingerprints": {str(size): each.fingerprint for size, each in found.items()},
        "counts": {name: len(one[name]) for name in ("train", "val", "test")},
        "files": [str(folder / "meta.json") for folder in folders],
    })  # fmt: skip


def _check_maps(plan: Plan, data: DataSet, splits: dict[int, Splits]) -> None:
    """The planned size of the maps, on which weights on the paper's scale depend."""
    from dataclasses import replace

    from softcam.checkpoints import map_size
    from softcam.runs import build_model

    for model in plan.models if plan.lambdas.scale == "paper" else ():
        config = plan.config(data.name, model.name, "dense", plan.first_seed)
        config = replace(config, weights=None, pretrained=False)
        network = build_model(config, data.classes, None)
        found = map_size(network, splits[config.size].train.size)
        if found != (model.map, model.map):
            raise SoftCAMError(
                f"{model.name} has maps of {found[0]} x {found[1]} cells at {config.size} px, "
                f"{model.map} x {model.map} are planned: correct `map`, on which its lambdas hang."
            )


def weights_of(space: Space, cell: Cell) -> dict[str, float] | None:
    """The penalty weights per cell of a training; None where the choice it needs failed."""
    plan, arm = space.plan, cell.arm
    if cell.weight is not None:
        return {GRIDS[arm]: plan.per_cell(cell.data, cell.model, arm, cell.weight)}
    follows = plan.lambdas.follow.get(arm)
    if arm not in GRIDS and follows is None:
        return dict(plan.lambdas.fixed.get(arm, {}))
    source = arm if arm in GRIDS else "sparse"
    record = space.record(space.cells[select_id(cell.data, cell.model, source)])
    if record is None or record.failed:
        return None
    chosen = float(record.result["per_cell"])
    return {GRIDS[arm]: chosen} if follows is None else {k: v * chosen for k, v in follows.items()}


def _train(space: Space, cell: Cell, progress: bool) -> Record:
    """Train one network; one that diverges is a hole in the tables, not the end of the sweep."""
    from softcam.objective import TrainingDiverged
    from softcam.training import train

    weights = weights_of(space, cell)
    if weights is None:
        return space.keep(cell, {}, "failed", "no weight could be chosen: its grid failed")
    config = space.plan.config(cell.data, cell.model, cell.arm, cell.seed, **weights)
    try:
        run = train(config, progress=progress)
    except TrainingDiverged as error:
        log.exception("%s diverged", cell.id)
        return space.keep(cell, {}, "failed", str(error))
    place = run.path.relative_to(runs_root()).as_posix()
    return space.keep(
        cell, {"run": place, "run_id": run.id, **weights, "files": [f"{place}/done.json"]}
    )


def _run(record: Record) -> Run:
    from softcam.runs import Run

    return Run.open(runs_root() / record.result["run"])


def _select(space: Space, cell: Cell, progress: bool) -> Record:
    """Ask every network of a grid about the validation split, and apply the rule."""
    rule, records = space.plan.select, space.needed(cell)
    candidates, run_ids, lambdas = {}, {}, {}
    for id, record in records.items():
        weight = float(space.cells[id].weight or 0)
        run_ids[id] = record.result.get("run_id", "-")
        lambdas[id] = math.nan
        if record.failed:
            candidates[id] = Candidate(weight)
            continue
        run = _run(record)
        lambdas[id] = run.lambdas[0 if cell.arm == "sparse" else 1]
        candidates[id] = validated(
            run, weight, draws=rule.draws, images=rule.images, seed=space.plan.first_seed
        )
    plan = space.plan
    per_cell = {id: plan.per_cell(cell.data, cell.model, cell.arm, each.weight)
                for id, each in candidates.items()}  # fmt: skip
    ready = space.needed(space.cells[cell.needs[0]])
    known = next(iter(ready.values())).result
    common = {
        "dataset": known["dataset"], "task": known["task"], "model": cell.model, "arm": cell.arm,
        "parameter": "lambda1" if cell.arm == "sparse" else "lambda2", "seed": cell.seed,
    }  # fmt: skip
    rows = selection_rows(candidates, common, per_cell, run_ids, lambdas)
    best = choose_weight(list(candidates.values()))
    if best is None:
        return space.keep(cell, {"rows": rows}, "failed", "every training of the grid failed")
    chosen = plan.per_cell(cell.data, cell.model, cell.arm, best)
    return space.keep(cell, {"per_cell": chosen, "weight": best, "rows": rows})


def _evaluate(space: Space, cell: Cell, progress: bool) -> Record:
    """Measure the networks of one seed, or the unchosen weights of the grid."""
    from softcam.evaluation import evaluate_to

    plan, runs = space.plan, _runs_of(space, cell)
    if not runs:
        message = "" if cell.path else "every training of this seed failed"
        return space.keep(cell, {"folder": ""}, "failed" if message else "done", message)
    asked = plan.asked(cell.model, cell.seed, cell.path)
    part = "path" if cell.path else f"s{cell.seed}"
    name = f"{part}-{cell.hash}-{space.inputs(cell)}"  # other data or weights: another folder
    folder = space.folder / "evaluated" / f"{cell.data}-{cell.model}" / name
    evaluate_to(folder, runs, profile=plan.name, progress=progress, **asked)
    place = folder.relative_to(runs_root()).as_posix()
    files = [f"{place}/results.csv", f"{place}/per_image.parquet"]
    content = digest((folder / "results.csv").read_bytes(), length=16)
    return space.keep(cell, {"folder": place, "results": content, "files": files})


def _runs_of(space: Space, cell: Cell) -> list[Any]:
    """The finished runs that an evaluation is about, in the order of the plan."""
    records = space.needed(cell)
    chosen = {
        space.cells[id].arm: record.result.get("weight")
        for id, record in records.items()
        if space.cells[id].stage == "select"
    }
    runs = []
    for id, record in records.items():
        each = space.cells[id]
        if each.stage != "train" or record.failed:
            continue
        unchosen = each.weight is not None and each.weight != chosen.get(each.arm)
        if unchosen == cell.path:
            runs.append(_run(record))
    return runs


_STAGES: dict[str, Callable[[Space, Cell, bool], Record]] = {
    "prepare": _prepare,
    "train": _train,
    "select": _select,
    "evaluate": _evaluate,
    "collect": collect,
    "figures": figures,
    "notebooks": notebooks,
}
