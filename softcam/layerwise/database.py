"""A small SQLite file that several processes write at once, and that is never made worse.

Each piece of work opens the file, does its work in one transaction and closes it again. Nothing
stays open, so processes may fork, threads need no connection of their own, and no lock outlives
its work. The write-ahead log lets readers go on while somebody writes; it needs a local disk, not
a network share.

A file that is damaged, or that something else has written, is told from ours by looking only.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from softcam.common import SoftCAMError

__all__ = ["Database"]

T = TypeVar("T")
_WAIT = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REFUSED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


class Database:
    """A file of one schema.

    Args:
        path: the file; it is made with its folder when it is not there.
        schema: the SQL statement that makes its table.
        application: a number that marks our files (`PRAGMA application_id`).
        version: of the schema (`PRAGMA user_version`).
        patience: seconds to wait for others before a `SoftCAMError`.
    """

    def __init__(
        self, path: Path, schema: str, *, application: int, version: int, patience: float
    ) -> None:
        self.path = path
        self.schema = schema
        self.mark = (application, version)
        self.patience = patience

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `work` finds in the file as it is now; None where there is nothing yet."""

        def look(how: str) -> T | None:
            with self._opened(how) as connection:
                if not self._recognise(connection):
                    return None
                connection.execute("BEGIN")
                return work(connection)

        def once(end: float) -> T | None:
            try:
                return look("?mode=rw")
            except sqlite3.OperationalError as error:
                log = self.path.with_name(f"{self.path.name}-wal")
                if _code(error) not in _REFUSED or log.exists():
                    raise
                return look("?immutable=1")  # nobody can write here: no log is needed to read

        return self._patiently(once) if self.path.exists() else None

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` as a whole or not at all."""

        def once(end: float) -> T:
            with self._opened() as connection:
                if not self._recognise(connection):
                    # Refused inside a transaction, and two may come here at once.
                    connection.execute("PRAGMA journal_mode=WAL")
                with _transaction(connection, end):
                    if not self._recognise(connection):
                        self._make(connection)
                    return work(connection)

        return self._patiently(once)

    def check(self) -> None:
        """Look through the whole file; an error if it is damaged or not ours. Changes nothing."""

        def look(connection: sqlite3.Connection) -> str:
            return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])

        found = self.read(look)
        if found not in (None, "ok"):
            raise self._damaged(str(found))

    def compact(self) -> None:
        """Give back the room of deleted rows, so that no copy of them is left in the file."""

        def work(end: float) -> None:
            with self._opened() as connection:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        self._patiently(work)

    def _patiently(self, work: Callable[[float], T]) -> T:
        """`work`, again and again while others hold the file, and errors in our own words.

        SQLite's own waiting asks the less often the longer it has waited, so that newcomers get
        in first. Here all ask equally often, at random, and nobody starves.
        """
        end = time.monotonic() + self.patience
        while True:
            try:
                return work(end)
            except sqlite3.Error as error:
                if not _waits(error, end):
                    raise self._say(error, _code(error)) from error
            except UnicodeDecodeError as error:
                raise self._damaged(error) from error
            except OSError as error:
                raise self._say(error, sqlite3.SQLITE_CANTOPEN) from error

    @contextlib.contextmanager
    def _opened(self, how: str = "") -> Iterator[sqlite3.Connection]:
        """The file, closed again at the end; `how`: SQLite's options for reading only."""
        if not how:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        name = f"{self.path.as_uri()}{how}"
        connection = sqlite3.connect(name, timeout=0, isolation_level=None, uri=True)
        try:
            connection.text_factory = lambda data: data.decode("utf-8", "surrogatepass")
            self._recognise(connection)
            if not how:
                # Deleted text is overwritten; the disk is made to catch up when the file is closed,
                # which a game does after each round, and not at each commit in a crowd.
                connection.execute("PRAGMA secure_delete=ON")
                connection.execute("PRAGMA synchronous=NORMAL")
            yield connection
        finally:
            connection.close()

    def _recognise(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is ours; False for an empty one, an error for any other. Only looks."""
        # The tables first: the marks come with them, and may come between the two looks.
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application, version = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("application_id", "user_version")
        )
        if (application, version) == self.mark:
            return True
        if tables or application or version:
            ours = application == self.mark[0]
            what = f"in our format {version}" if ours else "made by another program"
            raise SoftCAMError(
                f"{self.path} is a database {what}, expected our format {self.mark[1]}: name "
                "another file; this one is left as it is."
            )
        return False

    def _make(self, connection: sqlite3.Connection) -> None:
        connection.execute(self.schema)
        connection.execute(f"PRAGMA application_id={self.mark[0]}")
        connection.execute(f"PRAGMA user_version={self.mark[1]}")

    def _damaged(self, problem: object) -> SoftCAMError:
        return SoftCAMError(
            f"{self.path} is damaged ({problem}) and is left as it is: move it away or name "
            "another file, and a new one is made; `sqlite3 FILE .recover` may save its rows."
        )

    def _say(self, error: Exception, code: int) -> SoftCAMError:
        if code in _WAIT:
            return SoftCAMError(
                f"{self.path} is locked by another program for more than {self.patience:g} s: "
                "close what has it open for writing, and try again."
            )
        if code in _DAMAGED:
            return self._damaged(error)
        if code in _REFUSED:
            return SoftCAMError(
                f"{self.path} cannot be opened or written ({error}): make the file and its folder "
                "writable, or name another file."
            )
        if code == sqlite3.SQLITE_FULL:
            return SoftCAMError(f"{self.path} cannot grow, the disk is full: free some space.")
        return SoftCAMError(
            f"{self.path} cannot be used ({error}): expected a file on a local disk; name another."
        )


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, end: float) -> Iterator[None]:
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")  # for writing, so that nothing fails half-way
            break
        except sqlite3.Error as error:
            if not _waits(error, end):
                raise
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where the binding itself complains."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _waits(error: sqlite3.Error, end: float) -> bool:
    """Whether others hold the file and there is time left; if so, after a short sleep."""
    if _code(error) not in _WAIT or time.monotonic() >= end:
        return False
    time.sleep(random.uniform(0.001, 0.02))
    return True
