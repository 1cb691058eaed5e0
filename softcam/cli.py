"""The `softcam` command: every option is a keyword of the Python function behind it."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from softcam.common import SoftCAMError

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Self-explainable CNNs: train, evaluate, explain and convert. Not for clinical use.",
)
data_app = typer.Typer(no_args_is_help=True, help="Data sets: what they hold.")
app.add_typer(data_app, name="data")

Data = Annotated[str, typer.Argument(help="phantoms:cxr|oct|fundus or folder:PATH")]
DataOption = Annotated[
    list[str] | None,
    typer.Option("--data-option", help="KEY=VALUE for the data source, may be repeated"),
]
LabelColumn = Annotated[str | None, typer.Option(help="folder: which column holds the label")]
FindingClasses = Annotated[
    str | None, typer.Option(help="folder: box classes that are findings, comma separated")
]
OnError = Annotated[str | None, typer.Option(help="folder: stop or skip at an unusable item")]


def main() -> None:
    """Run the command; what softcam refuses ends with one message and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.captureWarnings(True)
    try:
        app()
    except SoftCAMError as error:
        typer.echo(f"softcam: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        typer.echo(f"softcam: {error}", err=True)
        sys.exit(1)


def parse_options(words: list[str] | None) -> dict[str, Any]:
    """`KEY=VALUE` words as keywords; a value is read as JSON where it is JSON, else as text."""
    options: dict[str, Any] = {}
    for word in words or []:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise SoftCAMError(f"expected KEY=VALUE, found {word!r}.")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def _data_options(
    words: list[str] | None,
    label_column: str | None,
    finding_classes: str | None,
    on_error: str | None,
) -> dict[str, Any]:
    options = parse_options(words)
    named = {
        "label_column": label_column,
        "finding_classes": finding_classes.split(",") if finding_classes else None,
        "on_error": on_error,
    }
    return {**options, **{key: value for key, value in named.items() if value is not None}}


@app.command()
def train(
    data: Data,
    profile: Annotated[
        str | None, typer.Option(help="start from a profile's training options")
    ] = None,
    arm: Annotated[str, typer.Option(help="black-box, dense, sparse, ridge ...")] = "dense",
    model: Annotated[str | None, typer.Option(help="timm name with options")] = None,
    size: Annotated[int | None, typer.Option(help="image side in pixels")] = None,
    l1_per_cell: Annotated[float | None, typer.Option(help="weight of mean |A|")] = None,
    l2_per_cell: Annotated[float | None, typer.Option(help="weight of the RMS of A")] = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw or sgd-paper")] = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    augment: Annotated[str | None, typer.Option(help="none, flip, light or fundus")] = None,
    class_weights: Annotated[bool | None, typer.Option("--class-weights")] = None,
    freeze_bn: Annotated[str | None, typer.Option(help="auto, yes, no or force")] = None,
    weights: Annotated[str | None, typer.Option(help="local safetensors file")] = None,
    pretrained: Annotated[bool | None, typer.Option("--pretrained")] = None,
    normalize: Annotated[str | None, typer.Option(help="'r,g,b/r,g,b': means and stds")] = None,
    link: Annotated[str | None, typer.Option(help="softmax or sigmoid")] = None,
    select: Annotated[str | None, typer.Option(help="auc, accuracy, loss ...")] = None,
    seed: int | None = None,
    mixed_precision: Annotated[str | None, typer.Option(help="no, bf16 or fp16")] = None,
    label_column: LabelColumn = None,
    finding_classes: FindingClasses = None,
    on_error: OnError = None,
    data_option: DataOption = None,
    resume: bool = True,
    progress: bool = True,
    export: Annotated[str | None, typer.Option(help="also write one small file to ship")] = None,
) -> None:
    """Train one arm; a killed run goes on, a finished one is recognised."""
    given = dict(locals())
    from softcam.checkpoints import export_checkpoint
    from softcam.training import train as run_training

    config = _train_config(given)
    run = run_training(config, progress=progress, resume=resume)
    done = json.loads((run.path / "done.json").read_text(encoding="utf-8"))
    typer.echo(f"{run.path}\nbest epoch {done['best_epoch']}: {done['select']} {done['value']:.4f}")
    if export:
        typer.echo(f"exported {export_checkpoint(run, Path(export))}")


def _train_config(given: dict[str, Any]) -> Any:
    """TrainConfig from the command line: a profile's values first, then what was said."""
    from softcam.profiles import load_profile
    from softcam.runs import TrainConfig

    plain: tuple[str, ...] = (
        "profile",
        "data",
        "arm",
        "label_column",
        "finding_classes",
        "on_error",
    )
    plain += ("data_option", "resume", "progress", "export", "normalize")
    said = {k: v for k, v in given.items() if k not in plain and v is not None}
    if given["normalize"]:
        said["normalize"] = parse_normalize(given["normalize"])
    options = _data_options(
        given["data_option"], given["label_column"], given["finding_classes"], given["on_error"]
    )
    if given["profile"] is None:
        return TrainConfig.from_dict(
            {"data": given["data"], "arm": given["arm"], "data_options": options, **said}
        )
    profile = load_profile(given["profile"])
    return profile.config(given["arm"], data=given["data"], data_options=options, **said)


def parse_normalize(text: str) -> list[list[float]]:
    """'0.5,0.5,0.5/0.5,0.5,0.5' as [means, stds] on [0, 1]."""
    try:
        parts = [[float(number) for number in part.split(",")] for part in text.split("/")]
        if [len(part) for part in parts] != [3, 3]:
            raise ValueError
    except ValueError:
        raise SoftCAMError(
            "--normalize wants three means and three stds, "
            f"'0.5,0.5,0.5/0.5,0.5,0.5', found {text!r}."
        ) from None
    return parts


@app.command()
def evaluate(
    runs: Annotated[list[str], typer.Argument(help="run directories, or DATASET for all its runs")],
    methods: Annotated[str | None, typer.Option(help="comma separated; default: all")] = None,
    metrics: Annotated[str | None, typer.Option(help="comma separated; default: all")] = None,
    split: str = "test",
    limit: Annotated[int | None, typer.Option(help="images for the deletion curve")] = 128,
    n_boot: int = 1000,
    seed: int = 0,
    out: Annotated[str | None, typer.Option(help="folder for results.csv and the report")] = None,
    progress: bool = True,
) -> None:
    """Measure finished runs: one long table, per-image rows, and a report to read."""
    from softcam.common import runs_root
    from softcam.evaluate import evaluate as run_evaluation
    from softcam.report import write_report
    from softcam.results import write_results

    found = _find_runs(runs)
    table, per_image = run_evaluation(
        found,
        methods=methods.split(",") if methods else None,
        metrics=metrics.split(",") if metrics else None,
        split=split,
        limit=limit,
        n_boot=n_boot,
        seed=seed,
        progress=progress,
    )
    folder = Path(out) if out else runs_root() / found[0].dataset / "evaluation"
    write_results(table, per_image, folder)
    typer.echo(str(write_report(folder)))


def _find_runs(names: list[str]) -> list[Any]:
    from softcam.common import runs_root
    from softcam.runs import Run, find_runs

    found = []
    for name in names:
        path = Path(name)
        if not path.exists() and (runs_root() / name).exists():
            path = runs_root() / name
        several = find_runs(path.name) if path.is_dir() and path.parent == runs_root() else []
        found += several or [Run.open(path)]
    return found


@app.command()
def explain(
    model: Annotated[str, typer.Argument(help="a run directory, or a shipped checkpoint")],
    images: Annotated[list[Path], typer.Argument(help="image files")],
    out: Annotated[Path, typer.Option(help="folder for one PNG an image")] = Path("explanations"),
) -> None:
    """Draw the evidence for each image: the prediction, and where it comes from."""
    from softcam.explain import explain_files

    for path in explain_files(model, images, out):
        typer.echo(str(path))


@app.command()
def convert(
    model: Annotated[str, typer.Argument(help="timm name with options, or a torchvision name")],
    num_classes: int = 2,
    weights: Annotated[Path | None, typer.Option(help="local safetensors file")] = None,
) -> None:
    """Convert a network to SoftCAM and say what was proven."""
    from softcam.backbones import build_net
    from softcam.convert import to_softcam

    conversion = to_softcam(build_net(model, num_classes, weights=weights)).conversion
    assert conversion is not None
    difference = conversion.max_logit_difference
    typer.echo(f"{model}: {conversion.kind}")
    typer.echo(f"one cell of the map: {conversion.reduction} px of the image")
    if difference is not None:
        typer.echo(f"largest logit difference on the probe, of the logit scale: {difference:.1e}")
    for note in conversion.notes:
        typer.echo(f"note: {note}")


@app.command()
def run(
    notebooks: Annotated[list[str], typer.Argument(help="tutorial, all, numbers or names")],
    profile: Annotated[str | None, typer.Option(help="quick, tutorial, laptop or full")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE, may be repeated")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="default runs/tutorial")] = None,
    resume: bool = True,
    progress: bool = True,
) -> None:
    """Execute notebooks in order and write a report."""
    from softcam.notebooks import run_notebooks
    from softcam.report import write_report

    folder = run_notebooks(
        notebooks,
        profile=profile,
        parameters=parse_options(parameter),
        out=out,
        resume=resume,
        progress=progress,
    )
    typer.echo(str(write_report(folder)))


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="a folder with results.csv or executed notebooks")],
) -> None:
    """Write report.html from what a folder holds."""
    from softcam.report import write_report

    typer.echo(str(write_report(folder)))


