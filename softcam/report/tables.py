"""The tables about models and comparisons: a head and rows of words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from softcam.report.cells import PROTOCOLS, RUN, Table, asked_of, heads, key, named, spread, wide
from softcam.significance import against_black_box, against_controls
from softcam.wording import on_own_model

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["classification", "controls", "names_over_seeds", "over_seeds", "paired"]

# Decided beforehand: every further measure would weaken the correction for their number.
PRIMARY = ("auc", "pointing-accuracy", "activation-precision", "patch-precision", "audc")


def names_over_seeds(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The measures of the models and of the maps that are combined over seeds."""
    models = [m.name for m in named("classification", "corrected", table)]
    maps = [m for kind in ("map", "labelled", "occlusion") for m in named(kind, "corrected", table)]
    return models, [m.name for m in maps if m.steps is None]


def over_seeds(table: pd.DataFrame | None) -> list[Table]:
    """Mean, its interval, smallest and largest value over seeds: of models, and of maps.

    Runs that differ in more than the seed are not combined.
    """
    if table is None or table["seed"].nunique() < 2:
        return []
    what = list(RUN[:-1])
    if table.drop_duplicates([*what, "run_id"]).duplicated([*what, "seed"]).any():
        return []
    models, maps = names_over_seeds(table)
    shared = table["method"].isin(("chance", "reference-ceiling"))  # the same for every arm
    one_arm = table["arm"] == table[shared]["arm"].iloc[0] if shared.any() else ~shared
    table = table[~shared | one_arm].assign(arm=table["arm"].mask(shared, "any"))
    gauge = "contrast" if (table["gauge"] == "contrast").any() else "raw"  # one logit: a fixed zero
    rows = on_own_model(table[table["gauge"].isin((gauge, "-"))])
    parts = [
        ("The models", _combine(table, what, models)),
        ("The maps (contrast of the two classes, or of the label and the next)",
         _combine(rows, [*what, "method"], maps)),
    ]  # fmt: skip
    return [{**part, "title": title} for title, part in parts if part]


def _combine(rows: pd.DataFrame, keys: list[str], names: Sequence[str]) -> Table | None:
    """One row for all seeds of an arm: `mean [interval] (smallest to largest)`."""
    rows = rows[rows["metric"].isin(list(names)) & (rows["n"] > 0)]
    if rows.empty:
        return None
    rows, keys = rows.assign(asked=asked_of(rows, _several(rows))), [*keys, "asked"]
    always = ("arm", "method") if "method" in keys else ("arm", "lambda1", "lambda2")
    varies = {k for k in keys if rows.groupby("arm")[k].nunique().max() > 1}
    shown = [k for k in keys if k in always or k in varies]
    found = [name for name in names if (rows["metric"] == name).any()]
    body = []
    for _, part in rows.groupby(keys, sort=False):
        first = part.iloc[0]
        cells = [_mean(part[part["metric"] == name]) for name in found]
        seeds = ", ".join(map(str, part["seed"].unique()))
        body.append([*(key(first[k]) for k in shown), seeds, *cells])
    return {"head": [*shown, "seeds", *heads(rows, found)], "body": body}


def _several(table: pd.DataFrame) -> bool:
    """Whether this is a multi-label set, in which each finding is asked for by itself."""
    return bool((table["task"] == "multi-label").any())


def _mean(rows: pd.DataFrame) -> str:
    bounds = None
    if "seeds_low" in rows and len(rows) > 1:
        bounds = float(rows["seeds_low"].iloc[0]), float(rows["seeds_high"].iloc[0])
    return spread(rows["value"], bounds=bounds)


def classification(table: pd.DataFrame | None) -> Table | None:
    """Rows: runs, with their penalty; columns: classification measures with their intervals."""
    if table is None:
        return None
    names = [m.name for protocol in PROTOCOLS for m in named("classification", protocol, table)]
    return wide(table[table["metric"].isin(names)], ["lambda1", "lambda2"], names)


