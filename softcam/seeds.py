"""One measure over the seeds that an arm was trained with, and how sure the mean is.

The interval of a mean over seeds draws seeds and images (`metrics.hierarchical`). Whether two
seeds have the same test images is read from the per-image rows: the same ids with the same labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import SoftCAMError
from softcam.compare import STATISTICS, PerImage, groups_of
from softcam.metrics import (
    Interval,
    Ratios,
    get_measure,
    hierarchical_ratio,
    hierarchical_statistic,
    macro_mean,
)
from softcam.metrics.multi_label import one_finding

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SEEDS_OF", "SeedValue", "align", "grouping", "labels_and_logits", "same_images",
    "statistic_of", "with_seed_intervals",
]  # fmt: skip

SEEDS_OF = ["dataset", "split", "model", "arm", "lambda1", "lambda2"]  # with the same: other seeds


@dataclass(frozen=True)
class SeedValue:
    """One measure of one arm and method, over the seeds it was trained with.

    Attributes:
        name: for people.
        arm, method: as in the table.
        weights: lambda1 and lambda2.
        by_seed: seed to (value, lower bound, upper bound).
        bounds: of the mean over all of these seeds, where it was worked out; else None, and the
            means of the seeds' bounds stand for it, which know nothing of chance in training.
    """

    name: str
    arm: str
    method: str
    weights: tuple[str, str]
    by_seed: Mapping[str, tuple[float, float, float]]
    bounds: tuple[float, float] | None = None

    @property
    def value(self) -> float:
        return self._mean(0)

    @property
    def low(self) -> float:
        return self.bounds[0] if self.bounds else self._mean(1)

    @property
    def high(self) -> float:
        return self.bounds[1] if self.bounds else self._mean(2)

    @property
    def has_interval(self) -> bool:
        """Whether both bounds are known; without them nothing follows from the value."""
        return not math.isnan(self.low) and not math.isnan(self.high)

    def _mean(self, which: int) -> float:
        return sum(each[which] for each in self.by_seed.values()) / len(self.by_seed)

    def over(self, other: SeedValue) -> SeedValue:
        """The same over the seeds that `other` has too."""
        shared = {k: v for k, v in self.by_seed.items() if k in other.by_seed}
        bounds = self.bounds if len(shared) == len(self.by_seed) else None
        return replace(self, by_seed=shared, bounds=bounds)

    def above(self, other: SeedValue) -> int:
        """In how many seeds this value is the larger one."""
        return sum(v[0] > other.by_seed[seed][0] for seed, v in self.by_seed.items())

    def __str__(self) -> str:
        values = [each[0] for each in self.by_seed.values()]
        form = ".3f" if self.value > 0.985 else ".2f"  # near 1, two digits make all values equal
        seeds = f"; seeds {min(values):{form}} to {max(values):{form}}" if len(values) > 1 else ""
        known = self.has_interval
        interval = f"{self.low:{form}}, {self.high:{form}}" if known else "no interval"
        return f"{self.value:{form}} [{interval}{seeds}]"


def with_seed_intervals(
    table: pd.DataFrame,
    per_image: pd.DataFrame,
    metrics: Collection[str],
    *,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The table with `seeds_low` and `seeds_high`, the bounds of the mean over seeds, in each row.

    Only rows of a model's own occlusion and without steps get them, and only where an arm has
    several seeds with per-image rows; the others hold NaN. Two runs of one arm, penalty and seed
    differ in something that the table does not say, and are not combined.

    Args:
        table, per_image: of one evaluation.
        metrics: the measures to do it for.
        n_boot, seed: of the bootstrap.
    """
    low, high = np.full(len(table), np.nan), np.full(len(table), np.nan)
    images = PerImage(per_image, metrics)
    own = table["metric"].isin(list(metrics)) & (table["n"] > 0) & (table["step"] == "-")
    own &= table["occluded_run"].isin(["-"]) | (table["occluded_run"] == table["run_id"])
    places = np.flatnonzero(own.to_numpy())
    what = [*SEEDS_OF, *(c for c in PerImage.COLUMNS if c not in ("run_id", "occluded_run", "arm"))]
    for _, rows in table.iloc[places].groupby(what, sort=False):
        if len(rows) < 2 or rows["seed"].duplicated().any():
            continue
        interval = _over_seeds(rows, images, n_boot, seed)
        if interval is not None:
            here = table.index.get_indexer(rows.index)
            low[here], high[here] = float(interval.low.item()), float(interval.high.item())
    return table.assign(seeds_low=low, seeds_high=high)


