"""Runs x methods x measures to one table.

Each model is asked three things, kept apart: does it classify, does its map point at the finding,
is the map faithful to the model. Every localisation value stands beside its floors (a random map,
a centre map, chance) and a reference ceiling for maps of its size.

Post-hoc methods explain black boxes. A black box also appears as the arm `converted`: itself
through `to_softcam`, with its own evidence maps and not one weight changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from softcam.common import SoftCAMError, choose
from softcam.data.records import ImageSet
from softcam.evidence import SoftCAM
from softcam.explainers import Explainer, explainers, get_explainer
from softcam.metrics import (
    Measure,
    Ratios,
    audc,
    bootstrap_statistic,
    classification_ratios,
    measures,
    pointing_chance,
    reference_ceiling,
)
from softcam.results import Recorder, patient_groups
from softcam.scan import Question, Scan, ask, deletion, findings_of, scan
from softcam.wrappers import BlackBox

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunLike", "evaluate", "measure_catalogue"]

log = logging.getLogger(__name__)
_HAVE_CHANCE = ("pointing-accuracy", "activation-precision")  # chance is the area of the finding


class RunLike(Protocol):
    """What an evaluation needs of a run; `softcam.runs.Run` is one."""

    @property
    def id(self) -> str: ...
    @property
    def arm(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def lambdas(self) -> tuple[float, float]: ...
    @property
    def config(self) -> Any: ...
    def model(self) -> BlackBox | SoftCAM: ...
    def converted(self) -> SoftCAM: ...
    def data(self, split: str) -> ImageSet: ...


def measure_catalogue() -> dict[str, Measure]:
    """Every measure that `evaluate` knows, by name."""
    return {each.name: each for each in measures()}


def evaluate(
    runs: Sequence[RunLike | str | Path],
    *,
    methods: Iterable[str] | None = None,
    metrics: Iterable[str] | None = None,
    split: str = "test",
    limit: int | None = None,
    n_boot: int = 1000,
    seed: int = 0,
    fill: Sequence[float] | None = None,
    progress: bool = True,
    profile: str = "-",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure finished runs.

    Args:
        runs: runs, or their directories.
        methods: explainers by name; None takes all. Each is used where it applies: post-hoc
            methods on black boxes, `softcam` on SoftCAMs and converted black boxes.
        metrics: measures by name, see `measure_catalogue`; None takes all (quadratic kappa where
            there are more than two classes).
        split: `train`, `val` or `test`.
        limit: how many images the deletion curves may have, a seeded choice; None takes all.
        n_boot: draws of a bootstrap interval.
        seed: of that choice and of the intervals.
        fill: colour (r, g, b) in [0, 1] that hides a patch; None takes the model's mean colour.
        progress: show progress bars.
        profile: what the table says about where the runs come from.

    Returns:
        The table of `results.csv` and that of `per_image.parquet`; `results.write_results`
        writes both.

    Raises:
        UnknownNameError: a run, method or measure that does not exist; with the closest names.
        SoftCAMError: no runs, or a deletion curve without a colour to hide patches with.
    """
    opened = [_open(run) for run in runs]
    if not opened:
        raise SoftCAMError("there are no runs to evaluate: name at least one.")
    catalogue = measure_catalogue()
    wanted = [choose("metric", name, catalogue) for name in metrics or catalogue]
    chosen = [get_explainer(name) for name in (methods or explainers())]
    recorder = Recorder(n_boot, seed)
    ceilings: dict[Any, Any] = {}
    for run in opened:
        data = run.data(split)
        question = ask(data, limit, seed)
        kept = [n for n in wanted if n != "quadratic-kappa" or metrics or len(data.classes) > 2]
        job = _Job(recorder, data, question, [catalogue[n] for n in kept], fill, progress, ceilings)
        for arm, model, own in _subjects(run, chosen):
            job.measure(model.to(_device()), own, _keys(run, arm, data, profile), arm)
    return recorder.table(), recorder.per_image()


def _open(run: RunLike | str | Path) -> RunLike:
    from softcam.runs import Run

    return Run.open(run) if isinstance(run, str | Path) else run


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _subjects(
    run: RunLike, methods: Sequence[Explainer]
) -> list[tuple[str, BlackBox | SoftCAM, list[Explainer]]]:
    """The models of a run, each with the methods that apply to it."""
    model = run.model()
    if isinstance(model, SoftCAM):
        return [(run.arm, model, [m for m in methods if m.needs != "features"])]
    found: list[tuple[str, BlackBox | SoftCAM, list[Explainer]]] = [
        (run.arm, model, [m for m in methods if m.needs != "evidence"])
    ]
    try:
        converted = run.converted()
    except SoftCAMError as error:
        log.warning("%s: no arm 'converted': %s", run.id, error)
        return found
    if converted.conversion is not None and converted.conversion.kind != "exact":
        log.warning("%s: no arm 'converted': its head would have to be trained anew", run.id)
        return found
    return [*found, ("converted", converted, [m for m in methods if m.needs == "evidence"])]


