"""One script an assignment, with solutions: the single source of its notebook.

Cells begin as in other percent scripts; these have a meaning of their own:

    # %% parameters                   the student's id, `student = "your-id"`
    # %% [markdown] task=NAME         what the task asks; its heading is made from its record
    # %% answer=NAME                  what the student writes, between ### BEGIN SOLUTION and
                                      ### END SOLUTION
    # %% check=NAME                   its check, without a line of its own: it is made here
    # %% [markdown] written=NAME      an answer in words, that a person grades
    # %% show                         a cell that only shows something

NAME is that of a task in `softcam.checks`. From the script comes the notebook with nbgrader's
metadata; from that, nbgrader makes the student version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from softcam.checks import Task, tasks
from softcam.common import SoftCAMError, choose

__all__ = ["NOBODY", "Cell", "assignment_number", "cells_of", "notebook", "solutions"]

NOBODY = "your-id"  # what the parameter cell says until a student writes an id there
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
ROLES = ("parameters", "task", "answer", "check", "written", "show")
SCHEMA = 3  # of nbgrader's metadata

CHECK = """from softcam.course import check

print(check("{name}", {name}, student=student))
### BEGIN HIDDEN TESTS
print(check("{name}", {name}, student=student, hidden=True))
### END HIDDEN TESTS"""


@dataclass(frozen=True)
class Cell:
    """A cell of a source.

    Attributes:
        role: of `ROLES`, or empty.
        task: the name that goes with it, or empty.
        markdown: text rather than code.
        text: what stands in it.
    """

    role: str
    task: str
    markdown: bool
    text: str
    line: int = field(compare=False, default=0)


def assignment_number(name: str) -> int:
    """1 for `1_cam_by_hand`.

    Raises:
        SoftCAMError: a name that does not begin with the number of an assignment.
    """
    found = re.fullmatch(r"(\d)_[a-z0-9_]+", name)
    if not found:
        raise SoftCAMError(f"a source is called {name!r}: expected such as '1_cam_by_hand'.")
    return int(found[1])


def cells_of(name: str, script: str) -> list[Cell]:
    """The cells of a script, checked against the tasks of its assignment.

    Raises:
        SoftCAMError: a cell that is not as the module's docstring says; names the line.
    """
    cells = []
    pieces = re.split(r"^(?=# %%)", script, flags=re.M)
    line = 1 + pieces[0].count("\n")
    for piece in pieces[1:]:
        head, _, body = piece.partition("\n")
        cells.append(_cell(f"{name}, line {line}", head, body.strip("\n"), line))
        line += piece.count("\n")
    _check_whole(name, cells)
    return cells


def _cell(place: str, head: str, body: str, line: int) -> Cell:
    words = head.removeprefix("# %%").split()
    markdown = "[markdown]" in words
    named = [word for word in words if word != "[markdown]"]
    if len(named) > 1:
        raise SoftCAMError(f"{place}: a cell has one role, found {' '.join(named)!r}.")
    role, _, task = named[0].partition("=") if named else ("", "", "")
    if role:
        choose(f"role of a cell ({place})", role, ROLES)
    if markdown != (role in ("task", "written")) and role:
        raise SoftCAMError(f"{place}: {role} is for {'code' if markdown else '[markdown]'} cells.")
    if markdown:
        body = "\n".join(re.sub(r"^# ?", "", each) for each in body.split("\n")).strip("\n")
    if role in ("answer", "written") and not (BEGIN in body and END in body):
        raise SoftCAMError(f"{place}: {role}={task} has no region from {BEGIN} to {END}.")
    if role == "check" and body:
        raise SoftCAMError(f"{place}: the check of {task} is made, expected no line of its own.")
    return Cell(role, task, markdown, body, line)


