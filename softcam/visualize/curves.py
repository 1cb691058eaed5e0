"""Numbers as curves: training, occlusion, top-k patches, the weight of the penalty, calibration.

Everything is drawn from tables of the run directory (`history.csv`, `results.csv`); a band is the
interval that stands in the table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import SoftCAMError, choose
from softcam.visualize.style import COLOURS, FLOOR, array, new_figure, tidy

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = [
    "deletion_curves",
    "insertion_curves",
    "lambda_plot",
    "patch_curves",
    "reliability_diagram",
    "training_history",
]

# Table entries that nobody has to beat, only to know: drawn in grey.
_REFERENCES = ("random", "centre", "edge", "true-mask", "reference-ceiling")
_DASHES = ("--", ":", "-.", (0, (6, 2)), (0, (1, 3)))

_ANSWERS = {  # what is drawn along the vertical axis
    "deletion-prediction": "share still predicted",
    "deletion-probability": "probability, relative to the start",
    "deletion-confidence": "confidence, relative to the start",
    "insertion-prediction": "share already predicted",
    "insertion-probability": "probability, relative to the whole image",
}


def training_history(
    histories: Mapping[str, pd.DataFrame] | pd.DataFrame,
    columns: Sequence[str] = ("train_loss", "val_loss", "val_auc"),
    title: str = "",
) -> Figure:
    """One panel a column of `history.csv`, one line a run; columns that are missing are left out.

    Args:
        histories: `run.history()`, or title to history.
        columns: what to show, in this order.
    """
    named = histories if isinstance(histories, Mapping) else {"": histories}
    shown = [c for c in columns if any(c in history for history in named.values())]
    if not shown:
        raise SoftCAMError(f"no history has any of the columns {', '.join(columns)}.")
    figure, axes = new_figure(1, len(shown), (3.6, 3.0))
    for ax, column in zip(axes[0], shown, strict=True):
        for k, (name, history) in enumerate(named.items()):
            if column in history:
                epochs = history["epoch"] + 1
                ax.plot(epochs, history[column], label=name, **_line(k), marker="o", markersize=3)
        ax.xaxis.get_major_locator().set_params(integer=True)
        words = column.replace("val_", "validation ").replace("train_", "training ")
        tidy(ax, words.replace("_", " "), "epoch")
    _legend_below(figure, axes[0, 0])
    figure.suptitle(title)
    return figure


def deletion_curves(
    table: pd.DataFrame,
    label: str = "label",
    title: str = "",
    metric: str = "deletion-prediction",
) -> Figure:
    """Score against the number of hidden tiles; lower is more faithful to the model.

    Args:
        table: rows of `results.csv`; a column `label` names the lines, else what differs does:
            arm, method, gauge, fill, protocol, and the occluded run where maps of one run are
            ranked on several.
        metric: `deletion-prediction`, `deletion-probability`, or `deletion-confidence` of the
            paper's protocol.
    """
    choose("deletion curve", metric, [name for name in _ANSWERS if name.startswith("deletion")])
    return _step_curves(table, metric, label, "tiles hidden", _ANSWERS[metric], title)


def insertion_curves(
    table: pd.DataFrame,
    label: str = "label",
    title: str = "",
    metric: str = "insertion-prediction",
) -> Figure:
    """Score against the share of tiles shown, the brightest first; higher is more faithful.

    Args:
        table: as in `deletion_curves`.
        metric: `insertion-prediction` or `insertion-probability`.
    """
    choose("insertion curve", metric, [name for name in _ANSWERS if name.startswith("insertion")])
    return _step_curves(table, metric, label, "% of tiles shown", _ANSWERS[metric], title)


def patch_curves(table: pd.DataFrame, label: str = "label", title: str = "") -> Figure:
    """Top-k patch precision against k, with its floors and its ceiling."""
    y = "patches that hold a finding"
    # Floors and ceiling hang on the images here, not on the model: one line each for all runs.
    return _step_curves(table, "patch-precision", label, "k, patches per image", y, title, True)


def _step_curves(
    table: pd.DataFrame,
    metric: str,
    label: str,
    x: str,
    y: str,
    title: str,
    pool_references: bool = False,
) -> Figure:
    rows = table[(table["metric"] == metric) & (table["step"] != "-")]
    if rows.empty:
        known = sorted(table["metric"].unique())
        raise SoftCAMError(f"the table has no curve of {metric!r}; it has {', '.join(known)}.")
    rows = rows.assign(step=rows["step"].astype(float))
    if label not in rows:
        rows = rows.assign(**{label: _row_labels(rows, pool_references)})
    figure, axes = new_figure(1, 1, (5.6, 3.8))
    ax, k, references = axes[0, 0], 0, 0
    for name, line in rows.groupby(label, sort=False):
        reference = line["method"].iloc[0] in _REFERENCES
        numbers = ["step", "value", "ci_low", "ci_high"]
        line = line[numbers].astype(float).groupby("step", as_index=False).mean()
        if reference:
            style: dict[str, Any] = {
                "color": FLOOR,
                "linestyle": _DASHES[references % len(_DASHES)],
            }
            references += 1
        else:
            style, k = _line(k), k + 1
            band = line["step"], line["ci_low"], line["ci_high"]
            ax.fill_between(*band, color=style["color"], alpha=0.12, linewidth=0)
        ax.plot(line["step"], line["value"], label=name, **style)
    tidy(ax, title, x, y)
    ax.set_ylim(bottom=0)
    _legend_below(figure, ax)
    return figure


def _row_labels(rows: pd.DataFrame, pool_references: bool) -> pd.Series:
    """The columns that differ between lines, joined: nothing is said that is the same for all."""
    columns = ("arm", "seed", "method", "gauge", "fill", "protocol")
    parts = [c for c in columns if c in rows and rows[c].nunique() > 1]
    if "occluded_run" in rows and (rows.groupby("run_id")["occluded_run"].nunique() > 1).any():
        rows, parts = rows.assign(on="on " + rows["occluded_run"].astype(str)), [*parts, "on"]
    joined = rows[parts or ["method"]].astype(str).agg(", ".join, axis=1)
    joined = joined.str.replace(", -", "", regex=False)
    pooled = rows["method"].isin(_REFERENCES) & pool_references
    return joined.where(~pooled, rows["method"])


def lambda_plot(
    table: pd.DataFrame,
    metrics: Sequence[str] = ("auc", "pointing-accuracy", "logit-size"),
    weight: str = "lambda1",
    title: str = "",
) -> Figure:
    """What the weight of the penalty does: one panel a metric, a dot a run, a line through means.

    Zero has a place of its own at the left of the logarithmic axis.

    Args:
        table: rows of `results.csv`, one a run and metric (choose method and gauge before).
        weight: `lambda1` or `lambda2`.
    """
    choose("weight", weight, ("lambda1", "lambda2"))
    for metric in metrics:
        choose("metric", metric, table["metric"].unique())
    figure, axes = new_figure(1, len(metrics), (3.4, 3.0))
    for k, (ax, metric) in enumerate(zip(axes[0], metrics, strict=True)):
        rows = table[(table["metric"] == metric) & (table["step"] == "-")]
        x, y = rows[weight].astype(float), rows["value"].astype(float)
        means = y.groupby(x).mean()
        ax.plot(means.index, means.to_numpy(), color=COLOURS[k], linewidth=1.5)
        ax.plot(x, y, "o", color=COLOURS[k], alpha=0.7, markersize=5)
        positive = x[x > 0]
        if len(positive):
            ax.set_xscale("symlog", linthresh=float(positive.min()), linscale=0.5)
            ticks = sorted(set(x))
            ax.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks], minor=False)
            ax.minorticks_off()
        tidy(ax, metric.replace("-", " "), weight)
    figure.suptitle(title)
    return figure


def reliability_diagram(
    predictions: Mapping[str, tuple[Any, Any]], bins: int = 10, title: str = ""
) -> Figure:
    """Is a confidence of 80 % right in 80 % of cases? The diagonal is a calibrated model.

    Args:
        predictions: title to (confidence (N,) in [0, 1], correct (N,) bool).
        bins: bins of equal width; the area of a dot grows with the images in it.
    """
    figure, axes = new_figure(1, 1, (4.4, 4.2))
    ax = axes[0, 0]
    ax.plot([0, 1], [0, 1], color=FLOOR, linestyle="--", label="calibrated")
    for k, (name, (confidence, correct)) in enumerate(predictions.items()):
        confidence, correct = array(confidence).astype(float), array(correct).astype(float)
        place = np.clip((confidence * bins).astype(int), 0, bins - 1)
        count = np.bincount(place, minlength=bins)
        kept = count > 0
        x = np.bincount(place, confidence, bins)[kept] / count[kept]
        y = np.bincount(place, correct, bins)[kept] / count[kept]
        style = _line(k)
        ax.plot(x, y, label=name, **style)
        ax.scatter(x, y, 20 + 180 * count[kept] / count.sum(), color=style["color"], zorder=3)
    ax.set_aspect("equal")
    tidy(ax, title, "confidence", "share that is right")
    _legend_below(figure, ax)
    return figure


def _line(k: int) -> dict[str, Any]:
    """The k-th line: a colour and, from the second round on, another dash."""
    dashes = ("-", *_DASHES)
    return {
        "color": COLOURS[k % len(COLOURS)],
        "linestyle": dashes[math.floor(k / len(COLOURS)) % len(dashes)],
        "linewidth": 1.6,
    }


def _legend_below(figure: Any, ax: Any) -> None:
    handles, names = ax.get_legend_handles_labels()
    if any(names):
        longest = max(map(len, names))
        columns = max(1, min(len(names), int(figure.get_figwidth() * 15 / (longest + 6))))
        figure.legend(
            handles, names, loc="outside lower center", ncol=columns, frameon=False, fontsize=9
        )
