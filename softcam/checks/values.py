"""Answers that are numbers: read by name, compared, and the mistake behind wrong ones named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy import allclose  # a notebook may put something else into `numpy`

from softcam.checks.comparing import array_in_words, plain
from softcam.checks.records import CheckFailed, Passed, ValueQuestion
from softcam.common import SoftCAMError

__all__ = ["check_values", "draw_values"]

TRIES = 1000


def check_values(question: ValueQuestion, value: Any, data: dict[str, Any]) -> Passed:
    """Compare a student's answers with those that follow from the student's data."""
    arrays = {name: plain(each) for name, each in data.items()}
    expected = _answers(question.answer, arrays)
    found = _read(value, expected)
    wrong = [key for key in expected if not _near(found[key], expected[key], question.tolerance)]
    if wrong:
        raise _named(question, arrays, found, expected, wrong)
    return Passed(question.name.replace("_", " "), ((len(expected), "answers"),))


def draw_values(question: ValueQuestion, generator: np.random.Generator) -> dict[str, Any]:
    """Data of a student, drawn until every known mistake gives another answer than the right one.

    Raises:
        SoftCAMError: a question for which that does not happen.
    """
    for _ in range(TRIES):
        data = question.draw(generator)
        arrays = {name: plain(each) for name, each in data.items()}
        right = _answers(question.answer, arrays)
        wrong = [_answers(mistake.function, arrays) for mistake in question.mistakes]
        if not any(_agree(right, each, 4 * question.tolerance) for each in wrong):
            return data
    raise SoftCAMError(f"no data found for {question.name}: one of its mistakes is no mistake.")


def _answers(function: Callable[..., dict[str, Any]], arrays: Any) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):
        return {key: _array(each) for key, each in function(**arrays).items()}


def _agree(a: dict[str, np.ndarray], b: dict[str, np.ndarray], tolerance: float) -> bool:
    return all(a[key].shape == b[key].shape and _near(a[key], b[key], tolerance) for key in a)


def _named(
    question: ValueQuestion,
    arrays: dict[str, Any],
    found: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    wrong: list[str],
) -> CheckFailed:
    """The known mistake that gives the wrong answers; the right numbers are not told."""
    said = "; ".join(f"{key} = {_words(found[key])}" for key in wrong)
    right = [key for key in expected if key not in wrong]
    fine = f"Right: {', '.join(right)}." if right else ""
    for everything in (True, False):  # a mistake behind all answers, else behind the wrong ones
        for mistake in question.mistakes:
            theirs = _answers(mistake.function, arrays)
            keys = expected if everything else wrong
            if all(_near(found[key], theirs[key], question.tolerance) for key in keys):
                return CheckFailed(
                    mistake.slug,
                    mistake.words,
                    f"Wrong: {said}. {fine}",
                    f"Look at: {mistake.look}",
                )
    return CheckFailed(
        "value",
        f"Not right: {said}. {fine}",
        "Look at: the definition, once more, with your own numbers.",
    )


def _read(value: Any, expected: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The student's answers as arrays, each refused in words that is none."""
    if not isinstance(value, Mapping):
        raise CheckFailed(
            "type",
            f"Your answer is {value!r}: expected a dictionary with {', '.join(expected)}.",
        )
    unknown = [str(key) for key in value if key not in expected]
    if unknown:
        raise CheckFailed(
            "unknown-answer",
            f"Nobody asked for {', '.join(unknown)}: expected {', '.join(expected)}.",
        )
    found = {}
    for key, right in expected.items():
        if key not in value or value[key] is None or value[key] is Ellipsis:
            raise CheckFailed("not-written", f"The answer {key!r} is not given yet.")
        found[key] = _numbers(key, value[key], right)
    return found


def _numbers(key: str, given: Any, right: np.ndarray) -> np.ndarray:
    if right.dtype.kind == "U":
        return np.asarray(str(given))
    try:
        array = given.detach().numpy() if isinstance(given, torch.Tensor) else np.asarray(given)
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise CheckFailed(
            "type", f"{key} is {given!r}: expected {'numbers' if right.ndim else 'a number'}."
        ) from None
    if array.shape != right.shape:
        raise CheckFailed(
            "shape",
            f"{key} has the wrong shape: found {array.shape or 'one number'}, "
            f"expected {right.shape or 'one number'}.",
        )
    return array


def _near(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    if b.dtype.kind == "U" or a.dtype.kind == "U":
        return str(a) == str(b)
    return bool(allclose(a, b, rtol=1e-3, atol=tolerance, equal_nan=True))


def _array(value: Any) -> np.ndarray:
    return np.asarray(value) if isinstance(value, str) else np.asarray(value, np.float64)


def _words(array: np.ndarray) -> str:
    return str(array) if array.dtype.kind == "U" else array_in_words(array)
