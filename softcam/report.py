"""One page from a folder of results: what was found, in words first, then tables and figures.

The page is a single HTML file with its pictures inside, fit to be sent to a colleague.
"""

from __future__ import annotations

import base64
import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softcam.common import SoftCAMError, write_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_report"]

CLASSIFICATION = ("accuracy", "auc", "quadratic-kappa", "ece", "brier", "logit-size")
_ARM_ORDER = ("black-box", "converted", "dense", "sparse", "ridge", "elastic", "logit-control")


@dataclass(frozen=True)
class Picture:
    """A figure with its caption; `data` is the PNG in base64."""

    name: str
    caption: str
    data: str


def write_report(folder: str | Path) -> Path:
    """Write `report.html` into a folder that holds `results.csv`, `figures/` or executed notebooks.

    Returns:
        The path of the page.

    Raises:
        SoftCAMError: the folder holds none of them.
    """
    import jinja2

    folder = Path(folder)
    table = _read_table(folder / "results.csv")
    pictures = _pictures(folder / "figures")
    notebooks = _notebooks(folder / "progress.json")
    if table is None and not pictures and not notebooks:
        raise SoftCAMError(
            f"{folder} holds no results.csv, no figures/ and no executed notebook: "
            "run `softcam run tutorial` or `softcam evaluate` first."
        )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True
    )
    page = environment.get_template("report.html").render(
        title=f"SoftCAM report: {folder.name}",
        date=datetime.date.today().isoformat(),
        words=_words(table),
        classification=_classification(table),
        localisation=_localisation(table),
        faithfulness=_faithfulness(table),
        pictures=pictures,
        notebooks=notebooks,
        facts=_facts(table),
        versions=_versions(),
    )
    return write_text(folder / "report.html", page)


def _read_table(path: Path) -> pd.DataFrame | None:
    import pandas as pd

    if not path.is_file():
        return None
    table = pd.read_csv(path, dtype={"threshold": str, "step": str}, keep_default_na=True)
    rank = {arm: i for i, arm in enumerate(_ARM_ORDER)}
    return table.sort_values("arm", key=lambda arms: arms.map(rank), kind="stable")


def _words(table: pd.DataFrame | None) -> list[str]:
    from softcam.reading import findings_in_words

    return [] if table is None else findings_in_words(table)


def _pictures(folder: Path) -> list[Picture]:
    from softcam.visualize.save import read_caption

    return [
        Picture(path.stem, read_caption(path), base64.b64encode(path.read_bytes()).decode())
        for path in sorted(folder.glob("*.png"))
    ]


def _notebooks(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    record = json.loads(path.read_text(encoding="utf-8"))
    return [
        {"name": name, "seconds": f"{row['seconds']:.0f}", "profile": record["profile"]}
        for name, row in sorted(record["notebooks"].items())
    ]


def _classification(table: pd.DataFrame | None) -> dict[str, Any] | None:
    """Rows: run (arm, seed); columns: classification measures with their intervals."""
    if table is None:
        return None
    rows = table[table["metric"].isin(CLASSIFICATION)]
    return _wide(rows, ["dataset", "arm", "seed"], [m for m in CLASSIFICATION])


def _localisation(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """One table a measure: rows method and gauge of each run, floors and ceilings among them."""
    if table is None:
        return []
    curves = ("deletion-prediction", "deletion-probability", "audc")
    skip = (*CLASSIFICATION, "logit-contrast", *curves)
    rows = table[~table["metric"].isin(skip) & (table["n"] > 0)]
    rows = rows[rows["step"].isin(("-", "1", "5", "10", "20"))]
    parts = []
    for metric in rows["metric"].unique():
        own = rows[rows["metric"] == metric]
        keys = ["dataset", "arm", "seed", "method", "gauge"]
        column = "step" if own["step"].nunique() > 1 else "metric"
        names = list(own[column].unique())
        wide = _wide(own, keys, names, column)
        if wide:
            wide["title"] = metric if column == "metric" else f"{metric}, by number of patches k"
            parts.append(wide)
    return parts


def _faithfulness(table: pd.DataFrame | None) -> dict[str, Any] | None:
    if table is None:
        return None
    rows = table[table["metric"] == "audc"]
    return _wide(rows, ["dataset", "arm", "seed", "method", "gauge"], ["audc"])


def _wide(
    rows: pd.DataFrame, keys: list[str], names: list[str], column: str = "metric"
) -> dict[str, Any] | None:
    """Cells `value [low, high]` with one column a name; keys that never vary are left out."""
    if rows.empty:
        return None
    shown = [key for key in keys if rows[key].nunique() > 1] or keys[1:2]
    names = [name for name in names if (rows[column] == name).any()]
    body = []
    for group, part in rows.groupby(keys, sort=False):
        values = dict(zip(keys, group if isinstance(group, tuple) else (group,), strict=True))
        cells = {row[column]: _cell(row) for _, row in part.iterrows()}
        body.append([*(values[key] for key in shown), *(cells.get(name, "-") for name in names)])
    directions = rows.drop_duplicates(column).set_index(column)["direction"].to_dict()
    arrows = {"higher": "↑", "lower": "↓"}
    heads = [f"{name} {arrows.get(directions.get(name, ''), '')}".strip() for name in names]
    return {"title": "", "head": [*shown, *heads], "body": body}


def _cell(row: pd.Series) -> str:
    import math

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


def _facts(table: pd.DataFrame | None) -> list[str]:
    """What a table does not say in its cells: sizes, lambdas, excluded images."""
    if table is None:
        return []
    facts = []
    for (dataset, arm, seed), part in table.groupby(["dataset", "arm", "seed"], sort=False):
        first = part.iloc[0]
        excluded = int(part["n_excluded"].max())
        facts.append(
            f"{dataset}, {arm}, seed {seed}: {first['model']}, "
            f"lambda1 {float(first['lambda1']):.3g}, lambda2 {float(first['lambda2']):.3g} "
            f"(the paper's scale), {int(part['n'].max())} images"
            + (f", at most {excluded} excluded from a measure" if excluded else "")
        )
    return facts


def _versions() -> dict[str, str]:
    from softcam.checkpoints import environment

    found = environment()
    return {"Python": found["python"], "platform": found["platform"], **found["versions"]}
