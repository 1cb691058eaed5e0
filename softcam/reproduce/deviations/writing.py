"""Every effect measured on what a reproduction left: `deviations.csv` and `deviations.md`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm.auto import tqdm

from softcam.common import SoftCAMError, hides_bar, write_text
from softcam.reproduce.deviations.closed import ATTRIBUTED, CLOSED
from softcam.reproduce.deviations.material import Material, Place
from softcam.reproduce.deviations.on_maps import ON_MAPS
from softcam.reproduce.deviations.on_networks import GRADIENTS, ON_NETWORKS
from softcam.reproduce.deviations.on_tables import ON_ARMS, ON_TABLES
from softcam.reproduce.deviations.page import page_of
from softcam.reproduce.deviations.reading import read_traps
from softcam.reproduce.deviations.records import NOT_HERE, Effect, Measured, Trap, agreement
from softcam.reproduce.deviations.spread import undefined

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "MEASURED", "deviations_table", "read_deviations", "write_deviations"]

log = logging.getLogger(__name__)
COLUMNS = (
    "id", "trap", "topic", "paper", "code", "ours", "quantity", "predicted", "least", "most",
    "reason", "measured", "ci_low", "ci_high", "n", "unit", "data", "agrees", "committed",
)  # fmt: skip
NUMBERS = ("least", "most", "measured", "ci_low", "ci_high")
Found = Iterable[tuple[str, Measured]]
# Function to the effects that it measures: once, and once for each data set and network.
ONCE: dict[Callable[[Material], Found], tuple[str, ...]] = {**CLOSED, **ON_TABLES, **GRADIENTS}
EACH: dict[Callable[[Material, Place], Found], tuple[str, ...]] = {
    **ATTRIBUTED, **ON_ARMS, **ON_MAPS, **ON_NETWORKS
}  # fmt: skip
MEASURED = tuple(name for ids in (*ONCE.values(), *EACH.values()) for name in ids)


def write_deviations(
    folder: str | Path,
    *,
    file: str | Path | None = None,
    limit: int = 120,
    occluded: int = 12,
    batches: int = 20,
    n_boot: int = 500,
    seed: int = 0,
    cache: bool = True,
    progress: bool = True,
) -> Path:
    """Set what each trap does beside what it was predicted to do.

    Args:
        folder: with results.csv, per_image.parquet and, where weights were chosen, selection.csv;
            its runs lie under `runs/`. The networks of the first seed are asked.
        file: the predictions; None takes `workflow/deviations.toml` of the checkout.
        limit: how many images with a finding are read a data set, a seeded choice.
        occluded: how many of them are occluded.
        batches: of which gradients are compared.
        n_boot, seed: of intervals and choices.
        cache: read the maps from the runs' caches, and keep there what is missing.
        progress: show a bar.

    Returns:
        The path of deviations.csv (`COLUMNS`; a row an effect and data set); deviations.md for
        readers lies beside it.

    Raises:
        SoftCAMError: no results, predictions that cannot be read, or that no function measures.
    """
    traps = read_traps(file)
    _check(traps)
    material = Material(Path(folder), limit, occluded, batches, n_boot, seed, cache)
    calls: list[tuple[tuple[str, ...], str, Callable[[], Found]]] = [
        (ids, "once", partial(measure, material)) for measure, ids in ONCE.items()
    ]
    for place in material.places:
        calls += [(ids, str(place), partial(m, material, place)) for m, ids in EACH.items()]
    found: dict[str, list[Measured]] = {}
    for ids, where, call in tqdm(calls, "deviations", disable=hides_bar(progress), leave=False):
        for name, value in _asked(ids, where, call):
            found.setdefault(name, []).append(value)
    table = deviations_table(traps, found)
    write_text(material.folder / "deviations.md", page_of(traps, table, material.folder.name))
    text = table.to_csv(index=False, lineterminator="\n", na_rep="-", float_format="%.6g")
    return write_text(material.folder / "deviations.csv", text)


def read_deviations(place: str | Path) -> pd.DataFrame:
    """A deviations.csv, or that of a folder, `COLUMNS`; an undefined number is NaN."""
    import pandas as pd

    path = Path(place) / "deviations.csv" if Path(place).is_dir() else Path(place)
    if not path.is_file():
        raise SoftCAMError(f"{path} is no file: `write_deviations` makes a deviations.csv.")
    return pd.read_csv(path, keep_default_na=False, na_values={c: ["-"] for c in NUMBERS})


def deviations_table(traps: Sequence[Trap], found: Mapping[str, Sequence[Measured]]) -> Any:
    """A row an effect and measurement; an effect without one, and a trap without effects, one."""
    import pandas as pd

    nowhere = undefined("no run of this reproduction allows it")
    rows = []
    for trap in traps:
        for effect in trap.effects:
            rows += [_row(trap, effect, each) for each in found.get(effect.id) or [nowhere]]
        if not trap.effects:
            rows.append(_row(trap, None, undefined(trap.not_measured)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(trap: Trap, effect: Effect | None, found: Measured) -> dict[str, Any]:
    said: dict[str, Any] = dict.fromkeys(("quantity", "predicted", "reason"), "-")
    bounds: dict[str, float] = dict.fromkeys(("least", "most"), float("nan"))
    agrees = NOT_HERE
    if effect is not None:
        said = {name: getattr(effect, name) for name in said}
        bounds = {name: getattr(effect, name) for name in bounds}
        agrees = agreement(effect, found)
    return {
        "id": trap.id if effect is None else effect.id, "trap": trap.id, "topic": trap.topic,
        "paper": trap.paper, "code": trap.code, "ours": trap.ours, **said, **bounds,
        "measured": found.value, "ci_low": found.low, "ci_high": found.high, "n": found.n,
        "unit": found.unit, "data": found.data, "agrees": agrees,
        "committed": trap.committed.isoformat(),
    }  # fmt: skip


def _asked(
    ids: tuple[str, ...], where: str, call: Callable[[], Found]
) -> list[tuple[str, Measured]]:
    """What a function measures; what it cannot is a hole in the table that says why."""
    try:
        with torch.random.fork_rng(devices=[]):  # some draw weights; nobody else's are moved
            return list(call())
    except SoftCAMError as error:
        log.warning("%s: not measured: %s (%s)", where, ", ".join(ids), error)
        return [(name, undefined(f"{where}: {error}")) for name in ids]


def _check(traps: Sequence[Trap]) -> None:
    unknown = [e.id for trap in traps for e in trap.effects if e.id not in MEASURED]
    if unknown:
        raise SoftCAMError(
            f"nothing measures {', '.join(unknown)}: expected effects among "
            f"{', '.join(sorted(MEASURED))}, or a trap with `not_measured`."
        )
