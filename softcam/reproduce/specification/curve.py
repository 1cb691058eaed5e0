"""Effects, intervals and the curve that would come out if the two sides could be exchanged.

The null: the two sides of an image are swapped, in all its specifications at once, so that the
curve keeps what its specifications share. A band of 95 % a rank, and the share of specifications
in which sparse is ahead, are held against that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import rng
from softcam.metrics import Ratios, paired_difference
from softcam.metrics.records import divide
from softcam.reproduce.specification.gathering import Choice, Sides

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CURVE", "SHARES", "Curve", "curve_of"]

CURVE = (
    "dataset", "task", "model", "measure", "protocol", "gauge", "interpolation", "rectification",
    "threshold", "step", "target", "fill", "seed", "direction", "sparse", "rival", "effect",
    "ci_low", "ci_high", "p", "ahead", "n", "rank", "null_low", "null_high",
)  # fmt: skip
SHARES = (
    "dataset", "task", "model", "seeds", "specifications", "repeats", "undefined", "median",
    "null_median_low", "null_median_high", "p_median", "share_sparse", "null_share_low",
    "null_share_high", "p_share", "share_sparse_clear", "share_rival_clear", "smallest_effect",
    "share_sparse_beyond", "share_rival_beyond", "left_out",
)  # fmt: skip
STREAM = 0x53504543  # keeps these draws apart from others with the same seed


@dataclass(frozen=True)
class Curve:
    """The curve of one data set and network.

    Attributes:
        table: `CURVE` but for data set, task and model; one row a specification, by rank.
        shares: `SHARES` but for what the caller knows.
    """

    table: pd.DataFrame
    shares: dict[str, Any]


def curve_of(
    found: Mapping[Choice, Mapping[int, Sides]],
    *,
    smallest_effect: float = 0.05,
    n_boot: int = 1000,
    n_draws: int = 1000,
    seed: int = 0,
) -> Curve:
    """Effects of sparse minus its rival; positive is for sparse, also where lower is better.

    Args:
        found: both sides of each choice, seed by seed.
        smallest_effect: what counts as a difference of interest, in shares.
        n_boot: draws of the paired intervals, over patients within a seed.
        n_draws: swaps of the null.
        seed: of the draws.
    """
    import pandas as pd

    seeds = sorted({each for by_seed in found.values() for each in by_seed})
    units = sorted({u for b in found.values() for s in b.values() for u in np.unique(s.patients)})
    swaps = rng(seed, STREAM).random((n_draws, len(units))) < 0.5
    parts = [_of_seed(found, one, units, swaps, n_boot, seed) for one in seeds]
    table = pd.concat([part for part, _ in parts], ignore_index=True)
    null = np.concatenate([part for _, part in parts], axis=1)
    known = ~np.isnan(table["effect"].to_numpy())
    table, null = table[known].reset_index(drop=True), null[:, known]
    effects = table["effect"].to_numpy()
    table["p"] = (1 + (np.abs(null) >= np.abs(effects) - 1e-12).sum(0)) / (1 + len(null))
    bounds = table[["ci_low", "ci_high"]].to_numpy()
    table["ahead"] = np.select([bounds[:, 0] > 0, bounds[:, 1] < 0], ["sparse", "rival"], "neither")
    order = np.argsort(effects, kind="stable")
    table = table.iloc[order].reset_index(drop=True)
    band = np.percentile(np.sort(null, axis=1), [2.5, 97.5], axis=0)
    table = table.assign(rank=np.arange(1, len(table) + 1), null_low=band[0], null_high=band[1])
    shares = _shares(table, null, smallest_effect)
    shares |= {"seeds": len(seeds), "undefined": int((~known).sum())}
    return Curve(table, shares)


def _of_seed(
    found: Mapping[Choice, Mapping[int, Sides]], one: int, units: list[str],
    swaps: np.ndarray, n_boot: int, seed: int,
) -> tuple[pd.DataFrame, np.ndarray]:  # fmt: skip
    """Rows of one seed, and their effects under each swap, (draws, specifications)."""
    import pandas as pd

    own = {choice: by_seed[one] for choice, by_seed in found.items() if one in by_seed}
    sums, patients = _stacked(own)
    sign = np.array([-1.0 if c.way.direction == "lower" else 1.0 for c in own])
    a, b = Ratios(sums[0], sums[1]), Ratios(sums[2], sums[3])
    groups = None if len(np.unique(patients)) == len(patients) else patients
    interval = paired_difference(a, b, n_boot, seed, groups)
    both = (a.denominator > 0) & (b.denominator > 0)
    sums = sums * both
    bounds = np.sort(np.stack([sign * interval.low, sign * interval.high]), axis=0)
    values = [divide(sums[i].sum(0), sums[i + 1].sum(0)) for i in (0, 2)]
    rows = [_row(choice, one) for choice in own]
    table = pd.DataFrame(rows).assign(
        sparse=values[0], rival=values[1], effect=sign * interval.value, ci_low=bounds[0],
        ci_high=bounds[1], n=both.sum(0),
    )  # fmt: skip
    place = np.searchsorted(np.array(units), patients)
    return table, sign * _swapped(sums, swaps[:, place].astype(np.float64))


def _stacked(own: Mapping[Choice, Sides]) -> tuple[np.ndarray, np.ndarray]:
    """(4, images, specifications) sums over the images of any of them, and their patients."""
    names: dict[str, str] = {}
    for sides in own.values():
        names.update(zip(sides.images, sides.patients, strict=True))
    place = {name: i for i, name in enumerate(names)}
    sums = np.zeros((4, len(names), len(own)))
    rows: dict[int, np.ndarray] = {}
    for column, sides in enumerate(own.values()):
        key = id(sides.images)
        if key not in rows:
            rows[key] = np.array([place[name] for name in sides.images], int)
        sums[:, rows[key], column] = np.stack([*sides.sparse, *sides.rival])
    return sums, np.array(list(names.values()))


def _swapped(sums: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """The differences after each swap, (draws, specifications); a patient is swapped as one."""
    change = sums[2:] - sums[:2]
    moved = np.stack([bits @ each for each in change])
    first, second = sums[:2].sum(1)[:, None] + moved, sums[2:].sum(1)[:, None] - moved
    return divide(first[0], first[1]) - divide(second[0], second[1])


def _row(choice: Choice, seed: int) -> dict[str, Any]:
    way = choice.way
    return {
        "measure": way.measure, "protocol": way.protocol, "gauge": choice.gauge,
        "interpolation": choice.interpolation, "rectification": way.rectification,
        "threshold": way.threshold, "step": way.step, "target": choice.target,
        "fill": choice.fill, "seed": seed, "direction": way.direction,
    }  # fmt: skip


def _shares(table: pd.DataFrame, null: np.ndarray, smallest: float) -> dict[str, Any]:
    """In what share of the specifications which side is ahead, and what chance would give."""
    effects, draws = table["effect"].to_numpy(), len(null)
    share, median = float((effects > 0).mean()), float(np.median(effects))
    shares, medians = (null > 0).mean(1), np.median(null, axis=1)
    ties = (null == 0).mean(1) / 2  # a tie speaks for neither side
    centre = np.abs(shares + ties - 0.5)
    own = abs(share + float((effects == 0).mean()) / 2 - 0.5)
    share_band, median_band = (np.percentile(each, [2.5, 97.5]) for each in (shares, medians))
    return {
        "specifications": len(table), "median": median,
        "null_median_low": median_band[0], "null_median_high": median_band[1],
        "p_median": (1 + (np.abs(medians) >= abs(median) - 1e-12).sum()) / (1 + draws),
        "share_sparse": share, "null_share_low": share_band[0], "null_share_high": share_band[1],
        "p_share": (1 + (centre >= own - 1e-12).sum()) / (1 + draws),
        "share_sparse_clear": float((table["ahead"] == "sparse").mean()),
        "share_rival_clear": float((table["ahead"] == "rival").mean()),
        "smallest_effect": smallest,
        "share_sparse_beyond": float((effects > smallest).mean()),
        "share_rival_beyond": float((effects < -smallest).mean()),
    }  # fmt: skip
