"""nbgrader's converters in this process, on a course folder, with their words kept in a log."""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from softcam.common import SoftCAMError
from softcam.course.settings import COURSE, configure, needs_extra

__all__ = ["autograde", "feedback", "generate", "gradebook", "words_to"]

log = logging.getLogger("softcam.course.nbgrader")
log.propagate = False  # its words go to a file, or nowhere
EMPTY = ("There was an error", "Please see the")  # words of nbgrader that say nothing


def generate(root: Path, assignment: str) -> None:
    """`release/` from `source/`: solutions and hidden tests taken out, the gradebook told."""
    _convert("GenerateAssignment", root, assignment, ".")


def autograde(root: Path, assignment: str, student: str) -> None:
    """`autograded/` from `submitted/` for one submission, points into the gradebook."""
    folder = root / "submitted" / student / assignment
    odd = {path.name for path in folder.rglob("*") if path.is_symlink() or not _plain(path)}
    _convert("Autograde", root, assignment, student, sorted(glob.escape(name) for name in odd))


def _plain(path: Path) -> bool:
    """Whether it is a file or a folder, and no pipe or the like."""
    return path.is_file() or path.is_dir()


def feedback(root: Path, assignment: str, student: str) -> None:
    """`feedback/` from `autograded/` for one submission: a page of HTML."""
    _convert("GenerateFeedback", root, assignment, student)


@contextlib.contextmanager
def gradebook(root: Path) -> Iterator[Any]:
    """The gradebook of a course."""
    needs_extra()
    from nbgrader.api import Gradebook

    with _scripts_on_path(), Gradebook(f"sqlite:///{root / 'gradebook.db'}", COURSE) as book:
        yield book


def _convert(
    kind: str, root: Path, assignment: str, student: str, ignored: Sequence[str] = ()
) -> None:
    """Run one converter; what it raises becomes a `SoftCAMError` with its last words.

    `ignored` are names of files that it does not copy.
    """
    needs_extra()
    import sqlalchemy.exc
    from nbgrader import converters
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    config = configure(Config(), root)
    course = CourseDirectory(config=config)
    course.assignment_id, course.student_id = assignment, student
    course.ignore = [*course.ignore, *ignored]
    converter = getattr(converters, kind)(coursedir=course, config=config)
    converter.log, converter.force = log, True
    with _last_words() as words, _scripts_on_path(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=sqlalchemy.exc.SAWarning)  # its queries
        try:
            converter.start()
        except NbGraderException as error:
            raise SoftCAMError(
                f"nbgrader could not go on with {assignment} of {student}: "
                f"{words[-1] if words else error}"
            ) from error


@contextlib.contextmanager
def _scripts_on_path() -> Iterator[None]:
    """nbgrader calls `alembic` by name, also where no environment is activated."""
    before = os.environ.get("PATH")
    own = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent)]
    os.environ["PATH"] = os.pathsep.join([*own, *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PATH"]
        else:
            os.environ["PATH"] = before


@contextlib.contextmanager
def words_to(path: Path) -> Iterator[None]:
    """Append what nbgrader says inside the block to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def _last_words() -> Iterator[list[str]]:
    """The errors that are logged inside the block, tracebacks by their last line."""
    words: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage().strip().splitlines()
            if record.levelno >= logging.ERROR and text and not text[0].startswith(EMPTY):
                words.append(text[-1])

    handler = Keep()
    log.addHandler(handler)
    try:
        yield words
    finally:
        log.removeHandler(handler)
