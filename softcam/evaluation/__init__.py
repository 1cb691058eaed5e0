"""Runs x methods x measures to one table.

Each model is asked what a reviewer asks, question by question: does it classify (`classify`),
does its map point at the finding (`localise`), is the map faithful to the model (`occlude`), does
it say what a finding is truly worth, and does the model matter for it at all (`truth`). Every
localisation value stands beside its floors and a reference ceiling; every area under an occlusion
curve beside a random ranking and that of the true finding.

Of a multi-label set each finding is a question of its own (`findings`).

Maps, predictions and answers about occluded images are kept in the run's folder, so an
evaluation that was killed goes on where it stopped, and a second one with more measures is quick.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softcam.common import SoftCAMError, choose
from softcam.data.records import ImageSet
from softcam.evaluation.job import Job
from softcam.evaluation.options import count, named_fills, names, one_split, opened_runs, paths
from softcam.evaluation.recorder import Recorder
from softcam.evaluation.subjects import RunLike
from softcam.explainers import explainers, get_explainer
from softcam.metrics import Measure, measures
from softcam.results import write_table
from softcam.runs import ARMS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunLike", "evaluate", "evaluate_to", "measure_catalogue"]

# SoftCAM, its post-hoc counterpart, and the controls. The others are asked for by name.
USUAL = ("softcam", "grad-cam", "random", "centre", "edge")
PROTOCOLS = ("corrected", "paper", "both")


def measure_catalogue(protocol: str = "corrected") -> dict[str, tuple[Measure, ...]]:
    """Every measure that `evaluate` knows, by name; two where both protocols have one.

    What concerns predictions, twins and sanity has no second protocol and is always there.
    """
    choose("protocol", protocol, PROTOCOLS)
    found: dict[str, tuple[Measure, ...]] = {}
    for each in (*measures(), *measures(protocol="paper")):
        shared = each.protocol == "corrected" and each.kind in ("classification", "twin", "sanity")
        if shared or protocol in ("both", each.protocol):
            found[each.name] = (*found.get(each.name, ()), each)
    return found


def evaluate(
    runs: RunLike | str | Path | Sequence[RunLike | str | Path],
    *,
    methods: str | Iterable[str] | None = None,
    metrics: str | Iterable[str] | None = None,
    protocol: str = "corrected",
    split: str = "test",
    limit: int | None = None,
    fills: str | Sequence[Any] = ("mean-colour",),
    linear_limit: int = 16,
    twin_limit: int | None = None,
    occlude: str | Sequence[str] = "own",
    only: str = "all",
    post_hoc: Sequence[str] = ("black-box",),
    costly: str = "sample",
    maps: str | Path | Sequence[str | Path] = (),
    data: ImageSet | None = None,
    n_boot: int = 1000,
    seed: int = 0,
    progress: bool = True,
    profile: str = "-",
    cache: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure finished runs, and maps from elsewhere.

    Args:
        runs: runs, or their directories, one or several; may be empty where `maps` and `data`
            are given.
        methods: explainers by name, at least one; None takes all. Each is used where it
            applies: post-hoc methods on black boxes, `softcam` on SoftCAMs and converted black
            boxes.
        metrics: measures by name, at least one, see `measure_catalogue`; None takes all
            (quadratic kappa where there are more than two classes, auprc for a multi-label set).
            Only what they read is computed: `["auc"]` asks for no map.
        protocol: `corrected`, `paper` (the public code with its quirks; images of 512 or 496 px
            only) or `both`.
        split: `train`, `val` or `test`.
        limit: how many images the costly questions may have (occlusion, twins, sanity), a seeded
            choice; None takes all.
        fills: what hides a tile: `mean-colour`, `blur`, `linear`, or a colour (r, g, b) in
            [0, 1]; several may be given.
        linear_limit: how many images the linear fill may have: it solves a linear system an
            image and step.
        twin_limit: how many images have their lesions taken out one by one; None takes `limit`.
        occlude: `own`: each map is ranked on its own network; `all`: every map on every network,
            the crossed table; or the ids of the runs to occlude, with every map.
        only: `all` images, or only those that every run predicts `correct`-ly, as in the paper's
            tables of activation precision.
        post_hoc: the arms, or ids of runs, whose networks post-hoc methods explain;
            `["black-box", "sparse"]` explains a SoftCAM's network that way, too.
        costly: `sample`: a method of over 50 forward passes an image explains at most 64 seeded
            findings, one of over 200 besides only the black box and the sparse SoftCAM of the
            smallest seed. Sanity checks: the costly only on these two, their cascade on 4
            images; the dearest none. `all`: every method everything.
        maps: files `maps.npz` with maps from elsewhere, see `softcam.outside`.
        data: the split they belong to, where there is no run: `open_data(...)["test"]`.
        n_boot: draws of a bootstrap interval.
        seed: of every choice and interval.
        progress: show progress bars.
        profile: what the table says about where the runs come from.
        cache: keep maps and answers with the runs, so that the next evaluation is quick.

    Returns:
        The table of `results.csv` and that of `per_image.parquet`; `results.write_results`
        writes both.

    Raises:
        UnknownNameError: a run, method or measure that does not exist; with the closest names.
        SoftCAMError: nothing to evaluate, an option of a wrong kind, images that the paper's
            protocol does not know, no colour to hide patches with, or of a multi-label set what
            takes one class an image: the paper's protocol, `only="correct"`, maps from files.
    """
    options = dict(locals())
    recorder = Recorder(options.pop("n_boot"), seed)
    try:
        with recorder:
            _job(recorder, **options).run()
        return recorder.table(), recorder.per_image()
    finally:
        recorder.close()


