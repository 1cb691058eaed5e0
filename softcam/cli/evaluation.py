"""`softcam evaluate`: from runs, and maps from elsewhere, to one table and a report."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from softcam.cli.options import (
    DataOption,
    FindingClasses,
    LabelColumn,
    OnError,
    Progress,
    data_options,
)
from softcam.common import SoftCAMError, UnknownNameError

__all__ = ["evaluate"]

log = logging.getLogger(__name__)


def evaluate(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="folders that 'softcam train' printed, or DATASET for all of its runs"),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="who draws the maps, as softcam,grad-cam, or all (default: SoftCAM, the usual "
            "methods and the controls)"
        ),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="measures, comma separated (default all)")
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(help="how measures are defined: corrected, paper (as published) or both"),
    ] = "corrected",
    split: Annotated[str, typer.Option(help="train, val or test")] = "test",
    limit: Annotated[
        int | None, typer.Option(min=1, help="images for occlusion, twins and sanity")
    ] = 128,
    fills: Annotated[
        str, typer.Option(help="what hides a tile: mean-colour, blur, linear; comma separated")
    ] = "mean-colour",
    linear_limit: Annotated[int, typer.Option(min=1, help="images for the linear fill")] = 16,
    twin_limit: Annotated[
        int | None, typer.Option(min=1, help="images for twins (default as --limit)")
    ] = None,
    occlude: Annotated[
        str,
        typer.Option(
            help="whose answers are asked as tiles are hidden: own (each map's own network), all "
            "or run ids"
        ),
    ] = "own",
    only: Annotated[
        str, typer.Option(help="all images, or correct: those that every run gets right")
    ] = "all",
    post_hoc: Annotated[
        str, typer.Option(help="arms whose networks post-hoc methods explain, comma separated")
    ] = "black-box",
    costly: Annotated[
        str, typer.Option(help="methods of many passes: on a sample of the findings, or on all")
    ] = "sample",
    maps: Annotated[
        list[Path] | None, typer.Option(help="maps.npz from elsewhere, may be repeated")
    ] = None,
    data: Annotated[str | None, typer.Option(help="the data of --maps, without a run")] = None,
    size: Annotated[int, typer.Option(help="image side of --data in pixels")] = 96,
    label_column: LabelColumn = None,
    finding_classes: FindingClasses = None,
    on_error: OnError = None,
    data_option: DataOption = None,
    n_boot: Annotated[int, typer.Option(min=0, help="bootstrap draws")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="of draws and samples")] = 0,
    profile: Annotated[str, typer.Option(help="what the table calls the runs' profile")] = "-",
    out: Annotated[
        Path | None,
        typer.Option(
            help="folder for results.csv and report.html (default runs/DATASET/evaluation)"
        ),
    ] = None,
    cache: Annotated[bool, typer.Option(help="keep maps and answers with the runs")] = True,
    progress: Progress = True,
) -> None:
    """Measure finished runs: one long table, per-image rows, and a report to read."""
    from softcam.common import runs_root
    from softcam.data import open_data
    from softcam.evaluation import evaluate_to
    from softcam.report import write_report

    found = _find_runs(runs or [])
    images = None
    if data is not None:
        more = data_options(data_option, label_column, finding_classes, on_error)
        images = open_data(data, size, progress=progress, **more)[split]
    elif not found:
        raise SoftCAMError("there is nothing to evaluate: name a run, or --maps and their --data.")
    name = found[0].dataset if found else images.name if images is not None else ""
    folder = out or runs_root() / name / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)  # better now than after an hour of measuring
    tempfile.TemporaryFile(dir=folder).close()
    evaluate_to(
        folder, found, methods=_listed(methods), metrics=_listed(metrics), protocol=protocol,
        split=split, limit=limit, fills=_listed(fills) or (), linear_limit=linear_limit,
        twin_limit=twin_limit,
        occlude=occlude if occlude in ("own", "all") else _listed(occlude) or (), only=only,
        post_hoc=_listed(post_hoc) or (), costly=costly, maps=maps or (), data=images,
        n_boot=n_boot, seed=seed, profile=profile, cache=cache, progress=progress,
    )  # fmt: skip
    typer.echo(str(write_report(folder)))


def _listed(words: str | None) -> list[str] | None:
    """`a,b` as a list; None stays None."""
    return None if words is None else [word.strip() for word in words.split(",") if word.strip()]


def _find_runs(names: list[str]) -> list[Any]:
    """The runs of these folders, and all finished ones of these data sets."""
    from softcam.common import runs_root
    from softcam.runs import Run, find_runs
    from softcam.stored import unfinished_runs

    found = []
    for name in names:
        path = Path(name)
        if not path.exists() and (runs_root() / name).exists():
            path = runs_root() / name
        if not path.exists():
            known = [run.path.relative_to(runs_root()) for run in find_runs()]
            each = {part.as_posix() for run in known for part in (run, run.parent)}
            raise UnknownNameError("run or data set", name, each)
        of_dataset = path.is_dir() and path.resolve().parent == runs_root().resolve()
        several = find_runs(path.resolve().name) if of_dataset else []
        half = unfinished_runs(path) if several else []
        if half:
            log.warning(
                "%s: left out what is not finished: %s; the same `softcam train` command finishes "
                "it", path.name, ", ".join(half),
            )  # fmt: skip
        found += several or [Run.open(path)]
    return found
