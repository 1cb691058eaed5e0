"""The finished rounds of the labelling game: one row each, in a file of the machine it runs on.

A row holds what was asked, what was answered, and a nickname that may be empty; nothing else about
a player. `docs/game-notice.md` says the same to those who play.

Text is kept as it came: any length, any character, a NUL or half a surrogate pair too. Where it
is shown, it is escaped (`records.shown`).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from softcam.common import SoftCAMError
from softcam.layerwise.database import Database
from softcam.layerwise.records import COLUMNS, NUMBERS, Round, rounds_frame
from softcam.layerwise.reveal import STEPS
from softcam.layerwise.unsaved import Unsaved

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RoundStore"]

_APPLICATION, _VERSION = 0x53434C57, 1  # 'SCLW'
_SCHEMA = f"""CREATE TABLE rounds (
    round_id TEXT PRIMARY KEY, session TEXT NOT NULL, player TEXT NOT NULL, time TEXT NOT NULL,
    image TEXT NOT NULL, layer TEXT NOT NULL, cluster INTEGER NOT NULL, class_name TEXT NOT NULL,
    guess TEXT NOT NULL, correct INTEGER NOT NULL CHECK (correct IN (0, 1)),
    resigned INTEGER NOT NULL CHECK (resigned IN (0, 1)),
    reveal INTEGER NOT NULL CHECK (reveal BETWEEN 0 AND {len(STEPS) - 1}), words TEXT NOT NULL)"""
# Text goes in as bytes: Python's binding refuses half a surrogate pair.
_PLACES = ", ".join("?" if name in NUMBERS else "CAST(? AS TEXT)" for name in COLUMNS)
_INSERT = f"INSERT INTO rounds ({', '.join(COLUMNS)}) VALUES ({_PLACES}) ON CONFLICT DO NOTHING"
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM rounds"
_OF_SESSION = " WHERE session = CAST(? AS TEXT)"
_IN_ORDER = " ORDER BY rowid"


class RoundStore:
    """Rounds in an SQLite file that several players may write at once.

    A round that cannot be stored is not lost: it waits in memory and, where possible, in a file
    (`unsaved`), and goes in with the next one, or with `retry`.

    Args:
        path: the file, on a local disk; made at the first round.
        patience: seconds to wait while another program holds the file.

    Raises:
        SoftCAMError: a file that is damaged, or no file of ours; it is left as it is. Every method
            raises it too, when the file is locked for longer, damaged, full or not writable.
    """

    def __init__(self, path: str | Path, *, patience: float = 20.0) -> None:
        self.path = Path(path).expanduser().resolve()
        self._database = Database(
            self.path, _SCHEMA, application=_APPLICATION, version=_VERSION, patience=patience
        )
        self._files = Unsaved(self.path)
        self._memory: dict[str, Round] = {}
        self._database.check()

    @property
    def unsaved(self) -> tuple[Round, ...]:
        """The rounds that wait to be stored."""
        waiting = {each.round_id: each for each in self._files.read()} | self._memory
        return tuple(waiting.values())

    def add(self, *rounds: Round) -> int:
        """Store rounds, and those that wait, all or none; how many were not there before."""
        self._memory |= {each.round_id: each for each in rounds}
        return self.retry()

    def retry(self) -> int:
        """Store the rounds that wait, all or none; how many were not there before."""
        waiting = self.unsaved
        rows = [tuple(map(_stored, each.row())) for each in waiting]

        def insert(connection: sqlite3.Connection) -> int:
            return sum(connection.execute(_INSERT, row).rowcount for row in rows)

        try:
            count = self._database.write(insert)
        except SoftCAMError as error:
            folder = self._files.keep(self._memory.values())
            place = f"in {folder}" if folder else "in memory only: leave this program open"
            raise SoftCAMError(
                f"{error} Rounds that wait to be stored: {len(waiting)}, {place}."
            ) from error
        for each in waiting:
            self._memory.pop(each.round_id, None)
        self._files.drop(waiting)
        return count

    def rounds(self) -> pd.DataFrame:
        """Every stored round, the oldest first: text as Python strings, the others int64.

        Columns: round_id, session, player, time, image, layer, cluster, class_name, guess,
        correct, resigned, reveal, words (`records.Round`).
        """
        return rounds_frame(self._select())

    def of_session(self, session: str) -> tuple[Round, ...]:
        """The rounds of one session, the oldest first, with those that wait to be stored."""
        rows = self._select(session)
        stored = [Round.of(dict(zip(COLUMNS, row, strict=True))) for row in rows]
        known = {each.round_id for each in stored}
        waiting = [each for each in self.unsaved if each.session == session]
        return (*stored, *(each for each in waiting if each.round_id not in known))

    def _select(self, session: str | None = None) -> list[tuple[str | int, ...]]:
        where, values = _only(session)

        def select(connection: sqlite3.Connection) -> list[tuple[str | int, ...]]:
            return connection.execute(f"{_SELECT}{where}{_IN_ORDER}", values).fetchall()

        return self._database.read(select) or []

    def delete(self, session: str | None = None) -> int:
        """Delete every round, or those of one session; returns how many were stored.

        The text is overwritten in the file, and rounds that wait go too. What was exported before
        stays where it is.
        """
        where, values = _only(session)
        waiting = [each for each in self.unsaved if session in (None, each.session)]
        for each in waiting:
            self._memory.pop(each.round_id, None)
        self._files.drop(waiting)
        if not self.path.exists():
            return 0
        count = self._database.write(
            lambda connection: connection.execute(f"DELETE FROM rounds{where}", values).rowcount
        )
        self._database.compact()
        return count

    def export_csv(self, path: str | Path) -> Path:
        """Write every round as CSV, atomically, for spreadsheets (`softcam.layerwise.tables`)."""
        from softcam.layerwise.tables import write_rounds

        return write_rounds(path, self.rounds())

    def scoreboard(self) -> pd.DataFrame:
        """One row a session, the best first.

        Columns: session, player (the last nickname of the session), rounds, correct, resigned,
        points (`records.Round.points`).
        """
        found = self.rounds()
        points = found["correct"] * (len(STEPS) - found["reveal"])
        sums = dict.fromkeys(("rounds", "correct", "resigned", "points"), "sum")
        groups = found.assign(points=points, rounds=1).groupby("session", sort=False)
        board = groups.agg({"player": "last", **sums}).reset_index()
        by, ascending = ["points", "rounds"], [False, True]
        return board.sort_values(by, ascending=ascending, kind="stable", ignore_index=True)


def _only(session: str | None) -> tuple[str, tuple[bytes | int, ...]]:
    """The SQL that chooses one session, and its value; nothing for all of them."""
    return ("", ()) if session is None else (_OF_SESSION, (_stored(session),))


def _stored(value: str | int) -> bytes | int:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
