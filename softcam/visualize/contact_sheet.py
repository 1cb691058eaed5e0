"""A page of a data set: some images of each class, what is marked in them, and whose they are.

Images whose terms forbid passing them on get a note that cannot be overlooked, in the picture and
in the file, and are written only where git does not look: below `runs/` or `data/` of the project,
or outside of any checkout. Beside the picture lies a record of what it shows, `NAME.json` (see
`publication`).
"""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softcam.common import SoftCAMError, atomic_path, runs_root
from softcam.visualize.overlay import outline, show_image
from softcam.visualize.publication import TAG, is_private, write_record
from softcam.visualize.style import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from softcam.data.registry import Source
    from softcam.data.sample import Sample

__all__ = ["contact_sheet", "write_contact_sheet"]

PANEL = (1.7, 2.5)  # inches; two lines of text stand below an image, a title above a row
MARGINS = 0.6  # inches, for what stands above the first row and below the last
NAME = 24  # characters of an id that fit under a panel
COLOURS = ("#F0E442", "#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#FFFFFF")
THIN = 0.9  # points; findings are small
NOTE = "NOT FOR PUBLICATION: do not commit this picture or pass it on."
DPI = 130


def contact_sheet(sample: Sample, source: Source, name: str = "") -> Figure:
    """Draw some images of each class, a row or more a class, with their ids and labels.

    Args:
        sample: the images, see `softcam.data.sample`.
        source: whose they are, for the credit and the terms.
        name: of the set in the source (what stands after the colon).
    """
    data = sample.data
    columns = max(1, min(8, max(len(row.places) for row in sample.rows)))
    blocks = [(row, math.ceil(len(row.places) / columns)) for row in sample.rows if row.places]
    n = sum(count for _, count in blocks)
    figure, axes = new_figure(n, columns, PANEL)
    figure.set_size_inches(columns * PANEL[0], n * PANEL[1] + MARGINS)
    for ax in axes.flat:
        ax.set_axis_off()
    first = 0
    for row, count in blocks:
        title = f"{_named(row.name)} ({len(row.places)} of {row.total:,})"
        axes[first, 0].set_title(title, loc="left")
        axes[first, 0].title.set(fontsize=10, fontweight="bold")
        for ax, place in zip(axes[first : first + count].flat, row.places, strict=False):
            _panel(ax, sample, place)
        first += count
    kinds = [kind for kind in data.finding_names if _marked(sample, kind)]
    _foot(figure, sample, source, name, kinds)
    return figure


def _panel(ax: Any, sample: Sample, place: int) -> None:
    data = sample.data
    title = ax.get_title(loc="left")
    image = data.images[place]
    show_image(image, ax, "")
    ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
    for kind, colour in zip(data.finding_names, _colours(len(data.finding_names)), strict=True):
        outline(data.mask(place, kind), ax, colour, THIN)
    below = f"{_shorten(data.ids[place])}\n{_label(sample, place)}"
    ax.set_axis_on()  # for the label, which the layout then leaves room for
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.set_xlabel(below, fontsize=7.5, labelpad=2)


def _label(sample: Sample, place: int) -> str:
    data = sample.data
    if not data.multi_label:
        return _named(data.classes[int(data.labels[place])])
    shown = [name for name, flag in zip(data.classes, data.labels[place], strict=True) if flag]
    return _shorten(", ".join(shown)) if shown else "none of them"


def _named(name: str) -> str:
    """A class that has no name but a number is said to be one."""
    return f"label {name}" if name.isdigit() else name


def _shorten(text: str) -> str:
    """Long names lose their middle: the end tells two files apart."""
    half = (NAME - 3) // 2
    return text if len(text) <= NAME else f"{text[:half]}...{text[-half:]}"


def _colours(n: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(n)]


def _marked(sample: Sample, kind: str) -> bool:
    return any(sample.data.mask(place, kind).any() for row in sample.rows for place in row.places)


def _foot(figure: Figure, sample: Sample, source: Source, name: str, kinds: list[str]) -> None:
    """Title, legend, credit, and the note of what may not be passed on."""
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    data = sample.data
    inches, height = figure.get_size_inches()
    columns = max(1, min(len(kinds), int(inches / 1.4)))
    title = f"{data.name}, {data.split}: seed {sample.seed}"
    room = "\n" * math.ceil(len(kinds) / columns)  # for the legend below the title
    figure.suptitle(title + room, fontsize=11)
    if kinds:
        by_kind = dict(zip(data.finding_names, _colours(len(data.finding_names)), strict=True))
        casing = [withStroke(linewidth=4, foreground="black")]
        lines = [Line2D([], [], color=by_kind[k], lw=2, path_effects=casing) for k in kinds]
        below = (0.5, 1 - 0.22 / height)
        look = {"ncol": columns, "frameon": False, "fontsize": 8, "borderaxespad": 0.2}
        figure.legend(lines, kinds, loc="upper center", bbox_to_anchor=below, **look)
    figure.set_layout_engine("constrained", h_pad=0.1)
    shared = source.shares(name)
    width = int(inches * (14 if shared else 10))  # characters a line
    text = _terms(source) if shared else f"{NOTE} {_terms(source)}"
    figure.supxlabel(
        textwrap.fill(text, width),
        fontsize=8 if shared else 9,
        color="black" if shared else "#B00000",
        fontweight="normal" if shared else "bold",
    )


def _terms(source: Source) -> str:
    return f"Images: {source.credit.rstrip('.')}. Terms: {source.licence}"


def write_contact_sheet(path: str | Path, sample: Sample, source: Source, name: str = "") -> Path:
    """Draw the sheet and write `PATH` (a PNG) and, beside it, its record, `.json`.

    Raises:
        SoftCAMError: the images may not be passed on and the place is one that git keeps; or the
            name does not end in .png.
    """
    path = Path(path).expanduser().absolute()
    if path.suffix.lower() != ".png":
        raise SoftCAMError(f"{path}: a contact sheet is a PNG; give a name that ends in .png.")
    shared = source.shares(name)
    if not shared and not is_private(path):
        raise SoftCAMError(
            f"{path} lies in a checkout, and these images may not be passed on ({source.licence}) "
            f"Write below {runs_root()} or outside of any checkout."
        )
    figure = contact_sheet(sample, source, name)
    data = sample.data
    places = dict.fromkeys(place for row in sample.rows for place in row.places)
    said = f"{len(places)} images of {data.name}, {data.split}, with what is marked in them."
    with atomic_path(path) as temporary:
        figure.savefig(
            temporary,
            dpi=DPI,
            bbox_inches="tight",
            facecolor="white",
            metadata={
                "Description": said,
                "Copyright": _terms(source),
                TAG: "yes" if shared else "no",
            },
        )
    images = [{"id": data.ids[i], "label": _label(sample, i)} for i in places]
    write_record(
        path, source, name, data=data.name, split=data.split, seed=sample.seed,
        size=list(data.size), images=images,
    )  # fmt: skip
    return path
