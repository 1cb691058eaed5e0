"""Student versions from sealed sources: `notebooks/assignments/`, and whether it has drifted."""

from __future__ import annotations

import json
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path

from softcam.checks import CheckFailed, check, tasks
from softcam.common import SoftCAMError, write_text
from softcam.course import grader, sealed
from softcam.course.sources import assignment_number, notebook, solutions
from softcam.notebooks import notebook_folder

__all__ = [
    "assignments_folder",
    "drift",
    "edit",
    "open_sources",
    "prove",
    "reseal",
    "seal_folder",
    "sealed_text",
    "student_versions",
    "write_sources",
]

SEALED = "solutions.sealed"
PROOF = ("ada", "grace", "emmy")  # whose numbers the solutions are tried on before they are sealed


def assignments_folder() -> Path:
    """`notebooks/assignments/` of the checkout: the student versions and the sealed solutions."""
    return notebook_folder() / "assignments"


def sealed_text(folder: Path | None = None) -> str:
    """The content of `solutions.sealed`.

    Raises:
        SoftCAMError: it is not there.
    """
    path = (folder or assignments_folder()) / SEALED
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SoftCAMError(
            f"{path} cannot be read ({error.strerror}): is this a checkout?"
        ) from error
    except UnicodeDecodeError as error:
        raise SoftCAMError(
            f"{path} is damaged ({error.reason}): take it from git again."
        ) from error


def open_sources(secret: bytes, *, folder: Path | None = None) -> dict[str, str]:
    """Name of each assignment to its script with the solutions; as `sealed.unseal`."""
    return sealed.unseal(sealed_text(folder), secret)


def edit(target: str | Path, *, secret: bytes, folder: Path | None = None) -> list[Path]:
    """Unseal the sources into a folder, one `.py` each.

    Raises:
        SoftCAMError: one of the files is there already, or the secret is another one.
    """
    sources = open_sources(secret, folder=folder)
    paths = {name: Path(target) / f"{name}.py" for name in sources}
    if Path(target).is_file():
        raise SoftCAMError(f"{target} is a file: expected a folder, or a name for a new one.")
    if there := [path for path in paths.values() if path.exists()]:
        raise SoftCAMError(
            f"{there[0]} is there already: seal that folder first, or name an empty one."
        )
    return [write_text(paths[name], text) for name, text in sources.items()]


def seal_folder(source: str | Path, *, secret: bytes, folder: Path | None = None) -> list[Path]:
    """Seal the scripts of a folder and write the student versions made from them.

    Every solution must pass its own check first.

    Args:
        source: folder with `1_cam_by_hand.py` and so on, all the assignments there are to be.
        secret: as from `read_secret`.
        folder: what to write; default `assignments_folder()`.

    Returns:
        What was written.

    Raises:
        SoftCAMError: no scripts, a script that is not in order, or a wrong solution.
    """
    paths = sorted(Path(source).glob("[0-9]_*.py"))
    if not paths:
        raise SoftCAMError(f"{source} holds no source such as 1_cam_by_hand.py.")
    try:
        sources = {path.stem: path.read_text(encoding="utf-8") for path in paths}
    except (OSError, UnicodeDecodeError) as error:
        raise SoftCAMError(f"the sources of {source} cannot be read: {error}.") from error
    for name, script in sources.items():
        prove(name, script)
    return write_sources(sources, secret=secret, folder=folder)


def write_sources(
    sources: Mapping[str, str], *, secret: bytes, folder: Path | None = None
) -> list[Path]:
    """The student versions and the sealed file of sources, without trying the solutions."""
    target = folder or assignments_folder()
    students = student_versions(sources)
    text = sealed.seal(sources, students, secret)
    written = [write_text(target / f"{name}.ipynb", made) for name, made in students.items()]
    return [*written, write_text(target / SEALED, text)]


def reseal(*, secret: bytes, new: bytes, folder: Path | None = None) -> Path:
    """Seal the same sources with another secret; the student versions stay as they are.

    Raises:
        SoftCAMError: another secret than the present one, or student versions that have drifted.
    """
    sources = open_sources(secret, folder=folder)
    target = folder or assignments_folder()
    if problems := drift(folder=folder):
        raise SoftCAMError(f"not sealed again: {'; '.join(problems)}. Use --edit, then --seal.")
    names = {name: (target / f"{name}.ipynb").read_text(encoding="utf-8") for name in sources}
    return write_text(target / SEALED, sealed.seal(sources, names, new))


def prove(name: str, script: str) -> None:
    """Hold every solution of a source against its check.

    Raises:
        SoftCAMError: one does not pass, or is missing.
    """
    for student in PROOF:
        try:
            space = solutions(name, script, student=student)
        except SoftCAMError:
            raise
        except Exception as error:
            raise SoftCAMError(f"{name} does not run: {_where(name, error)}{error!r}.") from error
        for task in tasks(assignment_number(name)):
            if task.rubric:
                continue
            if task.name not in space:
                raise SoftCAMError(f"{name}: no cell defines {task.name}.")
            try:
                check(task.name, space[task.name], student=student)
            except CheckFailed as failed:
                raise SoftCAMError(
                    f"{name}: the solution of {task.number} {task.name} does not pass its own "
                    f"check for student {student}: {failed}"
                ) from failed


def _where(name: str, error: BaseException) -> str:
    """The line of a source that an exception comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == f"{name}.py"]
    return f"line {lines[-1]}: " if lines else ""


def student_versions(sources: Mapping[str, str]) -> dict[str, str]:
    """What nbgrader releases of each source: name to the text of a notebook."""
    with tempfile.TemporaryDirectory(prefix="softcam-course-") as made:
        root = Path(made)
        for name, script in sources.items():
            write_source(root, name, script)
            grader.generate(root, name)
        released = {name: root / "release" / name / f"{name}.ipynb" for name in sources}
        return {
            name: path.read_text(encoding="utf-8").rstrip("\n") + "\n"
            for name, path in released.items()
        }


def write_source(root: Path, name: str, script: str) -> Path:
    """`source/NAME/NAME.ipynb` of a course folder."""
    text = json.dumps(notebook(name, script), indent=1, ensure_ascii=False) + "\n"
    return write_text(root / "source" / name / f"{name}.ipynb", text)


def drift(*, secret: bytes | None = None, folder: Path | None = None) -> list[str]:
    """What is wrong between the sealed sources and the student versions, in words; best empty.

    Without the secret, the hashes in the sealed file's header are compared; with it, the student
    versions are made anew as well.
    """
    target = folder or assignments_folder()
    text = sealed_text(folder)
    listed = {each["name"]: each for each in sealed.entries(text)}
    there = {path.stem: path.read_text(encoding="utf-8") for path in target.glob("*.ipynb")}
    found = [f"{name}.ipynb is missing" for name in sorted(listed.keys() - there.keys())]
    found += [f"{name}.ipynb has no sealed source" for name in sorted(there.keys() - listed.keys())]
    both = sorted(listed.keys() & there.keys())
    changed = [n for n in both if sealed.sha256(there[n]) != listed[n]["student_sha256"]]
    found += [f"{name}.ipynb was changed after it was made" for name in changed]
    if secret is not None:
        sources = sealed.unseal(text, secret)
        made = student_versions(sources)
        found += [
            f"{name}.ipynb is not what its source makes"
            for name in both
            if name not in changed and made[name] != there[name]
        ]
        found += [
            f"the source {name} is not the one in the header"
            for name, script in sources.items()
            if sealed.sha256(script) != listed[name]["sha256"]
        ]
    return found
