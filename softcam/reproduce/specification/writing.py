"""The curve of every data set of a reproduction, written as tables."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from softcam.common import SoftCAMError, hides_bar, runs_root, write_text
from softcam.reproduce.claims import read_images, read_selection
from softcam.reproduce.numbers import chosen_rows
from softcam.reproduce.specification.curve import CURVE, SHARES, Curve, curve_of
from softcam.reproduce.specification.gathering import (
    FILL_MEASURES,
    RULES,
    Choice,
    Sides,
    from_maps,
    from_occlusion,
    shared_gauges,
    without_repeats,
)
from softcam.reproduce.specification.maps import NothingMarked, kept_maps
from softcam.results import read_table
from softcam.runs import Run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_specification", "write_specification"]

log = logging.getLogger(__name__)
WORDS = ("step", "threshold", "fill", "seed")


def write_specification(
    folder: str | Path,
    *,
    limit: int | None = 256,
    n_boot: int = 1000,
    n_draws: int = 1000,
    smallest_effect: float = 0.05,
    seed: int = 0,
    cache: bool = True,
    progress: bool = True,
) -> Path:
    """Sparse SoftCAM minus Grad-CAM on the black box of its seed, in every specification.

    Args:
        folder: with results.csv, per_image.parquet and, where weights were chosen, selection.csv;
            its runs lie under `runs/`.
        limit: how many images with a finding a seed, a seeded choice; None takes all.
        n_boot, n_draws: of intervals, and swaps of the null.
        smallest_effect: what counts as a difference of interest.
        seed: of every choice.
        cache: read the maps from the runs' caches, and keep there what is missing.
        progress: show a bar.

    Returns:
        The path of specification.csv (`CURVE`); specification-shares.csv (`SHARES`) beside it
        has one row a data set, task and network. Where there is nothing to compare, they have a
        header alone, and the log says why.

    Raises:
        SoftCAMError: no results; several sparse runs of one seed.
    """
    import pandas as pd

    folder = Path(folder)
    table = chosen_rows(read_table(folder / "results.csv"), read_selection(folder))
    images = read_images(folder / "per_image.parquet", set(FILL_MEASURES))
    groups = dict(_groups(table))
    rows, shares = [], []
    for key, pairs in tqdm(groups.items(), "curves", disable=hides_bar(progress), leave=False):
        found = _gathered(pairs, key[0], images, limit, seed, cache)
        if not found:
            continue
        kept, repeats = without_repeats(found)
        curve = curve_of(
            kept, smallest_effect=smallest_effect, n_boot=n_boot, n_draws=n_draws, seed=seed
        )
        said = dict(zip(("dataset", "task", "model"), key, strict=True))
        rows.append(curve.table.assign(**said)[list(CURVE)])
        shares.append(_said(curve, said, repeats))
    if not groups:
        log.warning(
            "%s has no seed with a sparse SoftCAM and a black box explained by grad-cam: its "
            "specification curve is empty", folder,
        )  # fmt: skip
    _write(folder / "specification-shares.csv", pd.DataFrame(shares, columns=list(SHARES)))
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=list(CURVE))
    return _write(folder / "specification.csv", table)


def read_specification(folder: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """specification.csv and specification-shares.csv of a folder."""
    import pandas as pd

    found = []
    for name in ("specification.csv", "specification-shares.csv"):
        file = Path(folder) / name
        if not file.is_file():
            raise SoftCAMError(f"{folder} has no {name}: `write_specification` makes it.")
        found.append(pd.read_csv(file, dtype=dict.fromkeys(WORDS, str), keep_default_na=False,
                                 na_values={c: [""] for c in ("ci_low", "ci_high")}))  # fmt: skip
    return found[0], found[1]


def _groups(table: pd.DataFrame) -> Iterator[tuple[tuple[str, ...], dict[int, tuple[str, str]]]]:
    """(data set, task, network) to seed to the ids of the sparse run and of the black box."""
    own = table[(table["arm"] == "sparse") & (table["method"] == "softcam")]
    box = table[(table["arm"] == "black-box") & (table["method"] == "grad-cam")]
    what = ["dataset", "task", "model"]
    runs = [each.drop_duplicates([*what, "seed", "run_id"]) for each in (own, box)]
    both = runs[0].merge(runs[1], on=[*what, "seed"], suffixes=("_a", "_b"))
    for key, rows in both.groupby(what, sort=False):
        name = tuple(str(each) for each in key)
        if name[1] == "multi-label":
            log.warning("%s: no specification curve of a multi-label set", name[0])
        elif rows["seed"].duplicated().any():
            raise SoftCAMError(
                f"{' '.join(name)}: several sparse runs of one seed; expected the chosen one in "
                "selection.csv."
            )
        else:
            pairs = zip(rows["seed"], rows["run_id_a"], rows["run_id_b"], strict=True)
            yield name, {int(s): (str(a), str(b)) for s, a, b in pairs}


def _gathered(
    pairs: dict[int, tuple[str, str]], dataset: str, images: pd.DataFrame, limit: int | None,
    seed: int, cache: bool,
) -> dict[Choice, dict[int, Sides]]:  # fmt: skip
    """Both sides of every choice, seed by seed; a seed without a finding is left out."""
    found: dict[Choice, dict[int, Sides]] = {}
    for one, names in pairs.items():
        runs = [Run.open(runs_root() / dataset / name) for name in names]
        try:
            maps = [
                kept_maps(run, method, limit=limit, seed=seed, cache=cache)
                for run, method in zip(runs, ("softcam", "grad-cam"), strict=True)
            ]
        except NothingMarked as error:
            log.warning("no specification curve of seed %d: %s", one, error)
            continue
        mark, gauges = maps[0].data.fingerprint, shared_gauges(*maps)
        for choice, sides in (*from_maps(*maps), *from_occlusion(images, *names, mark, gauges)):
            found.setdefault(choice, {})[one] = sides
    return found


def _said(curve: Curve, said: dict[str, str], repeats: int) -> dict[str, Any]:
    return {**said, **curve.shares, "repeats": repeats, "left_out": "; ".join(RULES)}


def _write(file: Path, table: pd.DataFrame) -> Path:
    return write_text(file, table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
