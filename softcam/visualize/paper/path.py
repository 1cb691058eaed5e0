"""What the weight of the penalty does, from the weakest to the strongest.

A column a data set, a row a measure. On the validation split: the AUC with its standard error, by
which the weight is chosen (filled), and the oracle's measure, which needs masks (its choice is the
open ring). On the test split, for every penalised arm: accuracy, calibration and localisation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import SoftCAMError, choose
from softcam.visualize.paper.looks import (
    Look,
    in_order,
    legend_below,
    look_of,
    named,
    paper_figure,
    paper_style,
)
from softcam.visualize.paper.rows import CELL, FAILED, MEASURED, map_rows, test_rows
from softcam.visualize.style import FLOOR

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["draw_path", "path_caption", "path_numbers"]

COLUMNS = [
    *CELL, "split", "metric", "step", "parameter", "lambda", "value", "low", "high", "n", "run_id",
    "chosen", "oracle", "status",
]  # fmt: skip
PLAIN = ("black-box", "dense")  # without a penalty: what the weights start from
POINTS = (("patch-precision", "10"), ("pixel-auprc", "-"), ("pointing-accuracy", "-"))
LABELS = {
    "auc": "AUC", "accuracy": "accuracy", "ece": "calibration\nerror",
    "patch-precision": "patch\nprecision", "pixel-auprc": "pixel\nAUPRC",
    "pointing-accuracy": "pointing\naccuracy",
}  # fmt: skip
OTHERS = {  # whose weight is of another quantity than the evidence of every cell
    "hoyer": "the Hoyer spread of a map, a share",
    "logit-control": "the size of the logits",
}
SYMBOLS = {"lambda1": r"$\lambda_1$", "lambda2": r"$\lambda_2$"}


def path_numbers(
    selection: pd.DataFrame,
    table: pd.DataFrame,
    parameter: str,
    *,
    model: str | None = None,
    localisation: tuple[str, str] | None = None,
) -> pd.DataFrame:
    """The points of `draw_path`.

    Args:
        selection: `selection.csv`, a row a weight that was tried.
        table: `results.csv` with the runs along the path.
        parameter: `lambda1` or `lambda2`, on the paper's scale (on the sums).
        model: the architecture; None takes the first.
        localisation: measure and step; None takes the first of patch-precision at 10 patches,
            pixel-auprc and pointing-accuracy that all these runs have.

    Raises:
        SoftCAMError: no weight of this parameter was tried.
    """
    import pandas as pd

    choose("parameter", parameter, SYMBOLS)
    tried = selection[selection["parameter"] == parameter]
    if tried.empty:
        raise SoftCAMError(f"selection.csv has no weights of {parameter}: no arm has a grid of it.")
    model = model or str(tried["model"].iloc[0])
    tried = tried[tried["model"] == model]
    seed = tried["seed"].iloc[0]
    own = table[(table["model"] == model) & (table["seed"] == seed)]
    own = own[own["dataset"].isin(tried["dataset"])].assign(weight=own[parameter].astype(float))
    own = own[(own["weight"] > 0) | own["arm"].isin(PLAIN)]
    rows = [_validation(tried, parameter)]
    rows += [_tested(test_rows(own, m), tried, parameter) for m in ("accuracy", "ece")]
    metric, step = localisation or _localisation(own)
    maps = map_rows(own, metric)
    maps = maps[(maps["method"] == "softcam") & (maps["step"] == step)]
    rows.append(_tested(maps, tried, parameter))
    return pd.concat([each for each in rows if len(each)], ignore_index=True)[COLUMNS]


def _localisation(table: pd.DataFrame) -> tuple[str, str]:
    """The first measure that every run of a penalised arm has."""
    penalised = table[~table["arm"].isin(PLAIN)]
    for metric, step in POINTS:
        has = penalised[(penalised["metric"] == metric) & (penalised["step"] == step)]
        if set(has["run_id"]) == set(penalised["run_id"]):
            return metric, step
    return POINTS[-1]


def _validation(tried: pd.DataFrame, parameter: str) -> pd.DataFrame:
    """AUC and the oracle's measure of each weight, as selection.csv has them."""
    import pandas as pd

    auc = tried.assign(
        metric="auc", value=tried["val_auc"], low=tried["val_auc"] - tried["val_auc_se"],
        high=tried["val_auc"] + tried["val_auc_se"],
    )  # fmt: skip
    masks = tried.assign(
        metric=tried["mask_metric"], value=tried["mask_value"], low=np.nan, high=np.nan
    )
    both = pd.concat([auc, masks])
    lost = pd.concat([tried["val_auc"]] * 2).isna()
    both = both[both["value"].notna() | lost]  # a set without masks has no oracle and no hole
    status = np.where(both["value"].notna(), MEASURED, FAILED)
    return both.assign(split="val", step="-", n=0, status=status, parameter=parameter)


def _tested(rows: pd.DataFrame, tried: pd.DataFrame, parameter: str) -> pd.DataFrame:
    chosen = set(tried.loc[tried["chosen"].astype(bool), "run_id"])
    oracle = set(tried.loc[tried["oracle"].astype(bool), "run_id"])
    weights: dict[str, Any] = {"lambda": rows["weight"], "parameter": parameter}
    return rows.assign(
        **weights,
        low=rows["ci_low"], high=rows["ci_high"], chosen=rows["run_id"].isin(chosen),
        oracle=rows["run_id"].isin(oracle),
        status=np.where(rows["value"].astype(float).notna(), MEASURED, FAILED),
    )  # fmt: skip


