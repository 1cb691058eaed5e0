"""What the tables of a report are built from: cells, heads, and one row a run or an arm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from softcam.metrics import Measure, measures

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "PROTOCOLS", "RUN", "Table", "asked_of", "cell", "default_gauge", "heads", "key", "named",
    "number", "of_protocol", "printed_steps", "spread", "titled", "wide",
]  # fmt: skip

Table = dict[str, Any]  # title, head, body, note
RUN = ("dataset", "split", "model", "arm", "lambda1", "lambda2", "seed")
PROTOCOLS = ("corrected", "paper")
_STEPS = ("-", "1", "5", "10", "20")  # of curves, those that are printed


def named(kind: str, protocol: str, rows: pd.DataFrame) -> list[Measure]:
    """The measures of one kind and protocol that the rows hold."""
    there = set(of_protocol(rows, protocol)["metric"])
    known = measures(kind, protocol)  # type: ignore[arg-type]
    return [each for each in known if each.name in there]


def of_protocol(rows: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """The rows of one protocol; `-` counts as ours."""
    return rows[rows["protocol"].replace("-", "corrected") == protocol]


def asked_of(rows: pd.DataFrame, several: bool) -> pd.Series:
    """What a row is about, of a multi-label set: a finding (`class:N`), or the `mean` of all.

    `-` where there are not `several` findings; what is asked differs by measure there.
    """
    return rows["target"].replace("-", "mean") if several else rows["target"].map(lambda _: "-")


def titled(title: str, protocol: str) -> str:
    """The title, with a remark where the protocol is not ours."""
    return title if protocol == "corrected" else f"{title} (the paper's protocol)"


def default_gauge(rows: pd.DataFrame) -> pd.DataFrame:
    """Each map in the contrast where it has one, else as it is."""
    rank = rows["gauge"].map({"contrast": 0, "raw": 1, "-": 2}).fillna(3)
    best = rank.groupby([rows[c] for c in ("run_id", "arm", "method")]).transform("min")
    return rows[rank == best]


def wide(
    rows: pd.DataFrame,
    keys: Sequence[str],
    names: Sequence[str],
    column: str = "metric",
    extra: Mapping[str, Mapping[Any, str]] | None = None,
) -> Table | None:
    """Cells `value [low, high]`, one row a run and `keys`, one column a name.

    What never varies, and penalties that the arm tells already, are left out.

    Args:
        extra: further columns, right of a name: name to index of the row to text.
    """
    if rows.empty:
        return None
    rows = rows.assign(asked=asked_of(rows, bool((rows["task"] == "multi-label").any())))
    columns = [*RUN, "asked", *(key for key in keys if key not in RUN)]
    sweep = {k for k in ("lambda1", "lambda2") if rows.groupby("arm")[k].nunique().max() > 1}
    telling = [k for k in columns if k[:6] != "lambda" or k in keys or k in sweep]
    shown = [k for k in telling if rows[k].nunique() > 1 or k == "arm"]
    names = [name for name in names if (rows[column] == name).any()]
    extra = extra or {}
    body = []
    for _, part in rows.groupby(["run_id", *columns], sort=False):
        first = part.iloc[0]
        by_name = {row[column]: (i, row) for i, row in part.iterrows()}
        line = [key(first[k]) for k in shown]
        for name in names:
            line.append(cell(by_name[name][1]) if name in by_name else "-")
            if name in extra:
                line.append(extra[name].get(by_name[name][0], "-") if name in by_name else "-")
        body.append(line)
    head = list(shown)
    for name, text in zip(names, heads(rows, names, column), strict=True):
        head += [text, "share of the achievable"] if name in extra else [text]
    return {"title": "", "head": head, "body": body, "note": _note(rows)}


def _note(rows: pd.DataFrame) -> str:
    n, kinds = rows["n"], sorted(map(str, rows["ci_kind"].unique()))
    images = f"{n.min()}" if n.min() == n.max() else f"{n.min()} to {n.max()}"
    images += " image" if images == "1" else " images"
    return f"{images} a value; intervals: {'; '.join(kinds)}."


def heads(rows: pd.DataFrame, names: Sequence[str], column: str = "metric") -> list[str]:
    """Names of measures with an arrow in the better direction."""
    directions = rows.drop_duplicates(column).set_index(column)["direction"].to_dict()
    arrows = {"higher": "↑", "lower": "↓"}
    return [f"{name} {arrows.get(directions.get(name, ''), '')}".strip() for name in names]


def cell(row: pd.Series) -> str:
    """`value [low, high]`, or `undefined`."""
    value, low, high = (number(row[name]) for name in ("value", "ci_low", "ci_high"))
    if math.isnan(value):
        return "undefined"
    if math.isnan(low):
        return f"{value:.3f}"
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def spread(
    values: Iterable[Any], form: str = ".3f", bounds: tuple[float, float] | None = None
) -> str:
    """`mean (smallest to largest)`, with the interval of the mean where there is one."""
    kept = [v for v in map(number, values) if not math.isnan(v)]
    if not kept:
        return "-"
    mean = f"{sum(kept) / len(kept):{form}}"
    if bounds and not math.isnan(bounds[0]):
        mean += f" [{bounds[0]:{form}}, {bounds[1]:{form}}]"
    return mean if len(kept) == 1 else f"{mean} ({min(kept):{form}} to {max(kept):{form}})"


def key(value: Any) -> str:
    """A key column's value as words; penalties with two digits."""
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def number(value: Any) -> float:
    """A cell of the table as a number; NaN for `-`."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def printed_steps(rows: pd.DataFrame) -> pd.DataFrame:
    """Single numbers, and a few points of each curve."""
    return rows[rows["step"].isin(_STEPS)]
