"""Labels over the layers of a network: what of a class emerges, and what fades."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from softcam.common import SoftCAMError, as_integer, choose
from softcam.layerwise.overall import layer_order
from softcam.visualize.style import COLOURS, FLOOR, new_figure, tidy

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["plot_global"]

MARKERS = "osD^vPX*"  # a second sign beside the colour, for readers who see no colours
MOST = len(MARKERS)
RISES: Final = "-"
FADES: Final = "--"
COLUMNS = 3  # panels in a row
INK = "#222222"
NAME = 22  # characters of a label or a layer that are written
GAP = 0.085  # between two names at the right, as a share of the axis


def plot_global(
    table: pd.DataFrame,
    *,
    classes: Sequence[str] | None = None,
    most: int = 6,
    title: str = "",
) -> Figure:
    """One panel a class: a line a label over the layers, its name at the line's end.

    Labels that emerge (the score rises with depth) are drawn as whole lines, labels that fade as
    dashed ones; a label looks the same in all panels. Of many labels those with the highest peak
    are shown, and the panel says how many are not.

    Args:
        table: of `global_labels`; a class and label have one row a layer.
        classes: which, in this order; None shows all of the table.
        most: labels of a panel, 1 to 8.

    Raises:
        SoftCAMError: the table is empty, or `most` is out of range.
        UnknownNameError: a class that is not in the table.
    """
    as_integer("most", most, 1, MOST)
    known = list(dict.fromkeys(map(str, table["class_name"])))
    if not known:
        raise SoftCAMError(
            "the table has no labels, so nothing can be drawn: expected rows of global_labels. "
            "Have players found words, or masks matched?"
        )
    chosen = list(classes) if classes is not None else known
    for name in chosen:
        choose("class", name, known)
    layers = list(table.attrs.get("layers") or layer_order(map(str, table["layer"])))
    panels = {name: table[table["class_name"].astype(str) == name] for name in chosen}
    shown = {name: _most_seen(rows, most) for name, rows in panels.items()}
    looks = _looks(list(shown.values()))
    columns = min(COLUMNS, len(chosen))
    figure, axes = new_figure(math.ceil(len(chosen) / columns), columns, (4.6, 3.6), sharey=True)
    highest = float(table["score"].max()) or 1.0
    for ax, name in zip(axes.flat, chosen, strict=False):
        _lines(ax, panels[name], {label: looks[label] for label in shown[name]}, layers, highest)
        _frame(ax, layers, highest, panels[name]["label"].nunique() - len(shown[name]))
        tidy(ax, _plain(name), "layer", "mean score" if ax in axes[:, 0] else "")
        ax.title.set_parse_math(False)
    for ax in axes.flat[len(chosen) :]:
        ax.set_axis_off()
    _explain_dashes(figure)
    figure.suptitle(title)
    return figure


def _most_seen(rows: pd.DataFrame, most: int) -> list[str]:
    """The labels with the highest peaks, in the order of the table."""
    order = list(dict.fromkeys(rows["label"]))
    peak = rows.groupby("label")["score"].max()
    kept = sorted(order, key=lambda label: -float(peak[label]))[:most]
    return [label for label in order if label in kept]


def _looks(panels: Sequence[Sequence[str]]) -> dict[str, int]:
    """A number a label, the same in all panels, and another for each label beside it."""
    looks: dict[str, int] = {}
    for label in dict.fromkeys(label for panel in panels for label in panel):
        beside = {looks.get(other) for panel in panels if label in panel for other in panel}
        looks[label] = next(k for k in range(len(looks) + 1) if k not in beside)
    return looks


def _lines(
    ax: Any, rows: pd.DataFrame, looks: Mapping[str, int], layers: Sequence[str], highest: float
) -> None:
    """The lines of one class with their names; `looks` gives each label a number."""
    place = {layer: x for x, layer in enumerate(layers)}
    right = len(layers) - 1
    ends = []
    for label, look in looks.items():
        line = rows[rows["label"] == label].sort_values("layer", key=lambda s: s.map(place))
        x = [place[layer] for layer in line["layer"]]
        colour = COLOURS[look % len(COLOURS)]
        ax.plot(
            x,
            line["score"],
            color=colour,
            linestyle=FADES if float(line["slope"].iloc[0]) < 0 else RISES,
            marker=MARKERS[look % len(MARKERS)],
            markersize=5,
            linewidth=1.6,
            label=_plain(label),
            clip_on=False,
        )
        ends.append((x[-1], float(line["score"].iloc[-1]), colour, _plain(label)))
    heights = _spread([y / highest for _, y, _, _ in ends], GAP)
    for (x_end, y, colour, text), height in zip(ends, heights, strict=True):
        ax.annotate(
            text,
            (x_end, y),
            (right + 0.12 * max(right, 1), height * highest),
            color=INK,
            fontsize=9,
            va="center",
            parse_math=False,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.9, "shrinkB": 3},
        )


def _frame(ax: Any, layers: Sequence[str], highest: float, hidden: int) -> None:
    """Limits and ticks, and how many labels are not drawn."""
    right = len(layers) - 1
    names = [layer if len(layer) <= NAME else f"…{layer[1 - NAME :]}" for layer in layers]
    ax.set_xticks(range(len(layers)), names, parse_math=False)
    if max(map(len, names)) > 8 or len(layers) > 6:
        for text in ax.get_xticklabels():
            text.set(rotation=30, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.15 if right else -1, right + 0.1)
    ax.set_ylim(0, 1.12 * highest)
    if hidden:
        words = f"{hidden} lower label{'s' * (hidden > 1)} not shown"
        ax.text(1, 1, words, transform=ax.transAxes, fontsize=8, color=FLOOR, va="top", ha="right")


def _explain_dashes(figure: Any) -> None:
    from matplotlib.lines import Line2D

    figure.legend(
        handles=[
            Line2D([], [], color=FLOOR, linestyle=RISES, label="rises with depth, or level"),
            Line2D([], [], color=FLOOR, linestyle=FADES, label="falls with depth"),
        ],
        loc="outside lower center",
        ncol=2,
        frameon=False,
        fontsize=9,
        handlelength=3,
    )


def _spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Heights at least `gap` apart, in the order of those wanted and near them, none below 0."""
    if not wanted:
        return []
    order = sorted(range(len(wanted)), key=lambda k: (wanted[k], -k))
    heights = np.array([wanted[k] for k in order])
    steps = gap * np.arange(len(heights))
    # Least squares under an order: means of neighbours that are too close, pooled.
    pools: list[list[float]] = []
    for value in heights - steps:
        pools.append([float(value)])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    level = np.concatenate([np.full(len(pool), np.mean(pool)) for pool in pools])
    placed = np.maximum(level, 0) + steps
    out = [0.0] * len(wanted)
    for k, height in zip(order, placed, strict=True):
        out[k] = float(height)
    return out


def _plain(text: str) -> str:
    """A text that the font can draw, cut at `NAME` characters: symbols by their Unicode name."""
    named = "".join(
        unicodedata.name(c, "?").lower() if unicodedata.category(c) == "So" else c for c in text
    )
    return named if len(named) <= NAME else f"{named[: NAME - 1]}…"
