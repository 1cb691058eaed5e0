"""The build from a small checkout: what is missing is said, and only a whole site replaces one."""

from __future__ import annotations

import html
import importlib.util
import shutil
from pathlib import Path

import pytest

import tools.tab
from softcam.common import SoftCAMError, write_text
from softcam.data import SOURCES
from softcam.visualize import write_record
from tests.site.books_for_tests import notebook, png
from tools.site import __main__ as command
from tools.site import build

ROOT = Path(__file__).resolve().parents[2]
GONE = [each for each in ("sphinx", "myst_nb", "furo") if importlib.util.find_spec(each) is None]
pytestmark = pytest.mark.skipif(bool(GONE), reason=f"not installed (extra docs): {GONE}")
INDEX = """# Small

![Four squares](figures/a.png)

<!-- IMAGES -->

```{toctree}
:glob:

tab
api/index
notebooks/*
```
"""
EVERY = "Every image on this site is a phantom"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two notebooks, one of them executed; without npm, with one page of the API."""
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))
    own = tmp_path / "docs" / "site"
    for name in ("_static", "_templates"):
        shutil.copytree(ROOT / "docs" / "site" / name, own / name)
    shutil.copyfile(ROOT / "docs" / "site" / "conf.py", own / "conf.py")
    write_text(own / "index.md", INDEX)
    write_text(own / "tab.md", "# Explorer\n\n<!-- TAB -->\n")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_bytes(png(9))
    write_record(tmp_path / "figures" / "a.png", SOURCES["phantoms"])
    for name in ("00_small", "01_other"):
        notebook(tmp_path / "notebooks" / f"{name}.ipynb", run=False)
    notebook(tmp_path / "runs" / "all" / "00_small.ipynb")

    def no_npm(out: Path) -> Path:
        raise tools.tab.NoRuntime("npm is not here.")

    def one_page(root: Path, stage: Path) -> int:
        write_text(stage / "api" / "index.rst", "Names\n=====\n")
        return 1

    monkeypatch.setattr(tools.tab, "build", no_npm)
    monkeypatch.setattr(build, "write_api", one_page)
    return tmp_path


@pytest.mark.slow
def test_what_could_not_be_shown_is_said(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--no-execute"]) == 0
    said = capsys.readouterr().out
    assert "01_other is shown without outputs: it has not been executed yet." in said
    assert "built without the explorer in a browser tab: npm is not here." in said
    out = checkout / "runs" / "site"
    assert "npm is not here" in (out / "tab.html").read_text(encoding="utf-8")
    assert "without outputs" in (out / "notebooks" / "01_other.html").read_text(encoding="utf-8")
    assert "Four squares." in (out / "notebooks" / "00_small.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_failed_build_leaves_the_old_site_and_a_good_one_replaces_it(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build.build(execute=False)
    out = checkout / "runs" / "site"
    (out / "old.html").write_text("old", encoding="utf-8")
    (checkout / "figures" / "a.png").write_bytes(png(77))  # not the picture of the record
    assert command.main(["--no-execute"]) == 1
    assert "figures/a.png: it is not the picture that a.json is about" in capsys.readouterr().err
    assert (out / "old.html").is_file()
    (checkout / "figures" / "a.png").write_bytes(png(9))
    build.build(execute=False)
    assert not (out / "old.html").exists() and (out / "index.html").is_file()


def test_the_first_page_says_whose_images_are_shown(checkout: Path) -> None:
    out = build.build(execute=False).out
    assert EVERY in (out / "index.html").read_text(encoding="utf-8")
    source = SOURCES["idrid"]
    write_record(checkout / "figures" / "a.png", source)
    build.build(execute=False)
    said = html.unescape((out / "index.html").read_text(encoding="utf-8"))
    assert EVERY not in said and f"<li><p>{source.credit}</p></li>" in said


def test_the_first_page_of_this_checkout_leaves_that_to_the_build(tmp_path: Path) -> None:
    index = (ROOT / "docs" / "site" / "index.md").read_text(encoding="utf-8")
    assert EVERY not in index, "whose images the site shows is not known before it is built"
    write_text(tmp_path / "index.md", index)
    build._say_images(tmp_path, {"0": ()})
    assert EVERY in (tmp_path / "index.md").read_text(encoding="utf-8")


def test_a_script_of_ours_that_asks_another_host_stops_the_build(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tab(out: Path) -> Path:
        write_text(out / "index.html", "<html><body><h1>Explorer</h1></body></html>")
        write_text(out / "main.js", 'await fetch("https://a.org/model.onnx");\n')
        write_text(out / "runtime" / "ort.mjs", 'const home = "https://b.org/";\n')
        return out

    monkeypatch.setattr(tools.tab, "build", tab)
    write_text(checkout / "docs" / "site" / "_static" / "finder.js", 'import "//c.org/a.js";\n')
    with pytest.raises(SoftCAMError, match="loaded from another host") as error:
        build.build(execute=False)
    assert "tab/main.js: https://a.org/model.onnx" in str(error.value)
    assert "_static/finder.js: //c.org/a.js" in str(error.value)
    assert "b.org" not in str(error.value), "the runtime is not ours"


def test_a_folder_that_is_no_site_is_left_alone(checkout: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    write_text(mine / "thesis.txt", "years of work")
    with pytest.raises(SoftCAMError, match="something else than a site"):
        build.build(mine, execute=False)
    assert (mine / "thesis.txt").is_file()


def test_a_notebook_that_no_run_holds_is_executed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def execute(name: str, profile: str | None, shielded: Path, runs: Path) -> Path:
        asked.append((name, profile))
        return notebook(runs / "all" / f"{name}.ipynb")

    monkeypatch.setattr("tools.site.books.execute_shielded", execute)
    made = build.build(profile="quick")
    assert asked == [("01_other", "quick")]
    assert not any("without outputs" in note for note in made.notes)


def test_a_picture_without_a_text_stops_the_build(checkout: Path) -> None:
    notebook(checkout / "runs" / "all" / "00_small.ipynb", alt="")
    with pytest.raises(SoftCAMError, match="without a text for those who cannot see it") as error:
        build.build(execute=False)
    assert "00_small: fig" in str(error.value)


def test_the_explorer_leads_back_and_its_pictures_are_looked_at(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tab(out: Path) -> Path:
        write_text(out / "index.html", "<html><body><h1>Explorer</h1></body></html>")
        (out / "a.png").write_bytes(png(31))
        write_record(out / "a.png", SOURCES[images])
        return out

    monkeypatch.setattr(tools.tab, "build", tab)
    images = "phantoms"
    out = build.build(execute=False).out
    page = (out / "tab" / "index.html").read_text(encoding="utf-8")
    assert '<body>\n<nav aria-label="Site"><a href="../tab.html">' in page
    assert 'href="tab/index.html"' in (out / "tab.html").read_text(encoding="utf-8")
    images = "rsna"
    with pytest.raises(SoftCAMError, match="docs/tab/a.png: the images of rsna may not be passed"):
        build.build(execute=False)
