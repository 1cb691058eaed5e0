"""What an evaluation is asked for, checked before anything is computed.

Each function takes what a caller gave and returns it in the form that `Job` takes. One thing is
as good as a list of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from softcam.common import SoftCAMError, as_integer, choose
from softcam.data.records import ImageSet, Splits
from softcam.evaluation.subjects import RunLike, open_run
from softcam.metrics import FILLS, Measure, fill_name

__all__ = ["check_paper", "count", "named_fills", "names", "one_split", "opened_runs", "paths"]

MOST = 2**32 - 1  # also the largest seed


def count(name: str, value: Any, least: int) -> int:
    """A whole number of at least `least`, NumPy's too."""
    return as_integer(name, int(value) if isinstance(value, np.integer) else value, least, MOST)


def opened_runs(runs: Any) -> list[RunLike]:
    """The runs, each once, also where it was named twice."""
    given = [runs] if _is_run(runs) else _listed("runs", runs, "runs, or their directories")
    wrong = [each for each in given if not _is_run(each)]
    if wrong:
        raise SoftCAMError(
            f"runs holds {wrong[0]!r}: expected a run, as find_runs() gives them, or the path of "
            "its directory."
        )
    return _once([open_run(run) for run in given])


def paths(option: str, files: Any) -> list[Path]:
    """The paths of files."""
    one = isinstance(files, str | Path)
    given = [files] if one else _listed(option, files, "paths of files")
    wrong = [each for each in given if not isinstance(each, str | Path)]
    if wrong:
        raise SoftCAMError(f"{option} holds {wrong[0]!r}: expected the path of a file.")
    return [Path(each) for each in given]


def check_paper(measures: Iterable[Measure], sets: Iterable[ImageSet]) -> None:
    """Measures in the paper's protocol only for images of its sizes."""
    if not any(each.protocol == "paper" for each in measures):
        return
    for data in sets:
        if data.size not in ((512, 512), (496, 496)):
            raise SoftCAMError(
                f"the paper's protocol is defined for images of 512 or 496 px, found "
                f"{data.size[0]}x{data.size[1]} px: use protocol='corrected', or data of that size."
            )


def one_split(data: Any) -> ImageSet | None:
    """One split of a data set, or None."""
    if data is None or isinstance(data, ImageSet):
        return data
    if isinstance(data, Splits):
        found = f"all the splits of {data.name}"
        mend = 'add the name of one, as in open_data(...)["test"].'
    else:
        found = repr(data)
        mend = f'open_data({data!r}, size=...)["test"].' if isinstance(data, str) else ""
        mend = mend or 'open_data("phantoms:cxr", size=...)["test"], for example.'
    raise SoftCAMError(f"data is {found}, expected one split of a data set: {mend}")


def names(kind: str, given: Any, known: Iterable[str]) -> list[str]:
    """The names asked for, each once; None takes all, and none at all is an error."""
    known = list(known)
    found = known if given is None else [given] if isinstance(given, str) else None
    found = _listed(f"the choice of a {kind}", given, "names") if found is None else found
    if not found:
        raise SoftCAMError(
            f"no {kind} is named: name at least one, or leave the option out. "
            f"Known: {', '.join(known) or 'none'}."
        )
    return list(dict.fromkeys(choose(kind, name, known) for name in found))


def named_fills(fills: Any) -> list[Any]:
    """What hides a tile, each once: a name, or three plain numbers."""
    one = isinstance(fills, str)
    fills = [fills] if one else _listed("fills", fills, f"names ({', '.join(FILLS)}) or colours")
    if not fills:
        raise SoftCAMError(f"no fill is named: name at least one of {', '.join(FILLS)}.")
    named: dict[str, Any] = {}
    for fill in fills:
        named.setdefault(fill_name(fill), fill)
    return [each if isinstance(each, str) else tuple(map(float, each)) for each in named.values()]


def _listed(option: str, given: Any, expected: str) -> list[Any]:
    try:
        return list(given)
    except TypeError as error:
        raise SoftCAMError(f"{option} is {given!r}: expected a list of {expected}.") from error


def _is_run(value: Any) -> bool:
    """A path, or what has the verbs of `RunLike`; the rest would read files only to ask."""
    return isinstance(value, str | Path) or all(
        hasattr(value, name) for name in ("id", "model", "converted", "data")
    )


def _once(runs: Sequence[RunLike]) -> list[RunLike]:
    found: dict[str, RunLike] = {}
    for run in runs:
        other = found.setdefault(run.id, run)
        if other is not run and _folder(other) != _folder(run):
            raise SoftCAMError(
                f"two runs are called {run.id}: one table cannot tell them apart. Evaluate them "
                "one at a time, or rename a copy's folder."
            )
    return list(found.values())


def _folder(run: RunLike) -> Any:
    path = getattr(run, "path", None)
    return run if path is None else Path(path).resolve()
