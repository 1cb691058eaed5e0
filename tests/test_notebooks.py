"""The runner on small notebooks of its own, and the real story end to end in `quick`."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import nbformat
import pytest

import softcam.notebooks as runner
from softcam.common import UnknownNameError
from softcam.notebooks import NotebookFailed, execute_notebook, notebook_names, run_notebooks

CHECKOUT = Path(__file__).resolve().parents[1]
PARAMETERS = 'import os\n\nprofile = os.environ.get("SOFTCAM_PROFILE", "tutorial")\nknob = 1'


def write_notebook(path: Path, *cells: str) -> None:
    """A notebook whose first cell holds the parameters."""
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python",
        "language": "python",
    }
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    book.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(book, path)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path) -> Path:
    """A folder with two notebooks; the second appends to a log and fails while `broken` exists."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    note = f"open({str(tmp_path / 'log')!r}, 'a').write('{{}} {{}}\\n'.format({{!r}}, knob))"
    write_notebook(folder / "00_first.ipynb", PARAMETERS, note.replace("{!r}", "'first'"))
    check = f"import pathlib\nassert not pathlib.Path({str(tmp_path / 'broken')!r}).exists()"
    write_notebook(folder / "01_second.ipynb", PARAMETERS, check, note.replace("{!r}", "'second'"))
    monkeypatch.setattr(runner, "notebook_folder", lambda: folder)
    return tmp_path


@pytest.mark.notebook
def test_a_failed_run_goes_on_where_it_stopped(small: Path) -> None:
    (small / "broken").touch()
    out = small / "out"
    with pytest.raises(NotebookFailed, match="01_second.*AssertionError"):
        run_notebooks(["all"], profile="quick", out=out, progress=False)
    (small / "broken").unlink()
    run_notebooks(["all"], profile="quick", out=out, progress=False)
    assert (small / "log").read_text().split() == ["first", "1", "second", "1"], (
        "the finished notebook must not run again"
    )
    run_notebooks(["00"], profile="quick", parameters={"knob": 5}, out=out, progress=False)
    assert (small / "log").read_text().endswith("first 5\n"), "other parameters, another run"


@pytest.mark.notebook
def test_a_notebook_is_run_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    monkeypatch.setenv("SOFTCAM_OUT", "mine")
    monkeypatch.delenv("SOFTCAM_UNATTENDED", raising=False)  # our own tests run unattended too
    source, target = tmp_path / "study.ipynb", tmp_path / "made" / "study.ipynb"
    names = ("SOFTCAM_OUT", "SOFTCAM_PROFILE", "SOFTCAM_UNATTENDED")
    write_notebook(source, PARAMETERS, f"[*map(os.environ.get, {names}), os.getcwd(), knob]")
    before = source.read_bytes()
    target.parent.mkdir()
    assert execute_notebook(source, target, profile="quick") == target
    told = nbformat.read(target, 4).cells[-1].outputs[0].data["text/plain"]
    assert ast.literal_eval(told) == [str(target.parent), "quick", "1", str(tmp_path), 1]
    assert os.environ["SOFTCAM_OUT"] == "mine" and "SOFTCAM_UNATTENDED" not in os.environ
    assert source.read_bytes() == before and list(target.parent.iterdir()) == [target]


def test_unknown_words_are_refused_before_anything_runs(small: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'knob'"):
        run_notebooks(["all"], parameters={"knobb": 2}, progress=False)
    with pytest.raises(UnknownNameError, match="01_second"):
        run_notebooks(["1_second"], progress=False)
    with pytest.raises(UnknownNameError, match="'quick'"):
        run_notebooks(["all"], profile="quik", progress=False)
    assert not (small / "log").exists()


@pytest.mark.notebook
def test_the_tutorial_runs_from_end_to_end() -> None:
    """Papermill beside nbval: nbval passes some cells that are broken."""
    from softcam.report import write_report

    out = run_notebooks(["tutorial"], profile="quick", progress=False)
    names = [name for name in notebook_names() if name[:2] in runner.TUTORIAL]
    assert [name[:2] for name in names] == list(runner.TUTORIAL)
    for name in names:
        cells = json.loads((out / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        outputs = [o for c in cells if c["cell_type"] == "code" for o in c["outputs"]]
        pictures = [o for o in outputs if "image/png" in o.get("data", {})]
        assert pictures, f"{name} shows no picture"
        words = [o["metadata"].get("image/png", {}).get("alt", "").split() for o in pictures]
        assert all(len(each) >= 5 for each in words), f"{name}: a picture without a text: {words}"
        assert list((out / "figures").glob(f"{name[:2]}-*.png")), f"{name} saves no figure"
    assert (out / "results.csv").is_file()
    page = write_report(out).read_text(encoding="utf-8")
    assert "not for clinical use" in page
    for figure in (out / "figures").glob("*.png"):
        assert f'id="{figure.stem}"' in page


def committed() -> list[Path]:
    return sorted((CHECKOUT / "notebooks").rglob("*.ipynb"))


@pytest.mark.parametrize("path", committed(), ids=lambda path: path.stem)
def test_committed_notebooks_keep_the_house_rules(path: Path) -> None:
    book = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in code]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code), "clear outputs"
    long = [s.splitlines()[0] for s in sources if len(s.splitlines()) > 15]
    assert not long, f"code cells over 15 lines, beginning with {long}"
    assert not any("sys.path" in s or "/home/" in s for s in sources)
    tagged = [c for c in code if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1, "one cell tagged `parameters`"
    assignment = path.parent.name == "assignments"
    wanted = "student =" if assignment else 'os.environ.get("SOFTCAM_PROFILE", "tutorial")'
    assert wanted in "".join(tagged[0]["source"])
    text = "\n".join("".join(c["source"]) for c in book["cells"] if c["cell_type"] == "markdown")
    for word in ("Goal", "Minutes", "Prerequisites", "<details>"):
        assert word in text, f"{path.name} lacks {word}"
    assert "clinical" in text
    proof = "check(" if assignment else "assert "  # an assignment claims nothing but its checks
    assert any(proof in s for s in sources), "assert what the text claims"


def test_a_changed_profile_makes_a_notebook_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Path
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    monkeypatch.setattr(runner, "__file__", str(package / "notebooks.py"))
    (package / "profiles.yaml").write_text("epochs: 1", encoding="utf-8")
    before = runner._state_digest("00_first", {})
    assert runner._state_digest("00_first", {}) == before
    (package / "profiles.yaml").write_text("epochs: 2", encoding="utf-8")
    assert runner._state_digest("00_first", {}) != before


def test_the_report_names_the_profile_of_each_notebook(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from softcam.report import write_report

    out = small / "out"
    monkeypatch.setattr(runner, "execute_notebook", lambda source, target, **_: target.touch())
    run_notebooks(["00"], profile="quick", out=out, progress=False)
    run_notebooks(["01"], profile="laptop", out=out, progress=False)
    page = write_report(out).read_text(encoding="utf-8")
    assert "<td>quick</td>" in page and "<td>laptop</td>" in page
