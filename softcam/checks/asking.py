"""The three verbs: `tasks`, `numbers`, `check`, and the seed that a student's data comes from."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import nn

from softcam.checks.catalogue import task_list
from softcam.checks.diagnosing import diagnose
from softcam.checks.records import CheckFailed, Passed, Question, Task, ValueQuestion
from softcam.checks.running import Outcome, callable_or_fail, outcome
from softcam.checks.values import check_values, draw_values
from softcam.common import SoftCAMError, choose, digest, rng

__all__ = ["check", "numbers", "questions", "tasks"]

STREAM = 0x43484B  # keeps these draws apart from others with the same seed


def tasks(assignment: int | None = None) -> tuple[Task, ...]:
    """The tasks of one assignment (1 to 6), or of all, in order.

    Raises:
        SoftCAMError: no such assignment.
    """
    every = task_list()
    if assignment is None:
        return every
    chosen = tuple(task for task in every if task.assignment == assignment)
    if not chosen:
        known = sorted({task.assignment for task in every})
        raise SoftCAMError(
            f"there is no assignment {assignment!r}: expected one of {', '.join(map(str, known))}."
        )
    return chosen


def numbers(name: str, student: str = "") -> dict[str, Any]:
    """The data of a task that this student sees, by name: tensors, numbers or words.

    For a task whose answer is numbers: what they are worked out from. For a task whose answer is
    a function: arguments to try it on. The same student always gets the same data.

    Args:
        name: of the task.
        student: the student's id.

    Raises:
        UnknownNameError: no such task.
        SoftCAMError: a task without data, which a person grades.
    """
    question = _question(name)
    generator = _generator(name, student, "")
    if isinstance(question, ValueQuestion):
        return draw_values(question, generator)
    return copy.deepcopy(dict(question.cases(generator)[0].arguments))


def check(name: str, function: Any, *, student: str = "", secret: str = "") -> Passed:
    """Check an answer and say what is wrong with it.

    Args:
        name: of the task; also of the function that the student writes.
        function: the student's function, or the answers by name for a task that asks numbers.
        student: the student's id: each gets other inputs and other numbers.
        secret: draws inputs that a student cannot know; numbers a student sees stay the same.

    Returns:
        What was tried; its text says so.

    Raises:
        CheckFailed: a wrong answer. The text names the mistake, shows found and expected on a
            small example, and says what to look at. `.mistake` is its short form.
        UnknownNameError: no such task.
        SoftCAMError: a task that a person grades.
    """
    question = _question(name)
    if isinstance(question, ValueQuestion):
        return check_values(question, function, numbers(name, student))
    callable_or_fail(name, function)
    cases = question.cases(_generator(name, student, secret))
    outcomes = [outcome(function, question, case) for case in cases]
    _same_twice(question, function, outcomes[0])
    failure = diagnose(question, outcomes)
    if failure:
        raise failure
    _nothing_changed(question, outcomes)
    tried = tuple((n, kind) for kind, n in Counter(case.kind for case in cases).items())
    if question.also:
        tried += question.also(function, _generator(name, student, secret, 1))
    return Passed(name.replace("_", " "), tried)


def _nothing_changed(question: Question, outcomes: list[Outcome]) -> None:
    """The values are right: nothing that the function was given may have changed."""
    for each in outcomes:
        if each.changed:
            modules = any(isinstance(v, nn.Module) for v in each.case.arguments.values())
            raise CheckFailed(
                "original-changed" if modules else "in-place",
                f"The values are right, but your function changes what it was given "
                f"({each.case.kind}): {'; '.join(each.changed)}.",
                "Look at: whoever called it still needs the original. Work on a copy of your own, "
                "and put back what you have switched.",
            )


def _same_twice(question: Question, function: Callable[..., Any], first: Outcome) -> None:
    """The first input once more: a function must not remember what it saw before."""
    if first.found is None:
        return
    again = outcome(function, question, first.case)
    if again.found is None or not _equal(again.found, first.found):
        raise CheckFailed(
            "hidden-state",
            "Called twice on the same input, your function gives two results.",
            "Look at: variables outside the function that it reads or changes, and random numbers.",
        )


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, str):
        return bool(a == b)
    return len(a) == len(b) and all(
        np.allclose(x, y, rtol=1e-4, atol=1e-5, equal_nan=True) if x.shape == y.shape else False
        for x, y in zip(a, b, strict=True)
    )


def _generator(name: str, student: str, secret: str, part: int = 0) -> np.random.Generator:
    return rng(int(digest(student, name, secret, length=15), 16), part, STREAM)


def _question(name: str) -> Question | ValueQuestion:
    every = task_list()
    choose("task", name, [task.name for task in every])
    found = questions().get(name)
    if found is None:
        raise SoftCAMError(
            f"{name} is graded by a person, along its rubric: there is nothing to run."
        )
    return found


def questions() -> Mapping[str, Question | ValueQuestion]:
    """How each task is checked, by name; the rooms are imported when the first check runs."""
    from softcam.checks import cheating, conversion, forging, invariant, measures, penalty

    rooms = (invariant, conversion, penalty, measures, cheating, forging)
    return {question.name: question for room in rooms for question in room.QUESTIONS}
