"""The `softcam` command: every option is a keyword of the Python function behind it."""

from __future__ import annotations

import errno
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from softcam.cli.convert import convert
from softcam.cli.evaluation import evaluate
from softcam.cli.options import (
    Data,
    DataOption,
    FindingClasses,
    LabelColumn,
    OnError,
    data_options,
    parse_options,
    train_config,
)
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

app.command()(convert)
app.command()(evaluate)


def main() -> None:
    """Run the command; what softcam refuses ends with one message and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            app()
    except SoftCAMError as error:
        typer.echo(f"softcam: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        typer.echo(f"softcam: {_say(error)}", err=True)
        sys.exit(1)


def _show_warning(message: Warning | str, *place: Any, **more: Any) -> None:
    """One line without the place in the source, which says nothing to a user."""
    typer.echo(f"warning: {message}", err=True)


def _say(error: OSError) -> str:
    """What the system refused, on which file, and the mend."""
    found = (
        f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    )
    mends = {
        errno.ENOSPC: "Free some space and run the same command again: what was finished is kept.",
        errno.EDQUOT: "Free some space and run the same command again: what was finished is kept.",
        errno.EEXIST: "A folder was expected: name another one.",
        errno.ENOTDIR: "A folder was expected: name another one.",
    }
    refused = (errno.EACCES, errno.EPERM, errno.EROFS)
    mends |= dict.fromkeys(refused, "Make it writable, or set SOFTCAM_ROOT to a folder that is.")
    return f"{found}. {mends.get(error.errno or 0, '')}".strip()


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

    config = train_config(given)
    run = run_training(config, progress=progress, resume=resume)
    done = json.loads((run.path / "done.json").read_text(encoding="utf-8"))
    best = f"best epoch {done['best_epoch'] + 1} of {config.epochs}"
    typer.echo(f"{run.path}\n{best}: {done['select']} {done['value']:.4f}")
    if export:
        typer.echo(f"exported {export_checkpoint(run, Path(export))}")


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
    from softcam.runs import TrainConfig

    options = data_options(data_option, label_column, finding_classes, on_error)
    TrainConfig(data=data, size=size, data_options=options)  # says what is wrong with them
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
