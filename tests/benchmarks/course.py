"""How long a course takes to grade: all six assignments, and a class of sixty.

    python start.py bench course [--students 60]

Every assignment is built by nbgrader; its model solution must have full marks (but for what a
person grades), and its untouched release none. Then a class hands in the first one, half of it
with a mistake. Grading is stopped in the middle and called again, as after a kill. Times are those
of this machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from softcam.course import grade, open_sources, read_secret
from softcam.course.bundle import build_from
from softcam.course.grading import Graded
from tests.checks.wrong_answers import wrong_answers
from tests.course.submissions import Desk

DEVELOPMENT = Path(__file__).parents[1] / "course" / "development.secret"
FIRST = "1_cam_by_hand"


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def all_six(root: Path, sources: Mapping[str, str]) -> None:
    """Model solution and release of every assignment, through nbgrader."""
    started = time.perf_counter()
    build_from(sources, b"of this measurement", [], root, progress=False)
    say(f"built {len(sources)} assignments: {time.perf_counter() - started:.0f} s")
    for name in sources:
        desk = Desk(root, name)
        desk.hand_in("model", desk.filled("model"))
        desk.hand_in("untouched", desk.release)
        started = time.perf_counter()
        found = {each.student: each for each in grade(out=root, assignment=name, progress=False)}
        seconds = time.perf_counter() - started
        checked = sum(part.most for part in found["model"].parts if not part.by_hand)
        wrong = found["model"].points != checked or found["untouched"].points
        verdict = "NOT AS IT SHOULD BE" if wrong else "as it should be"
        say(
            f"{name:<28} model {found['model'].points:g} of {checked:g}, untouched "
            f"{found['untouched'].points:g}, {seconds:.0f} s for both: {verdict}"
        )


def a_class(root: Path, script: str, students: int) -> None:
    """So many submissions of the first assignment, graded in two calls."""
    build_from({FIRST: script}, b"of this measurement", [], root, progress=False)
    desk = Desk(root, FIRST)
    imports = "import numpy as np\nimport torch\nfrom torch.nn import functional as F\n\n"
    wrong = [each for each in wrong_answers(1) if each.task != "map_by_hand"]
    for number in range(students):
        student = f"student-{number:03d}"
        mistake = wrong[number % len(wrong)]
        cells = {mistake.task: imports + mistake.source} if number % 2 else {}
        desk.hand_in(student, desk.filled(student, cells))
    started = time.perf_counter()
    half = [f"student-{number:03d}" for number in range(students // 2)]
    for student in half:
        grade(out=root, student=student, progress=False)
    first = time.perf_counter() - started
    graded: list[Graded] = grade(out=root, progress=True)
    seconds = time.perf_counter() - started
    right = sum(each.points == each.most for each in graded)
    say(
        f"{students} submissions of {FIRST}: {seconds:.0f} s in all, {first:.0f} s of them before "
        f"the interruption; {right} with full marks"
    )


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench course", description="Time to grade a course.")
    parser.add_argument("--students", type=int, default=60)
    students = parser.parse_args(arguments).students
    for package in ("nbgrader", "cryptography"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed")
    secret = read_secret(os.environ.get("SOFTCAM_COURSE_SECRET") or DEVELOPMENT)
    sources = open_sources(secret)
    with tempfile.TemporaryDirectory() as folder:
        all_six(Path(folder) / "six", sources)
        a_class(Path(folder) / "class", sources[FIRST], students)


if __name__ == "__main__":
    main(sys.argv[1:])
