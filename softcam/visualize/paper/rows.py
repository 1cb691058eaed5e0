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
    "CELL", "FAILED", "MEASURED", "Holes", "map_rows", "over_seeds", "own_map", "test_rows",
    "without_path",
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
        first = rows.groupby(["dataset", "model"])[column].transform("first")
        rows = rows[(rows[column] == first) | (rows[column] == "-")]
    return rows


def own_map(rows: pd.DataFrame) -> pd.DataFrame:
    """A SoftCAM by its own map, a black box by those of the post-hoc methods."""
    black_box = rows["arm"] == "black-box"
    return rows[black_box | (rows["method"] == "softcam")]


def over_seeds(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """One row for each value of `by`: the mean over seeds, and how far they lie apart.

    Returns:
        `by`, then `value`, `low` and `high` (the interval over seeds and images where the rows
        have one, `seeds_low`; else from the lowest to the highest bound of the seeds' own
        intervals, which for one seed is its interval), `smallest` and `largest` (of the seeds'
        values), `seeds`, `n` (fewest images of a seed) and `status`: `measured` or `undefined`.
    """
    import pandas as pd

    found = []
    for keys, part in rows.groupby(list(by), sort=False):
        values = part["value"].astype(float)
        known = part[values.notna() & (part["n"] > 0)]
        low, high = _bounds(known)
        found.append({
            **dict(zip(by, keys, strict=True)),
            "value": known["value"].astype(float).mean(),
            "low": low, "high": high,
            "smallest": known["value"].astype(float).min(),
            "largest": known["value"].astype(float).max(),
            "seeds": int(known["seed"].nunique()),
            "n": int(known["n"].min()) if len(known) else 0,
            "status": MEASURED if len(known) else UNDEFINED,
        })  # fmt: skip
    names = ["value", "low", "high", "smallest", "largest", "seeds", "n", "status"]
    return pd.DataFrame(found, columns=[*by, *names])


def _bounds(known: pd.DataFrame) -> tuple[float, float]:
    if known.empty:
        return np.nan, np.nan
    if "seeds_low" in known and known["seeds_low"].notna().all():
        return float(known["seeds_low"].iloc[0]), float(known["seeds_high"].iloc[0])
    return float(known["ci_low"].astype(float).min()), float(known["ci_high"].astype(float).max())


@dataclass(frozen=True)
class Holes:
    """The cells of `failed.csv`; `-` in a column stands for all of them."""

    cells: frozenset[tuple[str, ...]] = frozenset()

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
        return cls(frozenset(failed[CELL].astype(str).itertuples(index=False, name=None)))

    def __contains__(self, cell: Sequence[str]) -> bool:
        """Whether this data set, task, model and arm failed, or something that they need."""
        return any(
            all(known in ("-", asked) for known, asked in zip(each, cell, strict=True))
            for each in self.cells
        )

    def places(self, model: str) -> list[tuple[str, str]]:
        """(data set, task) of each cell of a model, or of all models."""
        return [(each[0], each[1]) for each in sorted(self.cells) if each[2] in ("-", model)]


def without_path(table: pd.DataFrame, selection: pd.DataFrame | None) -> pd.DataFrame:
    """The results without the runs along the path of weights that were not chosen."""
    if selection is None or selection.empty:
        return table
    left = selection.loc[~selection["chosen"].astype(bool), "run_id"]
    return table[~table["run_id"].isin(left)]
