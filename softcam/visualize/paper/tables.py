"""The numbers of the paper's tables: how well a network classifies, and what its maps are worth.

One row a data set, network, arm, method and measure; `printed` sets them as a page does.
"""

from __future__ import annotations

from collections.abc import Sequence
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
KINDS = ("paper", "notebook", "reading-note", "memory")  # the most to be relied on first
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
        published: `paper_numbers.csv`.

    Returns:
        The columns of results.csv that say what it is, `lambda1`, `lambda2`, the columns of
        `over_seeds`, and `published` with its `published_kind` where the data are the same.
        A failed cell has a row for each measure, with status `failed`.

    Raises:
        SoftCAMError: the results hold none of the measures.
    """
    import pandas as pd

    spec = TABLES[choose("table", kind, TABLES)]
    if per_image is not None and table["seed"].nunique() > 1:
        table = with_seed_intervals(table, per_image, spec.metrics)
    parts = []
    for metric in spec.metrics:
        rows = map_rows(table, metric) if spec.methods else test_rows(table, metric)
        rows = rows[rows["step"] == "-"]
        rows = own_map(rows[rows["method"].isin(spec.methods)]) if spec.methods else rows
        if len(rows):
            weights = rows.groupby(BY, sort=False)[["lambda1", "lambda2"]].first().reset_index()
            parts.append(over_seeds(rows, BY).merge(weights, on=BY))
    if not parts:
        raise SoftCAMError(f"the results hold none of {', '.join(spec.metrics)}: evaluate them.")
    found = pd.concat([*parts, *_holes(spec, pd.concat(parts), failed)], ignore_index=True)
    found = _without_twins(found, spec)
    return _ordered(_beside(found, published, table), spec)


def _holes(spec: Spec, found: pd.DataFrame, failed: pd.DataFrame | None) -> list[pd.DataFrame]:
    """A row without a number for each measure of a cell that failed."""
    import pandas as pd

    holes, lost = Holes.of(failed), []
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


def _beside(
    found: pd.DataFrame, published: pd.DataFrame | None, table: pd.DataFrame
) -> pd.DataFrame:
    """What was published about the same data, network, arm, method and measure; else `-`."""
    backbones = table.drop_duplicates("model").set_index("model")["backbone"].to_dict()
    values, kinds = [], []
    for _, row in found.iterrows():
        value, kind = "-", "-"
        if published is not None:
            same = published[published["dataset"] == row["dataset"]]
            same = same[same["model"].isin([row["model"], backbones.get(row["model"], "-")])]
            for name in ("task", "arm", "method", "metric"):
                same = same[same[name] == row[name]]
            same = same[same["k_or_lambda"].isin(["-", ""])]
            rank = same["kind"].map({name: i for i, name in enumerate(KINDS)})
            if len(same):
                best = same.loc[rank.idxmin()]
                value, kind = str(best["value"]), str(best["kind"])
        values.append(value)
        kinds.append(kind)
    return found.assign(published=values, published_kind=kinds)


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
