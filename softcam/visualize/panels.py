"""Several maps side by side: methods over images, one prediction in full, a data set's montage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from softcam.common import SoftCAMError, choose
from softcam.visualize.overlay import (
    CONTRIBUTION,
    colour_bar,
    common_limit,
    outline,
    show_evidence,
    show_image,
)
from softcam.visualize.style import COLOURS, array, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from softcam.data.records import ImageSet
    from softcam.evidence import Explanation

__all__ = ["gallery", "montage", "prediction_panel"]


def gallery(
    images: Any,
    maps: Mapping[str, Any],
    *,
    findings: Sequence[Any] | None = None,
    row_titles: Sequence[str] | None = None,
    scale: Literal["shared", "column"] = "shared",
    limit: float | None = None,
    label: str = CONTRIBUTION,
    title: str = "",
    panel: float = 2.0,
) -> Figure:
    """Rows are images, columns are methods; the finding is outlined in every panel.

    Args:
        images: (N, 3, H, W) in [0, 1], or N images as in `show_image`.
        maps: method title to maps (N, h, w), each at its own resolution.
        findings: N masks (H, W) bool.
        row_titles: N short texts, such as the label and the prediction.
        scale: `shared` when all maps have one unit, the default; `column` where methods differ
            in unit, each column then has a colour bar of its own. `method_gallery` gives many
            methods one colour bar.
        limit: the value at full colour where all maps share a scale, see `common_limit`.
        label: the unit, written on the colour bar.
        panel: width of one panel in inches.
    """
    choose("scale", scale, ("shared", "column"))
    n, names = len(images), list(maps)
    for name in names:
        if len(maps[name]) != n:
            raise SoftCAMError(f"{name!r} has {len(maps[name])} maps for {n} images: one an image.")
    shared = (limit or common_limit(maps.values())) if scale == "shared" else None
    room = 1.1 if scale == "shared" else 0.0  # for the colour bar
    figure, axes = new_figure(n, 1 + len(names), (panel + room / (1 + len(names)), panel + 0.1))
    for row in range(n):
        finding = None if findings is None else findings[row]
        show_image(images[row], axes[row, 0], "image" if row == 0 else "")
        if finding is not None:
            outline(finding, axes[row, 0])
        if row_titles is not None:
            axes[row, 0].text(
                -0.06,
                0.5,
                row_titles[row],
                rotation=90,
                fontsize=9,
                ha="right",
                va="center",
                transform=axes[row, 0].transAxes,
            )
    for column, name in enumerate(names, 1):
        own = shared or common_limit([maps[name]])
        for row in range(n):
            drawn = show_evidence(
                images[row],
                maps[name][row],
                axes[row, column],
                limit=own,
                finding=None if findings is None else findings[row],
                title=name if row == 0 else "",
            )
        if scale == "column":
            colour_bar(drawn, axes[:, column], "own scale", location="bottom", aspect=12)
    if scale == "shared" and names:
        colour_bar(drawn, axes[:, 1:], label)
    figure.suptitle(title)
    return figure


def prediction_panel(
    image: Any,
    explanation: Explanation,
    classes: Sequence[str],
    *,
    index: int = 0,
    targets: Sequence[int] | None = None,
    finding: Any | None = None,
    limit: float | None = None,
    title: str = "",
) -> Figure:
    """One prediction in full: the image, the map of every class, and the logits they add up to.

    With two classes and a softmax the contrast of the classes comes first: it is the map that no
    choice of zero can change.

    Args:
        image: as in `show_image`.
        explanation: of a batch that holds the image at `index`.
        classes: the C class names.
        targets: the classes whose maps are shown, and no contrast; None shows all.
        finding: (H, W) bool.
        limit: the value at full colour; None takes the 99th percentile over the maps shown.
    """
    shown = _maps_to_show(explanation, classes, index, targets)
    limit = limit or common_limit(shown.values())
    figure, axes = new_figure(1, len(shown) + 2, (2.3, 3.4))
    show_image(image, axes[0, 0], "image, finding outlined" if finding is not None else "image")
    if finding is not None:
        outline(finding, axes[0, 0])
    for ax, (name, evidence) in zip(axes[0, 1:-1], shown.items(), strict=True):
        drawn = show_evidence(image, evidence, ax, finding=finding, limit=limit, title=name)
    colour_bar(drawn, axes[0, 1:-1], CONTRIBUTION, location="bottom", aspect=35)
    _logit_bars(axes[0, -1], explanation, classes, index)
    figure.suptitle(title)
    return figure


def _maps_to_show(
    explanation: Explanation, classes: Sequence[str], index: int, targets: Sequence[int] | None
) -> dict[str, np.ndarray]:
    """Title to contributions (h, w), in the order in which they are to be looked at."""
    maps = array(explanation.contributions[index])
    if len(maps) == 1:
        return {f"for {classes[-1]}": maps[0]}
    if len(maps) != len(classes):
        raise SoftCAMError(f"{len(maps)} evidence maps but {len(classes)} class names.")
    shown = {f"for {name}": m for name, m in zip(classes, maps, strict=True)}
    if targets is not None:
        return {f"for {classes[c]}": maps[c] for c in targets}
    if len(maps) == 2 and explanation.link == "softmax":
        return {f"{classes[1]} rather than\n{classes[0]}": maps[1] - maps[0], **shown}
    return shown


def _logit_bars(ax: Any, explanation: Explanation, classes: Sequence[str], index: int) -> None:
    """What the image adds and what the bias adds, a bar each, and the logit where they end up."""
    logits, bias = array(explanation.logits[index]), array(explanation.bias)
    probabilities = array(explanation.probabilities[index])
    names = list(classes[-len(logits) :])
    y = np.arange(len(logits))
    ax.barh(y - 0.2, logits - bias, 0.38, color=COLOURS[0], label="image")
    ax.barh(y + 0.2, bias, 0.38, color=COLOURS[4], hatch="//", edgecolor="white", label="bias")
    ax.plot(logits, y, "D", color="black", markersize=6, label="logit")
    texts = [f"{n}\n{p:.0%}" for n, p in zip(names, probabilities, strict=True)]
    ax.set_yticks(y, texts)
    ax.invert_yaxis()
    ax.axvline(0, color="black", linewidth=0.8)
    ax.margins(x=0.12)
    tidy(ax, "logit = image + bias")
    ax.legend(
        fontsize=8,
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.45, -0.1),
        ncol=3,
        handlelength=1.2,
        columnspacing=1.0,
    )


def montage(
    data: ImageSet,
    indices: Sequence[int] | None = None,
    *,
    columns: int = 6,
    masks: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """A page of a data set: images with their labels, what is marked drawn as outlines.

    Args:
        data: one split.
        indices: which images; None takes the first few of every class (that show a finding).
        columns: images a row.
        masks: mask names to outline, one colour each; None takes the findings together.
    """
    if indices is None:
        labels = np.asarray(data.labels)
        has = labels == 1 if data.multi_label else labels[:, None] == np.arange(len(data.classes))
        per_class = [np.flatnonzero(each)[:columns] for each in has.T]
        indices = [int(i) for i in dict.fromkeys(np.concatenate(per_class))]
    rows = math.ceil(len(indices) / columns)
    figure, axes = new_figure(max(rows, 1), columns, (1.7, 1.9))
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, i in zip(axes.flat, indices, strict=False):
        show_image(data.batch([i])[0], ax, _label(data, i))
        ax.title.set_fontsize(9)
        if masks is None:
            outline(data.finding(i), ax)
        for name, colour in zip(masks or (), _outline_colours(len(masks or ())), strict=True):
            outline(data.mask(i, name), ax, colour)
    if masks:
        _legend(figure, masks)
    figure.suptitle(title)
    return figure


def _label(data: ImageSet, index: int) -> str:
    """The class of an image, or all findings that it shows."""
    if not data.multi_label:
        return data.classes[int(data.labels[index])]
    own = np.asarray(data.labels[index])
    return ", ".join(n for n, has in zip(data.classes, own, strict=True) if has) or "none"


def _outline_colours(n: int) -> list[str]:
    bright = ("#F0E442", "#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#FFFFFF")
    return [bright[i % len(bright)] for i in range(n)]


def _legend(figure: Any, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    casing = [withStroke(linewidth=4, foreground="black")]
    colours = _outline_colours(len(names))
    lines = [Line2D([], [], color=colour, lw=2, path_effects=casing) for colour in colours]
    figure.legend(
        lines, list(names), loc="outside lower center", ncol=min(len(names), 5), frameon=False
    )
