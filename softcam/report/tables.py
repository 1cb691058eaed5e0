"""The tables of a report: a head and rows of words, made from a table of results."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from softcam.compare import Difference

__all__ = ["classification", "faithfulness", "localisation", "over_seeds", "paired"]

_CLASSIFICATION = ("accuracy", "auc", "quadratic-kappa", "ece", "brier", "logit-size")
_MAPS = ("pointing-accuracy", "activation-precision", "activation-sensitivity", "audc")
_PAIRED = ("auc", "pointing-accuracy", "activation-precision")


def over_seeds(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Mean, smallest and largest value over seeds: of the models, and of the maps; or nothing.

    Runs that differ in more than the seed are not combined.
    """
    if table is None or table["seed"].nunique() < 2:
        return []
    what = ["dataset", "split", "model", "arm", "lambda1", "lambda2"]
    if table.drop_duplicates([*what, "run_id"]).duplicated([*what, "seed"]).any():
        return []
    shared = table["method"].isin(("chance", "reference-ceiling"))  # the same for every arm
    one_arm = table["arm"] == table[shared]["arm"].iloc[0] if shared.any() else ~shared
    table = table[~shared | one_arm].assign(arm=table["arm"].mask(shared, "any"))
    maps = table[table["gauge"].isin(("contrast", "-"))]
    if not (table["gauge"] == "contrast").any():  # one logit: its zero is fixed
        maps = table[table["gauge"].isin(("raw", "-"))]
    parts = [
        ("The models", _combine(table, what, _CLASSIFICATION)),
        ("The maps (contrast of the two classes, or of the label and the next)",
         _combine(maps, [*what, "method"], _MAPS)),
    ]  # fmt: skip
    return [{**part, "title": title} for title, part in parts if part]


def _combine(rows: pd.DataFrame, keys: list[str], names: tuple[str, ...]) -> dict[str, Any] | None:
    """One row for all seeds of an arm: `mean (smallest to largest)`."""
    rows = rows[rows["metric"].isin(names) & (rows["n"] > 0)]
    if rows.empty:
        return None
    always = ("arm", "method") if "method" in keys else ("arm", "lambda1", "lambda2")
    varies = {k for k in keys if rows.groupby("arm")[k].nunique().max() > 1}
    shown = [k for k in keys if k in always or k in varies]
    found = [name for name in names if (rows["metric"] == name).any()]
    body = []
    for _, part in rows.groupby(keys, sort=False):
        first = part.iloc[0]
        cells = [_spread(part[part["metric"] == name]["value"]) for name in found]
        seeds = ", ".join(map(str, part["seed"].unique()))
        body.append([*(_key(first[k]) for k in shown), seeds, *cells])
    return {"head": [*shown, "seeds", *_heads(rows, found)], "body": body}


def _spread(values: Iterable[Any], form: str = ".3f") -> str:
    kept = [float(v) for v in values if not math.isnan(float(v))]
    if not kept:
        return "-"
    mean = f"{sum(kept) / len(kept):{form}}"
    return mean if len(kept) == 1 else f"{mean} ({min(kept):{form}} to {max(kept):{form}})"


def paired(table: pd.DataFrame | None, file: Path) -> dict[str, Any] | None:
    """SoftCAM minus black box for each run; after several seeds of an arm their mean."""
    import pandas as pd

    from softcam.compare import against_black_box

    if table is None:
        return None
    found = against_black_box(table, pd.read_parquet(file), _PAIRED)
    names = [name for name in _PAIRED if any(d.metric == name for _, d in found)]
    body = []
    arms = dict.fromkeys((run["dataset"], run["arm"], run["lambda1"]) for run, _ in found)
    for arm in arms:
        own = [(r, d) for r, d in found if (r["dataset"], r["arm"], r["lambda1"]) == arm]
        runs = {run["run_id"]: run["seed"] for run, _ in own}
        for run_id, seed in runs.items():
            cells = {d.metric: d for run, d in own if run["run_id"] == run_id}
            texts = [_signed(cells[name]) if name in cells else "-" for name in names]
            body.append([*arm[:2], seed, *texts])
        if len(set(runs.values())) == len(runs) > 1:
            every = [[d.value for _, d in own if d.metric == name] for name in names]
            means = (_spread(values, "+.3f") for values in every)
            body.append([*arm[:2], f"mean of {len(runs)}", *means])
    heads = ["dataset", "arm", "seed", *_heads(table, names)]
    return {"head": heads, "body": body} if body else None


