"""A game that a class can play: its items in one file, and a page that Voila serves.

The folder of a game holds `items.npz`, `game.ipynb` and, from the first round on,
`rounds.sqlite`. No network is needed to play: the cluster maps are made once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import SoftCAMError, as_integer, atomic_path, rng, write_json
from softcam.layerwise.clusters import ClusterMap, explain_layers
from softcam.layerwise.play import Item
from softcam.layerwise.reveal import as_pixels

if TYPE_CHECKING:
    from torch import nn

    from softcam.data import ImageSet

__all__ = [
    "load_items", "make_items", "save_items", "serve_game", "show_game", "write_cell", "write_game",
]  # fmt: skip

_IDLE = 900  # seconds after which the kernel of a page without its browser ends
_STREAM = 72  # of the choice of images


def make_items(
    model: nn.Module,
    images: ImageSet,
    count: int,
    *,
    layers: Sequence[str] | None = None,
    seed: int = 0,
) -> list[Item]:
    """Items from random images, as many of each class as of the next: every cluster map of theirs.

    Args:
        model: as in `explain_layers`; one output a class.
        images: with one class an image.
        count: how many images; fewer where a class has not enough.
        layers: as in `explain_layers`.
        seed: of the choice of images, and of the clusters.

    Raises:
        SoftCAMError: several findings an image, or nothing that could be shown.
    """
    if images.multi_label:
        raise SoftCAMError(f"{images.name} has several findings an image: expected one class each.")
    as_integer("count", count, 1, len(images))
    each = [
        rng(seed, c, _STREAM).permutation(np.flatnonzero(images.labels == c))
        for c in range(len(images.classes))
    ]
    deals = [rows[i] for i in range(max(map(len, each))) for rows in each if i < len(rows)]
    items = []
    for row in deals[:count]:
        label = int(images.labels[row])
        image = images.batch([row])[0]
        for layer in explain_layers(model, image, label, layers=layers, seed=seed):
            for cluster in layer.clusters:
                truth = images.classes[label]
                items.append(Item(as_pixels(image), images.ids[row], truth, cluster))
    if not items:
        raise SoftCAMError(
            "no layer of this network has a cluster map for these images: nothing to guess."
        )
    return items


def save_items(path: str | Path, items: Sequence[Item], classes: Sequence[str]) -> Path:
    """Write items and class names to one `.npz`, atomically; return the path."""
    arrays: dict[str, np.ndarray] = {}
    facts = []
    names: dict[str, str] = {}
    for number, item in enumerate(items):
        cluster = item.cluster
        if item.image_id not in names:
            names[item.image_id] = f"image-{len(names)}"
            arrays[names[item.image_id]] = as_pixels(item.image)
        arrays[f"map-{number}"] = cluster.map
        facts.append(
            [
                item.image_id,
                names[item.image_id],
                item.truth,
                cluster.layer,
                cluster.index,
                cluster.share,
                list(cluster.channels),
            ]
        )
    about = json.dumps({"classes": list(classes), "items": facts})
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, about=np.array(about), **arrays)
    return Path(path)


def load_items(path: str | Path) -> tuple[list[Item], tuple[str, ...]]:
    """The items and class names of `save_items`.

    Raises:
        SoftCAMError: no such file, or another kind of file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            items = []
            for number, (image_id, name, truth, layer, index, share, channels) in enumerate(
                about["items"]
            ):
                cluster = ClusterMap(layer, index, file[f"map-{number}"], share, tuple(channels))
                items.append(Item(file[name], image_id, truth, cluster))
            return items, tuple(about["classes"])
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SoftCAMError(
            f"{path} holds no items of a game ({error}): make it with `softcam game MODEL`."
        ) from error


def write_game(
    folder: str | Path, items: Sequence[Item], classes: Sequence[str], *, manage: bool = False
) -> Path:
    """Write a game's folder; returns its page, `game.ipynb`.

    Args:
        folder: made if it is not there; rounds that it holds stay.
        items, classes: as in `Game`.
        manage: whether every player may export and delete the rounds of all.
    """
    folder = Path(folder).expanduser().resolve()
    save_items(folder / "items.npz", items, classes)
    code = (
        "from softcam.layerwise.page import show_game\n\n"
        f"show_game({str(folder)!r}, manage={manage})"
    )
    return write_cell(folder / "game.ipynb", "game", code)


