"""What the checks say besides the mistakes: tasks, seeds, hidden variants, the words."""

from __future__ import annotations

import importlib
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from softcam.checks import CheckFailed, check, numbers, tasks
from softcam.checks.asking import questions
from softcam.checks.comparing import plain
from softcam.checks.records import Mistake, Question, ValueQuestion
from softcam.common import SoftCAMError, UnknownNameError


def _mean(maps: Tensor) -> Tensor:
    return maps.mean((2, 3))


def _words(name: str, function: object, **options: str) -> str:
    with pytest.raises(CheckFailed) as caught:
        check(name, function, **options)
    return str(caught.value)


@pytest.mark.parametrize("assignment", range(1, 7))
def test_an_assignment_has_the_size_that_was_asked_for(assignment: int) -> None:
    found = tasks(assignment)
    assert [task.number for task in found] == [f"{assignment}.{k + 1}" for k in range(len(found))]
    assert 45 <= sum(task.minutes for task in found) <= 90
    assert 10 <= sum(task.points for task in found) <= 20
    for task in found:
        assert task.difficulty in (1, 2, 3) and task.purpose and task.hint and task.signature


def test_names_are_unique_and_each_task_has_a_check_or_a_rubric() -> None:
    names = [task.name for task in tasks()]
    assert len(set(names)) == len(names)
    assert {task.name for task in tasks() if not task.rubric} == set(questions())
    (by_hand,) = [task for task in tasks() if task.rubric]
    assert by_hand.points == len(by_hand.rubric) == 4


def test_masked_names_exist() -> None:
    for full in {name for task in tasks() for name in task.masked}:
        module, _, name = full.rpartition(".")
        assert hasattr(importlib.import_module(module), name), f"{full} is masked but is no more"


def test_unknown_assignments_and_tasks() -> None:
    with pytest.raises(SoftCAMError, match="no assignment 7: expected one of 1, 2, 3, 4, 5, 6"):
        tasks(7)
    with pytest.raises(UnknownNameError, match="did you mean 'cam'"):
        check("camm", _mean)
    with pytest.raises(SoftCAMError, match="graded by a person"):
        check("argument", "a text")


def test_the_verdict_says_what_was_tried() -> None:
    assert str(check("logits_from_maps", _mean)).startswith("logits from maps: 6 random inputs, ")
    assert str(check("logits_from_maps", _mean)).endswith("right")


def test_a_student_has_numbers_of_their_own() -> None:
    ada, again, grace = (numbers("map_by_hand", s)["features"] for s in ("ada", "ada", "grace"))
    assert torch.equal(ada, again) and not torch.equal(ada, grace)
    answers = {"map": ada[0], "logits": [0.0, 0.0], "hottest": [0, 0]}
    assert "Not right: map" in _words("map_by_hand", answers, student="ada")


def test_a_secret_draws_other_inputs_but_keeps_the_student_s_numbers() -> None:
    def seen(**options: str) -> list[float]:
        kept: list[float] = []

        def function(maps: Tensor) -> Tensor:
            kept.append(float(maps.flatten()[0]))
            return maps.mean((2, 3))

        check("logits_from_maps", function, **options)
        return kept

    assert seen(student="ada") == seen(student="ada")
    assert seen(student="ada")[0] != seen(student="ada", secret="known to none")[0]
    assert seen(student="ada")[0] == float(numbers("logits_from_maps", "ada")["maps"].flatten()[0])


def test_inputs_belong_to_the_student_who_may_change_a_copy_of_numbers() -> None:
    numbers("which_cheats", "ada")["a"]["maps"].zero_()
    assert numbers("which_cheats", "ada")["a"]["maps"].any()


def test_an_exception_names_the_student_s_own_line() -> None:
    def function(maps: Tensor) -> Tensor:
        flat = maps.flatten()
        return flat.reshape(7, 7, 7)

    words = _words("logits_from_maps", function)
    assert "raises RuntimeError: shape" in words
    assert "in line 3 of function: return flat.reshape(7, 7, 7)" in words


