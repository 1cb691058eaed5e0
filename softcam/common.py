"""What every room leans on: the project root, seeds, errors with a mend, atomic writes.

Standard library, NumPy, torch and psutil only; nothing here knows about images or models.
"""

from __future__ import annotations

import contextlib
import difflib
import glob
import hashlib
import json
import math
import os
import platform
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = [
    "DataError",
    "SoftCAMError",
    "UnknownNameError",
    "as_integer",
    "as_number",
    "atomic_path",
    "choose",
    "damaged",
    "data_root",
    "digest",
    "hides_bar",
    "output_root",
    "project_root",
    "read_json",
    "rng",
    "runs_root",
    "seed_everything",
    "write_json",
    "write_text",
]

__version__ = "0.1.0"


class SoftCAMError(Exception):
    """What softcam refuses: the message says what was found, what was expected, and the mend."""


class DataError(SoftCAMError, ValueError):
    """A data set, an image or an annotation that cannot be used as it is."""


class UnknownNameError(SoftCAMError, KeyError):
    """A name that is in no list; the message carries the closest known names."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        close = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
        hint = f": did you mean {' or '.join(map(repr, close))}?" if close else "."
        super().__init__(f"unknown {kind} {name!r}{hint} Known: {', '.join(known) or 'none yet'}.")

    def __str__(self) -> str:  # KeyError would show the repr of its message
        return str(self.args[0])


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """Return `name` if it is in `known`, else raise `UnknownNameError` with the closest ones."""
    known = list(known)
    if name not in known:
        raise UnknownNameError(kind, name, known)
    return name


def as_integer(name: str, value: object, least: int, most: int) -> int:
    """`value` if it is a whole number in [least, most], else a `SoftCAMError` that names it."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise SoftCAMError(f"{name} is {value!r}: expected a whole number from {least} to {most}.")
    return value


def as_number(name: str, value: object) -> float:
    """`value` if it is a finite number >= 0, else a `SoftCAMError` that names it."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:  # type: ignore[arg-type, operator]
        raise SoftCAMError(f"{name} is {value!r}: expected a finite number, 0 or more.")
    return float(value)  # type: ignore[arg-type]


def project_root() -> Path:
    """The folder everything is read from and written to.

    `SOFTCAM_ROOT` if set, else the checkout that holds this package.

    Raises:
        SoftCAMError: the package is not inside a checkout and the variable is not set,
            or the variable names a folder that does not exist.
    """
    named = os.environ.get("SOFTCAM_ROOT")
    if named:
        root = Path(named).expanduser().resolve()
        if not root.is_dir():
            raise SoftCAMError(
                f"SOFTCAM_ROOT names {root}, which is no folder: create it or unset the variable."
            )
        return root
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file():
        return checkout
    raise SoftCAMError(
        f"softcam is installed in {checkout}, outside a checkout, so it has no project folder: "
        "set the environment variable SOFTCAM_ROOT to a folder for data and runs."
    )


def data_root() -> Path:
    """Where real data sets are looked for: `SOFTCAM_DATA`, else `data/` of the project."""
    named = os.environ.get("SOFTCAM_DATA")
    return Path(named).expanduser().resolve() if named else project_root() / "data"


def runs_root() -> Path:
    """Where run directories live: `runs/` of the project."""
    return project_root() / "runs"


def output_root() -> Path:
    """Where a notebook writes its figures and tables: `SOFTCAM_OUT`, else `runs/notebooks`."""
    named = os.environ.get("SOFTCAM_OUT")
    return Path(named).expanduser().resolve() if named else runs_root() / "notebooks"


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices) with one number."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def rng(*key: int) -> np.random.Generator:
    """A generator of its own for a key such as (seed, index, stream).

    The same key gives the same numbers, whatever else was drawn before.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(key))))


def hides_bar(progress: bool) -> bool:
    """What tqdm calls `disable`: on request, and where a bar would flood a log file.

    tqdm's own test (`disable=None`) hides the bar in notebooks as well, where it can be drawn.
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return not progress or not (shell is not None or sys.stderr.isatty())


def digest(*parts: Any, length: int = 64) -> str:
    """SHA-256 in hex over bytes, strings and JSON-able values, each framed by its length."""
    sha = hashlib.sha256()
    for part in parts:
        if not isinstance(part, bytes):
            text = part if isinstance(part, str) else json.dumps(part, sort_keys=True)
            part = text.encode()
        sha.update(len(part).to_bytes(8, "little"))
        sha.update(part)
    return sha.hexdigest()[:length]


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it there only if the block ends well.

    A reader never sees half a file; a failed or killed block leaves the old file as it was, and
    what a killed one left behind goes with the next write of the same file on the same machine.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    ours, ending = f".{path.name}.{digest(platform.node(), length=8)}-", f".tmp{path.suffix}"
    _remove_leftovers(path.parent, ours, ending)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{ours}{os.getpid()}-", suffix=ending)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_leftovers(folder: Path, ours: str, ending: str) -> None:
    """Temporary files `{ours}PID-RANDOM{ending}` whose process was killed."""
    for path in folder.glob(f"{glob.escape(ours)}*{glob.escape(ending)}"):
        import psutil  # only here, for it is slow; os.kill(pid, 0) ends a process on Windows

        pid = path.name.removeprefix(ours).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            with contextlib.suppress(OSError):  # another process was faster
                path.unlink()


def damaged(path: str | Path, problem: object) -> SoftCAMError:
    """The error about a file that softcam wrote and that cannot be used any more."""
    what = str(problem).rstrip(".")
    return SoftCAMError(
        f"{path} is missing or damaged ({what}): delete its folder and make it again."
    )


def read_json(path: str | Path) -> dict[str, Any]:
    """The JSON object in a file that softcam wrote; a `SoftCAMError` where it is not one."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError(f"a {type(value).__name__}, expected an object")
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error
    return value


def write_text(path: str | Path, text: str) -> Path:
    """Write UTF-8 text with Unix line ends, atomically; return the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def write_json(path: str | Path, value: Any) -> Path:
    """Write indented, sorted JSON, atomically; return the path."""
    return write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")
