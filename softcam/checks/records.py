"""What a check is made of: the task as it is read, inputs, known mistakes, the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Case", "CheckFailed", "Mistake", "Passed", "Question", "Task", "ValueQuestion"]


@dataclass(frozen=True)
class Task:
    """One graded part of an assignment, as it stands in the notebook.

    Attributes:
        assignment: 1 to 6.
        number: place in the assignment, such as `1.2`.
        name: of the check, and of the function or of the answer that the student writes.
        signature: what goes in and comes out, with shapes.
        purpose: what it is good for, in a sentence.
        difficulty: 1 (a line or two) to 3 (needs thought).
        minutes: what it should take.
        points: what it is worth.
        hint: folded away in the notebook.
        masked: full names in `softcam` that would solve it; hidden while it is graded.
        rubric: criteria of a part that a person grades, one point each; else empty, and `check`
            grades it.
    """

    assignment: int
    number: str
    name: str
    signature: str
    purpose: str
    difficulty: int
    minutes: int
    points: int
    hint: str
    masked: tuple[str, ...] = ()
    rubric: tuple[str, ...] = ()


class CheckFailed(AssertionError):
    """An answer that is not right; the text says what is wrong and what to look at.

    Attributes:
        mistake: the mistake in a short form, such as `sum-for-mean`.
    """

    def __init__(self, mistake: str, *paragraphs: str) -> None:
        super().__init__("\n".join(part for part in paragraphs if part))
        self.mistake = mistake


@dataclass(frozen=True)
class Passed:
    """A right answer, and on what it was tried: (how many, kind of input, in words)."""

    name: str
    tried: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        parts = ", ".join(f"{n} {kind}" if n > 1 else kind for n, kind in self.tried)
        return f"{self.name}: {parts}: right"

    __repr__ = __str__


@dataclass(frozen=True)
class Mistake:
    """A known wrong answer: `function` computes it, from and to the same as the reference.

    Attributes:
        slug: its short form.
        words: what is wrong, in a sentence to the student.
        look: what to look at; never the code.
        function: arguments as NumPy arrays (float64) to the wrong result.
    """

    slug: str
    words: str
    look: str
    function: Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        kind: in words: `random inputs`, `by hand`, ...
        arguments: what the function is called with, by name, in order.
        probe: what its result is tried on where that is a module: the images.
    """

    kind: str
    arguments: Mapping[str, Any]
    probe: Any = None


Also = Callable[[Callable[..., Any], np.random.Generator], tuple[tuple[int, str], ...]]


@dataclass(frozen=True)
class Question:
    """How a function is checked.

    Attributes:
        name: of the task.
        reference: the definition; arguments as NumPy arrays (float64), then the probe, if any. It
            returns an array for a tensor, a float for a number, a str for a word, or a tuple of
            arrays.
        cases: draws the inputs (torch tensors, numbers) from a generator.
        mistakes: the more particular ones first.
        also: further demands, asked of a function that is right on all cases: it takes the
            function and a generator, raises `CheckFailed`, and returns what it tried.
        read: for results that are no tensors, makes of a result, its case, and the copies that
            the function was called with what the reference gives; raises `Unfit`.
    """

    name: str
    reference: Callable[..., Any]
    cases: Callable[[np.random.Generator], list[Case]]
    mistakes: tuple[Mistake, ...]
    also: Also | None = None
    read: Callable[[Any, Case, Mapping[str, Any]], Any] | None = None


@dataclass(frozen=True)
class ValueQuestion:
    """How numbers are checked that a student works out from numbers of their own.

    Attributes:
        name: of the task.
        draw: the student's data, by name, from a generator.
        answer: the data as NumPy arrays (float64) to the answers, by name.
        mistakes: likewise, to wrong answers.
        tolerance: how far an answer may be off (the student rounds).
    """

    name: str
    draw: Callable[[np.random.Generator], dict[str, Any]]
    answer: Callable[..., dict[str, Any]]
    mistakes: tuple[Mistake, ...]
    tolerance: float = 0.006
