"""The end of a sweep: one table of everything, then claims, figures and notebooks.

Only what the plan names as it is now is read: an evaluation of an earlier configuration, other
data or other weights lies in a folder with another hash and is left alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from softcam.common import atomic_path, digest, project_root, runs_root, write_json, write_text
from softcam.reproduce.cells import Cell
from softcam.reproduce.failures import write_failures
from softcam.reproduce.plan import config_folder
from softcam.reproduce.space import TIMES, Record, Space, sha256

__all__ = ["SELECTION", "collect", "figures", "notebooks"]

log = logging.getLogger(__name__)
SELECTION = (
    "dataset", "task", "model", "arm", "parameter", "per_cell", "lambda", "seed", "val_auc",
    "val_auc_se", "val_accuracy", "val_loss", "mask_metric", "mask_value", "run_id", "chosen",
    "oracle",
)  # fmt: skip


def collect(space: Space, cell: Cell, progress: bool) -> Record:
    """Write the tables of the whole sweep: results, single images, choices, holes, claims."""
    records = space.needed(cell)
    space.supersede(cell)
    folders = [runs_root() / r.result["folder"] for r in records.values() if r.result["folder"]]
    write_json(space.folder / "plan.json", _described(space))
    rows = _join_results(folders, space.folder)
    _join_images(folders, space.folder / "per_image.parquet")
    _write_selection(space)
    write_failures(space)
    judge(space.folder, progress=progress)
    content = digest((space.folder / "results.csv").read_bytes(), length=16)
    tables = [path.relative_to(runs_root()).as_posix() for path in _tables(space.folder)]
    return space.keep(cell, {"results": content, "rows": rows, "files": tables})


def figures(space: Space, cell: Cell, progress: bool) -> Record:
    """Draw every figure from the tables."""
    space.supersede(cell)
    to_project = space.plan.figures == "project"
    out = project_root() / "figures" if to_project else space.folder / "figures"
    made = draw(space.folder, out)
    files = sorted({file for path in made for file in path.parent.glob(f"{path.stem}.*")})
    return space.keep(cell, {"figures": sorted(path.name for path in made),
                             "content": digest([sha256(file) for file in files], length=16),
                             "files": [str(file) for file in files]})  # fmt: skip


def judge(folder: Path, *, progress: bool) -> None:
    """Hold the claims of the checkout against the tables of a folder."""
    from softcam.reproduce.claims import write_claims
    from softcam.reproduce.deviations import write_deviations
    from softcam.reproduce.numbers import write_beside
    from softcam.reproduce.specification import write_specification

    checkout = config_folder().parents[1]
    claims, numbers = checkout / "workflow" / "claims", checkout / "figures" / "paper_numbers.csv"
    write_claims(folder, claims=claims, numbers=numbers, progress=progress)
    write_beside(folder, file=numbers)
    write_specification(folder, progress=progress)
    write_deviations(folder, progress=progress)


def draw(folder: Path, out: Path) -> list[Path]:
    """Draw the paper's figures from the tables of a folder; returns the files.

    Figures of the folder's former tables that these ones do not give are removed.
    """
    from softcam.visualize.paper import draw_all, drop_stale_figures

    made = [*draw_all(folder, out), *draw_specification(folder, out)]
    drop_stale_figures(out, folder, [path.stem for path in made])
    return made


def draw_specification(folder: Path, out: Path) -> list[Path]:
    """Draw the specification curve of a folder; nothing where no network has both maps."""
    from softcam.reproduce.specification import CAPTION, plot_specification, read_specification
    from softcam.visualize.paper import save_paper_figure

    table, shares = read_specification(folder)
    if table.empty:
        log.warning("%s: no run has both a sparse map and Grad-CAM's, so there is no curve", folder)
        return []
    chosen = {"left_out": sorted(set(shares["left_out"]))}
    figure = plot_specification(table)
    inputs = [folder / "specification.csv"]
    return [save_paper_figure(figure, "specification-curve", table, out, inputs=inputs,
                              parameters=chosen, caption=CAPTION)]  # fmt: skip


def notebooks(space: Space, cell: Cell, progress: bool) -> Record:
    """Execute the notebooks of the plan; one that declares `configuration` is given its name."""
    from softcam.notebooks import notebook_parameters, run_notebooks, select_notebooks

    folder = space.folder / "notebooks"
    space.supersede(cell)
    _start_anew(folder, f"{cell.hash}-{space.inputs(cell)}")
    names = select_notebooks(space.plan.notebooks)
    for name in names:
        known = notebook_parameters(name)
        given = {"configuration": space.plan.name} if "configuration" in known else {}
        run_notebooks(
            [name], profile=space.plan.profile, parameters=given, out=folder, progress=progress
        )
    return space.keep(cell, {"files": [str(folder / f"{name}.ipynb") for name in names]})


def _start_anew(folder: Path, tables: str) -> None:
    """Forget what was executed on other tables; on the same, a killed call goes on."""
    known = folder / "tables.txt"
    if not known.is_file() or known.read_text(encoding="utf-8") != tables:
        (folder / "progress.json").unlink(missing_ok=True)
        write_text(known, tables)


def _tables(folder: Path) -> list[Path]:
    """What the collection wrote beside `cells`; how long each cell took is no part of it."""
    kinds = ("*.csv", "*.md", "*.parquet", "plan.json")
    found = {path for kind in kinds for path in folder.glob(kind)}
    return sorted(found - {folder / TIMES})


def _described(space: Space) -> dict[str, Any]:
    """The plan and its cells in plain values, for whoever opens the folder."""
    plan: dict[str, Any] = json.loads(json.dumps(asdict(space.plan)))
    plan.pop("weights")  # a path of this machine; its content is in the hashes
    return {"plan": plan, "cells": {id: each.hash for id, each in space.cells.items()}}


def _join_results(folders: Sequence[Path], target: Path) -> int:
    """One `results.csv`, in the order of the plan, each line as it was written."""
    from softcam.results import COLUMNS

    head = ",".join(COLUMNS)
    rows = 0
    with (
        atomic_path(target / "results.csv") as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as out,
    ):
        out.write(head + "\n")
        for folder in folders:
            lines = (folder / "results.csv").read_text(encoding="utf-8").splitlines()
            if lines[0] != head:
                raise ValueError(f"{folder}/results.csv has other columns: {lines[0]}")
            out.writelines(line + "\n" for line in lines[1:])
            rows += len(lines) - 1
    return rows


def _join_images(folders: Iterable[Path], target: Path) -> None:
    """One `per_image.parquet`, a row group at a time: all of them may not fit into memory."""
    from pyarrow import parquet

    with atomic_path(target) as temporary:
        writer: Any = None
        try:
            for folder in folders:
                file = parquet.ParquetFile(folder / "per_image.parquet")
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    writer = writer or parquet.ParquetWriter(temporary, table.schema)
                    writer.write_table(table.cast(writer.schema))
        finally:
            if writer is not None:
                writer.close()


def _write_selection(space: Space) -> Path:
    import pandas as pd

    rows: list[Any] = []
    for cell in space.cells.values():
        record = space.record(cell) if cell.stage == "select" else None
        rows += record.result["rows"] if record is not None else []
    table = pd.DataFrame(rows, columns=list(SELECTION))
    path = space.folder / "selection.csv"
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    return path
