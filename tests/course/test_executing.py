"""What becomes of the outputs of a graded cell, and what of the environment a kernel gets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbgrader")

import nbformat.v4 as v4  # noqa: E402
from nbgrader.utils import determine_grade  # noqa: E402

from softcam.course import grader  # noqa: E402
from softcam.course.executing import clean_environment, settled  # noqa: E402
from softcam.course.session import RECEIPT, receipt  # noqa: E402

SEAL = "of this run"
NAME = "cam"


def handed(*hidden: bool, seal: str = SEAL, name: str = NAME) -> list[Any]:
    """Receipts as a check publishes them."""
    texts = [receipt(seal, name, each) for each in hidden]
    return [v4.new_output("display_data", data={RECEIPT: text}) for text in texts]


def points(outputs: list[Any], grade_id: str = f"check-{NAME}") -> tuple[float, list[Any]]:
    """What nbgrader gives for a cell with these outputs, of 5, and what is shown of them."""
    cell = v4.new_code_cell("check", outputs=outputs)
    graded = {"grade": True, "solution": False, "grade_id": grade_id, "points": 5}
    cell.metadata["nbgrader"] = graded
    cell.outputs = settled(cell, SEAL)
    return float(determine_grade(cell)[0]), cell.outputs


def test_two_receipts_are_the_points_and_are_not_shown() -> None:
    said = v4.new_output("stream", name="stdout", text="right")
    assert points([*handed(False), said, *handed(True)]) == (5, [said])


@pytest.mark.parametrize(
    "outputs",
    [
        [],
        [v4.new_output("stream", name="stdout", text="cam: right. Score: 5 / 5")],
        handed(False),
        handed(True, True),
        handed(False, True, seal="of another run"),
        handed(False, True, name="upsample"),
        [v4.new_output("execute_result", data={"text/plain": "5"})],
    ],
    ids=["silent", "words", "shown-only", "hidden-only", "old", "other-task", "number"],
)
def test_without_its_receipts_a_check_has_no_points(outputs: list[Any]) -> None:
    found, shown = points(outputs)
    assert found == 0 and shown[-1].ename == "NoReceipt"
    assert "has not said that it passed" in shown[-1].evalue


def test_a_failed_check_stays_one_whatever_else_is_shown() -> None:
    error = v4.new_output("error", ename="CheckFailed", evalue="no", traceback=["no"])
    number = v4.new_output("execute_result", data={"text/plain": "5"})
    found, shown = points([number, *handed(False), error])
    assert found == 0 and [each.output_type for each in shown] == ["display_data", "error"]


@pytest.mark.parametrize("shown", ["500", "-1", "0", "nan"])
def test_a_number_that_a_check_shows_is_not_its_points(shown: str) -> None:
    number = v4.new_output("execute_result", data={"text/plain": shown}, execution_count=1)
    assert points([*handed(False, True), number])[0] == 5


def test_words_on_stderr_are_no_failure() -> None:
    late = v4.new_output("stream", name="stderr", text="of a thread")
    assert points([*handed(False, True), late])[0] == 5


def test_a_cell_that_an_instructor_grades_otherwise_is_left_alone() -> None:
    number = v4.new_output("execute_result", data={"text/plain": "2"}, execution_count=1)
    assert points([number], grade_id="my-own-test")[0] == 2


def test_a_kernel_gets_no_passwords_and_imports_nothing_from_where_it_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_TOKEN", "x")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "here", str(tmp_path)]))
    found = clean_environment(tmp_path)
    assert "MY_TOKEN" not in found and found["PYTHONSAFEPATH"] == "1"
    assert found["PYTHONPATH"].split(os.pathsep) == [os.path.abspath("here"), str(tmp_path)]


@pytest.mark.slow
def test_a_gradebook_needs_no_activated_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """nbgrader calls the program `alembic` for a new one."""
    monkeypatch.delenv("PATH")
    with grader.gradebook(tmp_path) as book:
        assert book.students == []
    assert "PATH" not in os.environ


def test_the_path_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "nowhere")
    with grader._scripts_on_path():
        first, *_, last = os.environ["PATH"].split(os.pathsep)
        assert Path(first, "alembic").exists() or Path(first, "alembic.exe").exists()
        assert last == "nowhere"
    assert os.environ["PATH"] == "nowhere"
