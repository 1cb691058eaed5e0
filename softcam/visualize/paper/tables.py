"""The numbers of the paper's tables: how well a network classifies, and what its maps are worth.

One row a data set, network, arm, method and measure; `printed` sets them as a page does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from softcam.common import SoftCAMError, choose
from softcam.seeds import with_seed_intervals
from softcam.visualize.paper.looks import POST_HOC
from softcam.visualize.paper.rows import (
    CELL,
    FAILED,
    Holes,
    map_rows,
    over_seeds,
    own_map,
    test_rows,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TABLES", "Spec", "table_numbers"]

ARMS = ("converted", "dense", "sparse", "ridge", "elastic", "hoyer", "logit-control")
FLOORS = ("random", "centre", "reference-ceiling")
KINDS = ("paper", "notebook", "derived", "reading-note", "memory")  # the most to be relied on first
BY = [*CELL, "method", "metric", "direction"]


@dataclass(frozen=True)
class Spec:
    """A table: its title, its measures, and the maps that have a line (none: networks)."""

    title: str
    metrics: tuple[str, ...]
    methods: tuple[str, ...] = ()


TABLES = {
    "classification": Spec("Classification", ("accuracy", "auc", "quadratic-kappa")),
    "consistency": Spec(
        "Activation consistency", ("consistency-positive", "consistency-negative"),
        ("grad-cam", "softcam", "random"),
    ),
    "activation": Spec(
        "Activation precision and sensitivity",
        ("activation-precision", "activation-sensitivity"), (*POST_HOC, "softcam", *FLOORS),
    ),
}  # fmt: skip


def table_numbers(
    kind: str,
    table: pd.DataFrame,
    per_image: pd.DataFrame | None = None,
    *,
    failed: pd.DataFrame | None = None,
    published: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The numbers of one table.

    Args:
        kind: `classification`, `consistency` or `activation`.
        table: `results.csv` without the path of weights.
        per_image: of the same evaluation; with it, and several seeds, the interval is that of the
            mean over seeds and images.
        failed: `failed.csv`.
        published: `paper-against-ours.csv`, which has published numbers beside ours.

    Returns:
        The columns of results.csv that say what it is, `lambda1`, `lambda2`, the columns of
        `over_seeds`, and `published` with its `published_kind` and the weight that it is
        `published_at` where the data are the same; of several weights the nearest to ours.
        A failed cell has a row for each measure, with status `failed`.

    Raises:
        SoftCAMError: the results hold none of the measures.
    """
    import pandas as pd

    spec = TABLES[choose("table", kind, TABLES)]
    if per_image is not None and table["seed"].nunique() > 1:
        table = with_seed_intervals(table, per_image, spec.metrics)
    holes, parts = Holes.of(failed), []
    for metric in spec.metrics:
        rows = map_rows(table, metric) if spec.methods else test_rows(table, metric)
        rows = rows[rows["step"] == "-"]
        rows = own_map(rows[rows["method"].isin(spec.methods)]) if spec.methods else rows
        if len(rows):
            weights = rows.groupby(BY, sort=False)[["lambda1", "lambda2"]].first().reset_index()
            parts.append(over_seeds(rows, BY, holes).merge(weights, on=BY))
    if not parts:
        raise SoftCAMError(f"the results hold none of {', '.join(spec.metrics)}: evaluate them.")
    found = pd.concat([*parts, *_holes(spec, pd.concat(parts), holes)], ignore_index=True)
    found = _without_twins(found, spec)
    return _ordered(_beside(found, published), spec)


