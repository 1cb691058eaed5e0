"""How the notebooks are read: pictures in words, predictions before plots, a figure to debug."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def calls(source: str, name: str) -> Iterator[ast.Call]:
    """The calls of a function in a cell."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def text(call: ast.Call, place: int) -> str:
    """The argument at a place, which is written out in these notebooks."""
    value = call.args[place]
    assert isinstance(value, ast.Constant) and isinstance(value.value, str), ast.unparse(call)
    return value.value


def words(source: str, call: ast.Call) -> str:
    """The alternative text of a `save_figure`, the parts that are written out; empty without."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}.get("alt")
    if isinstance(given, ast.Name):  # alt = "..." in the lines before
        named = [
            node.value
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == given.id
        ]
        given = named[-1] if named else None
    parts = ast.walk(given) if given is not None else ()
    return " ".join(
        str(part.value) for part in parts if isinstance(part, ast.Constant) and part.value
    )


@EACH
def test_every_saved_figure_says_what_is_to_be_seen(path: Path) -> None:
    found = [
        (text(call, 1), words(s, call)) for s in code(path) for call in calls(s, "save_figure")
    ]
    assert found, "no figure is saved"
    short = [name for name, alt in found if len(alt.split()) < 10]
    assert not short, f"an alt of ten words or more is missing in {short}"


@EACH
def test_every_prediction_is_asked_before_it_is_compared(path: Path) -> None:
    asked: list[str] = []
    compared: list[str] = []
    for source in code(path):
        for call in calls(source, "predict_first"):
            mine = [keyword.value for keyword in call.keywords if keyword.arg == "mine"]
            assert len(mine) == 1 and ast.unparse(mine[0]) == "None", "the reader chooses"
            asked.append(text(call, 0))
        for call in calls(source, "compare_prediction"):
            assert text(call, 0) in asked, f"{text(call, 0)} is compared before it is asked"
            letter = call.args[1]
            assert not isinstance(letter, ast.Constant), "the right letter comes from the data"
            compared.append(text(call, 0))
    assert len(asked) >= 2, "two questions are asked before their plots"
    assert sorted(asked) == sorted(compared), "each question is asked once and compared once"
    assert all(name.startswith(f"{path.name[:2]}-") for name in asked)


@EACH
def test_there_is_one_figure_to_debug_and_its_mended_twin(path: Path) -> None:
    whole = path.read_text(encoding="utf-8")
    names = [text(call, 1) for source in code(path) for call in calls(source, "save_figure")]
    wrong = [name for name in names if name.startswith(f"{path.name[:2]}-wrong")]
    assert len(wrong) == 1, "one figure is wrong on purpose, and its file says so"
    assert f"{path.name[:2]}-mended" in names[names.index(wrong[0]) :], "then it is mended"
    (source,) = [s for s in code(path) if f'"{wrong[0]}"' in s]
    assert re.search(r'caption = \(?\s*f?"Wrong on purpose', source), "its caption says so"
    assert "wrong on purpose" in whole.lower().replace(source.lower(), ""), "and so does the text"
