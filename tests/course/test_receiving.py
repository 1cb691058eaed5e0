"""Whatever is handed in becomes a notebook with every graded cell, and says what was mended."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbgrader")

from softcam.course.placing import MOST_BYTES, own_files, place_notebook  # noqa: E402
from softcam.course.receiving import MOST_TEXT, content, mended  # noqa: E402

Book = dict[str, Any]


def graded(grade_id: str, **rest: Any) -> Book:
    base = {"grade": False, "solution": False, "locked": False, "schema_version": 3, "task": False}
    return {"nbgrader": {**base, "grade_id": grade_id, **rest}}


def code(text: str, metadata: Book | None = None) -> Book:
    return {
        "cell_type": "code",
        "metadata": metadata or {},
        "source": text,
        "execution_count": None,
        "outputs": [],
    }


RELEASE: Book = {
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": "# Title"},
        code("def f(): ...", graded("f", solution=True)),
        code("check f", graded("check-f", grade=True, locked=True, points=2)),
        code("def g(): ...", graded("g", solution=True)),
        code("check g", graded("check-g", grade=True, locked=True, points=3)),
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def taken(book: Book) -> dict[str, str]:
    """Grade id to text."""
    cells = [cell for cell in book["cells"] if "nbgrader" in cell["metadata"]]
    return {cell["metadata"]["nbgrader"]["grade_id"]: cell["source"] for cell in cells}


def handed_in(**change: Any) -> Book:
    book = copy.deepcopy(RELEASE)
    book["cells"][1]["source"] = "def f(): return 1"
    book["cells"].insert(1, code("mine = 1"))
    return book | change


def said(book: Book) -> str:
    top = book["cells"][0]
    return top["source"] if "About this file" in top["source"] else ""


def test_a_notebook_in_order_is_taken_as_it_is() -> None:
    book = mended(json.dumps(handed_in()), RELEASE)
    assert not said(book)
    assert [cell["source"] for cell in book["cells"]] == [
        "# Title", "mine = 1", "def f(): return 1", "check f", "def g(): ...", "check g",
    ]  # fmt: skip


def test_outputs_and_metadata_of_the_student_are_not_taken() -> None:
    book = handed_in()
    for cell in book["cells"]:
        cell["metadata"]["tags"] = ["skip-execution"]  # would skip a check, and leave its points
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    made = mended(json.dumps(book), RELEASE)
    assert not any(cell["metadata"].get("tags") for cell in made["cells"])
    assert not any(cell.get("outputs") for cell in made["cells"])


def test_a_changed_check_is_put_back_and_said() -> None:
    book = handed_in()
    book["cells"][3]["source"] = "print('all right')"
    book["cells"][3]["metadata"]["nbgrader"]["points"] = 200
    book["cells"][3]["cell_type"] = "raw"
    made = mended(json.dumps(book), RELEASE)
    assert taken(made)["check-f"] == "check f" and "check-f" in said(made)
    cell = next(c for c in made["cells"] if c["source"] == "check f")
    assert cell["metadata"]["nbgrader"]["points"] == 2 and cell["cell_type"] == "code"


@pytest.mark.parametrize("gone", [["check-f"], ["f"], ["f", "check-f"], ["f", "check-f", "g"]])
def test_deleted_cells_come_back_in_their_place(gone: list[str]) -> None:
    book = handed_in()
    book["cells"] = [
        cell
        for cell in book["cells"]
        if cell["metadata"].get("nbgrader", {}).get("grade_id") not in gone
    ]
    made = mended(json.dumps(book), RELEASE)
    assert set(taken(made)) == {"f", "check-f", "g", "check-g"}
    assert all(name in said(made) for name in gone)
    places = [cell["source"] for cell in made["cells"]]
    assert places.index("check g") > places.index("def g(): ...")
    if "f" not in gone:
        assert places.index("check f") == places.index("def f(): return 1") + 1


def test_of_a_copied_cell_the_last_one_counts() -> None:
    book = handed_in()
    again = copy.deepcopy(book["cells"][2]) | {"source": "def f(): return 2"}
    book["cells"].insert(3, again)
    made = mended(json.dumps(book), RELEASE)
    assert taken(made)["f"] == "def f(): return 2" and "several times" in said(made)
    assert "def f(): return 1" in [cell["source"] for cell in made["cells"]]


@pytest.mark.parametrize(
    "text",
    [
        "", " \n", "not json", "[]", "3", "null", "{}", '{"cells": 3}', '{"cells": null}',
        '{"cells": []}', "[" * 100_000, "\ufffd\ufffd", "%PDF-1.4",
    ],
)  # fmt: skip
def test_what_is_no_notebook_is_graded_as_the_release(text: str) -> None:
    made = mended(text, RELEASE)
    assert taken(made) == taken(RELEASE) and said(made)


@pytest.mark.parametrize(
    "cell",
    [
        None, 3, "text", {}, {"cell_type": "code"}, {"cell_type": 3, "source": 3},
        {"cell_type": "code", "source": ["a", 3, None], "metadata": []},
        {"cell_type": "code", "source": "a", "metadata": {"nbgrader": {"grade_id": ["f"]}}},
        {"cell_type": "code", "source": "a", "metadata": {"nbgrader": 3}},
        {"cell_type": "code", "source": "a", "metadata": {"nbgrader": {"grade_id": "unknown"}}},
    ],
)  # fmt: skip
def test_a_damaged_cell_does_no_harm_to_the_others(cell: Any) -> None:
    import nbformat

    book = handed_in()
    book["cells"].insert(2, cell)
    made = mended(json.dumps(book), RELEASE)
    nbformat.validate(nbformat.from_dict(made))
    assert taken(made)["f"] == "def f(): return 1"


def test_lines_may_come_as_a_list() -> None:
    book = handed_in()
    book["cells"][2]["source"] = ["def f():\n", "    return 3"]
    assert taken(mended(json.dumps(book), RELEASE))["f"] == "def f():\n    return 3"


@pytest.mark.parametrize("kind", ["folder", "link", "dangling", "large"])
def test_what_is_no_file_of_its_own_is_not_read(tmp_path: Path, kind: str) -> None:
    folder, outside = tmp_path / "handed-in", tmp_path / "solution.ipynb"
    folder.mkdir()
    outside.write_text('{"cells": []}', encoding="utf-8")
    path = folder / "1_first.ipynb"
    if kind == "folder":
        path.mkdir()
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(MOST_BYTES + 1)
    else:
        path.symlink_to(outside if kind == "link" else tmp_path / "nowhere")
    place_notebook(folder, "1_first", tmp_path / "placed.json")
    notes: list[str] = []
    assert content(path, notes) == "" and len(notes) == 1
    words = {"folder": "a folder or the like", "large": "more than 20"}.get(kind, "a link to")
    assert words in notes[0]
    assert said(mended("", RELEASE, notes)).count("\n- ") == 1  # said once
    assert kind == "large" or own_files(folder) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_windows_makes_of_a_file_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "1_first.ipynb"
    path.write_bytes(json.dumps(handed_in(), ensure_ascii=False).encode(encoding))
    notes: list[str] = []
    assert taken(mended(content(path, notes), RELEASE, notes))["f"] == "def f(): return 1"
    assert not notes


def test_half_a_character_can_be_written_again() -> None:
    book = handed_in()
    book["cells"][2]["source"] = "f = '\ud83d'"
    json.dumps(mended(json.dumps(book), RELEASE), ensure_ascii=False).encode("utf-8")


def test_no_more_text_is_taken_than_a_page_can_show() -> None:
    book = handed_in()
    book["cells"] += [code("x" * MOST_TEXT), code("y")]
    made = mended(json.dumps(book), RELEASE)
    assert sum(len(cell["source"]) for cell in made["cells"]) < MOST_TEXT + 1000
    assert taken(made)["f"] == "def f(): return 1" and "characters" in said(made)


def test_an_old_format_is_named() -> None:
    old = {"nbformat": 3, "worksheets": [{"cells": []}]}
    assert "nbformat 3" in said(mended(json.dumps(old), RELEASE))
