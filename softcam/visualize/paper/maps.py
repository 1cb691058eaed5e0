"""Maps side by side: methods over data sets, and classes under two networks.

Methods have no common unit, so every panel has limits of its own, symmetric about zero and written
below it, the 99th percentile of its |value|: full red is the number, full blue its negative. Two
classes are shown by their contrast, which no choice of zero can change, wherever a method has maps
of both.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from softcam.common import SoftCAMError, digest, rng
from softcam.explainers import class_maps, explain_with, get_explainer
from softcam.explainers.gauges import in_gauge
from softcam.runs import Run
from softcam.visualize.overlay import common_limit, outline, show_evidence, show_image
from softcam.visualize.paper.looks import (
    DOUBLE,
    POST_HOC,
    look_of,
    named,
    paper_figure,
    paper_style,
)
from softcam.visualize.paper.save import ShownImage
from softcam.visualize.style import array

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from softcam.data.records import ImageSet

__all__ = [
    "RULE", "MapRow", "chosen_image", "class_row", "draw_classes", "draw_maps", "map_numbers",
    "map_row",
]  # fmt: skip

STREAM = 0x4D415053  # of random numbers: which image is shown
RULE = "one test image a data set, drawn with a seed among those with a marked finding"
MISSING = "failed"


@dataclass(frozen=True)
class MapRow:
    """One image and what methods make of it.

    Attributes:
        image: whose it is.
        title: beside the row.
        pixels: as in `show_image`.
        finding: (H, W) bool.
        maps: title to a signed map (h, w), or None where the cell failed.
        gauges: title to `contrast`, `raw` or `-`.
        probabilities: title, or `image` for the black box, to the probability that the network
            gives the class that is explained; those that are known stand below the panels.
    """

    image: ShownImage
    title: str
    pixels: Any
    finding: np.ndarray
    maps: Mapping[str, np.ndarray | None]
    gauges: Mapping[str, str]
    probabilities: Mapping[str, float] = field(default_factory=dict)


def chosen_image(data: ImageSet, seed: int = 0, label: int | None = None) -> int:
    """The index of the image that is shown: drawn with a seed, and looked at by nobody before.

    Args:
        data: a split.
        seed: of the draw.
        label: only images of this class; those with a finding come first. None takes any image in
            which a finding is marked.
    """
    marked = data.with_findings()
    labels = np.asarray(data.labels)
    if label is None:
        known = labels[marked] > 0 if labels.ndim == 1 else labels[marked].any(1)
        among = marked[known]
    else:
        own = np.flatnonzero(labels == label)
        among = own[np.isin(own, marked)] if np.isin(own, marked).any() else own
    if not len(among):
        raise SoftCAMError(f"{data.name}/{data.split} has no image with a finding to show.")
    return int(rng(seed, STREAM, label or 0).choice(among))


def map_row(
    runs: Mapping[str, Run | None],
    *,
    methods: Sequence[str] = POST_HOC,
    seed: int = 0,
    split: str = "test",
) -> MapRow:
    """One data set's row: post-hoc methods on the black box, then each SoftCAM's own map.

    Args:
        runs: arm to run; `black-box` is explained by the methods. None is a failed cell.
        methods: names of explainers.
        seed: of the choice of the image, see `chosen_image`.
        split: which images.
    """
    first = next((run for run in runs.values() if run is not None), None)
    if first is None:
        raise SoftCAMError("a row of maps needs at least one run that did not fail.")
    data = first.data(split)
    index = chosen_image(data, seed)
    asked = [("black-box", method) for method in methods]
    asked += [(arm, "softcam") for arm in runs if arm != "black-box"]
    maps: dict[str, np.ndarray | None] = {}
    gauges: dict[str, str] = {}
    said: dict[str, float] = {}
    pixels, target = data.batch([index]), _target(data, index)
    for arm, method in asked:
        title, run = look_of(arm, method).title, runs.get(arm)
        maps[title], gauges[title] = None, "-"
        if run is not None:
            model = run.model()
            maps[title], gauges[title] = _map(method, model, pixels, target)
            said["image" if arm == "black-box" else title] = _probability(model, pixels, target)
    image = ShownImage(first.config.data, split, data.ids[index])
    title = f"{named(data.name)}"
    return MapRow(image, title, pixels[0], data.finding(index), maps, gauges, said)


def _target(data: ImageSet, index: int) -> int:
    """The disease: class 1 of two, else the image's label (of findings the first it shows)."""
    label = np.asarray(data.labels[index])
    if label.ndim:
        return int(np.flatnonzero(label)[0])
    return 1 if len(data.classes) == 2 else int(label)


@torch.no_grad()
def _probability(model: Any, images: Tensor, target: int) -> float:
    """What the network says of the class that is explained."""
    logits = model(images)
    if model.link == "sigmoid":
        return float(logits.sigmoid()[0, min(target, logits.shape[1] - 1)])
    return float(logits.softmax(1)[0, target])


def _map(method: str, model: Any, images: Tensor, target: int) -> tuple[np.ndarray, str]:
    """The map of a class against the highest other one where the method has both, else alone."""
    own = get_explainer(method)
    with torch.no_grad():
        outputs = model(images).shape[1]
    target = min(target, outputs - 1)  # one logit speaks for the second of two classes
    if model.link == "softmax" and outputs > 1 and "contrast" in own.gauges:
        logits, maps = class_maps(method, model, images)
        return array(in_gauge("contrast", maps, logits, torch.tensor([target]))[0]), "contrast"
    maps = explain_with(method, model, images, torch.tensor([target]))
    return array(maps[0]), "-" if own.gauges == ("-",) else "raw"


