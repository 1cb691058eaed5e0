"""Two runs on the same images: how much better is one, and could it be chance?

The difference is paired, image by image (or patient by patient), which is far sharper than two
intervals side by side. `PerImage` finds the images' rows of many comparisons at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import SoftCAMError, choose
from softcam.metrics import (
    Interval,
    Ratios,
    get_measure,
    macro_mean,
    measures,
    paired_difference,
    paired_statistic,
)
from softcam.results import KEYS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STATISTICS", "Difference", "PerImage", "compare", "groups_of", "verdict"]

# Not means over images: they are computed again from labels and logits in every draw.
STATISTICS = ("auc", "auprc", "quadratic-kappa", "ece")
_ABOUT_MAPS = ("method", "gauge", "target", "fill", "occluded_run", "finding")


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
        known = not np.isnan(self.low)
        interval = f"{self.low:+.3f}, {self.high:+.3f}" if known else "no interval"
        return f"{self.metric}: {self.value:+.3f} [{interval}], n = {self.n}"


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
            Measures with steps need a `step`. Measures of predictions are the mean over the
            findings of a multi-label set, or with `target` (`class:0`) of one of them.
        metric: name of a measure.
        n_boot, seed: of the bootstrap; patients are drawn where they have several images.

    Raises:
        SoftCAMError: a selection that holds nothing, or more than one value an image; the
            message names the columns that still differ.
    """
    names = [each.name for each in (*measures(), *measures(protocol="paper"))]
    choose("measure", metric, dict.fromkeys([*names, *per_image["metric"].astype(str).unique()]))
    protocols = set(per_image[per_image["metric"] == metric]["protocol"].astype(str))
    for each in (*measures(), *measures(protocol="paper")):
        if each.name == metric and each.joint != "-" and each.protocol in protocols:
            raise SoftCAMError(
                f"{metric!r} ({each.protocol}) has no paired difference image by image: its images "
                f"hang together ({each.joint}). Compare another measure."
            )
    if metric in STATISTICS:
        direction = str(get_measure(metric).direction)
        function = get_measure(metric).function
        interval, n = _statistic(per_image, a, b, function, n_boot, seed)
    else:
        interval, n, direction = _ratio(per_image, a, b, metric, n_boot, seed)
    value, low, high = (float(np.squeeze(each)) for each in interval)
    return Difference(metric, value, low, high, n, interval.kind, verdict(low, high, direction))


def verdict(low: float, high: float, direction: str) -> str:
    """Which of a and b is better by the interval of a - b: `a`, `b` or `neither`."""
    ahead = 0 if not (low > 0 or high < 0) else (1 if low > 0 else -1)
    if direction not in ("higher", "lower"):
        return "neither"
    return {1: "a", -1: "b", 0: "neither"}[-ahead if direction == "lower" else ahead]


def _ratio(
    table: pd.DataFrame, a: Any, b: Any, metric: str, n_boot: int, seed: int
) -> tuple[Interval, int, str]:
    usual = {"target": "-"} if metric in [m.name for m in measures("classification")] else {}
    sides = [_select(table, {**usual, **_where(side), "metric": metric}) for side in (a, b)]
    ids = _shared(*sides)
    first, second = (
        Ratios((own["value"] * own["weight"]).to_numpy(), own["weight"].to_numpy())
        for own in (side.loc[ids] for side in sides)
    )
    interval = paired_difference(first, second, n_boot, seed, _patients(sides[0], ids))
    return interval, len(ids), str(sides[0]["direction"].iloc[0])


def _statistic(
    table: pd.DataFrame, a: Any, b: Any, function: Callable[..., float], n_boot: int, seed: int
) -> tuple[Interval, int]:
    wheres = [
        {key: value for key, value in _where(side).items() if key not in _ABOUT_MAPS}
        for side in (a, b)
    ]
    labels = [_by_class(table, {**where, "metric": "label"}) for where in wheres]
    ids = _shared(*(next(iter(each.values())) for each in labels))
    y = _values(labels[0], ids).astype(int)
    logits = [_values(_by_class(table, {**where, "metric": "logit"}), ids) for where in wheres]
    link = "sigmoid"
    if "label" in labels[0]:  # one class an image
        y, link = y[:, 0], "sigmoid" if logits[0].shape[1] == 1 else "softmax"
    elif (target := str(_where(a).get("target", "-"))) in labels[0]:
        c = list(labels[0]).index(target)
        y, logits = y[:, c], [z[:, c : c + 1] for z in logits]
    else:
        function = macro_mean(function)

    def statistic(labels: np.ndarray, z: np.ndarray) -> float:
        return function(labels, z, link)

    groups = _patients(next(iter(labels[0].values())), ids)
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


