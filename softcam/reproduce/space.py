"""Where a sweep keeps what it did: one small record a cell, written last and at once.

`runs/reproduce/NAME/cells/ID-HASH.json` says that a cell is done, or failed, and what it came to.
It holds while the cell has the same hash, the cells it needs came to the same, and the files that
the cell made are as it left them: so a changed setting, data set or weights file is noticed, tables
of two configurations are never mixed, and a killed sweep repeats only what was running.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from softcam.common import SoftCAMError, choose, digest, runs_root, write_json
from softcam.reproduce.cells import Cell, expand
from softcam.reproduce.plan import Plan

__all__ = ["TIMES", "Record", "Space", "sha256"]

TIMES = "times.csv"  # how long each cell took, in the folder of the sweep

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """What a cell came to.

    Attributes:
        cell, stage, hash: of the cell.
        inputs: digest of what the cells it needs came to.
        state: `done` or `failed`.
        result: what depends on data and settings alone, JSON-able; and `files`, the SHA-256 of
            each file that the cell made, by its path below `runs/` or its absolute one. The
            record does not hold where one is missing or has another content.
        message: of a failed cell, why.
    """

    cell: str
    stage: str
    hash: str
    inputs: str
    state: str
    result: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""

    @property
    def failed(self) -> bool:
        return self.state == "failed"

    def digest(self) -> str:
        """What the cells after this one depend on."""
        result = {key: value for key, value in self.result.items() if key != "files"}
        return digest(self.state, result, length=16)


@dataclass(frozen=True)
class Space:
    """A plan, its cells and its folder."""

    plan: Plan
    cells: Mapping[str, Cell]

    @classmethod
    def of(cls, plan: Plan) -> Space:
        """The folder of a plan; nothing is written yet."""
        return cls(plan, expand(plan))

    @property
    def folder(self) -> Path:
        return runs_root() / "reproduce" / self.plan.name

    def cell(self, id: str) -> Cell:
        """A cell by its id; an unknown one raises with the closest ones."""
        return self.cells[choose(f"cell of {self.plan.name}", id, self.cells)]

    def path(self, cell: Cell) -> Path:
        """The record of a cell, which may not be there yet."""
        return self.folder / "cells" / f"{cell.id}-{cell.hash}.json"

    def log_path(self, cell: Cell) -> Path:
        """What a cell said while it ran."""
        return self.folder / "logs" / f"{cell.id}-{cell.hash}.log"

    def record(self, cell: Cell) -> Record | None:
        """What a cell came to; None where it is not done, or with other data or weights."""
        try:
            found = Record(**json.loads(self.path(cell).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        if found.hash != cell.hash or not self._stands(found):
            return None
        needed = self.inputs(cell)
        return found if needed is not None and found.inputs == needed else None

    def needed(self, cell: Cell) -> dict[str, Record]:
        """What the cells before this one came to; an error names the first that is missing."""
        found = {}
        for id in cell.needs:
            record = self.record(self.cells[id])
            if record is None:
                raise SoftCAMError(
                    f"{cell.id} needs {id}, which is not done yet, or was done with other data: "
                    f"run `softcam reproduce {self.cells[id].stage} --config {self.plan.name} "
                    f"--cell {id}` first, or `softcam reproduce all --config {self.plan.name}`."
                )
            found[id] = record
        return found

    def keep(
        self, cell: Cell, result: Mapping[str, Any], state: str = "done", message: str = ""
    ) -> Record:
        """Write what a cell came to; an equal record is left as it is, with its time.

        `files` of the result are given as paths; the record gets the SHA-256 of each.
        """
        inputs = self.inputs(cell)
        if inputs is None:
            raise SoftCAMError(f"{cell.id} is done, but a cell that it needs is gone: run it anew.")
        kept = dict(result)
        if "files" in kept:
            kept["files"] = {name: sha256(runs_root() / name) for name in kept["files"]}
        record = Record(cell.id, cell.stage, cell.hash, inputs, state, kept, message)
        path = self.path(cell)
        text = json.dumps(asdict(record), indent=2, sort_keys=True) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_json(path, asdict(record))
        return record

    def supersede(self, cell: Cell) -> None:
        """Remove the records of this cell under other settings: their files are about to change."""
        for path in (self.folder / "cells").glob(f"{cell.id}-*.json"):
            if path != self.path(cell):
                path.unlink(missing_ok=True)

    def forget_failures(self) -> int:
        """Remove the records of failed cells, so that they are tried again; returns how many."""
        failed = [c for c in self.cells.values() if (r := self.record(c)) is not None and r.failed]
        for cell in failed:
            self.path(cell).unlink(missing_ok=True)
        return len(failed)

    @contextmanager
    def logged(self, cell: Cell) -> Iterator[None]:
        """Everything that softcam logs inside the block also goes to the cell's own log.

        Raises:
            SoftCAMError: for an error of another kind inside the block; it names cell and log.
        """
        path = self.log_path(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, mode="a", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        package = logging.getLogger("softcam")
        level = package.level
        package.addHandler(handler)
        package.setLevel(logging.INFO)
        try:
            yield
        except (SoftCAMError, OSError):
            log.exception("%s stopped", cell.id)
            raise
        except Exception as error:
            log.exception("%s stopped", cell.id)
            raise SoftCAMError(
                f"{cell.id} stopped with {type(error).__name__}: {error}. Its log, {path}, says "
                "where; mend the cause and run the same command again."
            ) from error
        finally:
            package.setLevel(level)
            package.removeHandler(handler)
            handler.close()

    def inputs(self, cell: Cell) -> str | None:
        """A digest of what the cells before this one came to; None where one is missing."""
        found = []
        for id in cell.needs:
            record = self.record(self.cells[id])
            if record is None:
                return None
            found.append(record.digest())
        return digest(found, length=16)

    def _stands(self, record: Record) -> bool:
        """Whether the files that a finished cell made are there, as it left them."""
        files = record.result.get("files", {})
        if not isinstance(files, Mapping):  # a record written before sums were kept
            return all((runs_root() / name).exists() for name in files)
        return all(_is_as_left(runs_root() / name, known) for name, known in files.items())


def sha256(path: Path) -> str:
    """SHA-256 of a file's content in hex; read again only where size or time are others."""
    found = path.stat()
    return _sha256(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_as_left(path: Path, known: str) -> bool:
    try:
        return sha256(path) == known
    except OSError:
        return False