def path_caption(numbers: pd.DataFrame) -> str:
    """What `draw_path` shows, with the arms whose weights do not compare with the others'."""
    said = (
        "What the weight of the penalty does. Filled: chosen by the validation AUC, the largest "
        "weight within one standard error of the best. Ring: what the masks would have chosen. "
        "Bars: standard error on validation, 95 % interval on test."
    )
    arms = set(numbers["arm"])
    named = [f"that of {look_of(a).title} is of {what}" for a, what in OTHERS.items() if a in arms]
    if named:
        said += f" Weights marked * are of another quantity: {'; '.join(named)}. Their place on "
        said += "the axis does not compare with that of the others."
    if "elastic" in arms:
        said += " Elastic SoftCAM has a weight of the other penalty, too."
    return said


@paper_style()
def draw_path(numbers: pd.DataFrame) -> Figure:
    """Draw `path_numbers`: bars are standard errors on validation, 95 % intervals on test.

    The grey line is the network without a penalty. Every other arm with a weight of this parameter
    is a point at its own weight; a * marks those whose weight is of another quantity.
    """
    rows = list(dict.fromkeys(zip(numbers["split"], numbers["metric"], strict=True)))
    places = numbers[["dataset", "task"]].drop_duplicates().to_numpy().tolist()
    datasets = [(d, t) for name in in_order(d for d, _ in places) for d, t in places if d == name]
    figure, axes = paper_figure(
        len(rows), len(datasets), height=22 + 27 * len(rows), sharex="col", sharey="row",
        width=40 + 45 * min(3, len(datasets)),
    )  # fmt: skip
    legend: dict[str, Any] = {}
    for row, (split, metric) in enumerate(rows):
        for column, (dataset, task) in enumerate(datasets):
            own = numbers[(numbers["dataset"] == dataset) & (numbers["task"] == task)]
            own = own[(own["split"] == split) & (own["metric"] == metric)]
            _panel(axes[row, column], own, legend)
            _weights(axes[row, column], own)
        said = {"val": "validation", "test": "test"}.get(split, split)
        axes[row, 0].set_ylabel(f"{said}\n{LABELS.get(metric, metric)}")
    symbol = SYMBOLS[str(numbers["parameter"].iloc[0])]
    for column, (dataset, task) in enumerate(datasets):
        kind = "" if task == "binary" else f", {task}"
        axes[0, column].set_title(f"{named(dataset)}{kind}")
        axes[-1, column].set_xlabel(f"{symbol}, weight of the penalty")
    _marks(legend)
    if set(numbers["arm"]) & set(OTHERS):
        legend["* weight of another quantity"] = _nothing()
    legend_below(figure, legend, columns=4)
    return figure


def _panel(ax: Any, rows: pd.DataFrame, legend: dict[str, Any]) -> None:
    ax.margins(y=0.2)  # for the rings
    for arm, line in rows.groupby("arm", sort=False):
        known = line[line["status"] == MEASURED].sort_values("lambda")
        look = look_of(str(arm))
        if arm in PLAIN:
            for value in known["value"].astype(float):
                legend.setdefault(
                    "no penalty", ax.axhline(value, color=FLOOR, linestyle=":", zorder=1)
                )
            continue
        star = "*" if arm in OTHERS else ""
        legend.setdefault(f"{look.title}{star}", _line(ax, known, look))
        for x in line.loc[line["status"] == FAILED, "lambda"].astype(float):
            ax.text(x, 0.04, "failed", rotation=90, transform=ax.get_xaxis_transform(),
                    ha="center", va="bottom", color=look.colour)  # fmt: skip


def _line(ax: Any, known: pd.DataFrame, look: Look) -> Any:
    """The points of one arm: hollow, the chosen one filled, the oracle's in a ring."""
    x, y = known["lambda"].astype(float), known["value"].astype(float)
    bars = np.abs(np.stack([y - known["low"].astype(float), known["high"].astype(float) - y]))
    ax.errorbar(x, y, np.nan_to_num(bars), fmt="none", ecolor=look.colour, elinewidth=0.7)
    hollow = {"markerfacecolor": "white", "marker": look.marker, "markersize": 4.0}
    alone = len(x) == 1  # above the lines, for it may lie on one
    (drawn,) = ax.plot(
        x, y, color=look.colour, linestyle=look.dash, zorder=5 if alone else 3, **hollow
    )
    for flag, style in (
        ("chosen", {"marker": look.marker, "markersize": 4.4}),
        ("oracle", {"marker": "o", "markersize": 8.5, "markerfacecolor": "none"}),
    ):
        own = known[flag].astype(bool).to_numpy()
        ax.plot(x[own], y[own], color=look.colour, linestyle="none", zorder=4, **style)
    return drawn


def _weights(ax: Any, rows: pd.DataFrame) -> None:
    """A logarithmic axis with a tick at each weight of the grid, as far as there is room."""
    from matplotlib.ticker import LogLocator, NullFormatter

    weights = rows.loc[~rows["arm"].isin(PLAIN), "lambda"].astype(float)
    if len(weights):
        ax.set_xscale("log")
        ax.set_xlim(weights.min() / 2, weights.max() * 2)
        ax.xaxis.set_major_locator(LogLocator(numticks=4))
        ax.xaxis.set_minor_formatter(NullFormatter())


def _nothing() -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none")


def _marks(legend: dict[str, Any]) -> None:
    from matplotlib.lines import Line2D

    black: dict[str, Any] = {"color": "black", "linestyle": "none"}
    legend["chosen on validation, without masks"] = Line2D([], [], marker="s", **black)
    legend["oracle: what the masks would choose"] = Line2D(
        [], [], marker="o", markersize=8.5, markerfacecolor="none", **black
    )
