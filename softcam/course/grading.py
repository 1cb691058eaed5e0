"""Grade what was handed in: one submission after the other, so that a kill loses at most one.

What is done stands in `graded/NAME/ID.json`, written last. The next call goes on with what is
missing, and with what was handed in anew.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from softcam.common import (
    SoftCAMError,
    choose,
    digest,
    hides_bar,
    read_json,
    write_json,
    write_text,
)
from softcam.course import grader
from softcam.course.bundle import alone, course_folder
from softcam.course.placing import file_key, own_files, place_notebook
from softcam.course.roster import check_id
from softcam.course.settings import COURSE_FILE

__all__ = ["Graded", "Part", "grade", "renew_feedback"]

log = logging.getLogger(__name__)
MISTAKE = re.compile(r"\(mistake: ([a-z0-9-]+)\)")


@dataclass(frozen=True)
class Part:
    """A graded cell: points, the most there are, the mistake in short, and whether it is by hand.

    `points` is what nbgrader has now: 0 until a person has graded what a person must.
    """

    task: str
    points: float
    most: float
    mistake: str = ""
    by_hand: bool = False


@dataclass(frozen=True)
class Graded:
    """A submission and its parts; `problem` is why it could not be graded, if so."""

    student: str
    assignment: str
    parts: tuple[Part, ...] = ()
    seconds: float = 0.0
    problem: str = ""

    @property
    def points(self) -> float:
        return sum(part.points for part in self.parts)

    @property
    def most(self) -> float:
        return sum(part.most for part in self.parts)


def grade(
    *,
    out: str | Path | None = None,
    assignment: str | None = None,
    student: str | None = None,
    resume: bool = True,
    progress: bool = True,
) -> list[Graded]:
    """Grade what lies in `submitted/ID/NAME/`, write feedback and `grades.csv`.

    Args:
        out: folder of the course; default `runs/course`.
        assignment: only this one; default all.
        student: only this one; default all.
        resume: leave alone what has been graded as it is.
        progress: show a bar.

    Returns:
        All submissions that were asked for, graded now or before.

    Raises:
        SoftCAMError: no course in the folder, nothing handed in, or another call is at it.
    """
    root = course_folder(out)
    with _alone(root), grader.words_to(root / "nbgrader.log"):
        todo = _submissions(root, assignment, student)
        done = []
        with tqdm(todo, unit="submission", disable=hides_bar(progress)) as bar:
            for name, who in bar:
                bar.set_description(f"{who} {name}")
                done.append(_one(root, name, who, resume))
        write_text(root / "grades.csv", _table(_all_graded(root)))
    for each in done:
        if each.problem:
            log.warning("%s of %s was not graded: %s", each.assignment, each.student, each.problem)
    return done


def renew_feedback(*, out: str | Path | None = None, progress: bool = True) -> list[Graded]:
    """Feedback and `grades.csv` once more, after a person has graded; nothing is run."""
    root = course_folder(out)
    with _alone(root), grader.words_to(root / "nbgrader.log"):
        before = _all_graded(root)
        for each in tqdm(before, unit="submission", disable=hides_bar(progress)):
            grader.feedback(root, each.assignment, each.student)
            parts = _parts(root, each.assignment, each.student)
            state = _state_file(root, each.assignment, each.student)
            old = read_json(state)
            write_json(state, {**old, "parts": [asdict(part) for part in parts]})
        now = _all_graded(root)
        write_text(root / "grades.csv", _table(now))
    return now


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    if not (root / COURSE_FILE).is_file():
        raise SoftCAMError(f"there is no course in {root}: build it first, with --secret.")
    with alone(root):
        yield


def _submissions(root: Path, assignment: str | None, student: str | None) -> list[tuple[str, str]]:
    known = sorted(path.parent.name for path in (root / "release").glob("*/*.ipynb"))
    if not known:
        raise SoftCAMError(f"{root / 'release'} is empty: build the course first, with --secret.")
    if assignment:
        choose("assignment", assignment, known)
    found = []
    for folder in sorted((root / "submitted").glob("*/*/")):
        name, who = folder.name, folder.parent.name
        if who.startswith((".", "__")) or name.startswith("."):
            continue  # what systems and their archives leave behind
        if name not in known:
            log.warning("%s is left out: there is no assignment %s.", folder, name)
        elif assignment in (None, name) and student in (None, who):
            found.append((name, who))
    if not found:
        raise SoftCAMError(
            f"nothing to grade: expected {root / 'submitted'}/ID/NAME/NAME.ipynb with NAME one of "
            f"{', '.join(known)}."
        )
    return sorted(found)


def _one(root: Path, name: str, student: str, resume: bool) -> Graded:
    """Grade a submission, or read what was found before; a problem is kept, not raised."""
    folder = root / "submitted" / student / name
    state = _state_file(root, name, student)
    started = time.perf_counter()
    try:
        check_id(student, str(folder.parent))
        place_notebook(folder, name, root / "placed" / name / f"{student}.json")
        key = _state_digest(root, name, folder)
        if resume and state.is_file() and read_json(state)["digest"] == key:
            return _from_state(read_json(state))
        state.unlink(missing_ok=True)
        grader.autograde(root, name, student)
        grader.feedback(root, name, student)
        parts = _parts(root, name, student)
        seconds = round(time.perf_counter() - started, 2)
        graded = Graded(student, name, parts, seconds)
        write_json(state, {**asdict(graded), "digest": key})
    except (SoftCAMError, OSError) as error:
        return Graded(student, name, problem=str(error))
    except (
        Exception
    ) as error:  # nobody has foreseen it, and the others shall be graded all the same
        log.debug("%s of %s", name, student, exc_info=True)
        return Graded(student, name, problem=f"{type(error).__name__}: {error}")
    return graded


def _state_file(root: Path, name: str, student: str) -> Path:
    return root / "graded" / name / f"{student}.json"


def _state_digest(root: Path, name: str, folder: Path) -> str:
    released = (root / "release" / name / f"{name}.ipynb").read_bytes()
    variant = read_json(root / COURSE_FILE)["variants"][name]
    contents = [part for path in own_files(folder) for part in (path.name, file_key(path))]
    return digest(released, variant, *contents)


def _from_state(state: dict[str, Any]) -> Graded:
    parts = tuple(Part(**part) for part in state["parts"])
    return Graded(state["student"], state["assignment"], parts, state["seconds"])


def _all_graded(root: Path) -> list[Graded]:
    return [_from_state(read_json(path)) for path in sorted((root / "graded").glob("*/*.json"))]


def _parts(root: Path, name: str, student: str) -> tuple[Part, ...]:
    """Points from the gradebook, mistakes from what the checks said, in the order of the cells."""
    path = root / "autograded" / student / name / f"{name}.ipynb"
    said = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        outputs = [each for each in cell.get("outputs", []) if each["output_type"] == "error"]
        words = "\n".join("\n".join([each["evalue"], *each["traceback"]]) for each in outputs)
        named = MISTAKE.search(words)
        said[grade_id] = named[1] if named else outputs[0]["ename"] if outputs else ""
    with grader.gradebook(root) as book:
        grades = {
            each.name: Part(
                task=each.name.removeprefix("check-"),
                points=float(each.score),
                most=float(each.max_score),
                mistake=said.get(each.name, ""),
                by_hand=bool(each.needs_manual_grade),
            )
            for each in book.find_submission_notebook(name, name, student).grades
        }
    return tuple(grades[grade_id] for grade_id in said if grade_id in grades)


def _table(graded: Sequence[Graded]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["student", "assignment", "task", "points", "most", "mistake", "by_hand"])
    for each in graded:
        for part in each.parts:
            row = [part.task, part.points, part.most, part.mistake, part.by_hand]
            writer.writerow([each.student, each.assignment, *row])
    return text.getvalue()
