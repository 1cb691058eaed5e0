"""A configuration of the sweep, read from `workflow/config/NAME.yaml` and checked.

    title        a sentence for people
    profile      of softcam/profiles.yaml: training options that are not given here
    figures      `run` (runs/reproduce/NAME/figures) or `project` (figures/ of the project)
    seeds        the first one carries the lambda grid and the arms of `arms_once`
    data         NAME: {source, options, classes, train, arms, seeds}; `train` holds further
                 training options, `arms` and `seeds` say that only these are trained on this set
    models       NAME: {map, lambdas, train, without}; `map` is the side of its evidence maps in
                 cells, `without` lists methods that do not explain this network
    train        training options of every cell (fields of `TrainConfig`)
    given_weights  true: `--weights FILE` must be given
    arms         for every seed; arms_once: for the first seed only
    lambdas      scale: `per-cell`, or `paper` (weights of the sums, which need `classes` and `map`)
                 sparse, ridge: the grids
                 follow: shares of the sparse arm's chosen weight per cell, for other arms
                 fixed: weights per cell of arms that neither have a grid nor follow
    select       draws (of the bootstrap), images (validation images for the oracle)
    evaluate     keywords of `softcam.evaluate` for the first seed
    later        what changes in them for the other seeds
    path         what changes in them for the unchosen weights of the grid
    notebooks    numbers of notebooks that are executed at the end
    resources    STAGE: {threads, mem_mb, runtime (minutes), gpu}

An unknown key is refused with the closest known one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from softcam.common import SoftCAMError, choose
from softcam.reproduce.checks import check_plan
from softcam.runs import TrainConfig

__all__ = [
    "DataSet", "Lambdas", "Model", "Plan", "SelectRule", "config_folder", "load_plan", "plan_names",
]  # fmt: skip

USUAL = {"threads": 1, "mem_mb": 4000, "runtime": 120, "gpu": 0}


@dataclass(frozen=True)
class DataSet:
    """One data set and task.

    Attributes:
        name: in cells and folders, such as `cxr` or `fundus-grade`.
        source: as `open_data` takes it.
        options: keywords of the source.
        classes: how many; 0 where nothing needs to know before the data are opened.
        train: training options of this set alone.
        arms, seeds: of the plan's, those that are trained on this set; empty: all.
    """

    name: str
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    classes: int = 0
    train: Mapping[str, Any] = field(default_factory=dict)
    arms: Sequence[str] = ()
    seeds: Sequence[int] = ()


@dataclass(frozen=True)
class Model:
    """One network: its name for `build_net`, the side of its maps, grids and options of its own.

    `without` names the methods it is not explained by, whatever the plan asks for.
    """

    name: str
    map: int = 0
    lambdas: Mapping[str, Sequence[float]] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    without: Sequence[str] = ()


@dataclass(frozen=True)
class Lambdas:
    """Penalty weights: grids of `sparse` and `ridge`, and what the other arms do (see above)."""

    scale: str = "per-cell"
    sparse: Sequence[float] = ()
    ridge: Sequence[float] = ()
    follow: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    fixed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class SelectRule:
    """Draws of the bootstrap that gives the standard error; images the oracle looks at."""

    draws: int = 500
    images: int = 200


@dataclass(frozen=True)
class Plan:
    """A checked configuration; the keys of its file, and `name` and `weights`."""

    name: str
    title: str
    profile: str
    seeds: Sequence[int]
    data: Sequence[DataSet]
    models: Sequence[Model]
    arms: Sequence[str]
    lambdas: Lambdas
    figures: str = "run"
    train: Mapping[str, Any] = field(default_factory=dict)
    given_weights: bool = False
    arms_once: Sequence[str] = ()
    select: SelectRule = field(default_factory=SelectRule)
    evaluate: Mapping[str, Any] = field(default_factory=dict)
    later: Mapping[str, Any] = field(default_factory=dict)
    path: Mapping[str, Any] = field(default_factory=dict)
    notebooks: Sequence[str] = ()
    resources: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    weights: str | None = None

    @property
    def first_seed(self) -> int:
        return self.seeds[0]

    def data_set(self, name: str) -> DataSet:
        return next(each for each in self.data if each.name == name)

    def seeds_of(self, data: str) -> Sequence[int]:
        """The seeds with which a data set is trained, the first seed first."""
        return self.data_set(data).seeds or self.seeds

    def arms_of(self, data: str, seed: int) -> Sequence[str]:
        """The arms that are trained on a data set with a seed."""
        every = (*self.arms, *(self.arms_once if seed == self.first_seed else ()))
        own = self.data_set(data).arms
        return tuple(arm for arm in every if not own or arm in own)

    def model(self, name: str) -> Model:
        return next(each for each in self.models if each.name == name)

    def grid(self, model: str, arm: str) -> Sequence[float]:
        """The weights of `sparse` or `ridge` for a model, on the plan's scale, ascending."""
        own = self.model(model).lambdas.get(arm)
        return sorted(getattr(self.lambdas, arm) if own is None else own)

    def per_cell(self, data: str, model: str, arm: str, weight: float) -> float:
        """A weight of the grid per cell (see `penalties.paper_lambdas`)."""
        if self.lambdas.scale == "per-cell":
            return float(weight)
        cells = self.data_set(data).classes * self.model(model).map ** 2
        return float(weight) * (cells if arm == "sparse" else cells**0.5)

    def config(self, data: str, model: str, arm: str, seed: int, **weights: float) -> TrainConfig:
        """The training configuration of a cell; its penalty weights are given per cell."""
        from softcam.profiles import load_profile

        entry, network = self.data_set(data), self.model(model)
        none = {"l1_per_cell": 0.0, "l2_per_cell": 0.0}
        given = {"weights": self.weights} if self.weights else {}
        changes = {**self.train, **entry.train, **network.train, **none, **weights, **given}
        options = dict(entry.options)
        return load_profile(self.profile).config(
            arm, data=entry.source, data_options=options, model=model, seed=seed, **changes
        )

    def asked(self, model: str, seed: int, path: bool = False) -> dict[str, Any]:
        """The keywords of `evaluate` for a model: of a seed, or of the unchosen weights."""
        from softcam.evaluation import USUAL as USUAL_METHODS

        changes = self.path if path else {} if seed == self.first_seed else self.later
        options = {**self.evaluate, **changes}
        without = self.model(model).without
        if without:
            every = options.get("methods") or USUAL_METHODS
            options["methods"] = [each for each in every if each not in without]
        return options

    def resources_of(self, stage: str) -> dict[str, int]:
        """What a job of a stage needs on a cluster."""
        return {**USUAL, **self.resources.get(stage, {})}


