"""How every figure looks: colours that colour-blind readers can tell apart, readable type.

Figures are made without pyplot, so nothing is shown twice in a notebook and nothing has to be
closed. Colours: Okabe & Ito, "Color Universal Design", 2008.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "DIVERGING",
    "FLOOR",
    "array",
    "describe",
    "new_figure",
    "seen_in",
    "tidy",
]

DIVERGING = "RdBu_r"  # red: evidence for, blue: evidence against, as in the paper
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FLOOR = "#767676"  # what a map that knows nothing reaches
_FONT = {"title": 11, "label": 10, "tick": 9}


def new_figure(
    rows: int = 1,
    columns: int = 1,
    cell: tuple[float, float] = (4.0, 3.2),
    **subplots: Any,
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes as a (rows, columns) array.

    Args:
        rows, columns: the grid.
        cell: width and height of one panel in inches.
        subplots: further keywords of `Figure.subplots`.
    """
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that a notebook shows when it is the value of a cell, pyplot or not.

        The alternative text goes with the picture as its metadata, where converters look for it.
        A bundle comes before pyplot's own way of showing figures, which has no room for a text.
        """

        def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
            buffer, text = io.BytesIO(), seen_in(self)
            self.savefig(buffer, format="png", dpi=max(100, self.dpi))
            picture = base64.b64encode(buffer.getvalue()).decode()
            return {"image/png": picture, "text/plain": text}, {"image/png": {"alt": text}}

    figure = Picture(figsize=(columns * cell[0], rows * cell[1]), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **subplots)
    return figure, axes


def tidy(ax: Any, title: str = "", x: str = "", y: str = "") -> None:
    """Titles and labels in one size; no frame where no axis is."""
    ax.set_title(title, fontsize=_FONT["title"])
    ax.set_xlabel(x, fontsize=_FONT["label"])
    ax.set_ylabel(y, fontsize=_FONT["label"])
    ax.tick_params(labelsize=_FONT["tick"])
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def array(values: Any) -> np.ndarray:
    """Tensors (also on a GPU, also with a gradient), lists and arrays as a NumPy array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def seen_in(figure: Figure) -> str:
    """What is to be seen in a figure: the `alt` that `save_figure` was given, else `describe`."""
    return str(figure.get_label() or describe(figure))


def describe(figure: Figure) -> str:
    """A sentence or two for readers who cannot see the figure: its panels, axes and curves."""
    panels = []
    for ax in figure.axes:
        name = " ".join(ax.get_title().split()) or str(ax.get_label())
        if name == "<colorbar>":
            panels.append(f"a colour bar: {ax.get_ylabel() or ax.get_xlabel()}")
            continue
        axes = " against ".join(part for part in (ax.get_ylabel(), ax.get_xlabel()) if part)
        curves = [str(text) for text in ax.get_legend_handles_labels()[1] if text]
        parts = [part for part in (name, axes, ", ".join(curves)) if part]
        if parts:
            panels.append(" - ".join(parts))
    heading = figure.get_suptitle()
    return f"{heading + '. ' if heading else ''}{len(panels)} panels: " + "; ".join(panels) + "."
