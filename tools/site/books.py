"""Which executed notebook is shown: its code is the committed one, and it saw nothing but phantoms.

Notebooks that never ask for real data are taken from any finished run of them. The others look for
real data, and draw them where they are; so they are shown only as the site itself has run them,
with an empty `SOFTCAM_DATA`. `shielded.json` beside those says which files that are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from softcam.common import SoftCAMError, project_root, read_json, write_json
from softcam.data import SOURCES

__all__ = ["Book", "execute_shielded", "find_book", "read_notebook", "why_not"]

RECORD = "shielded.json"
NUMBERED = re.compile(r"\d\d_")  # those that `softcam run` knows
INJECTED = "injected-parameters"  # papermill's tag
DRAWN = "phantoms"  # the one source whose images come from nowhere else


@dataclass(frozen=True)
class Book:
    """A notebook as the site shows it.

    Attributes:
        name: without the ending.
        path: the executed one, or the committed one where it is shown without outputs.
        executed: which of the two.
        profile: with which it was executed; empty without outputs.
        day: when, as 2026-11-22; empty where that is not known.
    """

    name: str
    path: Path
    executed: bool
    profile: str = ""
    day: str = ""


def _asks_for_real_data() -> re.Pattern[str]:
    """Code that may open images which are no phantoms, or results made from such."""
    sources = [rf"(?<![\w:]){re.escape(name)}:" for name in SOURCES if name != DRAWN]
    readers = ["data_root", "SOFTCAM_DATA", "runs_root", "find_runs", "read_image", "imread"]
    readers += [r"Image\.open", r"Image\(", "urlopen", "requests"]
    return re.compile("|".join([*sources, *(rf"\b{name}" for name in readers)]))


def read_notebook(path: Path) -> Any:
    """A notebook as nbformat 4."""
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def why_not(executed: Path, source: Path, *, shielded: bool = False) -> str:
    """Why an executed notebook cannot be shown; nothing if it can.

    Args:
        executed: as papermill left it.
        source: the committed one.
        shielded: whether the site ran it itself, out of reach of real data.
    """
    try:
        done, written = (read_notebook(path) for path in (executed, source))
    except (OSError, ValueError, nbformat.ValidationError) as error:
        return f"it cannot be read: {error}"
    own = [cell for cell in done.cells if INJECTED not in cell.metadata.get("tags", [])]
    if _told(own) != _told(written.cells):
        return "it is not the notebook of this checkout: run it again"
    code = [cell for cell in own if cell.cell_type == "code"]
    if any(out.output_type == "error" for cell in code for out in cell.outputs):
        return "a cell of it failed"
    if any(cell.execution_count is None for cell in code if cell.source.strip()):
        return "it was not run to its end"
    asks = _asks_for_real_data()
    found = next(filter(None, (asks.search(cell.source) for cell in code)), None)
    if found and not shielded:
        return f"its code looks for real data ({found.group()}), so only the site may run it"
    return ""


def _told(cells: Iterable[Any]) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in cells]


def find_book(source: Path, runs: Path, shielded: Path) -> tuple[Book | None, str]:
    """The newest executed notebook that may be shown, or None and why the newest may not.

    Args:
        source: the committed notebook.
        runs: its folders (`runs/all`, `runs/tutorial` ...) hold what `softcam run` left.
        shielded: the folder of the site's own runs.
    """
    own = shielded / source.name
    if _is_ours(own) and not why_not(own, source, shielded=True):
        return _book(own), ""
    found = [path for path in runs.glob(f"*/{source.name}") if path.parent != shielded]
    found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    reasons = []
    for path in found:
        reasons.append(why_not(path, source))
        if not reasons[-1]:
            return _book(path), ""
    return None, reasons[0] if reasons else "it has not been executed yet"


def _is_ours(path: Path) -> bool:
    record = path.with_name(RECORD)
    if not path.is_file() or not record.is_file():
        return False
    return read_json(record).get(path.name) == _digest(path)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _book(path: Path) -> Book:
    told = read_notebook(path).metadata.get("papermill", {})
    profile = str(told.get("parameters", {}).get("profile", ""))
    return Book(path.stem, path, True, profile, str(told.get("end_time") or "")[:10])


def execute_shielded(name: str, profile: str | None, shielded: Path, runs: Path) -> Path:
    """Run a notebook where no real data are in reach, and write down that it was so.

    Args:
        name: without the ending; numbered ones by the runner of `softcam run`, others as they are.
        profile: None as in `load_profile`.
        shielded: the folder of the site's own runs.
        runs: where reproductions are looked for.

    Raises:
        SoftCAMError: a cell raised; the message says where.
    """
    from softcam.notebooks import (
        environment,
        execute_notebook,
        notebook_parameters,
        run_notebooks,
    )

    nothing = shielded / "no-data"
    nothing.mkdir(parents=True, exist_ok=True)
    if any(nothing.iterdir()):
        raise SoftCAMError(f"{nothing} must be empty: it stands for a machine without data.")
    made, record = shielded / f"{name}.ipynb", shielded / RECORD
    with environment({"SOFTCAM_DATA": str(nothing)}):
        if NUMBERED.match(name):
            parameters = {}
            if "configuration" in notebook_parameters(name):
                parameters["configuration"] = _phantoms_only(runs / "reproduce")
            run_notebooks([name], profile=profile, parameters=parameters, out=shielded)
        else:
            source = project_root() / "notebooks" / f"{name}.ipynb"
            execute_notebook(source, made, profile=profile)
    said = read_json(record) if record.is_file() else {}
    write_json(record, {**said, made.name: _digest(made)})
    return made


def _phantoms_only(reproductions: Path) -> str:
    """The newest finished reproduction on phantoms alone, by name; else one that does not exist."""
    import pandas as pd

    tables = sorted(reproductions.glob("*/results.csv"), key=lambda path: path.stat().st_mtime)
    for path in reversed(tables):
        names = pd.read_csv(path, usecols=["dataset"], dtype=str)["dataset"]
        if len(names) and names.str.startswith(f"{DRAWN}-").all():
            return path.parent.name
    return "none-on-phantoms-alone"
