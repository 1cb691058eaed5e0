"""The curve as a picture: effects by rank above, the choices behind them below.

An effect is the advantage of sparse: positive is for sparse, also of a measure of which less is
better. A side is ahead where the 95 % interval of the effect lies on its side of 0, in the legend
and in the titles alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import SoftCAMError
from softcam.visualize.paper import named
from softcam.visualize.style import COLOURS, FLOOR, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["CAPTION", "plot_specification"]

WIDTH = 175 / 25.4  # inches, both columns of a page
BINS = 36
CAPTION = (
    "The advantage of sparse SoftCAM over Grad-CAM on the black box under every choice, sorted; "
    "where less is better the sign is turned, so that above 0 sparse is always the better one. A "
    "side is ahead where the 95 % interval, drawn as a fine line, lies on its side of 0. Grey "
    "band: what 95 % of draws give in which each image's two values change sides by chance. Dots: "
    "which choices stand behind the effects above them."
)
TYPE = 7  # points
SPARSE, RIVAL = COLOURS[0], COLOURS[1]
CHOICES = {
    "gauge": "Zero", "interpolation": "Interpolation", "rectification": "Kept of the map",
    "threshold": "Cut-off", "step": "Patches", "protocol": "Protocol", "target": "Class",
    "fill": "Fill", "seed": "Seed", "measure": "Measure",
}  # fmt: skip


def plot_specification(table: pd.DataFrame) -> Figure:
    """One column a data set, task and network: effects with their null band, and what was chosen.

    A dot's area is the share of the specifications at these ranks that made the choice, against
    the largest of its row. A choice that all specifications share is not drawn.

    Args:
        table: of `read_specification`, `CURVE`.

    Raises:
        SoftCAMError: an empty table.
    """
    if table.empty:
        raise SoftCAMError("there is no specification to draw: measure maps first.")
    groups = list(table.groupby(["dataset", "task", "model"], sort=False))
    rows = _choices(table)
    tall = 1.6 + 0.125 * (len(rows) + len({c for c, _ in rows}))
    figure, axes = new_figure(
        2, len(groups), cell=(WIDTH / len(groups), tall / 2), sharex="col",
        gridspec_kw={"height_ratios": [1.6, tall - 1.6]},
    )  # fmt: skip
    size = 1.04 * float(table[["effect", "ci_low", "ci_high"]].abs().max().max())
    for column, (key, own) in enumerate(groups):
        title = _title(table, [str(word) for word in key])
        _effects(axes[0, column], own.sort_values("rank"), title, size, first=column == 0)
        _grid(axes[1, column], own.sort_values("rank"), rows, first=column == 0)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    return figure


def _title(table: pd.DataFrame, key: Sequence[str]) -> str:
    """The data set, and its task and network where it has several of them."""
    same = table[table["dataset"] == key[0]]
    more = [word for word, column in zip(key[1:], ("task", "model"), strict=True)
            if same[column].nunique() > 1]  # fmt: skip
    return "\n".join([named(key[0]), *more])


def _choices(table: pd.DataFrame) -> list[tuple[str, str]]:
    """(column, value) of each row of the grid, from top to bottom."""
    found = []
    for column in CHOICES:
        values = table[column].astype(str).unique()
        if len(values) > 1:
            found += [(column, value) for value in sorted(values, key=_order) if value != "-"]
    return found


def _order(value: str) -> tuple[int, float, str]:
    return (0, float(value), "") if value.replace(".", "").isdecimal() else (1, 0.0, value)


def _effects(ax: Any, own: pd.DataFrame, title: str, size: float, *, first: bool) -> None:
    rank, effect = own["rank"].to_numpy(), own["effect"].to_numpy()
    ax.fill_between(
        rank, own["null_low"], own["null_high"], color=FLOOR, alpha=0.35, linewidth=0,
        label="no difference, 95 %",
    )  # fmt: skip
    ax.axhline(0, color="black", linewidth=0.6)
    colour = own["ahead"].map({"sparse": SPARSE, "rival": RIVAL}).fillna("#A0A0A0")
    ax.vlines(rank, own["ci_low"], own["ci_high"], colors=colour, linewidth=0.3, alpha=0.35)
    said = {"sparse": "sparse ahead", "rival": "Grad-CAM ahead", "neither": "neither ahead"}
    shades = {"sparse": SPARSE, "rival": RIVAL, "neither": "#606060"}
    for name, label in said.items():
        here = (own["ahead"] == name).to_numpy()
        ax.scatter(rank[here], effect[here], s=1.5, color=shades[name], linewidth=0, label=label)
    share = {name: (own["ahead"] == name).mean() for name in said}
    lines = (title, f"{len(own)} ways to ask:", f"sparse ahead {share['sparse']:.0%}",
             f"Grad-CAM ahead {share['rival']:.0%}")  # fmt: skip
    ax.set_title("\n".join(lines), fontsize=TYPE + 1)
    ax.set_ylim(-size, size)
    ax.set_xlim(0, len(own) + 1)
    ax.tick_params(labelsize=TYPE, length=2, labelleft=first, labelbottom=False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if first:
        ax.set_ylabel("advantage of sparse\n(up: sparse is better)", fontsize=TYPE)
        ax.legend(fontsize=TYPE, frameon=False, loc="lower right", markerscale=3,
                  handletextpad=0.3, borderaxespad=0, labelspacing=0.15)  # fmt: skip


def _grid(ax: Any, own: pd.DataFrame, rows: list[tuple[str, str]], *, first: bool) -> None:
    """Dots: how many of the specifications in each of `BINS` stretches of ranks chose this."""
    bins = min(BINS, len(own))
    place = (np.arange(len(own)) * bins) // len(own)
    counts = np.bincount(place, minlength=bins)
    centres = (np.arange(bins) + 0.5) * len(own) / bins
    labels, heights, y = [], [], 0.0
    for i, (column, value) in enumerate(rows):
        if i == 0 or rows[i - 1][0] != column:
            y += 1.0
            if first:
                ax.annotate(
                    CHOICES[column], (0, y), xycoords=ax.get_yaxis_transform(), xytext=(-4, 0),
                    textcoords="offset points", ha="right", va="center", fontsize=TYPE,
                    fontweight="bold", annotation_clip=False,
                )  # fmt: skip
            ax.axhline(y - 0.55, color="#D0D0D0", linewidth=0.4)
            y += 1.0
        chosen = (own[column].astype(str) == value).to_numpy()
        share = np.bincount(place, weights=chosen, minlength=bins) / counts
        share = share / (share.max() or 1)
        ax.scatter(centres, np.full(bins, y), s=7 * share, color="black", linewidth=0)
        labels.append(value)
        heights.append(y)
        y += 1.0
    ax.set_ylim(y - 0.4, 0.3)
    ax.set_yticks(heights, labels if first else [])
    ax.tick_params(labelsize=TYPE, length=0)
    ax.set_xlabel("specifications by effect", fontsize=TYPE)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
