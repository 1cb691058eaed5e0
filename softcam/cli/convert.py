"""`softcam convert`: what is proven about one network, or about every architecture there is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softcam.common import SoftCAMError

if TYPE_CHECKING:
    from softcam.coverage import Limits

__all__ = ["convert"]


def convert(
    model: Annotated[str | None, typer.Argument(help="timm name with options")] = None,
    num_classes: Annotated[int, typer.Option(min=1, help="classes of MODEL")] = 2,
    weights: Annotated[Path | None, typer.Option(help="local safetensors file")] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="download weights")] = False,
    size: Annotated[
        list[int] | None, typer.Option(min=1, help="image side in pixels, may be repeated")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="every architecture of timm and torchvision instead")
    ] = False,
    pattern: Annotated[str | None, typer.Option(help="of --all only these, as 'resnet*'")] = None,
    max_parameters: Annotated[float, typer.Option(help="of timm's, with --all")] = 60e6,
    out: Annotated[
        Path | None, typer.Option(help="folder of the tables; default runs/coverage")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="architectures at a time")] = 1,
    time: Annotated[
        bool, typer.Option("--time", help="with --all, time the forward pass too")
    ] = False,
    timeout: Annotated[float, typer.Option(help="seconds for one architecture")] = 900,
    memory: Annotated[float, typer.Option(help="GB of memory for one architecture")] = 8,
    retry: Annotated[bool, typer.Option("--retry", help="measure again what failed")] = False,
    progress: bool = True,
) -> None:
    """Convert a network to SoftCAM and say what was proven; --all writes the coverage table.

    With --all the weights are random, and what is finished is kept: a run that was stopped goes
    on when the same command is given again.
    """
    if every == (model is not None):
        raise SoftCAMError("convert takes either the name of one network or --all.")
    if not every:
        if pattern is not None:
            raise SoftCAMError("--pattern chooses among --all: leave out one or the other.")
        assert model is not None
        return _one(model, num_classes, weights, pretrained, size)
    if weights or pretrained or size:
        raise SoftCAMError("--all converts random weights at fixed sizes: leave out their options.")
    from softcam.coverage import Limits

    limits = Limits(max_parameters, timeout, memory, time)
    _every(out, pattern or "*", limits, processes, retry, progress)


def _one(
    name: str, num_classes: int, weights: Path | None, pretrained: bool, size: list[int] | None
) -> None:
    """Report one conversion."""
    from softcam.backbones import build_net
    from softcam.convert import to_softcam
    from softcam.coverage.architecture import SIDES, look, own_size

    net = build_net(name, num_classes, weights=weights, pretrained=pretrained)
    model = to_softcam(net).eval()
    conversion = model.conversion
    assert conversion is not None
    facts = look(model, own_size(net), tuple(size or SIDES))
    difference = conversion.max_logit_difference
    typer.echo(f"{name}: {conversion.kind}")
    if difference is not None:
        typer.echo(f"largest logit difference on the probe, of the logit scale: {difference:.1e}")
    typer.echo(f"one cell of the map: {conversion.reduction} px of the image")
    for side, cells in facts.sizes.items():
        found = "a size that it does not take" if cells == "-" else f"a map of {cells} cells"
        typer.echo(f"an image of {side}x{side} px: {found}")
    field = facts.receptive_field
    typer.echo(f"a cell can see: {field}{' px' if field[-1].isdigit() else ''}")
    typer.echo(f"parameters: {sum(parameter.numel() for parameter in net.parameters()):,}")
    for note in (*conversion.notes, *facts.notes):
        typer.echo(f"note: {note}")


def _every(
    out: Path | None, pattern: str, limits: Limits, processes: int, retry: bool, progress: bool
) -> None:
    """Write the coverage table, and print its totals."""
    from softcam.common import runs_root
    from softcam.coverage import survey, totals, write_tables

    folder = out or runs_root() / "coverage"
    rows = survey(
        folder, pattern=pattern, limits=limits, processes=processes, retry=retry, progress=progress
    )
    paths = write_tables(folder, rows)
    typer.echo(totals(rows))
    typer.echo("\n".join(str(path) for path in paths))
