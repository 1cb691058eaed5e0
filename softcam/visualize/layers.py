"""What each layer sees: one row a layer, one picture a cluster map, with its share and its labels.

A cluster map has no sign and no unit: it runs from 0 to 1, so it has a scale of one colour, and
not the red and blue of evidence.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from softcam.common import SoftCAMError, as_integer
from softcam.layerwise.clusters import LayerExplanation
from softcam.layerwise.scores import share_weights
from softcam.metrics.geometry import enlarge
from softcam.visualize.overlay import _pixels, colour_bar, outline, show_image
from softcam.visualize.style import new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["plot_layers"]

SEQUENTIAL, OUTLINE = "inferno", "#56B4E9"  # no colour of the scale is this blue
STRENGTH = 0.75
WIDTH, HEIGHT, TEXT = 2.0, 2.05, 0.28  # inches of a panel; more height for labels
NAME, LABEL = 16, 22  # characters a line of a layer's name; of a label
BAR = "cluster map, 0 to 1"


@dataclass(frozen=True)
class _Panel:
    """One picture of a row: what stands above it, the map, and what stands below it."""

    title: str
    map: np.ndarray
    labels: tuple[str, ...]


def plot_layers(
    explanations: LayerExplanation | Sequence[LayerExplanation],
    image: Any,
    labels: pd.DataFrame | None = None,
    *,
    masks: dict[str, np.ndarray] | None = None,
    most: int = 4,
    title: str = "",
) -> Figure:
    """Cluster maps of several layers over one image, from the first layer to the last.

    Args:
        explanations: of `explain_layers`, for this image.
        image: as in `show_image`.
        labels: what the maps are called, of `label_clusters` or `match_concepts`, for this image
            alone. Maps that the table has merged are drawn merged; below a map stand up to three
            labels with their scores, or "no label".
        masks: name to (H, W) bool, outlined in every picture, such as the finding.
        most: cluster maps a row, the heaviest; how many more there are is said beside the row.

    Raises:
        SoftCAMError: no explanation, labels of several images, or of a layer or cluster map that
            is not there.
    """
    rows = [explanations] if isinstance(explanations, LayerExplanation) else list(explanations)
    as_integer("most", most, 1, 100)
    if not rows:
        raise SoftCAMError("there is no layer to draw: give what explain_layers returns.")
    _check(labels, rows)
    panels = [_panels(each, labels) for each in rows]
    columns = 1 + max(1, min(most, max(map(len, panels))))
    tall = HEIGHT if labels is None else HEIGHT + TEXT
    figure, axes = new_figure(len(rows), columns, (WIDTH, tall))
    pixels, mappable = _pixels(image), None
    for row, (explanation, found) in enumerate(zip(rows, panels, strict=True)):
        _describe(axes[row, 0], image, explanation, len(found) - most, masks)
        for ax in axes[row, 1:]:
            ax.set_axis_off()
        for ax, panel in zip(axes[row, 1:], found[:most], strict=False):
            mappable = _draw(ax, pixels, panel, masks)
        if not found:
            note = "\n".join(textwrap.wrap(" ".join(explanation.notes), 24))
            axes[row, 1].text(0.5, 0.5, note, ha="center", va="center", fontsize=8, wrap=True)
    if mappable is not None:
        colour_bar(mappable, axes[:, 1:], BAR)
    figure.suptitle(title, parse_math=False)
    return figure


def _check(labels: pd.DataFrame | None, rows: list[LayerExplanation]) -> None:
    if labels is None:
        return
    images = sorted({str(name) for name in labels["image"]})
    if len(images) > 1:
        raise SoftCAMError(
            f"the labels are of {len(images)} images ({', '.join(images[:3])} ...): expected those "
            "of the image that is drawn, labels[labels['image'] == NAME]."
        )
    known = {(each.layer, c.index) for each in rows for c in each.clusters}
    named = {(str(n), int(i)) for n, i in zip(labels["layer"], labels["cluster"], strict=True)}
    layers = {each.layer for each in rows}
    wrong = sorted(key for key in named - known if key[0] in layers)
    if wrong:
        raise SoftCAMError(
            f"the labels name cluster map {wrong[0][1]} of {wrong[0][0]!r}, which is not there: "
            "label the explanations that are drawn."
        )


def _panels(explanation: LayerExplanation, labels: pd.DataFrame | None) -> list[_Panel]:
    """The cluster maps of a layer, merged where their labels were, the heaviest first."""
    groups = {each.index: [each] for each in explanation.clusters}
    for merged in [] if labels is None else labels.attrs.get("merged", ()):
        if merged["layer"] == explanation.layer:
            members = [each for number in merged["members"] for each in groups.pop(number)]
            groups[merged["cluster"]] = members
    found: list[tuple[float, _Panel]] = []
    for number, members in groups.items():
        shares = [each.share for each in members]
        drawn = np.tensordot(share_weights(shares), np.stack([e.map for e in members]), 1)
        count = "" if len(members) == 1 else f"\n{len(members)} maps merged"
        words = () if labels is None else _words(labels, explanation.layer, number)
        found.append(
            (-sum(shares), _Panel(f"{sum(shares):.0f} % of the weight{count}", drawn, words))
        )
    return [panel for _, panel in sorted(found, key=lambda each: each[0])]


def _words(labels: pd.DataFrame, layer: str, number: int) -> tuple[str, ...]:
    own = labels[(labels["layer"] == layer) & (labels["cluster"] == number)]
    pairs = list(zip(own["label"], own["score"], strict=True))[:3]
    return tuple(f"{_short(str(name))}  {score:.2f}" for name, score in pairs) or ("no label",)


def _short(text: str) -> str:
    """One line without control characters; long ones lose their end."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= LABEL else f"{line[: LABEL - 3]}..."