def test_a_mistake_of_a_factor_or_an_offset_is_seen_without_being_known() -> None:
    assert "times a factor (3" in _words("logits_from_maps", lambda maps: 3 * maps.mean((2, 3)))
    assert "plus the same number" in _words("logits_from_maps", lambda maps: 1 + maps.mean((2, 3)))
    assert "NaN" in _words("logits_from_maps", lambda maps: maps.mean((2, 3)) * float("nan"))
    assert "The numbers are wrong" in _words("logits_from_maps", lambda maps: maps[:, :, 0, 0])


def test_what_is_no_function_is_refused_in_words() -> None:
    assert "is None, not a function" in _words("cam", None)
    assert "expected a dictionary with map, logits, hottest" in _words("map_by_hand", 3)
    assert "'logits' is not given yet" in _words("map_by_hand", {"map": [[0.0] * 4] * 4})


def test_exit_is_an_exception_and_an_interrupt_is_not() -> None:
    def leaves(maps: Tensor) -> Tensor:
        raise SystemExit

    def interrupted(maps: Tensor) -> Tensor:
        raise KeyboardInterrupt

    assert "raises SystemExit" in _words("logits_from_maps", leaves)
    with pytest.raises(KeyboardInterrupt):
        check("logits_from_maps", interrupted)


def test_an_answer_in_float64_is_as_right() -> None:
    check("logits_from_maps", lambda maps: maps.double().mean((2, 3)))


def test_a_failure_never_shows_the_numbers_that_a_student_has_to_find() -> None:
    given = numbers("map_by_hand", "ada")
    words = _words(
        "map_by_hand",
        {"map": torch.zeros(4, 4), "logits": [123.0, 456.0], "hottest": [0, 0]},
        student="ada",
    )
    right = torch.einsum("d,dij->ij", given["weight"][1], given["features"]) + given["bias"][1]
    assert str(float(right.mean())) not in words and "expected" not in words


def _as_student(mistake: Mistake) -> Callable[..., Any]:
    """A known mistake, which computes in NumPy, as a function of tensors."""

    def function(*arguments: Any) -> Any:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            value = mistake.function(*(plain(each) for each in arguments))
        if isinstance(value, tuple):
            return tuple(torch.from_numpy(np.asarray(each, float).copy()) for each in value)
        if type(value) in (str, float):
            return value
        return torch.from_numpy(np.asarray(value, float).copy())

    return function


KNOWN = [
    pytest.param(name, mistake, id=f"{name}-{k}-{mistake.slug}")
    for name, question in sorted(questions().items())
    if isinstance(question, Question) and not question.read
    for k, mistake in enumerate(question.mistakes)
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mistake"), KNOWN)
def test_every_known_mistake_is_found_as_itself(name: str, mistake: Mistake) -> None:
    """No mistake is right on all inputs, which would accuse the innocent, or hides another."""
    with pytest.raises(CheckFailed) as caught:
        check(name, _as_student(mistake), student="ada")
    assert caught.value.mistake == mistake.slug
    assert mistake.words in str(caught.value) or mistake.slug in SHARED
    assert mistake.words[0].isupper() and "Look at: " in str(caught.value)


# Several known mistakes of one name: which of their wordings fits may be open.
SHARED = {slug for slug, n in Counter(each.values[1].slug for each in KNOWN).items() if n > 1}


@pytest.mark.parametrize(
    "name", [n for n, q in questions().items() if isinstance(q, ValueQuestion)]
)
def test_every_known_mistake_with_numbers_is_found_as_itself(name: str) -> None:
    question, data = questions()[name], numbers(name, "ada")
    assert isinstance(question, ValueQuestion)
    arrays = {key: plain(each) for key, each in data.items()}
    check(name, question.answer(**arrays), student="ada")
    for mistake in question.mistakes:
        with pytest.raises(CheckFailed) as caught:
            check(name, mistake.function(**arrays), student="ada")
        assert caught.value.mistake == mistake.slug