def _keys(run: RunLike, arm: str, data: ImageSet, profile: str) -> dict[str, Any]:
    """The columns that are the same in all rows of one model."""
    from softcam.backbones import parse_model_name

    return {
        "run_id": run.id,
        "dataset": data.name,
        "task": "binary" if len(data.classes) == 2 else "multi-class",
        "split": data.split,
        "profile": profile,
        "model": run.config.model,
        "backbone": parse_model_name(run.config.model)[0],
        "arm": arm,
        "lambda1": run.lambdas[0],
        "lambda2": run.lambdas[1],
        "seed": run.seed,
        "finding": "+".join(data.finding_names) or "-",
    }


@dataclass
class _Job:
    """Everything that is asked of the models on one split."""

    recorder: Recorder
    data: ImageSet
    question: Question
    measures: list[Measure]
    fill: Sequence[float] | None
    progress: bool
    ceilings: dict[Any, Any]

    def measure(
        self, model: BlackBox | SoftCAM, methods: list[Explainer], keys: dict[str, Any], arm: str
    ) -> None:
        deletes = self._of_kind("model") + self._of_kind("curve")
        if deletes and methods and self.fill is None:
            _ = model.mean_colour  # an error now, not after the pass
        found = scan(
            model, self.data, self.question, methods, self._of_kind("map"),
            progress=self.progress, title=f"{keys['run_id']} ({arm})",
        )  # fmt: skip
        self._classification(model, found, keys)
        self._localisation(found, keys)
        if arm != "converted":  # its floors and ceilings are the black box's
            self._yardsticks(found, keys)
        if deletes and len(self.question.occluded):
            self._deletion(model, found, keys)

    def _of_kind(self, kind: str) -> list[Measure]:
        return [each for each in self.measures if each.kind == kind]

    def _classification(self, model: BlackBox | SoftCAM, found: Scan, keys: dict[str, Any]) -> None:
        recorder, every = self.recorder, np.arange(len(self.data))
        labels, logits, link = np.asarray(self.data.labels), found.logits, model.link
        keys = {**keys, "finding": "-"}
        by_image = classification_ratios(labels, logits, link)
        recorder.add_predictions(keys, self.data, logits)
        for measure in self._of_kind("classification"):
            if measure.name in by_image:
                recorder.add_ratios(keys, measure, by_image[measure.name], self.data, every)
                continue
            interval = bootstrap_statistic(
                lambda y, z, measure=measure: measure(y, z, link), labels, logits,
                n_boot=recorder.n_boot, seed=recorder.seed, groups=patient_groups(self.data, every),
            )  # fmt: skip
            recorder.add_statistic(keys, measure, interval, len(labels))

    def _localisation(self, found: Scan, keys: dict[str, Any]) -> None:
        for (method, gauge), by_name in found.ratios.items():
            own = {**keys, "method": method, "gauge": gauge, "target": self.question.name}
            for measure in self._of_kind("map"):
                ratios = by_name[measure.name]
                self.recorder.add_ratios(own, measure, ratios, self.data, self.question.located)

    def _yardsticks(self, found: Scan, keys: dict[str, Any]) -> None:
        """Chance, and the reference ceiling for maps of this size; computed once a split."""
        located = self.question.located
        if not len(located) or not found.map_size:
            return
        shape = next(iter(found.map_size.values()))
        keys = {**keys, "target": self.question.name}
        for measure in self._of_kind("map"):
            key = (self.data.fingerprint, self.data.split, self.data.ids, shape, measure.name)
            if key not in self.ceilings:
                findings = findings_of(self.data, located)
                chance = pointing_chance(findings) if measure.name in _HAVE_CHANCE else None
                self.ceilings[key] = reference_ceiling(measure, findings, shape), chance
            ceiling, chance = self.ceilings[key]
            rows = {"reference-ceiling": ceiling, **({"chance": chance} if chance else {})}
            for method, ratios in rows.items():
                own = {**keys, "method": method}
                self.recorder.add_ratios(own, measure, ratios, self.data, located)

    def _deletion(self, model: BlackBox | SoftCAM, found: Scan, keys: dict[str, Any]) -> None:
        colour = "mean-colour" if self.fill is None else ",".join(f"{v:g}" for v in self.fill)
        keys = {
            **keys, "target": self.question.name, "fill": colour, "finding": "-",
            "occluded_run": keys["run_id"],
        }  # fmt: skip
        occluded, outputs = self.question.occluded, found.logits.shape[1]
        done: dict[int, dict[str, Ratios]] = {}
        for (method, gauge), maps in found.maps.items():
            if id(maps) not in done:  # two gauges may share one map
                done[id(maps)] = deletion(model, self.data, self.question, maps, outputs, self.fill)
            curves = done[id(maps)]
            own = {**keys, "method": method, "gauge": gauge}
            for measure in self._of_kind("model"):
                self.recorder.add_ratios(own, measure, curves[measure.name], self.data, occluded)
            for measure in self._of_kind("curve"):
                area = audc(curves["deletion-prediction"])
                self.recorder.add_ratios(own, measure, area, self.data, occluded)
