"""The architecture, drawn with the sizes and the maps of the model at hand.

From left to right: image, stages of the backbone, features Z, the 1x1 convolution, an evidence map
a class, their means, the prediction. The penalty looks at the maps. Below, for contrast, what the
black box does with the same features: it pools them first or, as VGG does, flattens them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from softcam.evidence import Explanation, SoftCAM
from softcam.visualize.overlay import common_limit
from softcam.visualize.paper.looks import DOUBLE, LOOKS, paper_figure, paper_style
from softcam.visualize.paper.shapes import stages
from softcam.visualize.style import DIVERGING, FLOOR, array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["architecture_caption", "draw_architecture"]

HEIGHT = 74.0  # mm
MIDDLE = 27.0  # mm from the top: the way of SoftCAM
BELOW = 62.0  # the way of the black box
STAGES = (31.0, 76.0)  # from where to where the stages stand
LETTER, LINE = 1.4, 1.7  # mm: width of a digit, half the height of a line
SHOWN = 5  # classes whose maps are shown
BLUE, RED = LOOKS["dense"].colour, LOOKS["sparse"].colour


def architecture_caption(model: SoftCAM) -> str:
    """What the drawing shows; what the black box does depends on its head."""
    if _flattens(model):
        box = "The black box flattens a grid of cells, each with weights of its own, for fully "
        box += "connected layers."
    else:
        box = "The black box pools first."
    return (
        "Image, backbone, features, 1x1 convolution, an evidence map a class, their means, and the "
        f"prediction; the penalty looks at the maps. {box}"
    )


def _flattens(model: SoftCAM) -> bool:
    """Whether the network that it was made of had fully connected layers over cells, as VGG."""
    return model.conversion is not None and model.conversion.kind == "paper"


@paper_style()
def draw_architecture(
    model: SoftCAM, image: Tensor, classes: Sequence[str] = (), title: str = ""
) -> Figure:
    """Draw a SoftCAM with what it makes of one image.

    Args:
        model: in eval mode.
        image: (3, H, W) in [0, 1].
        classes: names of the C classes; else they are numbered.
        title: above the figure, such as the network's name.
    """
    figure, axes = paper_figure(height=HEIGHT)
    figure.set_layout_engine("none")
    ax = axes[0, 0]
    ax.set_position((0, 0, 1, 1))
    ax.set(xlim=(0, DOUBLE), ylim=(HEIGHT, 0))
    ax.set_axis_off()
    ax.set_title(title or "SoftCAM")
    ax.title.set_visible(False)
    ax.text(2, 3.2, title, fontweight="bold", va="center")
    explained = model.explain(image[None])
    count = explained.maps.shape[1]
    names = list(classes)[-count:] or [f"class {c}" for c in range(count)]
    _image(ax, image)
    sizes = stages(model, image)
    between = _between(sizes)
    _stages(ax, sizes, between)
    _maps(ax, explained, names)
    _head(ax, model, count)
    _prediction(ax, explained)
    _black_box(ax, model, sizes[-1][0], explained.link, MIDDLE + 21.5 + 2 * _lower(between))
    return figure


def _image(ax: Any, image: Tensor) -> None:
    pixels = np.clip(array(image).transpose(1, 2, 0), 0, 1)
    ax.imshow(pixels, extent=(3, 25, MIDDLE + 11, MIDDLE - 11), interpolation="nearest", zorder=2)
    ax.set(xlim=(0, DOUBLE), ylim=(HEIGHT, 0), aspect="auto")
    _words(ax, 14, MIDDLE + 14, f"image x\n3 x {image.shape[1]} x {image.shape[2]}")
    _arrow(ax, 25.6, STAGES[0] - 0.8)


def _between(each: list[tuple[int, int, int]]) -> str:
    """What stands between height and width below each stage: a new line where they would meet."""
    longest = max(len(f"{height}x{width}") for _, height, width in each)
    room = (STAGES[1] - STAGES[0]) / len(each) - 0.5
    return "x" if longest * LETTER < room else "\n"


def _lower(between: str) -> float:
    """By how much a third line moves what stands below the stages, in mm."""
    return 1.4 if between == "\n" else 0.0


def _stages(ax: Any, each: list[tuple[int, int, int]], between: str) -> None:
    """A slab a stage: as high as its map is, as thick as it has channels, both on a log scale."""
    from matplotlib.patches import Rectangle

    left, right = STAGES
    below = MIDDLE + 14 + _lower(between)
    step = (right - left) / len(each)
    for k, (channels, height, width) in enumerate(each):
        last = k == len(each) - 1
        tall = 5 + 15 * math.log2(1 + height) / math.log2(1 + max(s[1] for s in each))
        thick = min(step - 1.2, 0.55 * math.log2(1 + channels))
        x = left + k * step + (step - thick) / 2
        box: dict[str, Any] = {
            "facecolor": BLUE if last else "#CFE3F1",
            "edgecolor": "black",
            "linewidth": 0.5,
        }
        ax.add_patch(Rectangle((x, MIDDLE - tall / 2), thick, tall, **box))
        size = f"{channels}\n{height}{between}{width}"
        _words(ax, left + (k + 0.5) * step, below, size, "Z" if last else "")
    _words(ax, (left + right) / 2, MIDDLE - 15.5, r"backbone $g_\phi$: channels, height x width")


def _head(ax: Any, model: SoftCAM, count: int) -> None:
    """The class-evidence layer between Z and A, and the penalty on A."""
    from matplotlib.patches import FancyBboxPatch

    weights = sum(p.numel() for p in model.evidence.parameters())
    box = FancyBboxPatch(
        (81, MIDDLE - 8), 19, 16, boxstyle="round,pad=0.3,rounding_size=1",
        facecolor="#FBE5D6", edgecolor=RED, linewidth=1.0,
    )  # fmt: skip
    ax.add_patch(box)
    filters = "filter" if count == 1 else "filters"
    convs = sum(isinstance(each, nn.Conv2d) for each in model.evidence.modules())
    layers = f"{convs} 1x1 convs" if convs > 1 else "1x1 conv"
    size = f"{weights:,}" if weights < 1e7 else f"{weights / 1e6:.1f} M"
    said = f"{layers} $h_\\psi$\n{count} {filters}\n{size} weights"
    ax.text(90.5, MIDDLE, said, ha="center", va="center", fontsize=7)
    _arrow(ax, STAGES[1], 80.2)
    _arrow(ax, 100.8, 104.6)
    ax.text(
        113.5, 4.6, r"penalty $\lambda_1\,\Sigma|A| + \lambda_2\,\Vert A\Vert_2$",
        ha="center", va="center", fontsize=7.5,
        bbox={"boxstyle": "round,pad=0.35", "fc": "white", "ec": RED, "ls": (0, (3, 1.5))},
    )  # fmt: skip
    for x in (105.2, 121.8):  # what it reads are the maps between
        ax.plot([x, x], [8.2, MIDDLE + 16], color=RED, linewidth=0.7, linestyle=(0, (3, 1.5)))


def _maps(ax: Any, explained: Explanation, names: list[str]) -> None:
    maps = array(explained.contributions[0])
    limit, shown = common_limit([maps]), min(SHOWN, len(maps))
    side = min(15.0, 34.0 / shown - 1.0)
    top = MIDDLE - (side + 1.0) * shown / 2
    for c in range(shown):
        y = top + c * (side + 1.0)
        ax.imshow(
            maps[c], cmap=DIVERGING, vmin=-limit, vmax=limit, interpolation="nearest", zorder=2,
            extent=(106, 106 + side, y + side, y),
        )  # fmt: skip
        _frame(ax, 106, y, side)
        ax.text(108.2 + side, y + side / 2, names[c], va="center", fontsize=7)
    ax.set(xlim=(0, DOUBLE), ylim=(HEIGHT, 0), aspect="auto")
    count, height, width = maps.shape
    more = f" ({shown} shown)" if shown < count else ""
    _words(ax, 113.5, MIDDLE + 20.5, f"evidence maps A{more}: {count} x {height} x {width}")


def _prediction(ax: Any, explained: Explanation) -> None:
    """Bars of the logits, each the mean of its map, and the probabilities."""
    y = MIDDLE
    _arrow(ax, 137, 144, "mean")
    logits, shares = array(explained.logits[0]), array(explained.probabilities[0])
    shown = min(SHOWN, len(logits))
    scale = 7.0 / max(float(np.abs(logits[:shown]).max()), 1e-9)
    pitch = min(8.0, 30.0 / shown)
    for c in range(shown):
        place = y + (c - (shown - 1) / 2) * pitch
        colour = "#B2182B" if logits[c] > 0 else "#2166AC"
        ax.barh(place, logits[c] * scale, 0.6 * pitch, left=151.5, color=colour, zorder=2)
        ax.text(168.5, place, f"{shares[c]:.2f}", va="center", ha="center", fontsize=7)
    half = shown * pitch / 2
    ax.plot([151.5, 151.5], [y - half, y + half], color="black", linewidth=0.6)
    _words(ax, 151.5, y - half - 2.6, "logits")
    _words(ax, 168.5, y - half - 2.6, explained.link)
    _arrow(ax, 160, 164.5)


def _black_box(ax: Any, model: SoftCAM, channels: int, link: str, below_z: float) -> None:
    """The same features pooled first: one number a channel, and no map is left; or flattened."""
    from matplotlib.patches import Rectangle

    x = STAGES[1] - 4
    ax.plot([4, DOUBLE - 4], [51.5, 51.5], color=FLOOR, linewidth=0.5, linestyle=(0, (4, 3)))
    ax.text(4, BELOW, "black box,\nsame backbone", va="center", fontsize=7, color="black")
    ax.annotate(
        "", (x, BELOW - 5.5), (x, below_z),
        arrowprops={"arrowstyle": "-|>", "color": FLOOR, "linewidth": 0.9},
    )  # fmt: skip
    pooled = f"{channels}x1x1"
    first = "flatten" if _flattens(model) else f"GAP\n{pooled}"
    ax.text(x, BELOW, first, ha="center", va="center", fontsize=7)
    ax.add_patch(Rectangle((81, BELOW - 5), 19, 10, facecolor="#E6E6E6", edgecolor=FLOOR))
    linear = isinstance(model.evidence, nn.Conv2d)  # else its head has several layers, as VGG's
    weights = sum(p.numel() for p in model.evidence.parameters())
    said = f"FC\n{weights:,} weights" if linear else "FC layers"
    ax.text(90.5, BELOW, said, ha="center", va="center", fontsize=7)
    _arrow(ax, x + max(6, len(pooled) * LETTER / 2 + 1), 80.2, y=BELOW, colour=FLOOR)
    _arrow(ax, 100.8, 143, y=BELOW, colour=FLOOR)
    ax.text(122, BELOW - 2.5, "no map on the way", ha="center", fontsize=7, color=FLOOR)
    ax.text(151.5, BELOW, "logits", ha="center", va="center", fontsize=7)
    _arrow(ax, 157, 162.5, y=BELOW, colour=FLOOR)
    ax.text(168.5, BELOW, link, ha="center", va="center", fontsize=7)


def _arrow(
    ax: Any, left: float, right: float, text: str = "", y: float = MIDDLE, colour: str = "black"
) -> None:
    arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (right, y), (left, y), arrowprops=arrow)
    if text:
        ax.text((left + right) / 2, y - 2.2, text, ha="center", va="center", fontsize=7)


def _words(ax: Any, x: float, y: float, text: str, bold: str = "") -> None:
    ax.text(x, y, text, ha="center", va="center", fontsize=7)
    if bold:
        lower = y + 5.5 + LINE * (text.count("\n") - 1)
        ax.text(x, lower, bold, ha="center", va="center", fontweight="bold")


def _frame(ax: Any, x: float, y: float, side: float) -> None:
    ax.plot([x, x + side, x + side, x, x], [y, y, y + side, y + side, y], color="black", lw=0.5)
