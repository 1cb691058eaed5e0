"""A kept figure: its files, its fonts, its entry among the others, and whose images it may show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from softcam.common import SoftCAMError
from softcam.visualize import read_caption, unpublishable
from softcam.visualize.paper import (
    ShownImage,
    drop_stale_figures,
    paper_figure,
    paper_style,
    save_paper_figure,
)

NUMBERS = pd.DataFrame({"x": [0, 1], "value": [0.1, 1 / 3]})
PHANTOM = ShownImage("phantoms:cxr", "test", "7")
CLOSED = ShownImage("rsna:somewhere/rsna", "test", "7")


def drawn() -> Figure:
    with paper_style():
        figure, axes = paper_figure(width=85, height=40)
        axes[0, 0].plot(NUMBERS["x"], NUMBERS["value"], label="a line")
        axes[0, 0].set_title("a panel")
    return figure


def save(
    out: Path, name: str = "one", images: tuple[ShownImage, ...] = (), inputs: tuple[Path, ...] = ()
) -> Path:
    return save_paper_figure(
        drawn(), name, NUMBERS, out, inputs=inputs, parameters={"k": 1}, images=images,
        caption="What it is.",
    )  # fmt: skip


@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    for place in ("a", "b"):
        save(tmp_path / place)
    for ending in ("png", "csv", "pdf"):
        first, second = ((tmp_path / p / f"one.{ending}").read_bytes() for p in "ab")
        assert first == second, f"the {ending} differs between two savings"


def test_size_type_and_alternative_text(tmp_path: Path) -> None:
    path = save(tmp_path)
    with Image.open(path) as picture:
        assert picture.size == (int(85 / 25.4 * 300), int(40 / 25.4 * 300))
    said = read_caption(path)
    assert said.startswith("What it is.") and "a panel" in said and "a line" in said
    pdf = path.with_suffix(".pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf, "TrueType fonts, embedded"
    assert not re.search(rb"/(CreationDate|ModDate)", pdf)
    assert pd.read_csv(path.with_suffix(".csv")).equals(NUMBERS)


@pytest.mark.slow
def test_an_entry_stands_among_the_others(tmp_path: Path) -> None:
    save(tmp_path, "one")
    save(tmp_path, "two", (PHANTOM,))
    save(tmp_path, "one")
    said = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert sorted(said) == ["one", "two"]
    (image,) = said["two"]["images"]
    assert image["credit"] == "Phantom, softcam" and image["licence"] and image["id"] == "7"
    assert set(said["one"]["versions"]) == {"python", "torch", "matplotlib", "softcam"}
    assert said["one"]["parameters"] == {"k": 1}


def test_a_damaged_manifest_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(SoftCAMError, match=r"manifest\.json is missing or damaged"):
        save(tmp_path)
    assert (tmp_path / "manifest.json").read_text(encoding="utf-8") == "{"


def test_closed_images_stay_where_git_does_not_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))
    (tmp_path / ".git").mkdir()
    with pytest.raises(SoftCAMError, match="images of rsna:rsna, which may not be published"):
        save(tmp_path / "figures", images=(PHANTOM, CLOSED))
    assert not list(tmp_path.rglob("*.png"))
    path = save(tmp_path / "runs" / "reproduce" / "x", images=(CLOSED,))
    with Image.open(path) as picture:
        assert picture.info["softcam-share"] == "no"
    text = (path.parent / "manifest.json").read_text(encoding="utf-8")
    assert "somewhere" not in text, "a path of this machine is in the manifest"


def test_what_was_saved_is_publishable_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))
    path = save(tmp_path / "figures", images=(PHANTOM,))
    assert unpublishable(tmp_path) == {}
    Image.new("L", (5, 5)).save(path)
    assert unpublishable(tmp_path) == {path: "it is not the picture that manifest.json is about"}


def test_names_are_checked(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="a figure's name"):
        save(tmp_path, "a/b")


@pytest.mark.slow
@pytest.mark.parametrize("inside", [True, False], ids=["in the project", "outside of it"])
def test_a_figure_that_is_not_drawn_any_more_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    root = tmp_path if inside else tmp_path / "elsewhere"
    root.mkdir(exist_ok=True)
    monkeypatch.setenv("SOFTCAM_ROOT", str(root))
    mine, other = tmp_path / "sweeps" / "mine", tmp_path / "sweeps" / "other"
    for folder in (mine, other):
        folder.mkdir(parents=True)
        (folder / "results.csv").write_text("run_id\n")
    out, table = mine / "figures", mine / "results.csv"
    for name in ("kept", "stale", "touched"):
        save(out, name, inputs=(table,))
    save(out, "by-hand")
    if inside:  # outside, a manifest knows the name of a table and not its folder
        save(out, "of-another", inputs=(other / "results.csv",))
        save(out, "of-both", inputs=(other / "results.csv", table))
    assert drop_stale_figures(out, mine, []) == [], "the tables are the same"
    for folder in (mine, other):
        (folder / "results.csv").write_text("run_id,new\n")
    save(out, "kept", inputs=(table,))
    save(out, "not-this-time", inputs=(table,))
    (out / "touched.csv").write_text("notes of a reader")
    before = {path.name for path in out.iterdir()}
    assert drop_stale_figures(out, mine, ["kept"]) == ["stale", "touched"]
    gone = {"stale.png", "stale.pdf", "stale.csv", "touched.png", "touched.pdf"}
    assert before - {path.name for path in out.iterdir()} == gone
    entries = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert sorted(entries) == (
        ["by-hand", "kept", "not-this-time", "of-another", "of-both"]
        if inside
        else ["by-hand", "kept", "not-this-time"]
    )
    assert drop_stale_figures(out, mine, ["kept"]) == [], "nothing is left to remove"


def test_figures_of_a_folder_outside_do_not_go_for_another_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path / "project"))
    table = tmp_path / "sweep" / "results.csv"
    table.parent.mkdir()
    table.write_text("run_id\n")
    out = tmp_path / "project" / "figures"
    assert drop_stale_figures(out, table.parent, []) == [], "there is no manifest"
    save(out, "one", inputs=(table,))
    table.write_text("run_id,new\n")
    assert drop_stale_figures(out, table.parent, []) == []
    assert (out / "one.png").is_file()