def evaluate_to(
    folder: str | Path, runs: RunLike | str | Path | Sequence[RunLike | str | Path], **options: Any
) -> Path:
    """The same into a folder, without holding the rows of single images in memory.

    Args:
        folder: gets `results.csv` and `per_image.parquet`.
        runs: runs, or their directories.
        options: keywords of `evaluate`.

    Returns:
        The folder.
    """
    folder = Path(folder)
    defaults = inspect.signature(evaluate).parameters
    for name in options:
        choose("option of evaluate", name, set(defaults) - {"runs"})
    kept = {name: each.default for name, each in defaults.items() if name != "runs"} | options
    recorder = Recorder(kept.pop("n_boot"), kept["seed"], folder / "per_image.parquet")
    with recorder:
        _job(recorder, runs, **kept).run()
    write_table(recorder.table(), folder)
    return folder


def _job(
    recorder: Recorder,
    runs: Any,
    *,
    methods: Any,
    metrics: Any,
    protocol: str,
    fills: Any,
    linear_limit: int,
    twin_limit: int | None,
    limit: int | None,
    occlude: Any,
    only: str,
    post_hoc: Any,
    costly: str,
    maps: Any,
    data: Any,
    seed: int,
    **plain: Any,
) -> Job:
    """Everything checked, before anything is computed."""
    opened, files, images = opened_runs(runs), paths("maps", maps), one_split(data)
    if not opened and not (files and images is not None):
        raise SoftCAMError(
            "there is nothing to evaluate: name at least one run, or maps and their data."
        )
    catalogue = measure_catalogue(protocol)
    asked = [each for name in names("metric", metrics, catalogue) for each in catalogue[name]]
    if not isinstance(occlude, str) or occlude not in ("own", "all"):
        occlude = names("run to occlude", occlude, [run.id for run in opened])
    choose("choice of images", only, ("all", "correct"))
    choose("choice for costly methods", costly, ("sample", "all"))
    recorder.n_boot = count("n_boot", recorder.n_boot, 0)
    recorder.seed = count("seed", seed, 0)
    return Job(
        recorder=recorder, runs=opened,
        methods=[get_explainer(name) for name in _methods(methods)],
        measures=asked, every_measure=metrics is None,
        limit=None if limit is None else count("limit", limit, 1), fills=named_fills(fills),
        linear_limit=count("linear_limit", linear_limit, 1),
        twin_limit=None if twin_limit is None else count("twin_limit", twin_limit, 1),
        occlude=occlude, only=only,
        post_hoc=names("arm or run", post_hoc, [*ARMS, *(run.id for run in opened)]),
        costly=costly, maps=files, data=images, seed=recorder.seed, **plain,
    )  # fmt: skip


def _methods(given: Any) -> list[str]:
    """The methods asked for; None takes the usual ones, `all` every one that is registered."""
    if given is None:
        return list(USUAL)
    known = explainers()
    return list(known) if given in ("all", ["all"]) else names("method", given, known)
