"""A game's folder: what is written comes back, and what is wrong is said where players see it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import IPython.display
import numpy as np
import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner

from softcam.cli.game import game
from softcam.common import SoftCAMError
from softcam.data.records import ImageSet
from softcam.layerwise import page
from softcam.layerwise.rounds import RoundStore
from tests.layerwise.players import CLASSES, items


class Two(nn.Module):
    """Two layers that see the bright and the dark parts, and two logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, 2, 1)
        self.second = nn.Conv2d(6, 8, 3, 2, 1)
        self.head = nn.Linear(8, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = torch.relu(self.second(torch.relu(self.first(images))))
        return self.head(maps.mean((2, 3)))


def image_set(labels: list[int]) -> ImageSet:
    n = len(labels)
    pixels = np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), np.uint8)
    ids = tuple(f"id{i}" for i in range(n))
    masks = np.zeros((n, 0, 32, 4), np.uint8)
    return ImageSet("tiny", "test", CLASSES, pixels, np.array(labels), ids, ids, masks,
                    annotated=np.zeros(n, bool))  # fmt: skip


def test_items_are_of_all_classes_and_of_every_layer() -> None:
    images = image_set([0] * 8 + [1] * 2)
    made = page.make_items(Two().eval(), images, 4, layers=["first", "second"])
    truths = {item.image_id: item.truth for item in made}
    assert sorted(truths.values()) == ["healthy", "healthy", "ill", "ill"]
    assert len({item.key for item in made}) == len(made)
    assert {item.cluster.layer for item in made} <= {"first", "second"}
    for item in made:
        index = images.ids.index(item.image_id)
        assert (item.image == images.images[index]).all()
        assert item.truth == CLASSES[images.labels[index]]
    again = page.make_items(Two().eval(), images, 4, layers=["first"], seed=1)
    assert {item.image_id for item in again} != set(truths), "the seed chooses the images"


def test_a_set_without_one_class_an_image() -> None:
    several = replace(image_set([0, 1]), labels=np.array([[0, 1], [1, 1]]))
    with pytest.raises(SoftCAMError, match="tiny has several findings an image"):
        page.make_items(Two(), several, 1)


def test_items_come_back_as_they_were(project: Path) -> None:
    path = page.save_items(project / "items.npz", items(5), CLASSES)
    back, classes = page.load_items(path)
    assert classes == CLASSES and len(back) == 5
    for one, two in zip(items(5), back, strict=True):
        assert one.key == two.key and one.truth == two.truth and (one.image == two.image).all()
        assert (one.cluster.map == two.cluster.map).all()
        assert one.cluster.channels == two.cluster.channels


@pytest.mark.parametrize("content", [None, b"", b"no zip", "npz"])
def test_a_file_without_items(project: Path, content: bytes | str | None) -> None:
    path = project / "items.npz"
    if content == "npz":
        np.savez(path, other=np.zeros(3))
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(SoftCAMError, match=r"items\.npz holds no items of a game"):
        page.load_items(path)


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", found.append)
    return found


def test_the_page_runs_and_shows_the_game(project: Path, displayed: list[Any]) -> None:
    path = page.write_game(project / "a 'game'", items(2), CLASSES)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    exec(compile(notebook["cells"][0]["source"], str(path), "exec"), {})
    (widget,) = displayed
    assert "softcam-game" in widget._dom_classes


def test_on_a_voila_page_the_address_names_the_session(
    project: Path, displayed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    page.write_game(project, items(2), CLASSES)
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5")
    page.show_game(project, session="</script>'x")
    script, _ = displayed
    assert "</script>" not in script.data and "encodeURIComponent" in script.data


def test_what_is_wrong_stands_in_place_of_the_game(project: Path, displayed: list[Any]) -> None:
    page.show_game(project)
    page.write_game(project, items(2), CLASSES)
    (project / "rounds.sqlite").write_bytes(b"<b>damaged" * 100)
    page.show_game(project)
    assert "holds no items of a game" in displayed[0].value
    assert "is damaged" in displayed[1].value and "<b>d" not in displayed[1].value


def test_nothing_is_fetched_from_elsewhere_and_nothing_served_but_the_page() -> None:
    options = page.voila_options("127.0.0.1", 8866)
    assert "--Voila.ip=127.0.0.1" in options and "--port=8866" in options
    (settings,) = [each for each in options if "tornado_settings" in each]
    assert "http" not in settings and "default-src 'self'" in settings


def test_serving_without_voila_says_what_to_install(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(SoftCAMError, match="Voila is not installed"):
        page.serve_game(project / "game.ipynb")
    with pytest.raises(SoftCAMError, match="port is 0"):
        page.serve_game(project / "game.ipynb", port=0)


def test_serving_calls_voila_on_the_page(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(util, "find_spec", lambda name: ModuleType(name))
    monkeypatch.setattr(page.subprocess, "call", lambda command: calls.append(command) or 3)
    assert page.serve_game(project / "game.ipynb", port=9000) == 3
    assert calls[0][:4] == [sys.executable, "-m", "voila", str(project / "game.ipynb")]
    assert "--port=9000" in calls[0]


@pytest.mark.slow
def test_the_verb_makes_a_game_once(project: Path) -> None:
    folder = project / "class"
    app = typer.Typer()
    app.command()(game)
    words = ["--out", str(folder), "--no-serve"]
    checkpoint = Path(__file__).parents[2] / "data" / "checkpoints" / "cxr-sparse.safetensors"
    options = [*words, str(checkpoint), "--images", "2", "--data", "phantoms:cxr"]
    for few in ("n_train=8", "n_val=8", "n_test=8"):
        options += ["--data-option", few]
    missing = CliRunner().invoke(app, words)
    assert isinstance(missing.exception, SoftCAMError) and "no game in" in str(missing.exception)
    made = CliRunner().invoke(app, options)
    assert made.exit_code == 0, made.output
    assert "from 2 images" in made.output and (folder / "game.ipynb").is_file()
    found, classes = page.load_items(folder / "items.npz")
    assert {item.truth for item in found} == set(classes)
    again = CliRunner().invoke(app, options)
    assert "leave MODEL out to play it" in str(again.exception)
    assert CliRunner().invoke(app, words).exit_code == 0
    assert RoundStore(folder / "rounds.sqlite").rounds().empty
