"""The model solutions pass, whoever's numbers they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softcam.checks import Passed, check, tasks
from softcam.course.sealed import entries
from softcam.course.sources import assignment_number

SEALED = Path(__file__).parents[2] / "notebooks" / "assignments" / "solutions.sealed"
Answers = Callable[[int, str], dict[str, Any]]


def _sealed() -> list[int]:
    """The assignments whose solutions are sealed; their names stand in clear."""
    return [assignment_number(each["name"]) for each in entries(SEALED.read_text(encoding="utf-8"))]


def _all_right(answers: dict[str, Any], assignment: int, student: str) -> None:
    for task in tasks(assignment):
        if not task.rubric:
            assert isinstance(check(task.name, answers[task.name], student=student), Passed)


@pytest.mark.slow
@pytest.mark.parametrize("assignment", _sealed())
def test_the_model_solution_is_right_for_any_student(
    assignment: int, right_answers: Answers
) -> None:
    for student in ("ada", "grace", ""):
        _all_right(right_answers(assignment, student), assignment, student)


@pytest.mark.slow
@pytest.mark.parametrize("assignment", _sealed())
def test_the_model_solution_is_right_for_fifty_students(
    assignment: int, right_answers: Answers
) -> None:
    for student in range(50):
        _all_right(
            right_answers(assignment, f"student-{student}"), assignment, f"student-{student}"
        )
