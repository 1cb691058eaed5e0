"""Run the numbered notebooks in order with papermill, and gather what they leave.

A finished notebook is not run again as long as its source, its parameters and the package are
the same; after a failure the next call goes on with the notebook that failed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from softcam.common import (
    SoftCAMError,
    UnknownNameError,
    choose,
    digest,
    project_root,
    runs_root,
    write_json,
)
from softcam.predictions import UNATTENDED
from softcam.profiles import load_profile

__all__ = [
    "TUTORIAL",
    "NotebookFailed",
    "environment",
    "execute_notebook",
    "notebook_names",
    "notebook_parameters",
    "run_notebooks",
]

log = logging.getLogger(__name__)
TUTORIAL = ("00", "01", "02", "03", "04", "05", "06")


class NotebookFailed(SoftCAMError):
    """A cell of a notebook raised; says which, and where the half-run notebook lies."""


def notebook_folder() -> Path:
    """`notebooks/` of the checkout that holds this package."""
    folder = Path(__file__).resolve().parent.parent / "notebooks"
    if not folder.is_dir():
        raise SoftCAMError(
            f"no notebooks beside the package ({folder} is missing): they live in the repository, "
            "clone it and run `python start.py tutorial` there."
        )
    return folder


def notebook_names() -> list[str]:
    """The numbered notebooks in order, without the suffix."""
    return sorted(path.stem for path in notebook_folder().glob("[0-9][0-9]_*.ipynb"))


def select_notebooks(words: Sequence[str]) -> list[str]:
    """`tutorial`, `all`, numbers (`03`) or names, as notebook names in order."""
    known = notebook_names()
    chosen: set[str] = set()
    for word in words:
        if word == "all":
            chosen.update(known)
        elif word == "tutorial":
            chosen.update(name for name in known if name[:2] in TUTORIAL)
        else:
            found = [name for name in known if word in (name, name[:2])]
            if not found:
                raise UnknownNameError("notebook", word, [*known, "tutorial", "all"])
            chosen.update(found)
    return sorted(chosen)


def notebook_parameters(name: str) -> dict[str, Any]:
    """The parameters a notebook declares in its `parameters` cell, with their default text."""
    import papermill

    path = notebook_folder() / f"{choose('notebook', name, notebook_names())}.ipynb"
    with _quiet("papermill"):
        found = papermill.inspect_notebook(str(path))
    return {key: value["default"] for key, value in found.items()}


def run_notebooks(
    words: Sequence[str] = ("tutorial",),
    *,
    profile: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = True,
    progress: bool = True,
) -> Path:
    """Execute notebooks in order; returns the folder with what they made.

    The folder holds the executed notebooks, `figures/`, `results.csv` and `progress.json`.

    Args:
        words: `tutorial`, `all`, numbers or names.
        profile: quick, tutorial, laptop or full; None as in `load_profile`.
        parameters: further parameters; each must be declared by every notebook that is run.
        out: default `runs/tutorial`, or `runs/WORD` for other words.
        resume: skip notebooks that are done already.
        progress: show a progress bar.

    Raises:
        UnknownNameError: a notebook, profile or parameter that does not exist.
        NotebookFailed: a cell raised; earlier notebooks are kept, the next call goes on here.
    """
    names = select_notebooks(words)
    values = {"profile": load_profile(profile).name, **(parameters or {})}
    for name in names:  # all of them first: an unknown word should not cost ten minutes
        for key in values:
            choose(f"parameter of notebook {name}", key, notebook_parameters(name))
    folder = Path(out) if out else runs_root() / "-".join(words)
    folder = folder.resolve()
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    done = _read_progress(folder) if resume else {}
    with tqdm(names, disable=not progress, unit="notebook") as bar:
        for name in bar:
            bar.set_description(name)
            key = _state_digest(name, values)
            target = folder / f"{name}.ipynb"
            if done.get(name, {}).get("digest") == key and target.is_file():
                continue
            started = time.perf_counter()
            source = notebook_folder() / f"{name}.ipynb"
            execute_notebook(source, target, profile=values["profile"], parameters=values)
            seconds = round(time.perf_counter() - started, 1)
            done[name] = {"digest": key, "seconds": seconds, "profile": values["profile"]}
            write_json(folder / "progress.json", {"notebooks": done})
    return folder


def execute_notebook(
    source: str | Path,
    target: str | Path,
    *,
    profile: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Path:
    """Execute one notebook, numbered or not, from its own folder; returns the executed one.

    `SOFTCAM_OUT` (the folder of `target`), `SOFTCAM_PROFILE` and `SOFTCAM_UNATTENDED` are set for
    its kernel, so it asks nobody anything. The target appears only when every cell has run.

    Args:
        source: the notebook; it stays as it is.
        target: the executed one, in a folder that exists; an older one is replaced.
        profile: quick, tutorial, laptop or full; None as in `load_profile`.
        parameters: values put in behind its `parameters` cell; none are needed.

    Raises:
        UnknownNameError: a profile that does not exist.
        NotebookFailed: a cell raised; the message says which, and where the half-run notebook is.
    """
    import papermill

    source, target = Path(source), Path(target)
    half = target.with_suffix(".running.ipynb")
    told = {
        "SOFTCAM_OUT": str(target.parent),
        "SOFTCAM_PROFILE": load_profile(profile).name,
        UNATTENDED: "1",
    }
    try:
        with _quiet("papermill"), environment(told):
            papermill.execute_notebook(
                str(source),
                str(half),
                parameters=dict(parameters or {}),
                kernel_name="python3",
                progress_bar=False,
                cwd=str(source.parent),
                extra_arguments=["--log-level=CRITICAL"],  # the kernel's words on its transport
            )
    except papermill.PapermillExecutionError as error:
        raise NotebookFailed(
            f"notebook {source.stem} stopped in cell {error.exec_count}: "
            f"{error.ename}: {error.evalue}. "
            f"The half-run notebook is {half}; mend the cause and run the same command again."
        ) from error
    os.replace(half, target)
    return target


def _state_digest(name: str, values: dict[str, Any]) -> str:
    package = Path(__file__).resolve().parent
    files = sorted(path for kind in ("*.py", "*.yaml") for path in package.rglob(kind))
    code = b"".join(path.read_bytes() for path in files)
    source = (notebook_folder() / f"{name}.ipynb").read_bytes()
    return digest(source, values, code, str(project_root()), length=16)


def _read_progress(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "progress.json").read_text(encoding="utf-8"))["notebooks"]
    except (OSError, ValueError, KeyError):
        return {}


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables inside a block, for the kernels that start in it.

    Args:
        values: name to text; afterwards each is as it was before, or gone.
    """
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
