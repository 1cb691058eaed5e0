"""Where a sweep keeps what it did: one small record a cell, written last and at once.

`runs/reproduce/NAME/cells/ID-HASH.json` says that a cell is done, or failed, and what it came to.
It holds while the cell has the same hash and the cells it needs came to the same: so a changed
setting, data set or weights file is noticed, and a killed sweep repeats only what was running.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from softcam.common import SoftCAMError, choose, digest, runs_root, write_json
from softcam.reproduce.cells import Cell, expand
from softcam.reproduce.plan import Plan

__all__ = ["Record", "Space"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """What a cell came to.

    Attributes:
        cell, stage, hash: of the cell.
        inputs: digest of what the cells it needs came to.
        state: `done` or `failed`.
        result: what depends on data and settings alone, JSON-able; and `files`, paths below
            `runs/` or absolute, without which the record does not hold.
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
        needed = self._inputs(cell)
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
        """Write what a cell came to; an equal record is left as it is, with its time."""
        inputs = self._inputs(cell)
        if inputs is None:
            raise SoftCAMError(f"{cell.id} is done, but a cell that it needs is gone: run it anew.")
        record = Record(cell.id, cell.stage, cell.hash, inputs, state, dict(result), message)
        path = self.path(cell)
        text = json.dumps(asdict(record), indent=2, sort_keys=True) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_json(path, asdict(record))
        return record

    def forget_failures(self) -> int:
        """Remove the records of failed cells, so that they are tried again; returns how many."""
        failed = [c for c in self.cells.values() if (r := self.record(c)) is not None and r.failed]
        for cell in failed:
            self.path(cell).unlink(missing_ok=True)
        return len(failed)

    @contextmanager
    def logged(self, cell: Cell) -> Iterator[None]:
        """Everything that softcam logs inside the block also goes to the cell's own log."""
        path = self.log_path(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, mode="w", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        package = logging.getLogger("softcam")
        level = package.level
        package.addHandler(handler)
        package.setLevel(logging.INFO)
        try:
            yield
        except Exception:
            log.exception("%s stopped", cell.id)
            raise
        finally:
            package.setLevel(level)
            package.removeHandler(handler)
            handler.close()

    def _inputs(self, cell: Cell) -> str | None:
        found = []
        for id in cell.needs:
            record = self.record(self.cells[id])
            if record is None:
                return None
            found.append(record.digest())
        return digest(found, length=16)

    def _stands(self, record: Record) -> bool:
        """Whether the files that a finished cell speaks of are there."""
        files = record.result.get("files", ())
        return record.failed or all((runs_root() / name).exists() for name in files)
