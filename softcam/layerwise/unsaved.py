"""Rounds that could not be stored: each waits in a file of its own until it can.

The files lie beside the database, or where that cannot be written, under the project's `runs`.
Two processes never write the same file, so none can overwrite what the other keeps.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterable
from pathlib import Path

from softcam.common import SoftCAMError, digest, read_json, runs_root, write_json
from softcam.layerwise.records import Round

__all__ = ["Unsaved"]

log = logging.getLogger(__name__)


class Unsaved:
    """The rounds that wait for the database at `path`."""

    def __init__(self, path: Path) -> None:
        self.folders = [path.with_name(f"{path.name}.unsaved")]
        with contextlib.suppress(SoftCAMError):  # outside a project there is one place only
            self.folders.append(runs_root() / "unsaved" / digest(str(path), length=12))

    def keep(self, rounds: Iterable[Round]) -> Path | None:
        """Write each round; the folder where all of them lie, None where none can be written."""
        rounds = list(rounds)
        for folder in self.folders:
            try:
                for each in rounds:
                    write_json(_file(folder, each), dataclasses.asdict(each))
            except OSError as error:
                log.warning("%s cannot be written (%s)", folder, error)
            else:
                return folder
        return None

    def read(self) -> list[Round]:
        """Every round that waits, the oldest first; an unreadable file stays, with a warning."""
        found = []
        for path in self._paths():
            try:
                found.append(Round.of(read_json(path)))
            except SoftCAMError as error:
                if path.exists():  # else another process has stored it meanwhile
                    log.warning("an unsaved round is left out: %s", error)
        return sorted(found, key=lambda each: each.time)

    def drop(self, rounds: Iterable[Round]) -> None:
        """Remove the files of rounds; the folder stays, another process may be about to use it."""
        for each in rounds:
            for folder in self.folders:
                with contextlib.suppress(OSError):  # it comes again, and changes nothing then
                    _file(folder, each).unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return [path for folder in self.folders for path in sorted(folder.glob("[!.]*.json"))]


def _file(folder: Path, each: Round) -> Path:
    return folder / f"{digest(each.round_id, length=32)}.json"
