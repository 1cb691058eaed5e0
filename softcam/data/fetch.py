"""One file from the web: whole and with the right checksum under its name, or not there at all.

What has come so far lies beside the target as `.NAME.part`, and the next call goes on from there
where the server allows it. A lock lets several processes ask for the same file: one fetches, the
others wait for it.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from softcam.common import DataError, SoftCAMError, hides_bar, read_json, write_json

__all__ = ["Opener", "fetch"]

Opener = Callable[[urllib.request.Request, float], Any]

TIMEOUT = 60.0  # seconds without a byte
ATTEMPTS = 5  # connections in a row, each of which must bring something
CHUNK = 2**20
HEX = {"md5": 32, "sha256": 64}
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no quota error

log = logging.getLogger(__name__)


class CutOff(Exception):
    """The connection ended before the file did."""


@dataclass(frozen=True)
class Target:
    """What is fetched, where it will lie, and how it is told from anything else."""

    url: str
    path: Path
    kind: str
    checksum: str
    size: int | None = None

    @property
    def part(self) -> Path:
        """What has come so far."""
        return self.path.with_name(f".{self.path.name}.part")

    @property
    def note(self) -> Path:
        """What is remembered of a file that was found right."""
        return self.path.with_name(f".{self.path.name}.checked.json")

    def error(self, problem: str) -> DataError:
        """An error that says what went wrong and how to do it by hand."""
        size = f", {self.size:,} bytes" if self.size else ""
        return DataError(
            f"{self.url} could not be fetched: {problem} By hand: download that address with a "
            f"browser, check that the {self.kind.upper()} of the file is {self.checksum}{size}, "
            f"and put it at {self.path}."
        )


def fetch(
    url: str,
    target: str | Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    progress: bool = True,
    opener: Opener | None = None,
) -> Path:
    """Fetch a file over https, going on where an earlier call ended.

    Args:
        url: the address, https only.
        target: where to put the file; one that lies there already is checked and left alone.
        sha256, md5: its checksum in hex; one of them is needed.
        size: its length in bytes, if known.
        progress: show a bar.
        opener: opens a request, given it and a timeout in seconds; by default one that speaks
            https and nothing else, also after a redirect.

    Returns:
        The path of the whole, checked file.

    Raises:
        DataError: no connection, an answer other than the file, a connection that keeps being cut
            off, a full disk or a wrong checksum, with the steps to do it by hand. Nothing lies
            under the target's name then.
    """
    from filelock import FileLock

    goal = _goal(url, Path(target), sha256, md5, size)
    if goal.path.is_file():
        return _verified(goal)
    try:
        goal.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(goal.path.with_name(f".{goal.path.name}.lock")):
            if not goal.path.is_file():  # another process may have fetched it meanwhile
                log.info("fetching %s to %s", url, goal.path)
                _fetch_locked(goal, opener or _open_https, progress)
    except OSError as error:
        raise goal.error(_disk_problem(error, goal)) from error
    return goal.path


def _verified(goal: Target) -> Path:
    """Check a file that somebody put there; a file that has not changed is not read twice."""
    try:
        if goal.note.is_file() and read_json(goal.note) == _seen(goal):
            return goal.path
    except SoftCAMError:
        pass  # a damaged note is no note
    checksum = _checksum(goal.path, goal.kind).hexdigest()
    if checksum != goal.checksum:
        raise DataError(
            f"{goal.path}: its {goal.kind.upper()} is {checksum}, expected {goal.checksum}: "
            f"damaged, or another version. Delete it and call again, or download {goal.url} anew."
        )
    _remember(goal)
    return goal.path


def _seen(goal: Target) -> dict[str, Any]:
    found = goal.path.stat()
    return {"checksum": goal.checksum, "size": found.st_size, "time": found.st_mtime_ns}


def _remember(goal: Target) -> None:
    try:
        write_json(goal.note, _seen(goal))
    except OSError:
        log.debug("%s cannot be written: the file is checked again next time", goal.note)


def _goal(url: str, path: Path, sha256: str | None, md5: str | None, size: int | None) -> Target:
    given = {kind: value for kind, value in (("sha256", sha256), ("md5", md5)) if value}
    if len(given) != 1:
        raise DataError(f"{url}: expected one checksum, sha256 or md5, found {len(given)}.")
    kind, checksum = next(iter(given.items()))
    if not re.fullmatch(f"[0-9a-f]{{{HEX[kind]}}}", checksum.lower()):
        raise DataError(f"{url}: {checksum!r} is no {kind} in hex ({HEX[kind]} digits).")
    return Target(url, path, kind, checksum.lower(), size)


def _open_https(request: urllib.request.Request, timeout: float) -> Any:
    """Open a request with handlers for https and proxies alone: no http, no files, no ftp."""
    if request.type != "https":
        raise urllib.error.URLError(f"{request.type}: is not https, which is all that is used")
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        director.add_handler(handler)
    return director.open(request, timeout=timeout)


def _fetch_locked(goal: Target, opener: Opener, progress: bool) -> None:
    """Bring the part to its full length, check it, and rename it."""
    resumed = goal.part.is_file() and goal.part.stat().st_size > 0
    found = _whole_part(goal, opener, progress)
    if found != goal.checksum and resumed:  # the part may have been of another file
        log.warning("%s: what had come earlier does not fit; fetching all of it", goal.path.name)
        goal.part.unlink()
        found = _whole_part(goal, opener, progress)
    if found != goal.checksum:
        goal.part.unlink()
        raise goal.error(
            f"the {goal.kind.upper()} of what came is {found}, expected {goal.checksum}; it was "
            "deleted."
        )
    with goal.part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(goal.part, goal.path)
    _remember(goal)


def _whole_part(goal: Target, opener: Opener, progress: bool) -> str:
    """Connect until the part is whole; returns its checksum."""
    from tqdm.auto import tqdm

    with tqdm(desc=goal.path.name, unit="B", unit_scale=True, disable=hides_bar(progress)) as bar:
        for attempt in range(ATTEMPTS):
            before = _length(goal.part)
            try:
                return _connect(goal, opener, bar)
            except CutOff as error:
                came = _length(goal.part)
                if came <= before or attempt == ATTEMPTS - 1:
                    raise goal.error(
                        f"{error} {came:,} bytes are kept in {goal.part}; call again to go on."
                    ) from error
                log.warning("%s: %s going on", goal.path.name, error)
    raise AssertionError("the last attempt returns or raises")


def _connect(goal: Target, opener: Opener, bar: Any) -> str:
    """One connection: appends to the part what comes, returns the checksum of a whole one."""
    start = _length(goal.part)
    headers = {"User-Agent": "softcam", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with opener(urllib.request.Request(goal.url, headers=headers), TIMEOUT) as answer:
            start, total = _span(answer, start, goal)
            _check_room(goal, start, total)
            sums = _checksum(goal.part, goal.kind, start)
            bar.total, bar.n = total, start
            with goal.part.open("rb+" if start else "wb") as file:
                file.seek(start)
                _copy(answer, file, sums, bar)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing is left to send, or the part is too long
            return _checksum(goal.part, goal.kind).hexdigest()
        raise goal.error(f"the server answers {error.code} {error.reason}.") from error
    except urllib.error.URLError as error:
        raise goal.error(f"no connection ({error.reason}).") from error
    except (ConnectionError, TimeoutError, HTTPException) as error:
        raise CutOff(f"the connection broke ({error or type(error).__name__}).") from error
    got = _length(goal.part)
    if total is not None and got < total:
        raise CutOff(f"the connection was cut off at {got:,} of {total:,} bytes.")
    return str(sums.hexdigest())


def _span(answer: Any, asked: int, goal: Target) -> tuple[int, int | None]:
    """Where the answer begins in the file, and how long the file is."""
    length = answer.headers.get("Content-Length")
    start, total = 0, int(length) if length and length.isdecimal() else goal.size
    if answer.status == 206:
        span = re.fullmatch(
            r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", "").strip()
        )
        if span is None or int(span[1]) != asked:
            raise goal.error("the server sends another part than the one asked for.")
        start = asked
        total = goal.size if span[2] == "*" else int(span[2])
    if goal.size is not None and total != goal.size:
        raise goal.error(f"the server offers {total:,} bytes, expected {goal.size:,}.")
    return start, total


def _check_room(goal: Target, start: int, total: int | None) -> None:
    free = shutil.disk_usage(goal.path.parent).free
    if total is not None and total - start > free:
        raise OSError(errno.ENOSPC, f"{total - start:,} bytes are to come, {free:,} are free")


def _copy(answer: Any, file: IO[bytes], sums: Any, bar: Any) -> None:
    while True:
        try:
            block = answer.read(CHUNK)
        except OSError as error:  # here it is the network's, from `write` the disk's
            raise ConnectionError(str(error) or type(error).__name__) from error
        if not block:
            return
        file.write(block)
        sums.update(block)
        bar.update(len(block))


def _checksum(path: Path, kind: str, length: int | None = None) -> Any:
    """Hash of a file, or of its first bytes."""
    sums = hashlib.new(kind, usedforsecurity=False)
    left = _length(path) if length is None else length
    if left:
        with path.open("rb") as file:
            while left and (block := file.read(min(CHUNK, left))):
                sums.update(block)
                left -= len(block)
    return sums


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _disk_problem(error: OSError, goal: Target) -> str:
    kept = f"{_length(goal.part):,} bytes are kept in {goal.part}; call again to go on."
    if error.errno in FULL:
        return f"the disk is full ({error.strerror}). {kept}"
    return f"{goal.path.parent} cannot be written ({error.strerror or error})."
