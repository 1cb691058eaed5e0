"""What a student's code may not do while it is graded. No sandbox.

An audit hook (PEP 578) refuses sockets, new processes, files written outside the working folder,
and, for reading, files of the course, secrets and sealed solutions. It stops accidents and what an
exercise has no use for. Code that is out to get around it can (ctypes, a library in C): whoever
grades work of people they do not trust needs a container or a machine for it.

The kernel's own connection goes on working: ZeroMQ opens its sockets in C++, unseen by the hook.
"""

from __future__ import annotations

import multiprocessing.util
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softcam.course.checking import wrapped
from softcam.course.limits import limit_memory, limit_words
from softcam.course.masking import loaded_before, mask
from softcam.course.session import CHECK_SECONDS, Session, begin

__all__ = ["Places", "enter", "refuse"]

MEGABYTES = 3000
MOST_WORDS = 50_000  # characters a cell may print
SOCKETS = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg")
NAMES = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
PROCESSES = (
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
    "os.forkpty", "os.startfile", "pty.spawn", "os.kill", "os.killpg",
    "_winapi.CreateProcess",
)  # fmt: skip
CHANGES = (
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod",
    "os.chown", "os.truncate", "os.utime", "shutil.move", "shutil.rmtree",
)  # fmt: skip
READS = ("os.listdir", "os.scandir", "sqlite3.connect")
SECRETS = (".secret", "solutions.sealed")  # how names of files end that no submission may read
TESTS = Path(__file__).resolve().parents[2] / "tests" / "course"  # a secret and solutions lie there
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Places:
    """Where a submission may write, and what it may not read.

    Attributes:
        free: folders that may be read and written.
        closed: files, and folders of which nothing else may be read.
    """

    free: tuple[str, ...]
    closed: tuple[str, ...]

    def may_write(self, path: str) -> bool:
        return path == os.devnull or any(_within(path, folder) for folder in self.free)

    def may_read(self, path: str) -> bool:
        closed = path.lower().endswith(SECRETS) or any(
            _within(path, place) for place in self.closed
        )
        return not closed or self.may_write(path)


def enter(
    *,
    assignment: int,
    student: str,
    variant: str,
    closed: Sequence[str],
    temporary: str,
    check_seconds: float = CHECK_SECONDS,
    seal: str = "",
    megabytes: int = MEGABYTES,
    most_words: int = MOST_WORDS,
) -> None:
    """Make this process, a kernel, one that grades a submission; there is no way back.

    Args:
        assignment, student, variant, check_seconds, seal: as in `Session`.
        closed: the folder of the course, and other places that the submission may not read.
        temporary: folder for its temporary files, which it may read and write besides its own.
        megabytes: memory it may take on top of what it has now.
        most_words: characters that a cell may print.
    """
    sys.dont_write_bytecode = True
    tempfile.tempdir = os.environ["MPLCONFIGDIR"] = temporary
    begin(Session(assignment, student, variant, check_seconds, seal))
    mask(assignment)
    # `spawn` of multiprocessing starts a process without an event that the hook would see.
    setattr(multiprocessing.util, "spawnv_passfds", _no_process)  # noqa: B010
    _prepare_shell(assignment, most_words)
    limit_memory(megabytes)
    own = tuple(str(Path(folder).resolve()) for folder in (os.getcwd(), temporary))
    shut = tuple(str(Path(place).resolve()) for place in (*closed, str(TESTS)))
    sys.addaudithook(_hook(Places(own, shut)))


def _no_process(*arguments: Any) -> int:
    raise PermissionError("refused while grading: another process.")


def _hook(places: Places) -> Callable[[str, tuple[Any, ...]], None]:
    watched = {*SOCKETS, *NAMES, *PROCESSES, *CHANGES, *READS, "open", "exec"}

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in watched and (reason := refuse(event, arguments, places)):
            raise PermissionError(f"refused while grading: {reason}.")

    return hook


def refuse(event: str, arguments: tuple[Any, ...], places: Places) -> str:
    """Why an audited event is refused; empty if it is not. `places` holds resolved paths."""
    if event in SOCKETS or event in NAMES:
        return "a connection to another machine or process"
    if event in PROCESSES:
        own = event == "os.kill" and arguments[0] == os.getpid()  # Ctrl-C from within, say
        return "" if own else "another process"
    if event == "exec":
        return "a module of softcam once more" if loaded_before(arguments[0]) else ""
    given = arguments[:2] if event in CHANGES else arguments[:1]  # `open` has its mode second
    paths = [path for each in given if (path := _path(each))]
    if event == "open":
        flags = arguments[2] if len(arguments) > 2 else 0
        if isinstance(flags, int) and flags & WRITING and paths:
            outside = not places.may_write(paths[0])
            return f"writing {paths[0]}, outside the folder of the submission" if outside else ""
    if event in CHANGES:
        outside_paths = [path for path in paths if not places.may_write(path)]
        return f"changing {outside_paths[0]}, outside the folder" if outside_paths else ""
    closed = [path for path in paths[:1] if not places.may_read(path)]
    return f"reading {closed[0]}, which belongs to the course" if closed else ""


def _path(value: Any) -> str:
    """A path without links; empty for a file descriptor and for what is no path."""
    if isinstance(value, (bytes, str, os.PathLike)):
        text = os.fsdecode(value)
        return os.path.realpath(text) if text and text != ":memory:" else ""
    return ""


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _prepare_shell(assignment: int, most_words: int) -> None:
    """Count what cells print, and explain a name that is not there; only inside IPython."""
    from IPython.core.getipython import get_ipython

    from softcam.checks import tasks

    shell: Any = get_ipython()
    if shell is None:
        return
    names = {task.name for task in tasks(assignment)}

    def missing(self: Any, kind: type, error: NameError, traceback: Any, **rest: Any) -> None:
        if error.name not in names:
            self.showtraceback((kind, error, traceback), **rest)
            return
        words = (
            f"NameError: there is no {error.name}. Either the cell that should define it stopped "
            "with an error (see above), or it has another name, or its cell is gone. The check "
            f"asks for it by the name {error.name}.\n(mistake: no-function)"
        )
        self._showtraceback(kind, error, [wrapped(words)])

    def before_cell() -> None:
        limit_words(sys.stdout, most_words)
        limit_words(sys.stderr, most_words)

    def leave() -> None:
        raise RuntimeError("exit() and quit() would end the notebook: ignored while grading.")

    shell.ask_exit = leave
    shell.set_custom_exc((NameError,), missing)
    shell.events.register("pre_execute", before_cell)
