"""What a configuration of the sweep must satisfy before anything is trained."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from softcam.common import SoftCAMError, as_integer, as_number, choose
from softcam.runs import ARMS

if TYPE_CHECKING:
    from softcam.reproduce.plan import DataSet, Plan

__all__ = ["GRIDS", "STAGES", "check_plan"]

SCALES = ("per-cell", "paper")
GRIDS = {"sparse": "l1_per_cell", "ridge": "l2_per_cell"}  # arm with a grid: its weight
STAGES = ("prepare", "train", "select", "evaluate", "collect", "figures", "notebooks")
RESOURCES = ("threads", "mem_mb", "runtime", "gpu")
FIXED = {"runs", "maps", "data", "profile", "progress", "cache", "split"}  # the stage gives them


def check_plan(plan: Plan, path: Path) -> None:
    """Everything that can be known now, so that no error comes after hours of training.

    Raises:
        UnknownNameError, SoftCAMError: see `load_plan`.
    """
    choose("place of figures", plan.figures, ("run", "project"))
    choose("scale of lambdas", plan.lambdas.scale, SCALES)
    for seed in plan.seeds:
        as_integer("seed", seed, 0, 2**32 - 1)
    if len(set(plan.seeds)) < len(plan.seeds):
        raise SoftCAMError(f"{path}: a seed stands twice in {list(plan.seeds)}.")
    as_integer("draws of select", plan.select.draws, 2, 10**6)
    as_integer("images of select", plan.select.images, 1, 10**6)
    for stage, own in plan.resources.items():
        choose("stage", stage, STAGES)
        for key in own:
            choose(f"resource of {stage}", key, RESOURCES)
    if plan.given_weights and plan.weights is None:
        raise SoftCAMError(
            f"the configuration {plan.name!r} starts from given weights: add --weights FILE, a "
            "safetensors file in timm's format."
        )
    _check_arms(plan, path)
    _check_grids(plan, path)
    _check_evaluation(plan)
    for data in plan.data:
        for model in plan.models:
            plan.config(data.name, model.name, "dense", plan.seeds[0])


def _check_arms(plan: Plan, path: Path) -> None:
    """Every arm knows where its weights come from."""
    every = [*plan.arms, *plan.arms_once]
    for arm in every:
        choose("arm", arm, ARMS)
        sources = [arm in GRIDS, arm in plan.lambdas.follow, arm in plan.lambdas.fixed]
        if sum(sources) != int(any(ARMS[arm])):
            raise SoftCAMError(
                f"{path}: the arm {arm!r} takes its weight from {sum(sources)} places; a penalised "
                "arm needs one of a grid (sparse, ridge), follow or fixed, the others none."
            )
    if len(set(every)) < len(every):
        raise SoftCAMError(f"{path}: an arm stands twice in {every}.")
    if grids := sorted(set(GRIDS) & set(plan.arms_once)):
        raise SoftCAMError(f"{path}: {', '.join(grids)} has a grid and belongs in arms.")
    for data in plan.data:
        _check_own(plan, data, path)
    weights = {**plan.lambdas.follow, **plan.lambdas.fixed}
    for arm in weights:
        choose("arm", arm, every)
        for key, value in weights[arm].items():
            choose(f"weight of {arm}", key, ("l1_per_cell", "l2_per_cell"))
            as_number(f"{key} of {arm}", value)
    if plan.lambdas.follow and "sparse" not in plan.arms:
        raise SoftCAMError(f"{path}: follow needs the arm 'sparse', which is not in arms.")


def _check_own(plan: Plan, data: DataSet, path: Path) -> None:
    """The arms and seeds that a data set has of its own."""
    for arm in data.arms:
        choose(f"arm of {data.name}", arm, [*plan.arms, *plan.arms_once])
    followers = set(data.arms) & set(plan.lambdas.follow)
    if followers and "sparse" not in data.arms:
        raise SoftCAMError(
            f"{path}: on {data.name} {', '.join(sorted(followers))} follow the arm 'sparse', which "
            "is not among its arms."
        )
    if data.seeds and (data.seeds[0] != plan.first_seed or set(data.seeds) - set(plan.seeds)):
        raise SoftCAMError(
            f"{path}: the seeds of {data.name} are {list(data.seeds)}: expected some of "
            f"{list(plan.seeds)}, with {plan.first_seed} first, which carries the grid."
        )


def _check_grids(plan: Plan, path: Path) -> None:
    for model in plan.models:
        for arm in model.lambdas:
            choose("arm with a grid", arm, GRIDS)
        for arm in set(GRIDS) & set(plan.arms):
            grid = [as_number(f"a weight of {arm}", each) for each in plan.grid(model.name, arm)]
            if not grid or min(grid) <= 0 or len(set(grid)) < len(grid):
                raise SoftCAMError(
                    f"{path}: the grid of {arm} for {model.name} is {grid}: expected different "
                    "weights above 0."
                )
        paper = plan.lambdas.scale == "paper"
        if paper and (model.map < 1 or any(data.classes < 2 for data in plan.data)):
            raise SoftCAMError(
                f"{path}: weights on the paper's scale need `classes` of each data set and `map`, "
                f"the side of the evidence maps, of {model.name}."
            )


def _check_evaluation(plan: Plan) -> None:
    """Keywords, methods and measures of `evaluate` by name."""
    from softcam.evaluation import evaluate, measure_catalogue
    from softcam.explainers import explainers

    known = set(inspect.signature(evaluate).parameters) - FIXED
    for options in (plan.evaluate, plan.later, plan.path):
        for key in options:
            choose("option of evaluate", key, known)
        for method in options.get("methods") or ():
            choose("method", method, explainers())
        for metric in options.get("metrics") or ():
            choose("metric", metric, measure_catalogue("both"))
    for model in plan.models:
        for method in model.without:
            choose("method", method, explainers())