def _over_seeds(rows: pd.DataFrame, images: PerImage, n_boot: int, seed: int) -> Interval | None:
    runs = rows[["run_id", "arm"]].to_numpy().tolist()
    crossed = same_images(images, runs)
    if rows["metric"].iloc[0] in STATISTICS:
        tables = [images.predictions(*run).sort_index() for run in runs]
        if any(t.empty for t in tables):
            return None
        arrays = [labels_and_logits(t, str(rows["target"].iloc[0])) for t in tables]
        groups = grouping([t["patient_id"] for t in tables], crossed)
        return hierarchical_statistic(
            statistic_of(str(rows["metric"].iloc[0]), *arrays[0]), arrays, n_boot=n_boot,
            seed=seed, crossed=crossed, groups=groups,
        )  # fmt: skip
    found = [images.rows({str(k): v for k, v in row.items()}) for _, row in rows.iterrows()]
    if any(each is None for each in found):
        return None
    ratios, groups = align([[each] for each in found], crossed)
    return hierarchical_ratio([r for (r,) in ratios], n_boot, seed, groups, crossed=crossed)


def statistic_of(metric: str, labels: np.ndarray, logits: np.ndarray) -> Callable[..., float]:
    """A classification measure of labels and logits, with the link that the logits show.

    Of several findings (labels (N, C)) it is the mean over them, each with a sigmoid.
    """
    function = get_measure(metric).function
    if labels.ndim == 2:
        return partial(macro_mean(function), link="sigmoid")
    return partial(function, link="sigmoid" if logits.shape[1] == 1 else "softmax")


def same_images(images: PerImage, runs: Sequence[Sequence[str]]) -> bool:
    """Whether these runs (id and arm) were tested on the same images: same ids, same labels."""
    tables = [_labels(images.predictions(*run)).sort_index() for run in runs]
    return len(tables[0]) > 0 and all(each.equals(tables[0]) for each in tables[1:])


def align(by_seed: Sequence[Sequence[Any]], crossed: bool) -> tuple[list[list[Ratios]], Any]:
    """Tables of `PerImage.rows`, several a seed, as `Ratios` of the same images within a seed.

    Args:
        by_seed: for each seed its tables. An image that one of them lacks is undefined in it.
        crossed: the same images in all seeds.

    Returns:
        For each seed its `Ratios`, and the groups as `hierarchical_ratio` takes them.
    """
    import pandas as pd

    patients = [
        pd.concat([t["patient_id"] for t in tables]).groupby(level=0).first() for tables in by_seed
    ]
    if crossed:
        patients = [pd.concat(patients).groupby(level=0).first()] * len(by_seed)
    ratios = []
    for tables, own in zip(by_seed, patients, strict=True):
        filled = [t[["value", "weight"]].reindex(own.index, fill_value=0.0) for t in tables]
        ratios.append([
            Ratios((t["value"] * t["weight"]).to_numpy(), t["weight"].to_numpy()) for t in filled
        ])  # fmt: skip
    return ratios, grouping(patients, crossed)


def grouping(patients: Sequence[pd.Series], crossed: bool) -> Any:
    """The patients of each seed as `hierarchical_ratio` takes them; None where none repeats."""
    groups = [groups_of(each.to_numpy()) for each in patients]
    if all(each is None for each in groups):
        return None
    return groups[0] if crossed else groups


def _labels(predictions: pd.DataFrame) -> pd.DataFrame:
    """The label column of `PerImage.predictions`, or those of all findings."""
    return predictions[[c for c in predictions.columns if str(c).startswith("label")]]


def labels_and_logits(
    predictions: pd.DataFrame, target: str = "-"
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits of `PerImage.predictions` as a classification measure takes them.

    Args:
        predictions: one row an image.
        target: of a multi-label set, `class:N` takes finding N alone; `-` takes all of them.

    Returns:
        (N,) and (N, C) with one class an image, or for one finding (N,) and (N, 1); of all
        findings (N, C) and (N, C).
    """
    labels = _labels(predictions).to_numpy().astype(int)
    logits = predictions.iloc[:, 1 + labels.shape[1] :].to_numpy()
    if "label" in predictions.columns:
        return labels[:, 0], logits
    if labels.shape != logits.shape:
        raise SoftCAMError(
            f"found labels of {labels.shape[1]} findings and {logits.shape[1]} logits; expected a "
            "logit for each finding: evaluate the run once more."
        )
    if target == "-":
        return labels, logits
    return one_finding(labels, logits, int(target.removeprefix("class:")))
