"""Every notebook opens anywhere: the cells are the ones that the script writes, and they work."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import types
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tools import anywhere

CHECKOUT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((CHECKOUT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
ADDRESS = "https://github.com/somebody/a-project"


def book() -> Any:
    """A notebook of three cells."""
    cells = [
        nbformat.v4.new_markdown_cell("# Title", id="title"),
        nbformat.v4.new_code_cell("import os", id="knobs", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("1 + 1", id="sum"),
    ]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_notebooks_have_the_cells(path: Path) -> None:
    found = nbformat.read(path, 4)
    expected = anywhere.opened_anywhere(found, path.name, anywhere.address())
    assert found == expected, f"run `python tools/anywhere.py notebooks/{path.name}`"


def test_there_is_no_badge_without_an_address() -> None:
    cells = anywhere.opened_anywhere(book(), "00_a.ipynb", "").cells
    assert [cell.id for cell in cells] == ["title", "knobs", "fetch-softcam", "sum"]
    assert "mybinder" not in str(cells) and '"SOFTCAM_REPOSITORY", ""' in cells[2].source


def test_badges_name_this_notebook_and_nothing_is_written_twice() -> None:
    once = anywhere.opened_anywhere(book(), "00_a.ipynb", ADDRESS)
    assert [c.id for c in once.cells] == ["open-anywhere", "title", "knobs", "fetch-softcam", "sum"]
    text = once.cells[0].source
    assert "/github/somebody/a-project/blob/main/notebooks/00_a.ipynb)" in text
    assert "/v2/gh/somebody/a-project/main?labpath=notebooks%2F00_a.ipynb)" in text
    assert ADDRESS in once.cells[3].source
    assert anywhere.opened_anywhere(once, "00_a.ipynb", ADDRESS) == once
    assert anywhere.opened_anywhere(once, "00_a.ipynb", "").cells[0].id == "title", "taken back"


def test_an_address_that_colab_cannot_open_is_refused() -> None:
    with pytest.raises(ValueError, match="github.com/OWNER/NAME"):
        anywhere.badges("https://example.org/a/b", "00_a.ipynb")
    untagged = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    with pytest.raises(ValueError, match="parameters"):
        anywhere.opened_anywhere(untagged, "00_a.ipynb", "")


def test_the_address_has_one_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SOFTCAM_REPOSITORY", raising=False)
    monkeypatch.setattr(anywhere, "ROOT", tmp_path)
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nname = "x"\n', encoding="utf-8")
    assert anywhere.address() == ""
    project.write_text(
        f'[project]\nname = "x"\n[project.urls]\nRepository = "{ADDRESS}.git"\n', encoding="utf-8"
    )
    assert anywhere.address() == ADDRESS
    monkeypatch.setenv("SOFTCAM_REPOSITORY", "https://github.com/other/fork/")
    assert anywhere.address() == "https://github.com/other/fork"


def test_check_fails_on_a_difference_and_writing_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOFTCAM_REPOSITORY", ADDRESS)
    path = tmp_path / "00_a.ipynb"
    nbformat.write(book(), path)
    assert anywhere.main(["--check", str(path)]) == 1 and "differs" in capsys.readouterr().out
    assert anywhere.main([str(path)]) == 0
    assert anywhere.main(["--check", str(path)]) == 0
    assert nbformat.read(path, 4).cells[0].id == "open-anywhere"


def test_a_notebook_whose_writing_breaks_off_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "00_a.ipynb"
    nbformat.write(book(), path)
    before = path.read_bytes()

    def full(self: Path, text: str, **options: Any) -> int:
        with self.open("w", encoding="utf-8") as file:
            file.write(text[:9])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        anywhere.main([str(path)])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def first_cell(monkeypatch: pytest.MonkeyPatch, folder: Path, here: bool) -> list[list[str]]:
    """Run the cell as on Colab; the commands that it would have run."""
    commands: list[list[str]] = []
    real = importlib.util.find_spec
    spec = types.SimpleNamespace() if here else None
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: spec if name == "softcam" else real(name, *a)
    )
    monkeypatch.setattr(
        subprocess, "run", lambda command, check: commands.append([str(part) for part in command])
    )
    monkeypatch.setenv("SOFTCAM_ROOT", str(folder))  # so that what the cell sets is taken back
    monkeypatch.chdir(folder)
    source = anywhere.CELL.format(variable=anywhere.VARIABLE, address="")
    exec(compile(source, "cell", "exec"), {"os": os})
    return commands


def test_the_first_cell_keeps_the_torch_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setenv("SOFTCAM_REPOSITORY", ADDRESS)
    clone, install = first_cell(monkeypatch, tmp_path, here=False)
    root, keep = tmp_path / "softcam-checkout", tmp_path / "keep.txt"
    assert clone[:2] == ["git", "clone"] and clone[-2:] == [ADDRESS, str(root)]
    assert install[1:] == ["-m", "pip", "install", "-qc", str(keep), str(root)]
    assert keep.read_text().split() == [
        f"torch=={version('torch')}", f"torchvision=={version('torchvision')}",
    ]  # fmt: skip
    assert os.environ["SOFTCAM_ROOT"] == str(root), "shipped models are read from the checkout"


def test_the_first_cell_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.delenv("SOFTCAM_REPOSITORY", raising=False)
    with pytest.raises(AssertionError, match="set SOFTCAM_REPOSITORY"):
        first_cell(monkeypatch, tmp_path, here=False)


@pytest.mark.parametrize("colab", [True, False])
def test_elsewhere_the_first_cell_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, colab: bool
) -> None:
    if colab:  # and softcam is there already
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    else:
        monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    assert first_cell(monkeypatch, tmp_path, here=colab) == []
    assert not list(tmp_path.iterdir())
