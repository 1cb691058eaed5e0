"""Only notebooks of this checkout that saw nothing but phantoms are shown with their outputs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest

from softcam.common import SoftCAMError, write_json
from softcam.visualize import new_figure
from tests.site.books_for_tests import CODE, notebook, png
from tools import anywhere
from tools.site import books, showing


def test_an_executed_notebook_is_found_with_profile_and_day(tmp_path: Path) -> None:
    source = notebook(tmp_path / "notebooks" / "00_small.ipynb", run=False)
    notebook(tmp_path / "runs" / "all" / "00_small.ipynb")
    found, reason = books.find_book(source, tmp_path / "runs", tmp_path / "runs" / "own")
    assert found is not None and reason == ""
    assert (found.executed, found.profile, found.day) == (True, "quick", "2026-11-22")


def test_the_newest_one_that_may_be_shown_is_taken(tmp_path: Path) -> None:
    source = notebook(tmp_path / "00_small.ipynb", run=False)
    runs = tmp_path / "runs"
    for age, (word, code) in enumerate({"tutorial": CODE, "all": CODE, "old": "1 + 1"}.items()):
        made = notebook(runs / word / "00_small.ipynb", code)
        os.utime(made, (1000 + age, 1000 + age))  # the newest is of another notebook
    found, _ = books.find_book(source, runs, runs / "own")
    assert found is not None and found.path.parent.name == "all"


@pytest.mark.parametrize(
    "code",
    [
        "data_root()", "open_data('folder:codras')", 'open_data(f"rsna:{path}")',
        "find_runs('folder-codras')", "runs_root() / 'reproduce'", "Image.open('a.png')",
        "open_data('medmnist:pneumoniamnist')", "os.environ['SOFTCAM_DATA']",
        "display(Image('smuggled.png'))", "plt.imread('a.png')",
    ],
)  # fmt: skip
def test_code_that_may_show_real_images_is_run_by_the_site_alone(tmp_path: Path, code: str) -> None:
    source = notebook(tmp_path / "a.ipynb", code, run=False)
    executed = notebook(tmp_path / "b.ipynb", code)
    assert "looks for real data" in books.why_not(executed, source)
    assert books.why_not(executed, source, shielded=True) == ""


@pytest.mark.parametrize("code", ["open_data('phantoms:oct')", "open_data(f'phantoms:{kind}')"])
def test_phantoms_are_no_real_data(tmp_path: Path, code: str) -> None:
    source = notebook(tmp_path / "a.ipynb", code, run=False)
    assert books.why_not(notebook(tmp_path / "b.ipynb", code), source) == ""


def test_another_code_an_error_and_a_half_run_are_refused(tmp_path: Path) -> None:
    source = notebook(tmp_path / "a.ipynb", run=False)
    other = notebook(tmp_path / "b.ipynb", CODE + "\nfig.show()")
    assert "not the notebook of this checkout" in books.why_not(other, source)
    executed = nbformat.read(notebook(tmp_path / "c.ipynb"), as_version=4)
    executed.cells[-1].execution_count = None
    nbformat.write(executed, tmp_path / "c.ipynb")
    assert "not run to its end" in books.why_not(tmp_path / "c.ipynb", source)
    executed.cells[-1].execution_count = 1
    executed.cells[-1].outputs = [
        nbformat.v4.new_output("error", ename="E", evalue="no", traceback=[])
    ]
    nbformat.write(executed, tmp_path / "d.ipynb")
    assert "failed" in books.why_not(tmp_path / "d.ipynb", source)
    (tmp_path / "e.ipynb").write_text("no json", encoding="utf-8")
    assert "cannot be read" in books.why_not(tmp_path / "e.ipynb", source)


def test_a_shielded_run_counts_only_with_the_file_that_was_written_down(tmp_path: Path) -> None:
    code = "open_data('folder:codras')"
    source = notebook(tmp_path / "00_small.ipynb", code, run=False)
    own = tmp_path / "runs" / "own"
    made = notebook(own / "00_small.ipynb", code)
    found, reason = books.find_book(source, tmp_path / "runs", own)
    assert found is None and reason, "nobody wrote down that it was shielded"
    write_json(own / books.RECORD, {made.name: books._digest(made)})
    found, _ = books.find_book(source, tmp_path / "runs", own)
    assert found is not None and found.executed
    notebook(made, code, png(200))  # another picture in the same place
    assert books.find_book(source, tmp_path / "runs", own)[0] is None


def test_a_notebook_is_run_where_no_real_data_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def run(words: list[str], **options: object) -> Path:
        seen.update(options, data=os.environ["SOFTCAM_DATA"], words=words)
        notebook(tmp_path / "own" / "12_small.ipynb")
        return tmp_path / "own"

    monkeypatch.setenv("SOFTCAM_DATA", str(tmp_path / "real"))
    monkeypatch.setattr("softcam.notebooks.run_notebooks", run)
    monkeypatch.setattr("softcam.notebooks.notebook_parameters", lambda _: {"configuration": '""'})
    results = tmp_path / "runs" / "reproduce"
    for age, (name, data) in enumerate({"drawn": "phantoms-cxr", "real": "rsna"}.items()):
        (results / name).mkdir(parents=True)
        (results / name / "results.csv").write_text(f"dataset\n{data}\n", encoding="utf-8")
        os.utime(results / name / "results.csv", (1000 + age, 1000 + age))
    made = books.execute_shielded("12_small", "quick", tmp_path / "own", tmp_path / "runs")
    assert not list(Path(str(seen["data"])).iterdir()) and seen["words"] == ["12_small"]
    assert seen["parameters"] == {"configuration": "drawn"}, "the newer one is not of phantoms"
    assert os.environ["SOFTCAM_DATA"] == str(tmp_path / "real"), "as it was"
    assert books._is_ours(made)
    (Path(str(seen["data"])) / "codras").mkdir()
    with pytest.raises(SoftCAMError, match="must be empty"):
        books.execute_shielded("12_small", "quick", tmp_path / "own", tmp_path / "runs")


def test_what_is_shown_is_clean_and_its_picture_has_a_text(tmp_path: Path) -> None:
    made = notebook(tmp_path / "all" / "00_small.ipynb")
    target = tmp_path / "shown" / "00_small.ipynb"
    assert showing.show(books.Book("00_small", made, True, "quick"), target) == []
    text = target.read_text(encoding="utf-8")
    shown = nbformat.reads(text, as_version=4)
    assert shown.cells[2].metadata["mystnb"]["image"]["alt"] == "Four squares."
    assert "widget-view" not in text and "a warning" not in text and "/home/me" not in text
    assert "wrote runs/all/x.csv" in text and "papermill" not in shown.metadata
    assert "profile `quick`" in shown.cells[1].source and len(shown.cells) == 3


def test_a_picture_without_a_text_is_named(tmp_path: Path) -> None:
    made = notebook(tmp_path / "all" / "00_small.ipynb", "x = 1\nmontage(patients)", alt="")
    book = books.Book("00_small", made, True)
    assert showing.show(book, tmp_path / "00_small.ipynb") == ["00_small: montage(patients)"]


def test_several_pictures_of_a_cell_keep_their_texts(tmp_path: Path) -> None:
    made = notebook(tmp_path / "a.ipynb")
    book = nbformat.read(made, as_version=4)
    outputs = book.cells[-1].outputs
    other = nbformat.from_dict({**outputs[-1], "metadata": {"image/png": {"alt": "Two\ncircles."}}})
    outputs += [other, outputs[-1]]
    nbformat.write(book, made)
    assert showing.show(books.Book("a", made, True), tmp_path / "b.ipynb") == []
    shown = nbformat.read(tmp_path / "b.ipynb", as_version=4).cells[2]
    assert shown.metadata["mystnb"]["image"]["alt"] == "Four squares. Two circles."
    other["metadata"] = {}
    nbformat.write(book, made)
    assert showing.show(books.Book("a", made, True), tmp_path / "b.ipynb") == ["a: fig"]


def test_a_figure_of_the_package_brings_its_text_through_a_kernel() -> None:
    figure, _ = new_figure()
    figure.set_label("Four squares.")
    data, metadata = figure._repr_mimebundle_()
    out = nbformat.v4.new_output("display_data", data, metadata=metadata)
    assert showing._alt(out, "image/png") == "Four squares."


def test_the_cell_that_fetches_softcam_is_folded(tmp_path: Path) -> None:
    made = notebook(tmp_path / "a.ipynb", run=False)
    book = nbformat.read(made, as_version=4)
    book.cells[1].id = anywhere.FETCH
    nbformat.write(book, made)
    showing.show(books.Book("a", made, False), tmp_path / "b.ipynb")
    tags = [c.metadata.get("tags", []) for c in nbformat.read(tmp_path / "b.ipynb", 4).cells]
    assert tags == [[], [], ["hide-input"]]


def test_a_notebook_without_a_number_is_run_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import papermill

    seen = {}

    def execute(source: str, half: str, **_: object) -> None:
        seen.update({name: os.environ[name] for name in ("SOFTCAM_DATA", "SOFTCAM_OUT")})
        assert os.environ["SOFTCAM_UNATTENDED"] == "1", "nobody is here to ask"
        assert os.environ["SOFTCAM_PROFILE"] == "quick"
        notebook(Path(half))

    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))
    monkeypatch.setattr(papermill, "execute_notebook", execute)
    source = notebook(tmp_path / "notebooks" / "study.ipynb", run=False)
    own = tmp_path / "runs" / "own"
    made = books.execute_shielded("study", "quick", own, tmp_path / "runs")
    assert not list(Path(seen["SOFTCAM_DATA"]).iterdir()) and seen["SOFTCAM_OUT"] == str(own)
    found, _ = books.find_book(source, tmp_path / "runs", own)
    assert found is not None and found.path == made


def test_without_outputs_it_says_so(tmp_path: Path) -> None:
    made = notebook(tmp_path / "00_small.ipynb", run=False)
    showing.show(books.Book("00_small", made, False), tmp_path / "shown.ipynb")
    shown = nbformat.read(tmp_path / "shown.ipynb", as_version=4)
    assert "without outputs" in shown.cells[1].source and not shown.cells[2].outputs


def test_pictures_from_other_hosts_become_words(tmp_path: Path) -> None:
    made = notebook(tmp_path / "a.ipynb", run=False)
    book = nbformat.read(made, as_version=4)
    book.cells[0].source = "# T\n\n[![Open in Colab](https://a.org/badge.svg)](https://colab.org/x)"
    nbformat.write(book, made)
    showing.show(books.Book("a", made, False), tmp_path / "b.ipynb")
    shown = nbformat.read(tmp_path / "b.ipynb", as_version=4)
    assert shown.cells[0].source == "# T\n\n[Open in Colab](https://colab.org/x)"
