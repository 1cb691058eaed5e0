"""Two runs on the same images: how much better is one, and could it be chance?

The difference is paired, image by image (or patient by patient), which is far sharper than two
intervals side by side. `SeedValue` holds one measure over several seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import SoftCAMError, choose
from softcam.metrics import Interval, Ratios, get_measure, paired_difference, paired_statistic
from softcam.results import KEYS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Difference", "SeedValue", "against_black_box", "compare"]

# Not means over images: they are computed again from labels and logits in every draw.
_STATISTICS = ("auc", "quadratic-kappa", "ece")
_ABOUT_MAPS = ("method", "gauge", "target", "fill", "occluded_run", "finding")


@dataclass(frozen=True)
class SeedValue:
    """One measure of one arm and method, over the seeds it was trained with.

    Attributes:
        name: for people.
        arm, method: as in the table.
        weights: lambda1 and lambda2.
        by_seed: seed to (value, lower bound, upper bound).
    """

    name: str
    arm: str
    method: str
    weights: tuple[str, str]
    by_seed: Mapping[str, tuple[float, float, float]]

    @property
    def value(self) -> float:
        return self._mean(0)

    @property
    def low(self) -> float:
        return self._mean(1)

    @property
    def high(self) -> float:
        return self._mean(2)

    def _mean(self, which: int) -> float:
        return sum(each[which] for each in self.by_seed.values()) / len(self.by_seed)

    def over(self, other: SeedValue) -> SeedValue:
        """The same over the seeds that `other` has too."""
        return replace(self, by_seed={k: v for k, v in self.by_seed.items() if k in other.by_seed})

    def above(self, other: SeedValue) -> int:
        """In how many seeds this value is the larger one."""
        return sum(v[0] > other.by_seed[seed][0] for seed, v in self.by_seed.items())

    def __str__(self) -> str:
        values = [each[0] for each in self.by_seed.values()]
        form = ".3f" if self.value > 0.985 else ".2f"  # near 1, two digits make all values equal
        seeds = f"; seeds {min(values):{form}} to {max(values):{form}}" if len(values) > 1 else ""
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}{seeds}]"


@dataclass(frozen=True)
class Difference:
    """a - b for one measure, on the same images.

    Attributes:
        metric: name of the measure.
        value, low, high: the difference and its 95 % interval.
        n: images that both have a value for.
        kind: how the interval was made.
        better: `a`, `b`, or `neither` where the interval holds 0.
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    kind: str
    better: str

    def __str__(self) -> str:
        return f"{self.metric}: {self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}], n = {self.n}"


def compare(
    per_image: pd.DataFrame,
    a: str | Mapping[str, Any],
    b: str | Mapping[str, Any],
    metric: str,
    *,
    n_boot: int = 1000,
    seed: int = 0,
) -> Difference:
    """The paired difference a - b of one measure between two runs, or two methods of one run.

    Args:
        per_image: second table of `evaluate`, or `results.read_results`.
        a, b: a run id, or columns and values such as
            `{"run_id": ..., "arm": "converted", "method": "softcam", "gauge": "contrast"}`.
            Measures with steps need a `step`.
        metric: name of a measure.
        n_boot, seed: of the bootstrap; patients are drawn where they have several images.

    Raises:
        SoftCAMError: a selection that holds nothing, or more than one value an image; the
            message names the columns that still differ.
    """
    measure = get_measure(metric)
    if metric in _STATISTICS:
        interval, n = _statistic(per_image, a, b, measure.function, n_boot, seed)
    else:
        interval, n = _ratio(per_image, a, b, metric, n_boot, seed)
    value, low, high = (float(np.squeeze(each)) for each in interval)
    ahead = 0 if not (low > 0 or high < 0) else (1 if low > 0 else -1)
    if measure.direction == "lower":
        ahead = -ahead
    better = {1: "a", -1: "b", 0: "neither"}[ahead]
    return Difference(metric, value, low, high, n, interval.kind, better)


def against_black_box(
    table: pd.DataFrame, per_image: pd.DataFrame, metrics: Sequence[str], **options: int
) -> list[tuple[pd.Series, Difference]]:
    """Each trained SoftCAM minus the black box of its seed, on the same images.

    Measures on maps take the contrast (with one logit the raw map): SoftCAM's own against Grad-CAM
    on the black box.

    Args:
        table, per_image: of one evaluation.
        metrics: names of measures; one that was not measured, or not for both, is left out.
        options: `n_boot` and `seed` of `compare`.

    Returns:
        The first row of the run in the table, and the difference.
    """
    first = table.drop_duplicates(["run_id", "arm"])
    boxes = first[first["arm"] == "black-box"]
    out = []
    for _, run in first[~first["arm"].isin(["black-box", "converted"])].iterrows():
        same = (boxes[c] == run[c] for c in ("dataset", "split", "model", "seed"))
        partners = boxes[np.logical_and.reduce([each.to_numpy() for each in same])]
        if len(partners) != 1:
            continue
        for metric in metrics:
            sides = [
                _side(table, run_id, method, metric)
                for run_id, method in (
                    (run["run_id"], "softcam"),
                    (partners["run_id"].iloc[0], "grad-cam"),
                )
            ]
            if all(sides):
                out.append((run, compare(per_image, sides[0], sides[1], metric, **options)))
    return out