@data_app.command("info")
def data_info(
    data: Data,
    size: int = 96,
    label_column: LabelColumn = None,
    finding_classes: FindingClasses = None,
    on_error: OnError = None,
    data_option: DataOption = None,
) -> None:
    """Count images, classes, patients and findings of each split."""
    from softcam.data import open_data

    options = _data_options(data_option, label_column, finding_classes, on_error)
    splits = open_data(data, size=size, **options)
    typer.echo(f"{splits.name}: {', '.join(splits.classes)}; fingerprint {splits.fingerprint[:12]}")
    for name in ("train", "val", "test"):
        part = splits[name]
        counts = [int((part.labels == c).sum()) for c in range(len(part.classes))]
        typer.echo(
            f"{name}: {len(part)} images {counts}, {len(set(part.patients))} patients, "
            f"{len(part.with_findings())} with a marked finding"
        )
    for note in splits.notes:
        typer.echo(f"note: {note}")


@app.command()
def doctor() -> None:
    """Look at Python, torch, device, memory, disk and kernel; each problem with its mend."""
    from softcam.doctor import diagnose

    checks = diagnose()
    for check in checks:
        typer.echo(f"{'ok ' if check.ok else 'BAD'} {check.name}: {check.found}")
        if not check.ok:
            typer.echo(f"    {check.mend}")
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
