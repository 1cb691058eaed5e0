"""The page: a notebook that holds from any folder, and errors in the place of the explorer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from softcam.checkpoints import export_checkpoint
from softcam.cli.explore import explore as command
from softcam.common import SoftCAMError
from softcam.training import train
from softcam.visualize.explorer import page
from softcam.visualize.explorer.subjects import open_source, open_subjects
from tests.tiny import TINY

pytest.importorskip("anywidget")


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    from IPython import display

    shown: list[Any] = []
    monkeypatch.setattr(display, "display", shown.append)
    return shown


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(command)
    return made


def source(path: Path) -> str:
    (cell,) = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return str(cell["source"])


@pytest.mark.slow
def test_runs_and_checkpoints_from_the_command_to_the_page(
    project: Path, displayed: list[Any], app: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = train(TINY, progress=False)
    sparse = train(TINY.with_arm("sparse", 0.05), progress=False)
    small = export_checkpoint(dense, project / "small.safetensors")
    monkeypatch.chdir(dense.path)
    given = [f"../{sparse.path.name}", ".", "--images", "3", "--no-serve"]
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    notebook = Path(result.output.strip().splitlines()[-1])
    assert notebook == project / "runs" / "explorer" / f"{sparse.id}.ipynb"
    monkeypatch.chdir(project)
    exec(source(notebook), {})
    (widget,) = displayed
    sliders = [w for w in all_of(widget) if type(w).__name__ == "Slider"]
    assert [label.split("(")[1] for label in sliders[0].labels] == ["lambda1 0)", "lambda1 0.05)"]
    images = next(w for w in all_of(widget) if getattr(w, "description", "") == "Image")
    assert len(images.options) == 3
    opened = open_source(small)
    assert opened.config == open_source(dense).config and opened.classes == dense.classes
    assert open_subjects([small, sparse])[0].l1 == 0
    assert not list(project.glob("**/*.tmp*"))


def all_of(widget: Any) -> list[Any]:
    return [widget, *(each for child in getattr(widget, "children", ()) for each in all_of(child))]


def test_what_is_wrong_is_shown_in_its_place(project: Path, displayed: list[Any]) -> None:
    page.show_explorer(["<b>gone</b>"])
    (widget,) = displayed
    assert "unknown run" in widget.value and "&lt;b&gt;gone" in widget.value


def test_the_command_says_at_once_what_is_wrong(
    project: Path, app: typer.Typer, tmp_path: Path
) -> None:
    for given in (["gone"], []):  # without a model the shipped ones, which this folder lacks
        with pytest.raises(SoftCAMError, match="unknown run"):
            CliRunner().invoke(app, [*given, "--no-serve"], catch_exceptions=False)
    assert not (project / "runs" / "explorer").exists()


def test_odd_values_survive_the_way_into_the_cell(project: Path) -> None:
    names = ['it\'s "here"\\n', "b"]
    path = page.write_explorer(project / "x.ipynb", names, options={"a": [1, None, "\u00e9"]})
    found: dict[str, Any] = {}
    body = source(path).split("\n\n")[1]
    exec(body, {"show_explorer": lambda models, **given: found.update(given, models=models)})
    assert found == {"models": names, "options": {"a": [1, None, "\u00e9"]}}