def _holes(spec: Spec, found: pd.DataFrame, holes: Holes) -> list[pd.DataFrame]:
    """A row without a number for each measure of a cell that failed."""
    import pandas as pd

    lost: list[dict[str, Any]] = []
    every = found[CELL].drop_duplicates()
    for model in every["model"].unique():
        places = [*every.loc[every["model"] == model, ["dataset", "task"]].to_numpy().tolist()]
        places += [list(each) for each in holes.places(str(model))]
        for dataset, task in dict.fromkeys(map(tuple, places)):
            for arm in ("black-box", *ARMS[1:]):
                cell = (dataset, task, model, arm)
                there = (found[CELL] == list(cell)).all(axis=1).any()
                known_arm = (every["arm"] == arm).any() or any(c[3] == arm for c in holes.cells)
                if cell in holes and not there and known_arm:
                    asked = found.loc[found["task"] == task, "metric"]
                    metrics = spec.metrics if asked.empty else asked.unique()
                    lost += [_hole(cell, metric, spec) for metric in metrics]
    return [pd.DataFrame(lost)] if lost else []


def _hole(cell: Sequence[Any], metric: str, spec: Spec) -> dict[str, Any]:
    method = "-" if not spec.methods else "softcam" if cell[3] != "black-box" else "grad-cam"
    named = dict(zip(CELL, cell, strict=True))
    return {**named, "method": method, "metric": metric, "seeds": 0, "n": 0, "status": FAILED}


def _without_twins(found: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """`converted` is left out where `dense` was trained, and of networks it is the black box."""
    dense = found.loc[found["arm"] == "dense", ["dataset", "task", "model"]]
    keys = found[["dataset", "task", "model"]].apply(tuple, axis=1)
    trained = keys.isin(dense.apply(tuple, axis=1)) if len(dense) else keys != keys
    twin = (found["arm"] == "converted") & (trained | (not spec.methods))
    return found[~twin]


def _beside(found: pd.DataFrame, published: pd.DataFrame | None) -> pd.DataFrame:
    """What was published about the same data, network, arm, method and measure; else `-`."""
    said = ("published", "published_kind", "published_at")
    same = None if published is None else published[published["heading"] == "paper"]
    texts = [_published(row, same) for row in found.to_dict("records")]
    return found.assign(**{n: [t[i] for t in texts] for i, n in enumerate(said)})


def _published(row: Mapping[Any, Any], same: pd.DataFrame | None) -> tuple[str, str, str]:
    """Number, where it was read and weight: the most to be relied on, then the nearest weight."""
    if same is not None:
        for name in ("dataset", "task", "model", "arm", "method", "metric"):
            same = same[same[name] == row[name]]
        same = same[same["k_or_lambda"].str.fullmatch(r"-|lambda[12]=[-+.e\d]+")]
    if same is None or same.empty:
        return "-", "-", "-"
    each = same[["kind", "k_or_lambda", "paper_value"]].astype(str).to_numpy().tolist()
    kind, weight, value = min(each, key=lambda e: (KINDS.index(e[0]), _far(e[1], row)))
    return value, kind, weight


def _far(weight: str, row: Mapping[Any, Any]) -> float:
    """How far a published weight, or a range of them, lies from ours, as |log|; none is 0."""
    name, _, theirs = weight.partition("=")
    if not theirs:
        return 0.0
    ours, ends = float(row[name]), [float(each) for each in theirs.split("..")]
    nearest = min(max(ours, ends[0]), ends[-1])
    if nearest == ours:
        return 0.0
    return abs(math.log(nearest / ours)) if ours > 0 and nearest > 0 else math.inf


def _ordered(found: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """By data set and network as they come, then by line, then by measure."""
    arms, methods = ("black-box", *ARMS), ("-", *spec.methods)
    floors = found["method"].isin(FLOORS)
    rank: dict[str, Any] = {
        "_place": found.groupby(["dataset", "task", "model"], sort=False).ngroup(),
        "_floor": floors,
        "_arm": found["arm"].map({name: i for i, name in enumerate(arms)}).fillna(99),
        "_method": found["method"].map({name: i for i, name in enumerate(methods)}),
        "_metric": found["metric"].map({name: i for i, name in enumerate(spec.metrics)}),
    }
    return found.assign(**rank).sort_values(list(rank)).drop(columns=list(rank)).reset_index(
        drop=True
    )  # fmt: skip
