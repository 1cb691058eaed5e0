"""The right answers: out of the sealed sources, for they stand nowhere in clear."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softcam.common import SoftCAMError

SECRET = Path(__file__).parents[1] / "course" / "development.secret"


@pytest.fixture(scope="session")
def right_answers() -> Callable[[int, str], dict[str, Any]]:
    """(assignment, student) to the answers by the name of the task: functions, and numbers."""
    pytest.importorskip("cryptography")
    from softcam.course import open_sources, read_secret
    from softcam.course.sources import assignment_number, solutions

    try:
        key = read_secret(os.environ.get("SOFTCAM_COURSE_SECRET") or SECRET)
        sources = open_sources(key)
    except SoftCAMError as error:
        pytest.skip(f"the solutions stay closed: {error}")
    scripts = {assignment_number(name): (name, text) for name, text in sources.items()}

    def answers(assignment: int, student: str) -> dict[str, Any]:
        name, text = scripts[assignment]
        return solutions(name, text, student=student)

    return answers
