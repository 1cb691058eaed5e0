"""A script becomes nbgrader's notebook; one that is not in order is refused with its line."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from softcam.checks import tasks
from softcam.common import SoftCAMError, UnknownNameError
from softcam.course.sources import assignment_number, cells_of, notebook, solutions

NAME = "1_cam_by_hand"
CHECKOUT = Path(__file__).parents[2]


def script(**change: str) -> str:
    """A source of assignment 1 with next to nothing in it; `change` replaces a task's answer."""
    parts = ["# %% [markdown]", "# # Title", "# %% parameters", 'student = "your-id"']
    for task in tasks(1):
        body = f"{task.name} = 0\n### BEGIN SOLUTION\n{task.name} = 42, student\n### END SOLUTION"
        parts += [f"# %% [markdown] task={task.name}", f"# About {task.name}."]
        parts += [change.get(task.name, f"# %% answer={task.name}\n{body}")]
        parts += [f"# %% check={task.name}"]
    return "\n".join(parts) + "\n"


def test_every_task_becomes_a_heading_an_answer_and_a_check() -> None:
    book = notebook(NAME, script())
    by_id = {
        cell["metadata"]["nbgrader"]["grade_id"]: cell
        for cell in book["cells"]
        if "nbgrader" in cell["metadata"]
    }
    for task in tasks(1):
        check, answer = by_id[f"check-{task.name}"], by_id[task.name]
        assert check["metadata"]["nbgrader"]["points"] == task.points
        assert (
            check["metadata"]["nbgrader"]["locked"] and answer["metadata"]["nbgrader"]["solution"]
        )
        assert f'check("{task.name}", {task.name}, student=student)' in check["source"]
        assert "hidden=True" in check["source"].split("BEGIN HIDDEN TESTS")[1]
        assert "hidden=True" not in check["source"].split("BEGIN HIDDEN TESTS")[0]
        heading = next(c["source"] for c in book["cells"] if f"## {task.number} " in c["source"])
        for word in (task.purpose, f"{task.minutes} minutes", f"About {task.name}.", "<details>"):
            assert word in heading
        assert heading.index(task.hint) > heading.index("<details>")


def test_nbgrader_takes_the_notebook() -> None:
    pytest.importorskip("nbgrader")
    import nbformat
    from nbgrader.nbgraderformat import MetadataValidator

    book = nbformat.from_dict(notebook(NAME, script()))
    nbformat.validate(book)
    MetadataValidator().validate_nb(book)


def test_solutions_are_those_of_the_student() -> None:
    space = solutions(NAME, script(), student="ada")
    assert space["cam"] == (42, "ada")
    assert solutions(NAME, script())["cam"] == (42, "your-id")


def test_a_cell_that_only_shows_is_not_run() -> None:
    assert "cam" in solutions(NAME, script() + "# %% show\nraise RuntimeError\n")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("# %% answer=cam\ncam = 1", "no region"),
        ("# %% answer=kam\n### BEGIN SOLUTION\n### END SOLUTION", "unknown task"),
        ("# %% anser=cam", "unknown role"),
        ("# %% answer=cam show", "one role"),
        ("# %% [markdown] answer=cam", "is for code cells"),
        ("# %% task=cam", r"is for \[markdown\] cells"),
        ("# %%", "expected .*'task', 'answer', 'check'"),
        ("# %% check=cam\nprint(1)", "expected no line of its own"),
        ("# %% parameters", "one cell `# %% parameters`"),
    ],
)
def test_what_is_not_in_order_is_named(answer: str, words: str) -> None:
    with pytest.raises((SoftCAMError, UnknownNameError), match=words):
        cells_of(NAME, script(cam=answer))


def test_an_error_names_the_line() -> None:
    bad = script(cam="# %% answer=cam\ncam = 1")
    line = bad.splitlines().index("# %% answer=cam") + 1
    with pytest.raises(SoftCAMError, match=f"{NAME}, line {line}"):
        cells_of(NAME, bad)


def test_a_name_begins_with_its_number() -> None:
    assert assignment_number("3_penalty") == 3
    with pytest.raises(SoftCAMError, match="penalty"):
        assignment_number("penalty")


def test_a_part_in_words_is_graded_by_a_person() -> None:
    written = next(task for task in tasks() if task.rubric)
    parts = ['# %% parameters\nstudent = "your-id"']
    for task in tasks(written.assignment):
        parts.append(f"# %% [markdown] task={task.name}")
        if task.rubric:
            body = "# ### BEGIN SOLUTION\n# because\n# ### END SOLUTION"
            parts.append(f"# %% [markdown] written={task.name}\n{body}")
        else:
            body = "### BEGIN SOLUTION\n### END SOLUTION"
            parts.append(f"# %% answer={task.name}\n{body}\n# %% check={task.name}")
    book = notebook(f"{written.assignment}_x", "\n".join(parts))
    cell = next(
        cell
        for cell in book["cells"]
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == written.name
    )
    graded = cell["metadata"]["nbgrader"]
    assert cell["cell_type"] == "markdown" and graded["grade"] and graded["solution"]
    assert graded["points"] == written.points and not graded["locked"]
    assert textwrap.dedent(cell["source"]).startswith("### BEGIN SOLUTION")


@pytest.mark.parametrize("number", range(1, 7))
def test_the_minutes_are_those_of_the_tasks_wherever_they_are_said(number: int) -> None:
    minutes = sum(task.minutes for task in tasks(number))
    points = sum(task.points for task in tasks(number))
    (book,) = (CHECKOUT / "notebooks" / "assignments").glob(f"{number}_*.ipynb")
    assert f"**Minutes.** About {minutes}." in book.read_text(encoding="utf-8")
    lines = (CHECKOUT / "docs" / "instructors.md").read_text(encoding="utf-8").splitlines()
    (row,) = (line for line in lines if re.match(rf"\| {number} [A-Z]", line))
    cells = [cell.strip() for cell in row.split("|")]
    assert (cells[2], cells[3].split(",")[0]) == (str(minutes), str(points)), row
