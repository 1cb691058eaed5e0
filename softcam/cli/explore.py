"""`softcam explore`: evidence maps of a network on a page on which they can be touched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softcam.cli.options import DataOption, parse_options
from softcam.common import SoftCAMError

__all__ = ["explore"]

SHIPPED = ("cxr-marker", "cxr-sparse", "cxr-black-box")


def explore(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="run directories or shipped checkpoints; without any, the shipped ones. Runs that "
            "differ in lambda get a slider"
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="phantoms:cxr, folder:PATH ...; default: what the first was trained for"),
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test")] = "test",
    images: Annotated[int, typer.Option(min=1, help="how many images")] = 12,
    data_option: DataOption = None,
    seed: Annotated[int, typer.Option(help="of the choice of images")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="the notebook; default runs/explorer/FIRST-MODEL.ipynb")
    ] = None,
    serve: Annotated[bool, typer.Option(help="open the page with Voila until Ctrl-C")] = True,
    address: Annotated[str, typer.Option(help="0.0.0.0 lets in the whole network")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="of the page")] = 8866,
) -> None:
    """Look at what a logit is made of: maps, sums, and what happens without a region.

    Writes a notebook and serves it as a page; `softcam.explore(model, images)` shows the same in
    any notebook. An image that is uploaded there stays on this machine, and is kept in no file.
    """
    from softcam.common import runs_root
    from softcam.layerwise.page import serve_game
    from softcam.visualize.explorer import write_explorer
    from softcam.visualize.explorer.pictures import deal_rows
    from softcam.visualize.explorer.subjects import data_of, open_source, open_subjects

    names = [_full(each) for each in models or SHIPPED]
    options = parse_options(data_option)
    source = open_source(names[0])
    if not len(deal_rows(data_of(source.config, split, data=data, options=options), images, seed)):
        raise SoftCAMError(f"the split {split!r} holds no image: name another one.")
    open_subjects(names)  # what does not fit together is said here and not on the page
    page = out or runs_root() / "explorer" / f"{source.name}.ipynb"
    write_explorer(page, names, data=data, split=split, images=images, options=options, seed=seed)
    typer.echo(str(page))
    if serve:
        typer.echo(f"http://{'localhost' if address == '127.0.0.1' else address}:{port}/")
        raise typer.Exit(serve_game(page, address=address, port=port))


def _full(name: str) -> str:
    """A path that holds from any folder; the name of a shipped checkpoint as it is."""
    return str(Path(name).resolve()) if Path(name).exists() else name
