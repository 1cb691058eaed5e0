"""Every wrong answer fails, and the check calls its mistake by name."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import pytest

from softcam.checks import CheckFailed, check, numbers, tasks
from tests.checks.wrong_answers import WrongAnswer, wrong_answers

ASSIGNMENTS = range(1, 7)
STUDENTS = {2: 4}  # a network costs more than a few sums
TYPICAL = [each for n in ASSIGNMENTS for each in wrong_answers(n)]


def _verdict(answer: WrongAnswer, student: str, secret: str = "") -> str:
    """The mistake that the check names, or `passed`."""
    function: Any = answer.function
    if list(inspect.signature(function).parameters) == ["numbers"]:
        function = function(numbers(answer.task, student))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a wrong answer may do what torch warns of
            check(answer.task, function, student=student, secret=secret)
    except CheckFailed as failed:
        return failed.mistake
    return "passed"


@pytest.mark.slow
@pytest.mark.parametrize("answer", TYPICAL, ids=lambda each: each.function.__name__)
def test_a_wrong_answer_is_called_by_its_name(answer: WrongAnswer) -> None:
    assert _verdict(answer, "ada", "hidden") == answer.mistake


@pytest.mark.slow
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_a_mistake_has_the_same_name_for_every_student(assignment: int) -> None:
    found = {
        (answer.function.__name__, verdict)
        for answer in wrong_answers(assignment)
        for student in range(STUDENTS.get(assignment, 20))
        if (verdict := _verdict(answer, f"student-{student}")) != answer.mistake
    }
    assert not found


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_there_are_ten_wrong_answers_and_one_for_every_task(assignment: int) -> None:
    answers = wrong_answers(assignment)
    assert len({(each.task, each.mistake) for each in answers}) >= 10
    checked = {task.name for task in tasks(assignment) if not task.rubric}
    assert checked == {each.task for each in answers}


def test_a_wrong_answer_can_be_put_into_a_notebook() -> None:
    answer = next(each for each in wrong_answers(1) if each.mistake == "bias-forgotten")
    space: dict[str, Any] = {}
    exec(f"import torch\n{answer.source}", space)
    with pytest.raises(CheckFailed, match="The bias is missing"):
        check("evidence_maps", space["evidence_maps"])