def write_cell(path: Path, name: str, code: str) -> Path:
    """Write a notebook of one cell, which Voila shows as a page; returns its path.

    Args:
        path: of the notebook; one that is there is replaced.
        name: the id of the cell.
        code: what it runs.
    """
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cell: dict[str, object] = {"cell_type": "code", "id": name, "metadata": {}, "outputs": []}
    cell |= {"execution_count": None, "source": code}
    notebook: dict[str, object] = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernel},
    }
    return write_json(path, {**notebook, "cells": [cell]})


def show_game(folder: str | Path, *, manage: bool = False, session: str | None = None) -> None:
    """Show the game of a folder in a notebook; what is wrong with it is shown in its place.

    On a Voila page the session is put into the address, so that the page loaded again goes on.

    Args:
        folder: of `write_game`.
        manage, session: as in `Game`.
    """
    import ipywidgets as widgets
    from IPython import display as ipython

    from softcam.layerwise.game import Game
    from softcam.layerwise.panels import STYLE, notice
    from softcam.layerwise.records import shown
    from softcam.layerwise.rounds import RoundStore

    show: Any = ipython.display
    script: Any = ipython.Javascript
    try:
        items, classes = load_items(Path(folder) / "items.npz")
        store = RoundStore(Path(folder) / "rounds.sqlite")
        game = Game(items, classes, store, session=session, manage=manage)
    except SoftCAMError as error:
        show(widgets.HTML(STYLE + notice(shown(str(error), 2000), "bad")))
        return
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila"):
        name = json.dumps(game.play.session).replace("<", "\\u003c")
        address = f"'?session=' + encodeURIComponent({name})"
        show(script(f"history.replaceState(null, '', {address})"))
    show(game.widget)


def serve_game(page: str | Path, *, address: str = "127.0.0.1", port: int = 8866) -> int:
    """Serve a page with Voila until it is stopped; returns Voila's exit status.

    Args:
        page: of `write_game`.
        address: 127.0.0.1 lets nobody in but this machine; 0.0.0.0 lets in the whole network.
        port: of the address, 1..65535.

    Raises:
        SoftCAMError: Voila is not installed, or a port out of range.
    """
    as_integer("port", port, 1, 65535)
    if util.find_spec("voila") is None:
        raise SoftCAMError(
            "Voila is not installed: `pip install 'softcam[game]'`, or open "
            f"{page} in JupyterLab and run its cell."
        )
    command = [sys.executable, "-m", "voila", str(page), *voila_options(address, port)]
    return subprocess.call(command)


def voila_options(address: str, port: int | str) -> list[str]:
    """No sources, no traceback, nothing fetched from elsewhere; a page that was left ends.

    Voila's own page asks a server on the internet for a font. The policy forbids that to the
    browser, so that nobody outside learns who plays, and the game runs without a network.
    """
    policy = (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws: wss:"
    )
    # Without a login there is nothing that the check for forged requests could protect, and it
    # refuses the last message of a page that is closed, which ends its kernel.
    settings = {"headers": {"Content-Security-Policy": policy}, "disable_check_xsrf": True}
    # Two of JupyterLab's extensions, which come with nbgrader, cannot run in Voila and say so.
    denied = ["@jupyter/nbgrader", "@jupyter-notebook/lab-extension"]
    return [
        "--no-browser",
        f"--Voila.ip={address}",
        f"--port={port}",
        "--show_tracebacks=False",
        "--strip_sources=True",
        "--MappingKernelManager.cull_interval=60",
        f"--MappingKernelManager.cull_idle_timeout={_IDLE}",
        f"--Voila.tornado_settings={settings}",
        f"--VoilaConfiguration.extension_denylist={denied}",
    ]