def _describe(
    ax: Any,
    image: Any,
    explanation: LayerExplanation,
    more: int,
    masks: dict[str, np.ndarray] | None,
) -> None:
    """The image, with the layer's name and size beside it."""
    show_image(image, ax)
    for mask in (masks or {}).values():
        outline(mask, ax, OUTLINE)
    height, width = explanation.size
    parts = textwrap.wrap(explanation.layer.replace(".", ". "), NAME)
    name = "\n".join(parts).replace(". ", ".")
    lines = [f"{height} x {width} cells", f"{explanation.kept} of {explanation.channels} maps"]
    if more > 0:
        lines.append(f"{more} more not shown")
    text = f"{name}\n" + "\n".join(lines)
    place = {"ha": "right", "va": "center", "fontsize": 9, "parse_math": False}
    ax.text(-0.06, 0.5, text, transform=ax.transAxes, **place)


def _draw(ax: Any, pixels: np.ndarray, panel: _Panel, masks: dict[str, np.ndarray] | None) -> Any:
    """One cluster map over a grey copy of the image; returns what a colour bar needs."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    small = torch.from_numpy(np.asarray(panel.map, np.float64))[None]
    large = enlarge(small, (pixels.shape[0], pixels.shape[1]))[0].numpy().clip(0, 1)
    colours = colormaps[SEQUENTIAL](large)
    colours[..., 3] = STRENGTH * np.sqrt(large)
    ax.imshow(pixels @ np.array([0.299, 0.587, 0.114]), cmap="gray", vmin=0, vmax=1)
    ax.imshow(colours, interpolation="nearest")
    for mask in (masks or {}).values():
        outline(mask, ax, OUTLINE)
    ax.set_title(panel.title, fontsize=9)
    if panel.labels:
        ax.set_axis_on()  # for the label, which the layout then leaves room for
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_xlabel("\n".join(panel.labels), labelpad=2, fontsize=8, parse_math=False)
    return ScalarMappable(Normalize(0, 1), SEQUENTIAL)
