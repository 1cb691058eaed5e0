"""One style for everything that is printed: type, sizes, and one look a method and arm.

A line is told by its colour, its dash and its marker, so that it can be followed in grey too. The
arms of SoftCAM are solid, post-hoc methods are dashed, and what knows nothing of the model is grey.
Colours: Okabe & Ito, "Color Universal Design", 2008, and Tol, "Colour schemes", 2021 (muted).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.visualize.style import FLOOR, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "DOUBLE", "LOOKS", "POST_HOC", "SINGLE", "Look", "in_order", "legend_below", "look_of", "named",
    "paper_figure", "paper_style",
]  # fmt: skip

SINGLE, DOUBLE = 85.0, 175.0  # widths of one and of two columns, in mm
SMALLEST = 7.0  # points, of any letter in print
DPI = 300
_INCH = 25.4  # mm

_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "mathtext.fontset": "dejavusans",
    "font.size": 7.5,
    "axes.titlesize": 8.0,
    "axes.labelsize": 7.5,
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "legend.fontsize": SMALLEST,
    "figure.titlesize": 8.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.4,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # TrueType: text stays text, and publishers take it
    "ps.fonttype": 42,
}


@contextlib.contextmanager
def paper_style() -> Iterator[None]:
    """What is drawn inside looks as in print; a decorator of drawing functions, too."""
    import matplotlib

    with matplotlib.rc_context(_RC):  # type: ignore[arg-type]
        yield


def paper_figure(
    rows: int = 1, columns: int = 1, *, width: float = DOUBLE, height: float, **subplots: Any
) -> tuple[Figure, np.ndarray]:
    """A figure of its printed size and its axes as a (rows, columns) array.

    Args:
        rows, columns: the grid.
        width, height: of the whole figure, in mm; see `SINGLE` and `DOUBLE`.
        subplots: further keywords of `Figure.subplots`.
    """
    cell = (width / _INCH / columns, height / _INCH / rows)
    figure, axes = new_figure(rows, columns, cell, **subplots)
    figure.set_dpi(160)  # on a screen; print has its own
    return figure, axes


def legend_below(figure: Figure, entries: Mapping[str, Any], *, columns: int) -> None:
    """A legend below the panels, in as many columns as fit into the figure's width.

    Args:
        entries: text to what is drawn beside it.
        columns: at most; the figure is as high as it is for these, and grows with fewer.
    """
    lines = -(-len(entries) // columns)
    for count in range(columns, 0, -1):
        legend = figure.legend(
            entries.values(), entries.keys(), loc="outside lower center", ncol=count
        )
        margin = 2 * legend.borderpad * SMALLEST * figure.dpi / 72  # nothing is drawn in it
        if count == 1 or legend.get_window_extent().width - margin <= figure.bbox.width:
            more = -(-len(entries) // count) - lines
            figure.set_figheight(figure.get_figheight() + 1.6 * more * SMALLEST / 72)
            return
        legend.remove()


@dataclass(frozen=True)
class Look:
    """How a line of one arm or method is drawn, and what it is called."""

    title: str
    colour: str
    dash: Any
    marker: str

    def line(self) -> dict[str, Any]:
        """Keywords of `Axes.plot`."""
        return {"color": self.colour, "linestyle": self.dash, "label": self.title}


_DASHED, _DOTTED, _MIXED = (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2))
_LONG, _TWO_DOTS = (0, (8, 2)), (0, (5, 1.2, 1, 1.2, 1, 1.2))
POST_HOC = ("guided-backprop", "integrated-gradients", "grad-cam", "score-cam", "layer-cam")
LOOKS: dict[str, Look] = {
    "black-box": Look("black box", "#000000", "-", "X"),
    "converted": Look("black box, converted", "#332288", "-", "h"),
    "dense": Look("dense SoftCAM", "#0072B2", "-", "o"),
    "sparse": Look("sparse SoftCAM", "#D55E00", "-", "s"),
    "ridge": Look("ridge SoftCAM", "#009E73", "-", "^"),
    "elastic": Look("elastic SoftCAM", "#999933", "-", "D"),
    "hoyer": Look("Hoyer SoftCAM", "#AA4499", "-", "P"),
    "logit-control": Look("logit control", "#6699CC", "-", "v"),
    "guided-backprop": Look("Guided Backprop", "#E69F00", _DOTTED, "<"),
    "integrated-gradients": Look("Integrated Gradients", "#882255", _TWO_DOTS, ">"),
    "grad-cam": Look("Grad-CAM", "#000000", _DASHED, "x"),
    "score-cam": Look("Score-CAM", "#CC79A7", _MIXED, "+"),
    "layer-cam": Look("Layer-CAM", "#56B4E9", _LONG, "d"),
    "cam": Look("CAM", "#44AA99", _DASHED, "1"),
    "hires-cam": Look("HiRes-CAM", "#44AA99", _DOTTED, "2"),
    "eigen-cam": Look("Eigen-CAM", "#117733", _DASHED, "3"),
    "fm-g-cam": Look("FM-G-CAM", "#117733", _DOTTED, "4"),
    "opti-cam": Look("Opti-CAM", "#332288", _MIXED, "p"),
    "rise": Look("RISE", "#332288", _DOTTED, "H"),
    "superpixels": Look("superpixels", "#AA4499", _DOTTED, "8"),
    "b-cos": Look("B-cos", "#999933", _DASHED, "*"),
    "random": Look("random map (floor)", FLOOR, _DOTTED, ""),
    "centre": Look("centre map (floor)", FLOOR, _DASHED, ""),
    "edge": Look("edge map (floor)", FLOOR, _LONG, ""),
    "reference-ceiling": Look("ceiling", FLOOR, "-", ""),
    "true-mask": Look("true mask first", FLOOR, _MIXED, ""),
}
_DATASETS = {  # in the paper's order
    "phantoms-fundus": "fundus phantoms",
    "phantoms-oct": "OCT phantoms",
    "phantoms-cxr": "X-ray phantoms",
    "folder-nih-cxr": "NIH chest X-rays",
    "folder-codras": "CODRAS",
}


def look_of(arm: str, method: str = "softcam") -> Look:
    """The look of a map: the arm's where it is SoftCAM's own, else the method's.

    A method or arm without a look of its own gets its name in grey.
    """
    name = arm if method in ("softcam", "-") else method
    return LOOKS.get(name, Look(name, FLOOR, _TWO_DOTS, "."))


def in_order(datasets: Iterable[str]) -> list[str]:
    """Each data set once, in the paper's order: fundus, OCT, X-ray; others as they come."""
    known = list(_DATASETS)
    each = list(dict.fromkeys(datasets))
    return sorted(each, key=lambda name: known.index(name) if name in known else len(known))


def named(dataset: str) -> str:
    """A data set as a heading says it; an unknown one by its own name."""
    return _DATASETS.get(dataset, dataset.removeprefix("folder-"))
