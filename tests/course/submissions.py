"""Notebooks as students hand them in: the release, filled in rightly or wrongly."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import torch

from softcam.checks import tasks
from softcam.course.bundle import build_from
from softcam.course.grading import Graded, grade
from softcam.course.roster import Student
from softcam.course.sources import solutions

Book = dict[str, Any]
NAME = "1_cam_by_hand"
POINTS = {task.name: task.points for task in tasks(1)}
ALL = sum(POINTS.values())


def graded_cell(book: Book, grade_id: str) -> Book:
    """The cell of a notebook with nbgrader's id."""
    for cell in book["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == grade_id:
            return cell
    raise KeyError(grade_id)


class Desk:
    """The desk of a class that works on one assignment of a course.

    Args:
        root: folder of the course.
        name: of the assignment.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = root, name
        self.release = self._read("release")
        self.source = self._read("source")

    def _read(self, step: str) -> Book:
        path = self.root / step / self.name / f"{self.name}.ipynb"
        book: Book = json.loads(path.read_text(encoding="utf-8"))
        return book

    def filled(self, student: str, wrong: dict[str, str] | None = None) -> Book:
        """The release with the model solution, except for the cells in `wrong`."""
        book = copy.deepcopy(self.release)
        for cell in book["cells"]:
            graded = cell["metadata"].get("nbgrader", {})
            if "parameters" in cell["metadata"].get("tags", []):
                cell["source"] = f'student = "{student}"'
            elif graded.get("solution"):
                grade_id = graded["grade_id"]
                right = graded_cell(self.source, grade_id)["source"]
                cell["source"] = (wrong or {}).get(grade_id, right)
        return book

    def hand_in(self, student: str, content: Book | str, file: str | None = None) -> None:
        """Put a notebook, or any text, into `submitted/`."""
        folder = self.root / "submitted" / student / self.name
        folder.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / (file or f"{self.name}.ipynb")).write_text(text, encoding="utf-8")

    def feedback(self, student: str) -> str:
        """The page that the student gets."""
        path = self.root / "feedback" / student / self.name / f"{self.name}.html"
        return path.read_text(encoding="utf-8")

    def outputs(self, student: str) -> str:
        """All that the cells of the graded notebook said."""
        path = self.root / "autograded" / student / self.name / f"{self.name}.ipynb"
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        said = [each for cell in cells for each in cell.get("outputs", [])]
        return "\n".join("".join(each.get("text", each.get("evalue", ""))) for each in said)


def as_literal(answers: dict[str, Any]) -> str:
    """Numbers as a student types them in."""
    plain = {
        key: value.tolist() if isinstance(value, torch.Tensor) else value
        for key, value in answers.items()
    }
    return repr(plain)


class Course:
    """A course of assignment 1: its desk, what came out, and how long it took."""

    def __init__(self, root: Path, sources: dict[str, str]) -> None:
        started = time.perf_counter()
        self.root, self.script = root, sources[NAME]
        students = [Student("ada", "Ada", "Lovelace"), Student("untouched")]
        build_from({NAME: self.script}, b"a secret of this test", students, root, progress=False)
        self.desk = Desk(root, NAME)
        self.graded: dict[str, Graded] = {}
        self.seconds = time.perf_counter() - started

    def numbers(self, student: str) -> str:
        """The cell with the student's own numbers, typed in."""
        right = solutions(NAME, self.script, student=student)["map_by_hand"]
        return f"map_by_hand = {as_literal(right)}"

    def hand_in(self, student: str, task: str = "", text: str = "") -> None:
        """Right answers but for one."""
        cells = {"map_by_hand": self.numbers(student), **({task: text} if task else {})}
        self.desk.hand_in(student, self.desk.filled(student, cells))

    def grade(self) -> None:
        started = time.perf_counter()
        for each in grade(out=self.root, progress=False):
            self.graded[each.student] = each
        self.seconds += time.perf_counter() - started

    def mistakes(self, student: str) -> dict[str, str]:
        return {part.task: part.mistake for part in self.graded[student].parts if part.mistake}