def _by_class(table: pd.DataFrame, where: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Labels or logits by target: `label`, or `class:N` in the order of the classes."""
    rows = _matching(table, where)
    names = sorted(rows["target"].astype(str).unique(), key=lambda name: (len(name), name))
    return {name: _select(rows, {"target": name}) for name in names}


def _values(columns: Mapping[str, pd.DataFrame], ids: list[str]) -> np.ndarray:
    """(n, C) of these images."""
    return np.stack([each.loc[ids, "value"].to_numpy() for each in columns.values()], 1)


def _shared(first: pd.DataFrame, second: pd.DataFrame) -> list[str]:
    there = set(second.index)
    ids = [i for i in first.index if i in there]
    if not ids:
        raise SoftCAMError(
            "the two runs have no image in common: a paired difference needs the same test images."
        )
    return ids


def _patients(side: pd.DataFrame, ids: list[str]) -> np.ndarray | None:
    return groups_of(side.loc[ids, "patient_id"].astype(str).to_numpy())


def groups_of(patients: np.ndarray) -> np.ndarray | None:
    """The patients, or None where every image is a patient of its own."""
    return None if len(set(patients)) == len(patients) else patients


class PerImage:
    """The rows of single images, looked up by what was measured.

    Args:
        per_image: second table of `evaluate`, or `results.read_results`.
        metrics: the measures that will be asked for; the others are left out, which saves time.
    """

    COLUMNS = (
        "run_id", "arm", "method", "gauge", "occluded_run", "metric", "protocol", "fill", "step",
        "target", "finding", "interpolation", "threshold",
    )  # fmt: skip

    def __init__(self, per_image: pd.DataFrame, metrics: Collection[str]) -> None:
        wanted = per_image["metric"].astype(str).isin({*metrics, "label", "logit"})
        self._rows = per_image[wanted.to_numpy()]
        keys = [self._rows[c].astype(str) for c in self.COLUMNS]
        self._places = self._rows.groupby(keys, sort=False).indices
        self._read: dict[Any, pd.DataFrame] = {}
        self._predictions: dict[tuple[str, str], pd.DataFrame] = {}

    def rows(self, where: Mapping[str, Any]) -> pd.DataFrame | None:
        """Patient, value and weight by image id, for one value of each of `COLUMNS`.

        None where there are no such rows.
        """
        key = tuple(str(where[c]) for c in self.COLUMNS)
        if key not in self._read:
            if key not in self._places:
                return None
            found = self._rows.iloc[self._places[key]]
            own = found[["patient_id", "value", "weight"]].set_axis(found["image_id"].astype(str))
            if own.index.has_duplicates:
                raise SoftCAMError(f"{key} holds several values an image: evaluate once more.")
            self._read[key] = own.astype({"patient_id": str})
        return self._read[key]

    def predictions(self, run_id: str, arm: str) -> pd.DataFrame:
        """Patient, label and logits (columns 0, 1, ...) by image id; empty if they are not there.

        Of a multi-label set there is a label for each finding: `label:0`, `label:1`, ...

        Raises:
            SoftCAMError: several values an image.
        """
        if (run_id, arm) not in self._predictions:
            self._predictions[run_id, arm] = self._read_predictions(run_id, arm)
        return self._predictions[run_id, arm]

    def _read_predictions(self, run_id: str, arm: str) -> pd.DataFrame:
        import pandas as pd

        def find(metric: str, target: str) -> pd.DataFrame | None:
            own = {"run_id": run_id, "arm": arm, "metric": metric, "target": target}
            return self.rows({**dict.fromkeys(self.COLUMNS, "-"), **own})

        def by_class(metric: str, name: Callable[[int], Any]) -> dict[Any, pd.DataFrame]:
            found: dict[Any, pd.DataFrame] = {}
            while (rows := find(metric, f"class:{len(found)}")) is not None:
                found[name(len(found))] = rows
            return found

        one = find("label", "label")
        labels = by_class("label", "label:{}".format) if one is None else {"label": one}
        if not labels:
            return pd.DataFrame({"patient_id": [], "label": []})
        columns = {**labels, **by_class("logit", int)}
        patients = next(iter(labels.values()))["patient_id"]
        values = {name: rows["value"] for name, rows in columns.items()}
        return pd.DataFrame({"patient_id": patients, **values})