def _signed(difference: Difference) -> str:
    return f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"


def classification(table: pd.DataFrame | None) -> dict[str, Any] | None:
    """Rows: runs, with their penalty; columns: classification measures with their intervals."""
    if table is None:
        return None
    rows = table[table["metric"].isin(_CLASSIFICATION)]
    return _wide(rows, ["lambda1", "lambda2"], list(_CLASSIFICATION))


def localisation(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """One table a measure: rows method and gauge of each run, floors and ceilings among them."""
    if table is None:
        return []
    curves = ("deletion-prediction", "deletion-probability", "audc")
    skip = (*_CLASSIFICATION, "logit-contrast", *curves)
    rows = table[~table["metric"].isin(skip) & (table["n"] > 0)]
    rows = rows[rows["step"].isin(("-", "1", "5", "10", "20"))]
    parts = []
    for metric in rows["metric"].unique():
        own = rows[rows["metric"] == metric]
        column = "step" if own["step"].nunique() > 1 else "metric"
        wide = _wide(own, ["method", "gauge"], list(own[column].unique()), column)
        if wide:
            wide["title"] = metric if column == "metric" else f"{metric}, by number of patches k"
            parts.append(wide)
    return parts


def faithfulness(table: pd.DataFrame | None) -> dict[str, Any] | None:
    """Rows: method and gauge of each run; the area under its deletion curve."""
    if table is None:
        return None
    return _wide(table[table["metric"] == "audc"], ["method", "gauge"], ["audc"])


def _wide(
    rows: pd.DataFrame, keys: list[str], names: list[str], column: str = "metric"
) -> dict[str, Any] | None:
    """Cells `value [low, high]`, one row a run and `keys`, one column a name.

    What never varies, and penalties that the arm tells already, are left out.
    """
    if rows.empty:
        return None
    run = ["dataset", "split", "model", "arm", "lambda1", "lambda2", "seed"]
    columns = [*run, *(key for key in keys if key not in run)]
    sweep = {k for k in ("lambda1", "lambda2") if rows.groupby("arm")[k].nunique().max() > 1}
    telling = [k for k in columns if k[:6] != "lambda" or k in keys or k in sweep]
    shown = [k for k in telling if rows[k].nunique() > 1 or k == "arm"]
    names = [name for name in names if (rows[column] == name).any()]
    body = []
    for _, part in rows.groupby(["run_id", *columns], sort=False):
        first = part.iloc[0]
        cells = {row[column]: _cell(row) for _, row in part.iterrows()}
        body.append([*(_key(first[k]) for k in shown), *(cells.get(name, "-") for name in names)])
    n, kinds = rows["n"], sorted(rows["ci_kind"].unique())
    images = f"{n.min()}" if n.min() == n.max() else f"{n.min()} to {n.max()}"
    note = f"{images} images a value; intervals: {'; '.join(map(str, kinds))}."
    return {"title": "", "head": [*shown, *_heads(rows, names, column)], "body": body, "note": note}


def _key(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _heads(rows: pd.DataFrame, names: list[str], column: str = "metric") -> list[str]:
    """Names of measures with an arrow in the better direction."""
    directions = rows.drop_duplicates(column).set_index(column)["direction"].to_dict()
    arrows = {"higher": "↑", "lower": "↓"}
    return [f"{name} {arrows.get(directions.get(name, ''), '')}".strip() for name in names]


def _cell(row: pd.Series) -> str:
    def number(name: str) -> float:
        try:
            return float(row[name])
        except (TypeError, ValueError):
            return math.nan

    value, low, high = number("value"), number("ci_low"), number("ci_high")
    if math.isnan(value):
        return "undefined"
    if math.isnan(low):
        return f"{value:.3f}"
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"