def _side(table: pd.DataFrame, run_id: str, method: str, metric: str) -> dict[str, str]:
    """What `compare` is asked for; empty where the run has no value of the measure."""
    rows = table[(table["run_id"] == run_id) & (table["metric"] == metric) & (table["n"] > 0)]
    if get_measure(metric).kind == "classification":
        return {"run_id": run_id} if len(rows) else {}
    gauges = set(rows[rows["method"] == method]["gauge"])
    gauge = next((g for g in ("contrast", "raw") if g in gauges), "")
    return {"run_id": run_id, "method": method, "gauge": gauge} if gauge else {}


def _ratio(
    table: pd.DataFrame, a: Any, b: Any, metric: str, n_boot: int, seed: int
) -> tuple[Interval, int]:
    sides = [_select(table, {**_where(side), "metric": metric}) for side in (a, b)]
    ids = _shared(*sides)
    first, second = (
        Ratios((own["value"] * own["weight"]).to_numpy(), own["weight"].to_numpy())
        for own in (side.loc[ids] for side in sides)
    )
    return paired_difference(first, second, n_boot, seed, _patients(sides[0], ids)), len(ids)


def _statistic(
    table: pd.DataFrame, a: Any, b: Any, function: Callable[..., float], n_boot: int, seed: int
) -> tuple[Interval, int]:
    wheres = [
        {key: value for key, value in _where(side).items() if key not in _ABOUT_MAPS}
        for side in (a, b)
    ]
    labels = [_select(table, {**where, "metric": "label"}) for where in wheres]
    ids = _shared(*labels)
    y = labels[0].loc[ids, "value"].to_numpy().astype(int)
    logits = [_logits(table, where, ids) for where in wheres]
    link = "sigmoid" if logits[0].shape[1] == 1 else "softmax"

    def statistic(labels: np.ndarray, z: np.ndarray) -> float:
        return function(labels, z, link)

    groups = _patients(labels[0], ids)
    interval = paired_statistic(
        statistic, (y, logits[0]), (y, logits[1]), n_boot=n_boot, seed=seed, groups=groups
    )
    return interval, len(ids)


def _where(side: str | Mapping[str, Any]) -> dict[str, Any]:
    return {"run_id": side} if isinstance(side, str) else dict(side)


def _matching(table: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """The rows with these values; of a black box's run its own, unless `converted` is asked for."""
    kept = np.ones(len(table), bool)
    for column, value in where.items():
        choose("column", column, KEYS)
        kept &= (table[column] == str(value)).to_numpy()
    rows = table[kept]
    arms = rows["arm"].astype(str)
    if "arm" not in where and set(arms) == {"black-box", "converted"}:
        own = "converted" if where.get("method") == "softcam" else "black-box"
        rows = rows[(arms == own).to_numpy()]
    if rows.empty:
        raise SoftCAMError(
            f"there are no rows for {dict(where)}: see what the columns of per_image.parquet hold."
        )
    return rows


def _select(table: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """One row an image, indexed by image id."""
    rows = _matching(table, where)
    if rows["image_id"].astype(str).duplicated().any():
        differ = [
            f"{c} ({', '.join(map(str, rows[c].unique()[:4]))})"
            for c in KEYS
            if rows[c].astype(str).nunique() > 1
        ]
        raise SoftCAMError(
            f"{dict(where)} holds several values an image: choose one of {'; '.join(differ)}."
        )
    return rows.set_index(rows["image_id"].astype(str))


def _logits(table: pd.DataFrame, where: Mapping[str, Any], ids: list[str]) -> np.ndarray:
    rows = _matching(table, {**where, "metric": "logit"})
    names = sorted(rows["target"].astype(str).unique(), key=lambda name: int(name.split(":")[1]))
    columns = [_select(rows, {"target": name}).loc[ids, "value"].to_numpy() for name in names]
    return np.stack(columns, 1)


def _shared(first: pd.DataFrame, second: pd.DataFrame) -> list[str]:
    there = set(second.index)
    ids = [i for i in first.index if i in there]
    if not ids:
        raise SoftCAMError(
            "the two runs have no image in common: a paired difference needs the same test images."
        )
    return ids


def _patients(side: pd.DataFrame, ids: list[str]) -> np.ndarray | None:
    patients = side.loc[ids, "patient_id"].astype(str).to_numpy()
    return None if len(set(patients)) == len(patients) else patients
