"""What a student handed in, as a notebook that can be graded; nothing is run here.

Whatever the file is (not JSON, empty, another program's, cells deleted, points changed), the
outcome is a notebook with every cell that is graded, as it was released, and every cell that the
student wrote. What had to be mended stands in a cell on top, so that the feedback says so.
"""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from softcam.common import SoftCAMError
from softcam.course.placing import MOST_BYTES, own_files, remarks

if TYPE_CHECKING:
    from nbconvert.exporters import NotebookExporter as _Exporter
else:
    _Exporter = object  # nbconvert is slow to import; `submission_exporter` puts both together

__all__ = [
    "MOST_TEXT",
    "content",
    "mended",
    "submission_exporter",
]

MOST_CELLS = 2000
MOST_TEXT = 500_000  # characters in all cells together; the page of feedback colours each of them
Notebook = dict[str, Any]  # or a cell of one


class Plain(NamedTuple):
    """What is read of a student's cell: its kind, its text, nbgrader's id or nothing."""

    kind: str
    text: str
    grade_id: str


def mended(text: str, release: Notebook, notes: list[str] | None = None) -> Notebook:
    """A submitted notebook with every graded cell of the release, as nbformat 4.

    Args:
        text: content of the submitted file.
        release: the notebook that the student was given.
        notes: to be said on top as well.

    Returns:
        A notebook: cells of the student in their order, without outputs; cells that the student
        was not to change as they were released; missing ones in their place.
    """
    notes = list(notes or [])
    named = _by_grade_id(release)
    cells = _read(text, notes) or [_plain_cell(cell) for cell in release["cells"]]
    kept = _restored(cells, named, notes)
    _put_back(kept, named, notes)
    if notes:
        words = "\n".join(f"- {note}" for note in notes)
        top = {"cell_type": "markdown", "metadata": {}, "source": f"**About this file**\n\n{words}"}
        kept.insert(0, top)
    for number, cell in enumerate(kept):
        cell["id"] = f"cell-{number:04d}"
    metadata = copy.deepcopy(release["metadata"])
    return {"cells": kept, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _read(text: str, notes: list[str]) -> list[Plain]:
    """The student's cells in a plain form; none, and a note why, if the file is no notebook."""
    try:
        book = json.loads(text)
    except (ValueError, RecursionError):
        book = None
    given = book.get("cells") if isinstance(book, dict) else None
    if not isinstance(given, list):
        if notes and not text:  # it is said already why nothing was read
            return []
        notes.append(
            f"The file {_in_words(text, book)}, so nothing in it could be graded. Download it from "
            "Jupyter with File > Download, and open it once more before handing it in."
        )
        return []
    found = [_plain_cell(cell) for cell in given[:MOST_CELLS]]
    if len(given) > MOST_CELLS:
        notes.append(f"Of {len(given)} cells only the first {MOST_CELLS} were read.")
    if not found:
        notes.append("The notebook has no cells, so nothing in it could be graded.")
    return _shortened(found, notes)


def _in_words(text: str, book: Any) -> str:
    """Why a file is no notebook that can be read."""
    if not text.strip():
        return "is empty"
    if isinstance(book, dict) and "worksheets" in book:
        return "has the format of notebooks before 2015 (nbformat 3)"
    if book is None:
        return "is not a notebook: it is damaged, or of another program"
    return "is not a notebook: it has no list of cells"


def _shortened(cells: list[Plain], notes: list[str]) -> list[Plain]:
    """The cells with the text of those left out that go beyond what a notebook may have."""
    kept, length = [], 0
    for cell in cells:
        length += len(cell.text)
        kept.append(cell if length <= MOST_TEXT else cell._replace(text=""))
    if length > MOST_TEXT:
        notes.append(f"Of {length} characters in cells only the first {MOST_TEXT} were read.")
    return kept


def _plain_cell(cell: Any) -> Plain:
    """A cell that may be anything, as far as it is one."""
    cell = cell if isinstance(cell, dict) else {}
    kind = cell.get("cell_type")
    metadata = cell.get("metadata")
    graded = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    grade_id = graded.get("grade_id") if isinstance(graded, dict) else None
    return Plain(
        kind if kind in ("code", "markdown") else "raw",
        _text(cell.get("source")),
        grade_id if isinstance(grade_id, str) else "",
    )


def _by_grade_id(release: Notebook) -> dict[str, Any]:
    cells = [cell for cell in release["cells"] if "nbgrader" in cell["metadata"]]
    return {cell["metadata"]["nbgrader"]["grade_id"]: cell for cell in cells}


def _restored(cells: list[Plain], named: dict[str, Any], notes: list[str]) -> list[Notebook]:
    """The student's cells, those of the release with its metadata; of copies the last counts."""
    last = {cell.grade_id: number for number, cell in enumerate(cells)}
    made, changed, copies = [], [], []
    for number, cell in enumerate(cells):
        original = named.get(cell.grade_id)
        if original is None or last[cell.grade_id] != number:
            copies += [cell.grade_id] if original else []
            made.append(_fresh(cell.kind, cell.text, {}))
            continue
        graded = original["metadata"]["nbgrader"]
        given = _text(original["source"])
        if not graded["solution"] and cell.text.strip() != given.strip():
            changed.append(cell.grade_id)
        text = cell.text if graded["solution"] else given
        made.append(_fresh(original["cell_type"], text, {"nbgrader": dict(graded)}))
    if changed:
        notes.append(f"Changed, and put back as it was: {', '.join(changed)}.")
    if copies:
        notes.append(f"There several times, the last one counts: {', '.join(copies)}.")
    return made


def _put_back(kept: list[Notebook], named: dict[str, Any], notes: list[str]) -> None:
    """Insert the released cells that are missing, each behind the one before it."""
    missing = []
    there = [n for n, cell in enumerate(kept) if _grade_id(cell)]
    previous = (there[0] if there else len(kept)) - 1
    for grade_id, original in named.items():
        places = [n for n, cell in enumerate(kept) if _grade_id(cell) == grade_id]
        if places:
            previous = places[0]
            continue
        missing.append(grade_id)
        graded = {"nbgrader": dict(original["metadata"]["nbgrader"])}
        previous += 1
        kept.insert(previous, _fresh(original["cell_type"], _text(original["source"]), graded))
    if missing:
        notes.append(f"Deleted, and put back as handed out: {', '.join(missing)}.")


def _fresh(kind: str, text: str, metadata: dict[str, Any]) -> Notebook:
    made = {"cell_type": kind, "metadata": metadata, "source": text}
    return {**made, "execution_count": None, "outputs": []} if kind == "code" else made


def _grade_id(cell: Notebook) -> str:
    return str(cell["metadata"].get("nbgrader", {}).get("grade_id", ""))


def _text(source: Any) -> str:
    """A source, which may be a list of lines, or damaged."""
    lines = source if isinstance(source, list) else [source]
    text = "".join(line for line in lines if isinstance(line, str))
    return text.encode("utf-8", errors="replace").decode()  # half of a pair cannot be written


@functools.cache
def submission_exporter() -> type:
    """nbgrader's reader of submissions: mends what it reads before nbgrader sees it."""
    from nbconvert.exporters import NotebookExporter

    class SubmissionExporter(_Mending, NotebookExporter):
        """A `NotebookExporter`."""

    return SubmissionExporter


class _Mending(_Exporter):
    """What differs from nbconvert's own exporter of notebooks."""

    def from_filename(self, filename: str, resources: Any = None, **rest: Any) -> tuple[Any, Any]:
        """Read, mend and convert a file of `submitted/`; others are left to nbgrader."""
        import nbformat

        as_nodes: Any = nbformat.from_dict
        converter: Any = self.parent
        course = converter.coursedir
        named = resources["nbgrader"]
        folder = Path(filename).parent
        submitted = course.format_path(
            course.submitted_directory, named["student"], named["assignment"]
        )
        if folder.resolve() != Path(submitted).resolve():
            return super().from_filename(filename, resources, **rest)
        name = named["notebook"]
        released = course.format_path(course.release_directory, ".", named["assignment"])
        path = Path(released) / f"{name}.ipynb"
        if not path.is_file():
            raise SoftCAMError(f"{path} is missing: build the course before grading.")
        release = json.loads(path.read_text(encoding="utf-8"))
        notes = remarks(folder, name)
        book = as_nodes(mended(content(Path(filename), notes), release, notes))
        resources["metadata"] = {"name": name, "path": str(folder)}
        convert: Any = self.from_notebook_node
        made: tuple[Any, Any] = convert(book, resources=resources)
        return made


def content(path: Path, notes: list[str]) -> str:
    """The text of a submitted file, or nothing and a note, if it is too large or no file."""
    if path not in own_files(path.parent):
        what = "a link to another place" if path.is_symlink() else "a folder or the like"
        notes.append(f"{path.name} is {what}, not a file: nothing in it could be graded.")
        return ""
    size = path.stat().st_size
    if size > MOST_BYTES:
        notes.append(
            f"The file has {size / 1e6:.0f} MB, more than {MOST_BYTES / 1e6:.0f}: clear the "
            "outputs (Edit > Clear Outputs of All Cells) and save it again."
        )
        return ""
    found = path.read_bytes()
    return found.decode(json.detect_encoding(found), errors="replace")  # Windows has UTF-16
