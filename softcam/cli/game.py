"""`softcam game`: make a labelling game from a network, and let a class play it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from softcam.cli.options import DataOption, parse_options
from softcam.common import SoftCAMError

__all__ = ["game"]


def game(
    model: Annotated[
        str | None, typer.Argument(help="a run directory, or a shipped checkpoint")
    ] = None,
    data: Annotated[
        str, typer.Option(help="phantoms:cxr|oct|fundus, folder:PATH ...")
    ] = "phantoms:cxr",
    split: Annotated[str, typer.Option(help="train, val or test")] = "test",
    images: Annotated[int, typer.Option(min=1, help="how many images")] = 10,
    layer: Annotated[
        list[str] | None, typer.Option(help="of the network, may be repeated; default: several")
    ] = None,
    data_option: DataOption = None,
    seed: Annotated[int, typer.Option(help="of the choice of images, and of the clusters")] = 0,
    out: Annotated[Path | None, typer.Option(help="folder of the game; default runs/game")] = None,
    manage: Annotated[
        bool, typer.Option("--manage", help="every player may export and delete all rounds")
    ] = False,
    serve: Annotated[bool, typer.Option(help="open the page with Voila until Ctrl-C")] = True,
    address: Annotated[str, typer.Option(help="0.0.0.0 lets in the whole network")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="of the page")] = 8866,
) -> None:
    """Make a game from MODEL and serve its page; without MODEL, serve the game that is there.

    Players see parts of images and say what gave their class away. Rounds go to rounds.sqlite in
    the game's folder, on this machine; docs/game-notice.md is the page for those who play.
    """
    from softcam.common import runs_root
    from softcam.layerwise.page import serve_game

    folder = out or runs_root() / "game"
    page = folder / "game.ipynb"
    if model is None and not page.is_file():
        raise SoftCAMError(f"there is no game in {folder} yet: name a MODEL to make one.")
    if model is not None:
        if page.is_file():
            raise SoftCAMError(
                f"there is a game in {folder}: leave MODEL out to play it, or name another --out."
            )
        chosen = data, split, parse_options(data_option)
        page = _make(model, chosen, images, layer, seed, folder, manage)
    typer.echo(str(page))
    if serve:
        typer.echo(f"http://{'localhost' if address == '127.0.0.1' else address}:{port}/")
        raise typer.Exit(serve_game(page, address=address, port=port))


def _make(
    model: str,
    data: tuple[str, str, dict[str, Any]],
    images: int,
    layers: list[str] | None,
    seed: int,
    folder: Path,
    manage: bool,
) -> Path:
    from softcam.data import open_data
    from softcam.explain import open_model
    from softcam.layerwise.page import make_items, write_game

    opened = open_model(model)
    name, split, options = data
    chosen = open_data(name, opened.size, **options)[split]
    items = make_items(opened.model, chosen, images, layers=layers or None, seed=seed)
    page = write_game(folder, items, chosen.classes, manage=manage)
    typer.echo(f"{len(items)} rounds from {len({item.image_id for item in items})} images")
    return page
