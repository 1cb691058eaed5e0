"""The coverage table: every architecture of timm and torchvision, converted.

Each is measured in a process of its own (`softcam.coverage.children`), which writes its row as one
small file. So nothing that is finished is lost, however the survey ends; a row is kept until the
code that decides it, or the version of a library, changes.
"""

from __future__ import annotations

import fnmatch
import logging
from functools import cache
from pathlib import Path

from softcam.common import SoftCAMError, read_json
from softcam.coverage.architecture import CONVERTED, LIBRARIES, Row, names, version
from softcam.coverage.children import Limits, path_of, work_through
from softcam.coverage.code import digest_of_code

__all__ = ["current_key", "survey"]

log = logging.getLogger(__name__)
DECIDING = "softcam.coverage.architecture"  # it and what it imports decide a row


def survey(
    folder: str | Path,
    *,
    pattern: str = "*",
    limits: Limits | None = None,
    processes: int = 1,
    retry: bool = False,
    progress: bool = True,
) -> list[Row]:
    """Measure what is missing and return every row in `folder` that is current.

    Args:
        folder: keeps one file an architecture in `rows/`, and in `logs/` what a failed one said.
        pattern: which architectures to measure, as in `resnet*` or `torchvision/*`.
        limits: of one architecture.
        processes: at the same time.
        retry: measure those again that failed.
        progress: show a bar.

    Returns:
        Rows by library and name, those of an earlier call with another pattern among them;
        without those that have more parameters than `limits` allow.

    Raises:
        SoftCAMError: a pattern that fits nothing, or an option that makes no sense.
    """
    limits, folder = limits or Limits(), Path(folder)
    _check(limits, processes)
    asked = {(library, name) for library in LIBRARIES for name in names(library)}
    wanted = sorted(each for each in asked if _fits(each, pattern))
    if not wanted:
        raise SoftCAMError(
            f"no architecture of {' or '.join(LIBRARIES)} fits {pattern!r}: try 'resnet*', or "
            "'torchvision/*' for one library."
        )
    todo = []
    for library, name in wanted:
        row = _current(path_of(folder, library, name))
        if row is None or _says_too_little(row, limits) or (retry and row.kind == "failed"):
            todo.append((library, name))
    work_through(folder, todo, current_key(), limits, processes, len(wanted), progress)
    rows = (_current(path_of(folder, *each)) for each in sorted(asked))
    return [row for row in rows if row is not None and row.within(limits.max_parameters)]


@cache
def current_key() -> dict[str, str]:
    """What a row depends on besides its name: versions, and a digest of the code behind it."""
    versions = {name: version(name) for name in (*LIBRARIES, "torch")}
    return {**versions, "code": digest_of_code(DECIDING)}


def _check(limits: Limits, processes: int) -> None:
    if processes < 1:
        raise SoftCAMError(f"processes must be at least 1, found {processes}.")
    for name in ("max_parameters", "timeout", "memory"):
        if not getattr(limits, name) > 0:
            raise SoftCAMError(f"{name} must be above 0, found {getattr(limits, name)}.")


def _fits(each: tuple[str, str], pattern: str) -> bool:
    library, name = each
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(f"{library}/{name}", pattern)


def _current(path: Path) -> Row | None:
    """The row in a file; None where it is missing, damaged, or of other code or versions."""
    if not path.is_file():
        return None
    try:
        stored = read_json(path)
        return Row(**stored["row"]) if stored["key"] == current_key() else None
    except (SoftCAMError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s): measured again", path, error)
        return None


def _says_too_little(row: Row, limits: Limits) -> bool:
    """It was left out as too large, and no longer is; or its time is asked for now."""
    if row.kind == "larger":
        return row.within(limits.max_parameters)
    untimed = row.kind in CONVERTED and row.forward_ratio is None
    return limits.timed and untimed and row.within(limits.max_parameters)
