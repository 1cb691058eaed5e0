"""Notebooks as students hand them in: the release, filled in rightly or wrongly."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch

Book = dict[str, Any]


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
