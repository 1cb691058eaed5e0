"""What the paper and its public code say in numbers, and ours beside them.

`figures/paper_numbers.csv` holds one number a row, with where it comes from (`KINDS`). Only a
number that was read in the paper itself may decide anything; the others are there to compare.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softcam.claims.data import PAPER, SUBSTITUTES, paper_set
from softcam.common import SoftCAMError, choose, project_root, write_text
from softcam.metrics import measures
from softcam.results import read_table
from softcam.runs import ARMS
from softcam.visualize.paper.rows import chosen_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BESIDE", "COLUMNS", "KINDS", "beside", "chosen_rows", "paper_numbers",
           "write_beside"]  # fmt: skip

COLUMNS = (
    "id", "table_or_figure", "dataset", "task", "model", "arm", "method", "metric", "k_or_lambda",
    "value", "spread", "kind", "note",
)  # fmt: skip
KINDS = {
    "paper": "read in the paper itself",
    "notebook": "read in the authors' public notebooks and code, or counted in its split files",
    "derived": "worked out here from the public code",
    "reading-note": "from a third party's note on the first version of the paper",
    "memory": "remembered, not looked up",
}
BESIDE = (
    "heading", "id", "table_or_figure", "paper_dataset", "paper_model", "dataset", "task", "model",
    "arm", "method", "metric", "k_or_lambda", "paper_value", "spread", "kind", "in_verdicts",
    "our_lambda", "our_step", "our_protocol", "ours", "seeds", "lowest", "highest", "note",
)  # fmt: skip
_TASKS = ("binary", "multi-class", "-")
_SETTING = re.compile(r"(-|(lambda[12]|k|steps)=[-+.e\d]+(;(k|steps)=\d+)?)")


@dataclass(frozen=True)
class _Range:
    """Between which bounds the values of a metric lie, and whether they are whole numbers."""

    low: float
    high: float
    whole: bool = False


_SHARE, _COUNT, _SIZE = _Range(0, 1), _Range(0, 1e9, True), _Range(0, 10)
_RANGES = {
    "accuracy": _SHARE, "auc": _SHARE, "quadratic-kappa": _Range(-1, 1), "audc": _SHARE,
    "audc-confidence": _SHARE, "activation-precision": _SHARE, "activation-sensitivity": _SHARE,
    "consistency-negative": _SHARE, "consistency-positive": _SHARE, "patch-precision": _SHARE,
    "patch-precision-all": _SHARE, "pointing-game": _SHARE, "pointing-game-chance": _SHARE,
    "lambda1": _SIZE, "lambda2": _SIZE, "learning-rate": _SIZE, "learning-rate-floor": _SIZE,
    "momentum": _SHARE, "weight-decay": _SIZE, "evidence-minimum": _Range(-1e6, 0),
    "evidence-maximum": _Range(0, 1e6), "batch-size": _COUNT, "epochs": _COUNT, "seed": _COUNT,
    "boxes": _COUNT, "label-rows": _COUNT, "points": _COUNT, "weights-fewer": _COUNT,
    "annotated-images": _COUNT,
}  # fmt: skip
_FAMILIES = {
    "images-": _COUNT, "patients-": _COUNT, "map-": _COUNT, "image-": _COUNT, "grid-": _COUNT,
    "patch-side": _COUNT, "patch-stride": _COUNT, "mean-": _SHARE, "std-": _SHARE,
}  # fmt: skip


def paper_numbers(kind: str | None = None, *, file: str | Path | None = None) -> pd.DataFrame:
    """The numbers of `figures/paper_numbers.csv`, checked.

    Args:
        kind: only those from there, one of `KINDS`; None takes all.
        file: another table of the same form.

    Returns:
        `COLUMNS`; `value` and `spread` (NaN where none is known) are floats, `-` says that a
        word does not apply. Shares lie in [0, 1], counts are whole numbers.

    Raises:
        SoftCAMError: a column, kind, task, arm, metric or value that is not one; a range or a
            repeated row. The message names the row (the header is row 1) and the column.
        UnknownNameError: an unknown `kind` was asked for.
    """
    import pandas as pd

    path = project_root() / "figures" / "paper_numbers.csv" if file is None else Path(file)
    if not path.is_file():
        raise SoftCAMError(f"{path} is not there: it comes with the checkout of softcam.")
    if kind is not None:
        choose("kind of number", kind, KINDS)
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if tuple(table.columns) != COLUMNS:
        raise SoftCAMError(
            f"{path}: expected the columns {', '.join(COLUMNS)}, found {', '.join(table.columns)}."
        )
    for place, row in enumerate(table.to_dict("records"), start=2):
        _check({str(k): str(v) for k, v in row.items()}, f"{path}, row {place}")
    _unrepeated(table, path)
    table["value"] = table["value"].astype(float)
    table["spread"] = pd.to_numeric(table["spread"], errors="coerce")  # `-` is checked above
    return table if kind is None else table[table["kind"] == kind].reset_index(drop=True)


def beside(
    results: pd.DataFrame, selection: pd.DataFrame | None = None, *, file: str | Path | None = None
) -> pd.DataFrame:
    """Each number that has a measure here, and ours beside it.

    On the paper's own data ours must agree in task, network, arm, method and measure, heading
    `paper`. On phantoms of the same kind of image any network stands beside it, heading
    `replication on substitutes`. A number without a partner is kept, with `ours` undefined.

    Args:
        results: the table of results.csv.
        selection: that of selection.csv; only chosen runs are compared.
        file: another table of numbers.

    Returns:
        `BESIDE`, mean over seeds with the lowest and the highest; those of the paper's own data
        first. `in_verdicts` is true of numbers read in the paper and set beside the same data.
    """
    import pandas as pd

    numbers = paper_numbers(file=file)
    measured = {each.name for each in (*measures(), *measures(protocol="paper"))}
    numbers = numbers[numbers["arm"].isin([*ARMS, "converted"])]
    numbers = numbers[numbers["metric"].isin(measured)]
    rows = _comparable(chosen_rows(results, selection), set(numbers["metric"]))
    names = sorted(rows["dataset"].astype(str).unique())
    kinds = {name: "paper" if paper_set(name) else _modality(name) for name in names}
    found: list[dict[str, Any]] = []
    for record in numbers.to_dict("records"):
        number = {str(k): v for k, v in record.items()}
        partners = [r for name in names for r in _partners(number, rows, name, kinds[name])]
        found += partners or [_entry(number, "no partner", None)]
    table = pd.DataFrame(found, columns=list(BESIDE))
    order = {"paper": 0, SUBSTITUTES: 1, "no partner": 2}
    return table.sort_values(
        "heading", key=lambda h: h.map(order), kind="stable", ignore_index=True
    )


def write_beside(folder: str | Path, *, file: str | Path | None = None) -> Path:
    """`beside` of a folder with results.csv, as paper-against-ours.csv; the tables print from it.

    Args:
        folder: selection.csv is read where there is one.
        file: another table of numbers.

    Raises:
        SoftCAMError: no results, or a number that is wrong.
    """
    import pandas as pd

    folder = Path(folder)
    if not (folder / "results.csv").is_file():
        raise SoftCAMError(f"{folder} has no results.csv: measure the runs first.")
    choice = folder / "selection.csv"
    selection = pd.read_csv(choice, dtype={"run_id": str}) if choice.is_file() else None
    table = beside(read_table(folder / "results.csv"), selection, file=file)
    text = table.to_csv(index=False, lineterminator="\n", na_rep="-", float_format="%.6g")
    return write_text(folder / "paper-against-ours.csv", text)


def _check(row: dict[str, str], where: str) -> None:
    """One row as text.

    Raises:
        SoftCAMError: with row and column.
    """

    def wrong(column: str, expected: str) -> SoftCAMError:
        return SoftCAMError(
            f"{where}, column {column!r}: found {row[column]!r}, expected {expected}."
        )

    for name in COLUMNS:
        if not row[name].strip():
            raise wrong(name, "a word, or - where it does not apply")
    if row["kind"] not in KINDS:
        raise wrong("kind", f"one of {', '.join(KINDS)}")
    if row["task"] not in _TASKS:
        raise wrong("task", f"one of {', '.join(_TASKS)}")
    if row["arm"] not in (*ARMS, "converted", "-"):
        raise wrong("arm", f"one of {', '.join(ARMS)}, converted or -")
    if not _SETTING.match(row["k_or_lambda"]):
        raise wrong("k_or_lambda", "- or such as k=10, lambda1=5e-05, lambda1=5e-05;steps=30")
    known = _range_of(row["metric"])
    if known is None:
        raise wrong("metric", f"one of {', '.join(_RANGES)} or {', '.join(_FAMILIES)}...")
    value = _number(row["value"])
    if value is None or not known.low <= value <= known.high:
        raise wrong("value", f"a number from {known.low:g} to {known.high:g}")
    if known.whole and value != round(value):
        raise wrong("value", "a whole number")
    if row["spread"] != "-" and not (_number(row["spread"]) or -1) > 0:
        raise wrong("spread", "a number above 0, or -")


def _range_of(metric: str) -> _Range | None:
    families = (found for start, found in _FAMILIES.items() if metric.startswith(start))
    return _RANGES.get(metric) or next(families, None)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _unrepeated(table: pd.DataFrame, path: Path) -> None:
    what = ["dataset", "task", "model", "arm", "method", "metric", "k_or_lambda", "kind"]
    for columns in (["id"], [*what, "table_or_figure"]):
        twice = table.duplicated(columns)
        if twice.any():
            place = int(twice.to_numpy().argmax())
            name = columns[0] if len(columns) == 1 else "metric"
            raise SoftCAMError(
                f"{path}, row {place + 2}, column {name!r}: {table[name].iloc[place]!r} repeats an "
                "earlier row: one number has one row."
            )


def _modality(dataset: str) -> str:
    return dataset.removeprefix("phantoms-") if dataset.startswith("phantoms-") else ""


def _comparable(rows: pd.DataFrame, metrics: set[str]) -> pd.DataFrame:
    """What the public code asks too: raw maps, each on its own network, hidden by mean colour."""
    rows = rows[rows["metric"].isin(metrics) & (rows["n"] > 0)]
    rows = rows[rows["gauge"].isin(["raw", "-"]) & rows["target"].isin(["class:1", "label", "-"])]
    rows = rows[(rows["occluded_run"] == "-") | (rows["occluded_run"] == rows["run_id"])]
    return rows[rows["fill"].isin(["-", "mean-colour"])]


def _partners(
    number: dict[str, Any], rows: pd.DataFrame, dataset: str, kind: str
) -> list[dict[str, Any]]:
    """Ours beside one number on one data set, one entry a network, weight and step."""
    theirs = paper_set(str(number["dataset"]))
    same = kind == "paper" and (
        dataset == number["dataset"] or (number["dataset"] == theirs == paper_set(dataset))
    )
    if not same and kind != PAPER.get(theirs):
        return []
    wanted = {"dataset": dataset, **{c: number[c] for c in ("task", "arm", "metric", "method")}}
    if same:
        wanted["model"] = number["model"]
    own = rows[(rows[list(wanted)] == wanted).all(axis=1)]
    if own["protocol"].eq("paper").any():  # theirs is the public code's number
        own = own[own["protocol"] == "paper"]
    k = re.search(r"\bk=(\d+)", str(number["k_or_lambda"]))
    own = own[own["step"].astype(str) == (k.group(1) if k else "-")]
    heading = "paper" if same else SUBSTITUTES
    whose = ["model", "lambda1", "lambda2", "protocol"]
    return [_entry(number, heading, each) for _, each in own.groupby(whose, sort=True)]


def _entry(number: dict[str, Any], heading: str, ours: pd.DataFrame | None) -> dict[str, Any]:
    kept = {c: number[c] for c in BESIDE if c in number}
    theirs = {f"paper_{c}": number[c] for c in ("dataset", "model", "value")}
    empty = {"dataset": "-", "model": "-", "our_lambda": "-", "our_step": "-", "our_protocol": "-"}
    counted = {"ours": math.nan, "seeds": 0, "lowest": math.nan, "highest": math.nan}
    decides = heading == "paper" and number["kind"] == "paper"
    said = {**kept, **theirs, **empty, **counted, "heading": heading, "in_verdicts": decides}
    if ours is None:
        return said
    first, values = ours.iloc[0], ours["value"].astype(float)
    weights = [f"{n}={float(first[n]):.3g}" for n in ("lambda1", "lambda2") if float(first[n])]
    return said | {
        "dataset": first["dataset"], "model": first["model"], "our_step": str(first["step"]),
        "our_lambda": ";".join(weights) or "0", "our_protocol": first["protocol"],
        "ours": float(values.mean()), "seeds": int(ours["seed"].nunique()),
        "lowest": float(values.min()), "highest": float(values.max()),
    }  # fmt: skip
