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
from softcam.cli.course import course
from softcam.cli.data import app as data_app
from softcam.cli.evaluation import evaluate
from softcam.cli.explore import explore
from softcam.cli.game import game
from softcam.cli.options import (
    Data,
    DataOption,
    FindingClasses,
    LabelColumn,
    OnError,
    Progress,
    Resume,
    parse_options,
    parse_targets,
    train_config,
)
from softcam.cli.reproduce import app as reproduce_app
from softcam.common import SoftCAMError

__all__ = ["app", "main"]

# Help texts of some length; each default is that of `TrainConfig`.
ARM = (
    "black-box; dense (SoftCAM); sparse, ridge, elastic, hoyer (SoftCAM with a penalty); "
    "logit-control"
)
PENALTY_ON = "all images of a batch, or the first of each, as in the public code (default all)"
MODEL = "timm name with options, as resnet18 or resnet18-os8 (default resnet10t-w32-os8)"
OPTIMIZER = "adamw, or sgd-paper as in the paper (default adamw)"
COSINE_EPOCHS = "of sgd-paper: half a period of its cosine (default: epochs; public code: 50)"
FREEZE_BN = (
    "hold the batch statistics: yes, no, force, or auto, which does so only for given weights in "
    "batches under 16 (default auto)"
)
NORMALIZE = (
    "'r,g,b/r,g,b': means and standard deviations of pixels in [0, 1]; measured on train if not "
    "given"
)
LINK = (
    "from logits to probabilities: softmax (one class an image), sigmoid (each finding by itself, "
    "or two classes with one logit), or auto: sigmoid where labels are several findings, else "
    "softmax (default auto)"
)
SELECT = "what names the best epoch on val: auc, accuracy, quadratic-kappa or loss (default auc)"
TARGET = (
    "classes whose evidence is drawn, by number from 0, comma separated; auto: all of them, or "
    "where each finding has a sigmoid, the most probable one"
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Self-explainable CNNs: train, evaluate, explain and convert. Not for clinical use.",
)
app.add_typer(data_app, name="data")
app.add_typer(reproduce_app, name="reproduce")

app.command()(convert)
app.command()(course)
app.command()(evaluate)
app.command()(explore)
app.command()(game)


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
        str | None,
        typer.Option(help="take what is not given from quick, tutorial, laptop or full"),
    ] = None,
    arm: Annotated[str, typer.Option(help=ARM)] = "dense",
    model: Annotated[str | None, typer.Option(help=MODEL)] = None,
    size: Annotated[int | None, typer.Option(help="image side in pixels (default 96)")] = None,
    l1_per_cell: Annotated[
        float | None, typer.Option(help="penalty on the mean of |evidence| over the cells")
    ] = None,
    l2_per_cell: Annotated[
        float | None, typer.Option(help="penalty on the root mean square of the evidence")
    ] = None,
    penalty_on: Annotated[str | None, typer.Option(help=PENALTY_ON)] = None,
    epochs: Annotated[int | None, typer.Option(help="passes over train (default 10)")] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="images a step, in all processes together (default 32)"),
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help=OPTIMIZER)] = None,
    cosine_epochs: Annotated[int | None, typer.Option(help=COSINE_EPOCHS)] = None,
    lr: Annotated[float | None, typer.Option(help="learning rate (default 0.002)")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="(default 0.05)")] = None,
    augment: Annotated[
        str | None, typer.Option(help="none, flip, light or fundus (default flip)")
    ] = None,
    class_weights: Annotated[
        bool | None, typer.Option("--class-weights", help="rare classes weigh more in the loss")
    ] = None,
    freeze_bn: Annotated[str | None, typer.Option(help=FREEZE_BN)] = None,
    weights: Annotated[
        str | None, typer.Option(help="start from a local safetensors file in timm's format")
    ] = None,
    pretrained: Annotated[
        bool | None, typer.Option("--pretrained", help="start from the weights that timm downloads")
    ] = None,
    normalize: Annotated[str | None, typer.Option(help=NORMALIZE)] = None,
    link: Annotated[str | None, typer.Option(help=LINK)] = None,
    select: Annotated[str | None, typer.Option(help=SELECT)] = None,
    seed: Annotated[
        int | None, typer.Option(help="of weights, order and augmentation (default 0)")
    ] = None,
    mixed_precision: Annotated[
        str | None, typer.Option(help="no, bf16 or fp16 (default no)")
    ] = None,
    label_column: LabelColumn = None,
    finding_classes: FindingClasses = None,
    on_error: OnError = None,
    data_option: DataOption = None,
    resume: Resume = True,
    progress: Progress = True,
    export: Annotated[
        str | None, typer.Option(help="also write the model as one small file, FILE.safetensors")
    ] = None,
) -> None:
    """Train one network; a killed run goes on, a finished one is recognised.

    The run is written to runs/DATASET/RUN, and this folder is printed at the end. On several GPUs
    or machines: accelerate launch -m softcam train ...
    """
    given = dict(locals())
    from softcam.checkpoints import export_checkpoint
    from softcam.processes import is_first_process
    from softcam.training import train as run_training

    config = train_config(given)
    run = run_training(config, progress=progress, resume=resume)
    if not is_first_process():
        return
    done = json.loads((run.path / "done.json").read_text(encoding="utf-8"))
    best = f"best epoch {done['best_epoch'] + 1} of {config.epochs}"
    typer.echo(f"{run.path}\n{best}: {done['select']} {done['value']:.4f}")
    if export:
        typer.echo(f"exported {export_checkpoint(run, Path(export))}")


@app.command()
def explain(
    model: Annotated[str, typer.Argument(help="a run directory, or a shipped checkpoint")],
    images: Annotated[list[Path], typer.Argument(help="image files")],
    out: Annotated[
        Path, typer.Option(help="folder for a picture and its numbers, NAME.png and NAME.json")
    ] = Path("explanations"),
    target: Annotated[str, typer.Option(help=TARGET)] = "auto",
) -> None:
    """Draw the evidence for each image: the prediction, and where it comes from."""
    from softcam.explain import explain_files

    for path in explain_files(model, images, out, parse_targets(target)):
        typer.echo(str(path))


@app.command()
def run(
    notebooks: Annotated[
        list[str], typer.Argument(help="tutorial (00 to 06), all, numbers such as 03, or names")
    ],
    profile: Annotated[
        str | None,
        typer.Option(help="how much is computed: quick, tutorial, laptop or full"),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            "-p",
            help="NAME=VALUE for a notebook's first cell, may be repeated",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="where to write them (default runs/tutorial)")
    ] = None,
    resume: Resume = True,
    progress: Progress = True,
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
