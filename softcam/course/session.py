"""Whose answers are being looked at: a student at home, or a submission that is graded."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass

from softcam.common import SoftCAMError

__all__ = ["CHECK_SECONDS", "RECEIPT", "Session", "begin", "current", "receipt"]

CHECK_SECONDS = 20
RECEIPT = "application/x-softcam-receipt"  # kind of output by which a passed check says so


@dataclass(frozen=True)
class Session:
    """A submission that is being graded.

    Attributes:
        assignment: 1 to 6.
        student: the id, from the folder that the submission lies in.
        variant: key of the hidden inputs of this assignment; empty, there are none.
        check_seconds: how long a check may take.
        seal: key that receipts are made with, another one for every run.
    """

    assignment: int
    student: str
    variant: str = ""
    check_seconds: float = CHECK_SECONDS
    seal: str = ""


_current: Session | None = None


def receipt(seal: str, name: str, hidden: bool) -> str:
    """What a check that passed hands to whoever grades: HMAC-SHA-256 of its name, in hex."""
    words = f"{name}, {'hidden' if hidden else 'shown'} inputs"
    return hmac.new(seal.encode(), words.encode(), hashlib.sha256).hexdigest()


def begin(session: Session) -> None:
    """From now on this process grades.

    Raises:
        SoftCAMError: it does so already.
    """
    global _current
    if _current is not None:
        raise SoftCAMError("this process grades a submission already: each has one of its own.")
    _current = session


def current() -> Session | None:
    """The submission that this process grades, or None at home.

    Raises:
        SoftCAMError: nbgrader runs the notebook, but not in the way of `softcam course`.
    """
    if _current is None and os.environ.get("NBGRADER_EXECUTION") == "autograde":
        raise SoftCAMError(
            "nbgrader runs this notebook without the guard of softcam: grade in the folder that "
            "`softcam course` made, with its nbgrader_config.py."
        )
    return _current
