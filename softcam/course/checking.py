"""`check` and `numbers` as the assignments call them, at home and while grading.

At home they are those of `softcam.checks`. While grading, the student's id comes from the folder
of the submission, hidden inputs are drawn from the instructor's secret, a check may not take
forever, and what a function prints as a warning does not count as an error.
"""

from __future__ import annotations

import contextlib
import io
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any

from softcam import checks
from softcam.checks import CheckFailed, Passed
from softcam.course.limits import TimeIsUp, time_limit
from softcam.course.session import RECEIPT, Session, current, receipt
from softcam.course.sources import NOBODY

__all__ = ["Report", "check", "numbers", "wrapped"]

MOST_WARNINGS = 1000  # characters that are shown of them
WIDTH = 92  # of a line of feedback


class Report:
    """What a check that passed says; `str` gives the words."""

    def __init__(self, passed: Passed, notes: list[str]) -> None:
        self.passed, self.notes = passed, notes

    def __str__(self) -> str:
        return "\n".join([*self.notes, str(self.passed)])

    __repr__ = __str__


def numbers(name: str, student: str = NOBODY) -> dict[str, Any]:
    """The data of a task that this student sees, as `softcam.checks.numbers`.

    While a submission is graded, those of the student who handed it in, whatever `student` says.
    """
    session = current()
    return checks.numbers(name, session.student if session else student)


def check(name: str, answer: Any, *, student: str = NOBODY, hidden: bool = False) -> Report:
    """Check the answer to a task and say what is wrong with it.

    Args:
        name: of the task; also of the function to be written.
        answer: the function, or the numbers by name.
        student: the id from the notebook's first cell; it draws the inputs.
        hidden: other inputs, that nobody knows before grading.

    Returns:
        What was tried; print it.

    Raises:
        CheckFailed: a wrong answer, in words. The notebook shows the words without a traceback.
    """
    session = current()
    notes = _about_id(student, session)
    owner = session.student if session else student
    variant = session.variant if session and hidden else ""
    try:
        with _kept_warnings(notes), time_limit(session.check_seconds if session else None):
            passed = checks.check(name, answer, student=owner, secret=variant)
    except TimeIsUp as error:
        failed = CheckFailed(
            "too-long",
            f"{name} had not come back after {error.seconds:g} s.",
            "Look at: loops that never end.",
        )
        raise _shown(failed, notes, session) from None
    except CheckFailed as failed:
        if _right_for(name, answer, student, session):
            notes.append(f"The answer would be right for {student!r}, who is somebody else.")
        raise _shown(failed, notes, session) from None
    if session:
        _hand_receipt(receipt(session.seal, name, hidden))
    return Report(passed, notes)


def _hand_receipt(text: str) -> None:
    """Tell whoever grades that a check has passed; only inside IPython."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if shell is not None:
        shell.display_pub.publish(data={RECEIPT: text})


def _about_id(student: str, session: Session | None) -> list[str]:
    """What is to be said about the id in the notebook."""
    if session is None:
        if student == NOBODY:
            return [f"The first cell says student = {NOBODY!r}: write your own id there."]
        return []
    if student == session.student:
        return []
    return [
        f"The notebook says student = {student!r}, but it was handed in by {session.student!r}: "
        f"it is graded with the numbers of {session.student!r}."
    ]


def _right_for(name: str, answer: Any, student: str, session: Session | None) -> bool:
    """Whether numbers that are wrong for one student are right for the one in the notebook."""
    if session is None or student == session.student or callable(answer):
        return False
    try:
        checks.check(name, answer, student=student)
    except CheckFailed:
        return False
    return True


@contextlib.contextmanager
def _kept_warnings(notes: list[str]) -> Iterator[None]:
    """Warnings and stderr of the block as notes, also where it fails.

    nbgrader takes any word on stderr for an error.
    """
    said = io.StringIO()
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stderr(said):
            warnings.simplefilter("default")
            yield
    finally:
        words = [f"{each.category.__name__}: {each.message}" for each in caught]
        text = "\n".join(dict.fromkeys([*words, *said.getvalue().splitlines()]))  # each line once
        if text:
            notes.append(f"While it ran: {text[:MOST_WARNINGS]}")


def _shown(failed: CheckFailed, notes: list[str], session: Session | None) -> CheckFailed:
    """The same failure with its notes, shown by IPython as words without a traceback."""
    text = wrapped("\n".join([*notes, str(failed)]))
    mistake = f"\n(mistake: {failed.mistake})" if session else ""
    shown = CheckFailed(failed.mistake, text + mistake)
    # IPython asks an exception for lines of its own; a traceback through the check helps nobody.
    setattr(shown, "_render_traceback_", lambda: [f"Not yet right.\n{text}{mistake}"])  # noqa: B010
    return shown


def wrapped(text: str) -> str:
    """Text in lines that a page of feedback can show; lines that are indented stay indented."""
    lines = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=indent) or [""]
    return "\n".join(lines)
