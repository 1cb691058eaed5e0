"""The holes of a sweep: which trainings came to nothing, why, and what follows from them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from softcam.common import write_text
from softcam.reproduce.space import Space

__all__ = ["COLUMNS", "write_failures"]

COLUMNS = ("cell", "stage", "dataset", "task", "model", "arm", "seed", "message", "log")


def write_failures(space: Space) -> Path:
    """Write `failed.csv`: one row a failed cell of the plan as it is; only a head where none is.

    `dataset` and `task` are the words of `results.csv`; `log` is a path below the sweep's folder.
    """
    from softcam.reproduce.cells import prepare_id

    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for cell in space.cells.values():
        record = space.record(cell)
        if record is None or not record.failed:
            continue
        ready = space.record(space.cells[prepare_id(cell.data)]) if cell.data != "-" else None
        known = ready.result if ready is not None else {}
        message = " ".join(record.message.split())
        log = space.log_path(cell).relative_to(space.folder).as_posix()
        rows.writerow([cell.id, cell.stage, known.get("dataset", "-"), known.get("task", "-"),
                       cell.model, cell.arm, cell.seed, message, log])  # fmt: skip
    return write_text(space.folder / "failed.csv", text.getvalue())