def _check_whole(name: str, cells: list[Cell]) -> None:
    """Every task has its heading, its answer and, unless it is graded by hand, its check; once."""
    known = {task.name: task for task in tasks(assignment_number(name))}
    if [cell.role for cell in cells].count("parameters") != 1:
        raise SoftCAMError(f"{name}: expected one cell `# %% parameters`.")
    for cell in cells:
        if cell.role in ("task", "answer", "check", "written"):
            choose(f"task of assignment {name}, line {cell.line}", cell.task, known)
    for task in known.values():
        expected = ["task", "written"] if task.rubric else ["task", "answer", "check"]
        found = [cell.role for cell in cells if cell.task == task.name]
        if found != expected:
            raise SoftCAMError(
                f"{name}: task {task.name} has the cells {found}, expected {expected} in order."
            )


def notebook(name: str, script: str) -> dict[str, Any]:
    """The instructor's notebook of a script, nbformat 4.5, with nbgrader's metadata."""
    known = {task.name: task for task in tasks(assignment_number(name))}
    cells = [_as_json(number, cell, known) for number, cell in enumerate(cells_of(name, script))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _as_json(number: int, cell: Cell, known: Mapping[str, Task]) -> dict[str, Any]:
    text = cell.text
    metadata: dict[str, Any] = {}
    if cell.role == "parameters":
        metadata = {"tags": ["parameters"]}
    elif cell.role == "task":
        text = _heading(known[cell.task], text)
    elif cell.role == "check":
        text = CHECK.format(name=cell.task)
        points = known[cell.task].points
        metadata = {"nbgrader": _graded(f"check-{cell.task}", grade=True, points=points)}
    elif cell.role == "answer":
        metadata = {"nbgrader": _graded(cell.task, solution=True)}
    elif cell.role == "written":
        points = known[cell.task].points
        both = _graded(cell.task, grade=True, solution=True, points=points)
        metadata = {"nbgrader": both}
    kind = "markdown" if cell.markdown else "code"
    made = {"cell_type": kind, "id": f"cell-{number:02d}", "metadata": metadata, "source": text}
    return made if cell.markdown else {**made, "execution_count": None, "outputs": []}


def _graded(
    grade_id: str, *, grade: bool = False, solution: bool = False, points: int | None = None
) -> dict[str, Any]:
    """nbgrader's metadata of a cell."""
    made: dict[str, Any] = {
        "grade": grade,
        "grade_id": grade_id,
        "locked": grade and not solution,
        "schema_version": SCHEMA,
        "solution": solution,
        "task": False,
    }
    return made if points is None else {**made, "points": points}


def _heading(task: Task, prose: str) -> str:
    """What every task says: purpose, difficulty, minutes, points, its prose, a folded hint."""
    stars = "●" * task.difficulty + "○" * (3 - task.difficulty)
    graded = "graded by a person" if task.rubric else "graded by its check"
    parts = [
        f"## {task.number} `{task.name}`",
        f"**What it is for.** {task.purpose}",
        f"{stars} difficulty {task.difficulty} of 3, about {task.minutes} minutes, "
        f"{task.points} points, {graded}.",
        prose,
        f"**What goes in and comes out.** {task.signature}",
    ]
    if task.rubric:
        criteria = "\n".join(f"- {each}" for each in task.rubric)
        parts.append(f"**One point each:**\n\n{criteria}")
    parts.append(f"<details><summary>Hint</summary>\n\n{task.hint}\n\n</details>")
    return "\n\n".join(part for part in parts if part)


def solutions(name: str, script: str, *, student: str = NOBODY) -> dict[str, Any]:
    """What the code of a source defines, by name: the functions and numbers that are asked for.

    Args:
        name: of the source, such as `1_cam_by_hand`.
        script: its text.
        student: whose numbers are worked out.
    """
    space: dict[str, Any] = {"__name__": f"solutions_{name}"}
    for cell in cells_of(name, script):
        if cell.markdown or cell.role in ("check", "show"):
            continue
        exec(compile("\n" * cell.line + cell.text, f"{name}.py", "exec"), space)
        if cell.role == "parameters":
            space["student"] = student
    return space