def paired(table: pd.DataFrame | None, per_image: pd.DataFrame) -> Table | None:
    """SoftCAM minus black box, seed by seed and over the seeds of an arm."""
    names = [] if table is None else [n for n in PRIMARY if (table["metric"] == n).any()]
    if table is None or not names:
        return None
    found = _first_fill(against_black_box(table, per_image, metrics=names))
    names = [name for name in names if (found["metric"] == name).any()]
    several, body = _several(table), []
    found = found.assign(asked=asked_of(found, several))
    keys = ["dataset", "arm", "lambda1", "lambda2", "asked", "seed"]
    for (dataset, arm, _, _, asked, seed), rows in found.groupby(keys, sort=False):
        cells = {row["metric"]: _signed(row) for _, row in rows.iterrows()}
        about = [asked] * several
        body.append([dataset, arm, *about, seed, *(cells.get(name, "-") for name in names)])
    head = ["dataset", "arm", *["asked"] * several, "seed", *_steps(found, names)]
    return {"head": head, "body": body} if body else None


def _first_fill(found: pd.DataFrame) -> pd.DataFrame:
    """One fill and protocol a measure, the first."""
    first = found.groupby("metric")[["fill", "protocol"]].transform("first")
    return found[(found[["fill", "protocol"]] == first).all(axis=1)]


def _steps(found: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """The names, with the step of those that have several."""
    step = found.drop_duplicates("metric").set_index("metric")["step"]
    return [name if step[name] == "-" else f"{name}, k = {step[name]}" for name in names]


def _signed(row: pd.Series) -> str:
    """`difference [low, high], p`; what is not known is said, and then there is no p-value."""
    if math.isnan(row["difference"]):
        return "undefined"
    if math.isnan(row["ci_low"]):
        return f"{row['difference']:+.3f}, no interval{_single(row)}"
    interval = f"{row['difference']:+.3f} [{row['ci_low']:+.3f}, {row['ci_high']:+.3f}]"
    return f"{interval}, p {row['p_holm']:.3f}"


def _single(row: pd.Series) -> str:
    """Why there is no interval, where it is one image, or one patient with several."""
    what = "patient" if "groups" in row["ci_kind"] else "image"
    return f" (1 {what})" if row["n"] == 1 else ""


def controls(table: pd.DataFrame | None, per_image: pd.DataFrame) -> Table | None:
    """Rows: maps; columns: measures; cells: the controls that a map does not clearly beat."""
    names = [] if table is None else [n for n in PRIMARY if (table["metric"] == n).any()]
    if table is None or not names:
        return None
    found = _first_fill(against_controls(table, per_image, metrics=names, seeds="pooled"))
    names = [name for name in names if (found["metric"] == name).any()]
    several, body = _several(table), []
    found = found.assign(asked=asked_of(found, several))
    keys = ["dataset", "arm", "lambda1", "lambda2", "method", "asked", "seed"]
    for (dataset, arm, _, _, method, asked, seed), rows in found.groupby(keys, sort=False):
        cells = [_beaten(rows[rows["metric"] == name]) for name in names]
        body.append([dataset, arm, method, *[asked] * several, seed, *cells])
    head = ["dataset", "arm", "method", *["asked"] * several, "seed", *_steps(found, names)]
    return {"head": head, "body": body} if body else None


def _beaten(rows: pd.DataFrame) -> str:
    """`better than all of random, centre`, or which controls do as well, and which do better."""
    if rows.empty:
        return "-"
    known = rows["ci_low"].notna()
    unknown = [f"{r['b_method']}{_single(r)}" for _, r in rows[~known].iterrows()]
    rows = rows[known]
    as_well = [f"{r['b_method']} (p {r['p_holm']:.3f})" for r in _records(rows, "neither")]
    better = [f"{r['b_method']} is better" for r in _records(rows, "b")]
    texts = [*better]
    if as_well:
        texts.append(f"not clearly better than {', '.join(as_well)}")
    elif not better and len(rows):
        texts.append(f"better than {', '.join(rows['b_method'])}")
    if unknown:
        texts.append(f"no interval against {', '.join(unknown)}")
    return "; ".join(texts)


def _records(rows: pd.DataFrame, verdict: str) -> list[dict[str, Any]]:
    return [
        {str(k): v for k, v in r.items()}
        for r in rows[rows["better"] == verdict].to_dict("records")
    ]
