"""A student's function on one input: what came back, and what went wrong around it."""

from __future__ import annotations

import copy
import inspect
import linecache
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from softcam.checks.comparing import Arrays, Unfit, as_arrays, plain, reference_arrays, same
from softcam.checks.keeping import changes
from softcam.checks.records import Case, CheckFailed, Question

__all__ = ["Outcome", "callable_or_fail", "outcome", "plainly", "raised_in_words", "variant"]


@dataclass(frozen=True)
class Outcome:
    """One input and what the function made of it.

    Attributes:
        case: the input.
        expected: what the reference gives.
        found: what the function gave, or None where it raised or gave another type.
        slug, words: what went wrong before values could be compared, or empty.
        changed: what the function changed of its arguments, in words.
    """

    case: Case
    expected: Arrays
    found: Arrays | None
    slug: str = ""
    words: str = ""
    changed: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        return self.found is not None and same(self.found, self.expected)


def callable_or_fail(name: str, function: Any) -> None:
    """Refuse what is no function."""
    if not callable(function):
        raise CheckFailed(
            "no-function",
            f"{name} is {function!r}, not a function: was its name given to something else?",
        )


def outcome(function: Callable[..., Any], question: Question, case: Case) -> Outcome:
    """Call the function on copies of the arguments, and compare with the reference."""
    right = question.reference(*plainly(case))
    expected = reference_arrays(right)
    given = {name: copy.deepcopy(value) for name, value in case.arguments.items()}
    _fits(function, case)
    try:
        with torch.enable_grad():
            result = function(*given.values())
            if question.read and result is not None:
                result = question.read(result, case, given)
        found = as_arrays(result, right)
    except Unfit as unfit:
        return Outcome(case, expected, None, unfit.slug, str(unfit))
    except (Exception, SystemExit) as error:
        slug, words = raised_in_words(function, error)
        return Outcome(case, expected, None, slug, words)
    changed = [changes(name, case.arguments[name], given[name]) for name in given]
    return Outcome(case, expected, found, changed=tuple(each for each in changed if each))


def plainly(case: Case) -> tuple[Any, ...]:
    """Arguments, and the probe where there is one, as the references take them."""
    values = [*case.arguments.values(), *([] if case.probe is None else [case.probe])]
    return tuple(plain(value) for value in values)


def variant(function: Callable[..., Any], case: Case) -> Arrays | None:
    """What a known mistake gives for the input; None where it cannot be computed."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            return reference_arrays(function(*plainly(case)))
    except Exception:  # a transposed weight, say, fits only where C = D
        return None


def raised_in_words(function: Callable[..., Any], error: BaseException) -> tuple[str, str]:
    """Slug and words of an exception, with the line of the student's own code."""
    if isinstance(error, NotImplementedError):
        return "not-written", "This function is not written yet."
    said = f": {_short(str(error))}" if str(error) else ""
    what = f"Your function raises {type(error).__name__}{said}"
    code = getattr(inspect.unwrap(function), "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if code and frame.filename == code.co_filename]
    if not own or code is None:
        return "raises", what
    number = own[-1].lineno or 0
    line = (own[-1].line or linecache.getline(own[-1].filename, number)).strip()
    within = number - code.co_firstlineno + 1
    where = f"in line {within} of {own[-1].name}" if own[-1].name == code.co_name else "in"
    return "raises", f"{what}\n  {where}: {line}" if line else what


def _fits(function: Callable[..., Any], case: Case) -> None:
    """Whether it takes these arguments at all, said before Python says it in its own words."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*case.arguments.values())
    except TypeError:
        wanted = ", ".join(case.arguments)
        raise CheckFailed(
            "signature",
            f"Your function takes {signature}, but it is called with ({wanted}), in this order.",
        ) from None


def _short(text: str, length: int = 300) -> str:
    first = " ".join(text.split())
    return first if len(first) <= length else first[: length - 3] + "..."
