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

__all__ = ["faithfulness", "fill_agreement", "localisation", "masked", "sanity", "twins"]


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
    shares = {each: _shares(rows[rows[column] == each]) for each in names}
    part = wide(rows, ["method", "gauge"], names, column, {k: v for k, v in shares.items() if v})
    if part:
        part["title"] = name if column == "metric" else f"{name}, by number of patches k"
    return part


def _shares(rows: pd.DataFrame) -> dict[Any, str]:
    """(value - floor) / (ceiling - floor) of each row, with the random map of its run as floor."""
    found: dict[Any, str] = {}
    for _, own in rows.groupby("run_id", sort=False):
        random, ceiling = (
            own[own["method"] == name]["value"].map(number)
            for name in ("random", "reference-ceiling")
        )
        if random.empty or ceiling.empty:
            continue
        floor, top = float(random.iloc[0]), float(ceiling.iloc[0])
        room = top - floor if own["direction"].iloc[0] == "higher" else floor - top
        for i, value in own["value"].map(number).items():
            share = (value - floor) / (top - floor) if room > 0 else math.nan
            found[i] = "ceiling not above floor" if not room > 0 else f"{share:.0%}"
    return found


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
    parts = []
    for finding in table[table["metric"].isin(names)]["finding"].unique():
        rows = table[table["metric"].isin(names) & (table["finding"] == finding)]
        part = wide(rows[rows["n"] > 0], ["method", "gauge"], names)
        if part:
            parts.append({**part, "title": str(finding)})
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
