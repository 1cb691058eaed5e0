"""The instructor's bundle: a course folder for nbgrader, made from the sealed sources.

    runs/course/
        nbgrader_config.py    nbgrader's own commands work here too
        source/               with solutions and hidden tests: for nobody else
        release/              what is handed out
        submitted/ID/NAME/    what is handed in goes here
        gradebook.db          nbgrader's
        answers.csv           the numbers of every student of the roster, and the right answers
        course.json           keys of the hidden inputs, derived from the secret; where that lies

Only its owner can read the folder. Nothing of it belongs in a repository; git ignores `runs/`.
"""

from __future__ import annotations

import contextlib
import csv
import glob
import io
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from softcam.checks import numbers as given_numbers
from softcam.checks import tasks
from softcam.common import (
    SoftCAMError,
    hides_bar,
    project_root,
    runs_root,
    write_text,
)
from softcam.course import grader
from softcam.course.releasing import drift, open_sources, write_source
from softcam.course.roster import Student, read_roster
from softcam.course.sealed import derive, read_secret
from softcam.course.settings import COURSE_FILE, SCRATCH
from softcam.course.sources import assignment_number, solutions

__all__ = ["alone", "build", "build_from", "course_folder"]

log = logging.getLogger(__name__)
SHOWN = 256  # numbers of an array in the answer key; a cell of a spreadsheet holds 32767 characters
PUBLIC = b"known to everybody"  # stands in the secret that lies in the repository

CONFIG = '''"""nbgrader's options: those of softcam, then yours."""

from pathlib import Path

from softcam.course.settings import configure

c = get_config()  # noqa: F821
configure(c, Path(__file__).resolve().parent)
'''


def course_folder(out: str | Path | None = None) -> Path:
    """The folder of the course: `out`, else `runs/course` of the project."""
    return Path(out).resolve() if out else runs_root() / "course"


def build(
    secret: str | Path,
    *,
    roster: str | Path | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> Path:
    """Make or renew the instructor's bundle; what was handed in and graded stays.

    Args:
        secret: file that the sources are sealed with.
        roster: CSV of the students, for the gradebook and the answer key.
        out: default `runs/course`.
        progress: show a bar.

    Returns:
        The folder.

    Raises:
        SoftCAMError: another secret, a roster that is not in order, or an assignment whose cells
            have changed since work was handed in.
    """
    key = read_secret(secret)
    if PUBLIC in key:
        log.warning(
            "%s is %s: the hidden inputs of this course can be worked out. For a course that "
            "counts, seal with a secret of your own first (--reseal).",
            secret,
            PUBLIC.decode(),
        )
    sources = open_sources(key)
    for problem in drift():
        log.warning("notebooks/assignments has drifted: %s; seal the sources again.", problem)
    students = read_roster(roster) if roster else []
    return build_from(
        sources, key, students, course_folder(out), closed=[secret], progress=progress
    )


def build_from(
    sources: Mapping[str, str],
    secret: bytes,
    students: Sequence[Student],
    root: Path,
    *,
    closed: Sequence[str | Path] = (),
    progress: bool = True,
) -> Path:
    """The bundle of sources that are open already; as `build`.

    `closed` are files that no submission may read while it is graded.
    """
    if glob.escape(str(root)) != str(root):
        raise SoftCAMError(f"nbgrader cannot work in {root}: take a path without any of * ? [ ].")
    with alone(root):
        _write_private(root / COURSE_FILE, _course_record(sources, secret, closed))
        return _build(sources, students, root, progress)


def _course_record(sources: Mapping[str, str], secret: bytes, closed: Sequence[str | Path]) -> str:
    """What grading needs to know, and the grader's process alone."""
    variants = {name: derive(secret, "hidden inputs", name) for name in sources}
    places = [str(Path(place).resolve()) for place in closed]
    return json.dumps({"variants": variants, "closed": places}, indent=2, sort_keys=True) + "\n"


def _write_private(path: Path, text: str) -> None:
    """Write a file that at no time anybody else can read; atomically."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Nobody else builds or grades in the folder meanwhile.

    Raises:
        SoftCAMError: another call is at it.
    """
    from filelock import FileLock, Timeout

    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(root / ".lock", timeout=0):
            yield
    except Timeout:
        raise SoftCAMError(
            f"another call is building or grading in {root}: wait until it is done."
        ) from None


def _build(
    sources: Mapping[str, str], students: Sequence[Student], root: Path, progress: bool
) -> Path:
    for folder in ("submitted", SCRATCH, "source"):
        (root / folder).mkdir(exist_ok=True)
    (root / "source").chmod(0o700)  # the folder of the course may have been there, and open
    write_text(root / "nbgrader_config.py", CONFIG)
    models = project_root() / "data" / "checkpoints"
    if models.is_dir():
        shutil.copytree(models, root / SCRATCH / "data" / "checkpoints", dirs_exist_ok=True)
    with grader.words_to(root / "nbgrader.log"):
        for name, script in tqdm(sources.items(), "notebooks", disable=hides_bar(progress)):
            write_source(root, name, script)
            grader.generate(root, name)
    with grader.gradebook(root) as book:
        for student in students:
            rest = {k: v for k, v in vars(student).items() if k != "id" and v}
            book.update_or_create_student(student.id, **rest)
    if students:
        bar = tqdm(students, "answer key", disable=hides_bar(progress))
        rows = [row for student in bar for row in _answers(sources, student.id)]
        _write_private(root / "answers.csv", _table(rows))
    return root


def _answers(sources: Mapping[str, str], student: str) -> Iterator[dict[str, str]]:
    """The rows of a student: one a task that asks for numbers."""
    for name, script in sources.items():
        space = solutions(name, script, student=student)
        for task in tasks(assignment_number(name)):
            answer = space.get(task.name)
            if task.rubric or callable(answer):
                continue
            yield {
                "student": student,
                "task": task.number,
                "name": task.name,
                "given": json.dumps(_plain(given_numbers(task.name, student))),
                "answer": json.dumps(_plain(answer)),
            }


def _plain(value: Any) -> Any:
    """Tensors and arrays as lists of rounded numbers, large ones by their shape: people read it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic, float)):
        found = np.asarray(value)
        if found.size > SHOWN:
            return f"{' x '.join(map(str, found.shape))} numbers"
        return (found.astype(float).round(6) if found.dtype.kind == "f" else found).tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value if isinstance(value, (str, int, type(None))) else str(value)


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    text = io.StringIO()
    columns = ["student", "task", "name", "given", "answer"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
