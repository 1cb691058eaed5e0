"""Which rows of `results.csv` a figure of the paper shows, and one number from several seeds.

A map is shown once: in the gauge `contrast` where it has one, held against everything that counts
as a finding, under the first fill, occluded on its own network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from softcam.common import SoftCAMError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CELL", "FAILED", "MEASURED", "Holes", "chosen_rows", "map_rows", "over_seeds", "own_map",
    "test_rows",
]  # fmt: skip

FAILED, MEASURED, UNDEFINED = "failed", "measured", "undefined"
CELL = ["dataset", "task", "model", "arm"]
_GAUGES = {"contrast": 0, "raw": 1, "-": 2}
_ONE = ("finding", "fill", "interpolation", "threshold")  # the first that a table has


def test_rows(table: pd.DataFrame, metric: str, protocol: str = "corrected") -> pd.DataFrame:
    """The rows of one measure on the test split, or of any split where there is no test.

    Of a multi-label set the mean over its findings, which has no target.
    """
    rows = table[(table["metric"] == metric) & table["protocol"].isin([protocol, "-"])]
    if (rows["split"] == "test").any():
        rows = rows[rows["split"] == "test"]
    findings = (rows["task"] == "multi-label") & (rows["target"] != "-")
    return rows[~findings]


test_rows.__test__ = False  # type: ignore[attr-defined]  # its name begins like that of a test


def map_rows(table: pd.DataFrame, metric: str, protocol: str = "corrected") -> pd.DataFrame:
    """The rows of one measure on maps, each map once a step."""
    rows = test_rows(table, metric, protocol)
    rows = rows[rows["occluded_run"].isin(["-"]) | (rows["occluded_run"] == rows["run_id"])]
    if rows.empty:
        return rows
    rank = rows["gauge"].map(_GAUGES).fillna(3)
    best = rank.groupby([rows[c] for c in ("run_id", "arm", "method")]).transform("min")
    rows = rows[rank == best]
    for column in _ONE:
        first = rows.groupby(["dataset", "task", "model"])[column].transform("first")
        rows = rows[(rows[column] == first) | (rows[column] == "-")]
    return rows


def own_map(rows: pd.DataFrame) -> pd.DataFrame:
    """A SoftCAM by its own map, a black box by those of the post-hoc methods."""
    black_box = rows["arm"] == "black-box"
    return rows[black_box | (rows["method"] == "softcam")]


def over_seeds(rows: pd.DataFrame, by: Sequence[str], holes: Holes | None = None) -> pd.DataFrame:
    """One row for each value of `by`: the mean over seeds, and how far they lie apart.

    Args:
        rows: of `results.csv`.
        by: columns; with `holes` those of `CELL` are among them.
        holes: the seeds that failed are counted as asked for.

    Returns:
        `by`, then `value`, `low` and `high` (the interval over seeds and images where the rows
        have one, `seeds_low`; else from the lowest to the highest bound of the seeds' own
        intervals, which for one seed is its interval), `smallest` and `largest` (of the seeds'
        values), `seeds` (that have a value), `seeds_asked` (with those that failed or have
        none), `n` (fewest images of a seed) and `status`: `measured` or `undefined`.
    """
    import pandas as pd

    found = []
    for keys, part in rows.groupby(list(by), sort=False):
        values = part["value"].astype(float)
        known = part[values.notna() & (part["n"] > 0)]
        low, high = _bounds(known)
        named = dict(zip(by, keys, strict=True))
        lost = holes.seeds([str(named[c]) for c in CELL]) if holes is not None else set()
        found.append({
            **named,
            "value": known["value"].astype(float).mean(),
            "low": low, "high": high,
            "smallest": known["value"].astype(float).min(),
            "largest": known["value"].astype(float).max(),
            "seeds": int(known["seed"].nunique()),
            "seeds_asked": len({int(seed) for seed in part["seed"]} | lost),
            "n": int(known["n"].min()) if len(known) else 0,
            "status": MEASURED if len(known) else UNDEFINED,
        })  # fmt: skip
    names = ["value", "low", "high", "smallest", "largest", "seeds", "seeds_asked", "n"]
    return pd.DataFrame(found, columns=[*by, *names, "status"])


def _bounds(known: pd.DataFrame) -> tuple[float, float]:
    if known.empty:
        return np.nan, np.nan
    if "seeds_low" in known and known["seeds_low"].notna().all():
        return float(known["seeds_low"].iloc[0]), float(known["seeds_high"].iloc[0])
    return float(known["ci_low"].astype(float).min()), float(known["ci_high"].astype(float).max())


@dataclass(frozen=True)
class Holes:
    """The cells of `failed.csv`; `-` in a column stands for all of them.

    Attributes:
        cells: data set, task, model and arm of each.
        lost: the same with the seed, of those where it is known.
    """

    cells: frozenset[tuple[str, ...]] = frozenset()
    lost: frozenset[tuple[tuple[str, ...], int]] = frozenset()

    @classmethod
    def of(cls, failed: pd.DataFrame | None) -> Holes:
        """Read the table.

        Raises:
            SoftCAMError: it does not say which cells they are.
        """
        if failed is None or failed.empty:
            return cls()
        lacking = [name for name in CELL if name not in failed]
        if lacking:
            raise SoftCAMError(
                f"failed.csv has no column {', '.join(lacking)}: it must say which cells failed."
            )
        cells = list(failed[CELL].astype(str).itertuples(index=False, name=None))
        seeds = failed["seed"].astype(str) if "seed" in failed else ["-"] * len(cells)
        lost = ((c, int(s)) for c, s in zip(cells, seeds, strict=True) if s.isdecimal())
        return cls(frozenset(cells), frozenset(lost))

    def __contains__(self, cell: Sequence[str]) -> bool:
        """Whether this data set, task, model and arm failed, or something that they need."""
        return any(
            all(known in ("-", asked) for known, asked in zip(each, cell, strict=True))
            for each in self.cells
        )

    def seeds(self, cell: Sequence[str]) -> set[int]:
        """The seeds in which this data set, task, model and arm failed; its data are named."""
        dataset, task, model, arm = cell
        arms = ("-", "black-box" if arm == "converted" else arm)
        return {
            seed
            for each, seed in self.lost
            if each[:2] == (dataset, task) and each[2] in ("-", model) and each[3] in arms
        }

    def places(self, model: str) -> list[tuple[str, str]]:
        """(data set, task) of each cell of a model, or of all models."""
        return [(each[0], each[1]) for each in sorted(self.cells) if each[2] in ("-", model)]


def chosen_rows(table: pd.DataFrame, selection: pd.DataFrame | None) -> pd.DataFrame:
    """The results without the runs that were tried on the path of a weight and not chosen.

    Args:
        table: with `run_id`, such as results.csv.
        selection: selection.csv, with `run_id` and `chosen`; None leaves all in.
    """
    if selection is None or selection.empty:
        return table
    kept = selection["chosen"].astype(str).str.lower().eq("true")
    left = set(selection.loc[~kept, "run_id"].astype(str))
    left -= set(selection.loc[kept, "run_id"].astype(str))
    return table[~table["run_id"].astype(str).isin(left).to_numpy()]