def class_row(run: Run, *, seed: int = 0, split: str = "test") -> list[tuple[str, MapRow]]:
    """For each class an image of it, and the map of this class against the highest other."""
    data, model = run.data(split), run.model()
    title, found = look_of(run.arm).title, []
    for c, name in enumerate(data.classes):
        index = chosen_image(data, seed, c)
        values, gauge = _map("softcam", model, data.batch([index]), c)
        image = ShownImage(run.config.data, split, data.ids[index])
        row = MapRow(
            image, name, data.batch([index])[0], data.finding(index), {title: values},
            {title: gauge},
        )  # fmt: skip
        found.append((name, row))
    return found


def map_numbers(rows: Sequence[MapRow]) -> pd.DataFrame:
    """What stands behind the panels: a row a map, with its limits, its range and a digest."""
    import pandas as pd

    found = []
    for row in rows:
        for title, values in row.maps.items():
            said: dict[str, Any] = {"data": row.image.record()["data"], "split": row.image.split,
                    "image": row.image.id, "row": row.title, "map": title,
                    "gauge": row.gauges[title], "status": MISSING,
                    "probability": None}  # fmt: skip
            if values is not None:
                asked = title if title in row.probabilities else "image"  # post-hoc: black box
                said |= {
                    "height": values.shape[0], "width": values.shape[1],
                    "limit": common_limit([values]), "smallest": float(values.min()),
                    "largest": float(values.max()), "mean": float(values.mean()),
                    "sha256": digest(values.astype("<f4").tobytes(), length=16),
                    "status": "measured", "probability": row.probabilities.get(asked),
                }  # fmt: skip
            found.append(said)
    return pd.DataFrame(found)


@paper_style()
def draw_maps(rows: Sequence[MapRow], title: str = "") -> Figure:
    """Rows are data sets, columns methods; findings are outlined; limits stand below each map."""
    names = list(dict.fromkeys(name for row in rows for name in row.maps))
    side = DOUBLE / (1 + len(names))
    figure, axes = paper_figure(
        len(rows), 1 + len(names), height=16 + (side + 8.0) * len(rows) + 6 * bool(title)
    )
    for y, row in enumerate(rows):
        head = ["image"] if y == 0 else [""]
        show_image(row.pixels, axes[y, 0], head[0])
        outline(row.finding, axes[y, 0], width=0.7)
        _below(axes[y, 0], _chance(row, "image", "P = "))
        axes[y, 0].text(-0.08, 0.5, row.title, rotation=90, ha="right", va="center",
                        transform=axes[y, 0].transAxes)  # fmt: skip
        for x, name in enumerate(names, 1):
            head = textwrap.wrap(name, 11) if y == 0 else []
            _one_map(axes[y, x], row, name, "\n".join(head))
        for ax in axes[y]:
            ax.title.set_fontsize(7)
    _scale(figure, axes)
    figure.suptitle(title)
    return figure


def _one_map(ax: Any, row: MapRow, name: str, head: str) -> None:
    ax.set_axis_off()
    ax.set_box_aspect(row.finding.shape[0] / row.finding.shape[1])  # also where nothing is shown
    ax.set_title(head, fontsize=7)
    if name not in row.maps:  # not part of the plan
        return
    values = row.maps[name]
    if values is None:
        ax.text(0.5, 0.5, MISSING, ha="center", va="center", transform=ax.transAxes)
        return
    limit = common_limit([values])
    show_evidence(row.pixels, values, ax, finding=None, limit=limit, title=head)
    outline(row.finding, ax, width=0.7)
    ax.title.set_fontsize(7)
    _below(ax, f"\N{PLUS-MINUS SIGN}{limit:.2g}{_chance(row, name, chr(10) + 'P = ')}")


def _chance(row: MapRow, name: str, before: str) -> str:
    known = row.probabilities.get(name)
    return "" if known is None else f"{before}{known:.2f}"


def _below(ax: Any, text: str) -> None:
    if text:
        ax.text(0.5, -0.05, text, ha="center", va="top", fontsize=7, transform=ax.transAxes)


def _scale(figure: Any, axes: np.ndarray) -> None:
    """One bar for all panels: from minus to plus the limit that stands below each."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    from softcam.visualize.style import DIVERGING

    mappable = ScalarMappable(Normalize(-1, 1), DIVERGING)
    bar = figure.colorbar(
        mappable, ax=axes.ravel().tolist(), location="bottom", shrink=0.6, aspect=45, pad=0.01
    )
    bar.set_ticks([-1, 0, 1], labels=["- limit", "0", "+ limit"])
    bar.outline.set_linewidth(0.5)


@paper_style()
def draw_classes(rows: Mapping[str, Sequence[tuple[str, MapRow]]], title: str = "") -> Figure:
    """Columns are classes: an image of each, and below it the map of this class in each network.

    Args:
        rows: title of a network to its `class_row`.
    """
    first = next(iter(rows.values()))
    count = len(first)
    width = min(DOUBLE, 8 + 30.0 * count)
    side = (width - 8) / count
    figure, axes = paper_figure(
        1 + len(rows), count, width=width, height=16 + (side + 5) * (1 + len(rows)) + 6
    )
    for x, (name, row) in enumerate(first):
        show_image(row.pixels, axes[0, x], name)
        axes[0, x].title.set_fontsize(7.5)
        outline(row.finding, axes[0, x], width=0.9)
    for y, (network, each) in enumerate(rows.items(), 1):
        for x, (_, row) in enumerate(each):
            _one_map(axes[y, x], row, next(iter(row.maps)), "")
        axes[y, 0].text(-0.06, 0.5, network, rotation=90, ha="right", va="center",
                        transform=axes[y, 0].transAxes)  # fmt: skip
    _scale(figure, axes)
    figure.suptitle(textwrap.fill(title, int(width / 1.9)))  # letters that fit
    return figure
