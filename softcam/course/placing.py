"""The notebook of a submission under the name that was asked for, and what lies beside it."""

from __future__ import annotations

import filecmp
import hashlib
import shutil
from pathlib import Path

from softcam.common import atomic_path, read_json, write_json

__all__ = ["MOST_BYTES", "file_key", "own_files", "place_notebook", "remarks"]

MOST_BYTES = 20_000_000  # of a notebook file, pictures and all


def place_notebook(folder: Path, name: str, record: Path) -> None:
    """See to it that a submission's folder holds `NAME.ipynb`, as it was handed in last.

    A single notebook under another name is taken for the one that was asked for. Where there is
    none, or there are several and none has the name, an empty file takes its place, which is
    graded as such. What was handed in is neither changed nor removed.

    Args:
        folder: of the submission.
        name: of the assignment.
        record: file that remembers what was put there, so that it is renewed when another
            notebook is handed in under a wrong name, and a student's own is not.
    """
    wanted, others = folder / f"{name}.ipynb", _others(folder, name)
    before = []
    if wanted.exists() or wanted.is_symlink():  # a folder, say, or a link: `content` refuses it
        if wanted not in own_files(folder) or not others:
            return
        before = [file_key(wanted)]
        if not record.is_file() or before[0] not in read_json(record)["placed"]:
            return  # the student's own
    source = others[0] if len(others) == 1 else None
    if source and before == [file_key(source)]:
        return
    with atomic_path(wanted) as temporary:
        if source:
            shutil.copyfile(source, temporary)
        # Remembered before it is there: a kill in between must make neither the student's own.
        write_json(record, {"placed": [*before, file_key(temporary)]})


def file_key(path: Path) -> str:
    """What tells a handed-in file from another: its SHA-256; its size if nobody would read it."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        return f"{size} bytes"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def own_files(folder: Path) -> list[Path]:
    """The notebooks of a folder that are files of its own, and no links to somewhere else.

    Names that begin with a dot are left out: archives and file systems leave such files behind.
    """
    inside = folder.resolve()
    found = [path for path in folder.glob("[!.]*.ipynb") if path.is_file()]
    return sorted(path for path in found if path.resolve().is_relative_to(inside))


def remarks(folder: Path, name: str) -> list[str]:
    """What is to be said about the other notebooks in a submission's folder."""
    wanted, others = folder / f"{name}.ipynb", _others(folder, name)
    listed = ", ".join(path.name for path in others)
    if wanted not in own_files(folder):
        return []
    if not others:
        rest = ", ".join(sorted(path.name for path in folder.iterdir() if path != wanted)[:5])
        words = f"Handed in: {rest}. A notebook that could be read is not among it."
        return [words] if rest and not wanted.stat().st_size else []
    if wanted.stat().st_size <= MOST_BYTES and not wanted.read_bytes().strip():
        return [f"None of the notebooks {listed} is called {wanted.name}, so none was graded."]
    if len(others) == 1 and filecmp.cmp(wanted, others[0], shallow=False):
        return [f"{listed} was graded under the name {wanted.name}, which was asked for."]
    return [f"Only {wanted.name} was graded, and not {listed}."]


def _others(folder: Path, name: str) -> list[Path]:
    return [path for path in own_files(folder) if path.name != f"{name}.ipynb"]
