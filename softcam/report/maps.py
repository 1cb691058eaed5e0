"""The tables about maps: where they point, whether they are faithful, what they miss of the truth.

Which measures stand in a section follows from their kind in the registry, so a new measure finds
its place by itself. A section without rows is None or empty.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from softcam.report.cells import (
    PROTOCOLS,
    Table,
    default_gauge,
    heads,
    key,
    named,
    number,
    of_protocol,
    printed_steps,
    spread,
    titled,
    wide,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "at_a_glance",
    "faithfulness",
    "fill_agreement",
    "localisation",
    "masked",
    "sanity",
    "twins",
]

# They know nothing of the model, so they are the same for every arm.
_REFERENCES = ("chance", "reference-ceiling", "random", "centre", "edge", "true-mask")
_GLANCE = "10"  # of measures with steps, the one number in the first table


def at_a_glance(table: pd.DataFrame | None) -> list[Table]:
    """One row an arm and method, one column a measure: means over seeds."""
    parts = []
    for protocol in PROTOCOLS if table is not None else ():
        assert table is not None
        rows = of_protocol(table, protocol)
        asked = [m for kind in ("map", "labelled") for m in named(kind, protocol, table)]
        rows = rows[rows["metric"].isin([m.name for m in asked]) & (rows["n"] > 0)]
        rows = default_gauge(rows[rows["step"].isin(("-", _GLANCE))])
        if rows.empty:
            continue
        each = [rows[rows["metric"] == m.name] for m in asked]
        shares = {i: share for own in each if len(own) for i, share in _shares(own).items()}
        names = [m.name for m, own in zip(asked, each, strict=True) if len(own)]
        part = _glance(rows.assign(share=[shares.get(i, math.nan) for i in rows.index]), names)
        parts.append({**part, "title": titled("At a glance", protocol)})
    return parts


def _glance(rows: pd.DataFrame, names: list[str]) -> Table:
    keys = [k for k in ("dataset", "model") if rows[k].nunique() > 1]
    keys += [k for k in ("lambda1", "lambda2") if rows.groupby("arm")[k].nunique().max() > 1]
    rows = _pooled(rows)
    keys += ["arm", "method"]
    body = []
    for _, part in rows.groupby(keys, sort=False):
        cells = []
        for name in names:
            own = part[part["metric"] == name]
            value, share = own["value"].map(number).mean(), own["share"].mean()
            beside = "" if math.isnan(share) else f" ({share:.0%})"
            cells.append("-" if math.isnan(value) else f"{value:.3f}{beside}")
        body.append([*(key(part.iloc[0][k]) for k in keys), *cells])
    titles = [
        f"{head}, k = {_GLANCE}"
        if (rows[rows["metric"] == name]["step"] == _GLANCE).any()
        else head
        for name, head in zip(names, heads(rows, names), strict=True)
    ]
    return {"title": "", "head": [*keys, *titles], "body": body}


def localisation(table: pd.DataFrame | None) -> list[Table]:
    """One table a measure: rows method and gauge of each run, floors and ceilings among them."""
    parts = []
    for protocol in PROTOCOLS if table is not None else ():
        assert table is not None
        for kind in ("map", "labelled"):
            for measure in named(kind, protocol, table):
                rows = of_protocol(table, protocol)
                rows = rows[(rows["metric"] == measure.name) & (rows["n"] > 0)]
                part = _localisation(printed_steps(rows), measure.name)
                if part:
                    part["title"] = titled(f"{measure.title} ({part['title']})", protocol)
                    parts.append(part)
    return parts


def _localisation(rows: pd.DataFrame, name: str) -> Table | None:
    if rows.empty:
        return None
    column = "step" if rows["step"].nunique() > 1 else "metric"
    names = list(dict.fromkeys(rows[column]))
    shares = {each: _worded(_shares(rows[rows[column] == each])) for each in names}
    part = wide(rows, ["method", "gauge"], names, column, {k: v for k, v in shares.items() if v})
    if part:
        part["title"] = name if column == "metric" else f"{name}, by number of patches k"
    return part


def _shares(rows: pd.DataFrame) -> dict[Any, float]:
    """(value - floor) / (ceiling - floor) of each row, with the random map of its run as floor.

    NaN where the ceiling does not lie above the floor.
    """
    found: dict[Any, float] = {}
    for _, own in rows.groupby("run_id", sort=False):
        random, ceiling = (
            own[own["method"] == name]["value"].map(number)
            for name in ("random", "reference-ceiling")
        )
        if random.empty or ceiling.empty:
            continue
        floor, top = float(random.iloc[0]), float(ceiling.iloc[0])
        room = floor - top if own["direction"].iloc[0] == "lower" else top - floor
        for i, value in own["value"].map(number).items():
            found[i] = (value - floor) / (top - floor) if room > 0 else math.nan
    return found


def _pooled(rows: pd.DataFrame) -> pd.DataFrame:
    """The references once for all arms, at the end."""
    shared = rows["method"].isin(_REFERENCES)
    rows = rows.assign(arm=rows["arm"].mask(shared, "any"))
    return rows.assign(last=shared).sort_values("last", kind="stable").drop(columns="last")


def _worded(shares: dict[Any, float]) -> dict[Any, str]:
    return {
        i: "ceiling not above floor" if math.isnan(share) else f"{share:.0%}"
        for i, share in shares.items()
    }


def faithfulness(table: pd.DataFrame | None) -> list[Table]:
    """Areas under curves: map source x occluded model, one table a measure and fill."""
    parts = []
    for protocol in PROTOCOLS if table is not None else ():
        assert table is not None
        for measure in named("occlusion", protocol, table):
            if measure.steps is not None or measure.reads == "masked":
                continue
            rows = of_protocol(table, protocol)
            rows = default_gauge(rows[rows["metric"].str.startswith(measure.name)])
            for fill in rows[rows["metric"] == measure.name]["fill"].unique():
                part = _crossed(rows[rows["fill"] == fill], measure.name, table)
                part["title"] = titled(f"{measure.title} ({measure.name}), {fill}", protocol)
                parts.append(part)
    return parts


def _crossed(rows: pd.DataFrame, name: str, table: pd.DataFrame) -> Table:
    """Rows: where the map comes from; columns: the model that is occluded; means over seeds."""
    runs = table.drop_duplicates("run_id").set_index("run_id")
    model = rows["occluded_run"].map(runs["arm"]).fillna(rows["occluded_run"])
    rows = rows.assign(occluded=model, own=rows["occluded_run"].map(runs["seed"]) == rows["seed"])
    rows = rows[rows["own"] | (rows["arm"] == "outside")]
    rows = _pooled(rows)
    models = list(dict.fromkeys(rows["occluded"]))
    keys = [
        k for k in ("dataset", "lambda1", "lambda2") if rows.groupby("arm")[k].nunique().max() > 1
    ]
    keys += ["arm", "method"]
    body = []
    for _, part in rows.groupby(keys, sort=False):
        first = part.iloc[0]
        cells = [_area(part[part["occluded"] == each], name) for each in models]
        body.append([*(key(first[k]) for k in keys), *cells])
    arrow = heads(rows[rows["metric"] == name], [name])[0].removeprefix(name)
    return {"title": "", "head": [*keys, *(f"on {each}{arrow}" for each in models)], "body": body}


def _area(rows: pd.DataFrame, name: str) -> str:
    """`area (advantage over the random ranking, share of the true mask's advantage)`."""
    means = {
        suffix: rows[rows["metric"] == f"{name}{suffix}"]["value"].map(number).mean()
        for suffix in ("", "-over-random", "-share-of-mask")
    }
    if math.isnan(means[""]):
        return "-"
    forms = {"-over-random": "{:+.3f}", "-share-of-mask": "{:.0%}"}
    beside = [form.format(means[k]) for k, form in forms.items() if not math.isnan(means[k])]
    return f"{means['']:.3f}" + (f" ({', '.join(beside)})" if beside else "")


def fill_agreement(table: pd.DataFrame | None) -> Table | None:
    """Rows: measure and occluded model; columns: two fills; mean rank agreement over seeds."""
    if table is None:
        return None
    rows = table[table["metric"].str.endswith("-fill-agreement") & (table["n"] > 0)]
    if rows.empty:
        return None
    fills = list(dict.fromkeys(rows["fill"]))
    body = [
        [str(metric).removesuffix("-fill-agreement"), arm,
         *(spread(part[part["fill"] == fill]["value"], ".2f") for fill in fills)]
        for (metric, arm), part in rows.groupby(["metric", "arm"], sort=False)
    ]  # fmt: skip
    return {"title": "", "head": ["area", "occluded model", *fills], "body": body}


def masked(table: pd.DataFrame | None) -> list[Table]:
    """Drop, increase and gain of the prediction on an image masked by its own map."""
    parts = []
    for protocol in PROTOCOLS if table is not None else ():
        assert table is not None
        names = [m.name for m in named("occlusion", protocol, table) if m.reads == "masked"]
        rows = of_protocol(table, protocol)
        rows = rows[rows["metric"].isin(names) & (rows["occluded_run"] == rows["run_id"])]
        part = wide(default_gauge(rows), ["method", "gauge"], names) if len(rows) else None
        if part:
            parts.append({**part, "title": titled("Drop, increase and gain", protocol)})
    return parts


def twins(table: pd.DataFrame | None) -> list[Table]:
    """Evidence on a part of the image against what it is truly worth; one table a kind of part."""
    if table is None:
        return []
    names = [m.name for m in named("twin", "corrected", table)]
    found = default_gauge(table[table["metric"].isin(names) & (table["n"] > 0)])
    parts = []
    for (finding, step), rows in found.groupby(["finding", "step"], sort=False):
        part = wide(rows, ["method"], names)
        if part:
            beside = "" if step == "0" else f", widened by {step} cell"
            parts.append({**part, "title": f"{finding}{beside}"})
    return parts


def sanity(table: pd.DataFrame | None) -> list[Table]:
    """Agreement with the map of a network that was destroyed, by stage; and of shuffled labels."""
    parts = []
    for measure in named("sanity", "corrected", table) if table is not None else ():
        assert table is not None
        rows = table[(table["metric"] == measure.name) & (table["n"] > 0)]
        column = "metric" if measure.steps is None else "step"
        names = [measure.name] if measure.steps is None else [str(s) for s in measure.steps]
        part = wide(default_gauge(rows), ["method", "gauge"], names, column)
        if part:
            parts.append({**part, "title": f"{measure.title} ({measure.name})"})
    return parts
