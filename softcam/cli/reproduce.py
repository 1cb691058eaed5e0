"""`softcam reproduce`: the sweep behind every table and figure, whole or cell by cell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softcam.cli.options import Progress
from softcam.common import SoftCAMError

if TYPE_CHECKING:
    from softcam.reproduce import Plan

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Train, choose, measure, collect and draw what a configuration in workflow/config says.",
)

Config = Annotated[
    str,
    typer.Option(
        "--config", "--profile", help="a name in workflow/config, or a YAML file of your own"
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="a local safetensors file in timm's format that every training starts from"),
]
Cells = Annotated[
    list[str] | None,
    typer.Option("--cell", help="only this cell, may be repeated (default all of the stage)"),
]
Processes = Annotated[int | None, typer.Option(min=1, help="cells at a time (default one a core)")]
Retry = Annotated[bool, typer.Option("--retry", help="try again what failed before")]


@app.command("all")
def reproduce_all(
    config: Config = "laptop",
    weights: Weights = None,
    processes: Processes = None,
    retry: Retry = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only print the grid and what it would cost")
    ] = False,
    progress: Progress = True,
) -> None:
    """Everything that is not done yet; a killed call goes on."""
    from softcam.reproduce import Space, estimate, reproduce

    plan = _plan(config, weights)
    if dry_run:
        for line in estimate(Space.of(plan), processes=processes, progress=progress).lines():
            typer.echo(line)
        return
    folder = reproduce(plan, processes=processes, retry=retry, progress=progress)
    _say_failures(folder)
    typer.echo(str(folder))


@app.command("cells")
def reproduce_cells(config: Config = "laptop", weights: Weights = None) -> None:
    """List the cells of a configuration: what is done, what failed, what is still to do."""
    from softcam.reproduce import Space

    space = Space.of(_plan(config, weights))
    for cell in space.cells.values():
        record = space.record(cell)
        typer.echo(f"{record.state if record else 'to do':6} {cell.hash} {cell.id}")


def _stage(name: str, words: str) -> None:
    """One command a stage, for a cluster: a job does one cell or several."""

    def command(
        config: Config = "laptop",
        cell: Cells = None,
        weights: Weights = None,
        processes: Processes = None,
        progress: Progress = True,
    ) -> None:
        from softcam.reproduce import Space, run_cell
        from softcam.reproduce.runner import run_cells

        space = Space.of(_plan(config, weights))
        ids = cell or [each.id for each in space.cells.values() if each.stage == name]
        for id in ids:
            if space.cell(id).stage != name:
                raise SoftCAMError(f"{id} is a cell of the stage {space.cell(id).stage!r}: "
                                   f"run `softcam reproduce {space.cell(id).stage}`.")  # fmt: skip
        if len(ids) > 1 and (processes or 2) > 1:
            run_cells(space, ids, processes=processes, progress=progress)
        else:
            for id in ids:
                run_cell(space, id, progress=progress)
        _say_failures(space.folder)

    command.__doc__ = words
    app.command(name)(command)


for _name, _words in {
    "prepare": "Bring the data sets to arrays.",
    "train": "Train networks; one that diverges is recorded as failed, and is no error.",
    "select": "Choose the weights of the penalties by the validation split.",
    "evaluate": "Measure the trained networks on the test split.",
    "collect": "Join everything into one table, and judge the claims.",
    "figures": "Draw the figures from the tables.",
    "notebooks": "Execute the notebooks of the configuration.",
}.items():
    _stage(_name, _words)


def _plan(config: str, weights: Path | None) -> Plan:
    from softcam.reproduce import load_plan

    return load_plan(config, weights)


def _say_failures(folder: Path) -> None:
    import csv

    path = folder / "failed.csv"
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            typer.echo(f"failed: {row['cell']}: {row['message']} ({folder / row['log']})", err=True)