def config_folder() -> Path:
    """`workflow/config/` of the checkout that holds this package."""
    folder = Path(__file__).resolve().parents[2] / "workflow" / "config"
    if not folder.is_dir():
        raise SoftCAMError(
            f"no configurations beside the package ({folder} is missing): they live in the "
            "repository, clone it and run `python start.py reproduce` there, or give the path of "
            "a file of your own."
        )
    return folder


def plan_names() -> list[str]:
    """The configurations that come with the project."""
    return sorted(path.stem for path in config_folder().glob("*.yaml"))


def load_plan(name: str, weights: str | Path | None = None) -> Plan:
    """Read and check a configuration.

    Args:
        name: of a file in `workflow/config/`, or the path of a YAML file of your own.
        weights: a local safetensors file in timm's format that every training starts from.

    Raises:
        UnknownNameError: no such configuration, key, arm, method or measure.
        SoftCAMError: a value that cannot be; the message names file and key.
    """
    import yaml

    own = name.endswith((".yaml", ".yml"))
    path = Path(name) if own else config_folder() / f"{name}.yaml"
    if not path.is_file():
        if own:
            raise SoftCAMError(f"no configuration {path}: expected a YAML file.")
        choose("configuration", name, plan_names())
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SoftCAMError(f"{path} is no YAML: {error}") from error
    plan = _plan(path, values, None if weights is None else str(Path(weights).resolve()))
    check_plan(plan, path)
    return plan


def _plan(path: Path, values: Any, weights: str | None) -> Plan:
    known = {each.name for each in fields(Plan)} - {"name", "weights"}
    given = _mapping(path, "the file", values)
    for key in given:
        choose(f"key in {path.name}", str(key), known)
    needed = ("title", "profile", "seeds", "data", "models", "arms", "lambdas")
    if missing := [key for key in needed if not given.get(key)]:
        raise SoftCAMError(f"{path} says nothing of {', '.join(missing)}.")
    parts: dict[str, Any] = {
        "data": tuple(_part(path, f"data {n}", DataSet, v, name=n)
                      for n, v in _mapping(path, "data", given["data"]).items()),
        "models": tuple(_part(path, f"models {n}", Model, v or {}, name=n)
                        for n, v in _mapping(path, "models", given["models"]).items()),
        "lambdas": _part(path, "lambdas", Lambdas, given["lambdas"]),
        "select": _part(path, "select", SelectRule, given.get("select") or {}),
    }  # fmt: skip
    return Plan(name=path.stem, weights=weights, **{**given, **parts})


def _mapping(path: Path, what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SoftCAMError(f"{path}: {what} is {value!r}, expected keys and values.")
    return value


def _part(path: Path, what: str, kind: type, values: Any, **more: Any) -> Any:
    known = {each.name for each in fields(kind)} - set(more)
    for key in _mapping(path, what, values):
        choose(f"key of {what} in {path.name}", str(key), known)
    return kind(**values, **more)
