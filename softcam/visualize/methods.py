"""Methods of different units side by side: one colour scale, and what each of them costs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from softcam.common import choose
from softcam.visualize.overlay import common_limit
from softcam.visualize.panels import gallery
from softcam.visualize.style import array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["method_gallery"]

_WRAP = 11  # letters a line above a panel


def method_gallery(
    images: Any,
    maps: Mapping[str, Any],
    *,
    findings: Sequence[Any] | None = None,
    row_titles: Sequence[str] | None = None,
    costs: Mapping[str, float] | None = None,
    times: Mapping[str, float] | None = None,
    percentile: float = 99.0,
    title: str = "",
    panel: float = 1.35,
) -> Figure:
    """Rows are images, columns are methods that need not share a unit; under each its cost.

    Logits, gradients and weighted features have no common unit. So each method's maps are divided
    by one number, a high percentile of their |value| over all images shown, and one colour bar
    from -1 to 1 serves all; what lies beyond has the full colour. Strength can be compared within
    a column, across columns only the place: a paler column is not a weaker method. Zero stays
    zero, and a method that is never negative uses the red half alone.

    Args:
        images: (N, 3, H, W) in [0, 1], or N images as in `show_image`.
        maps: method title to maps (N, h, w), signed, each in its own unit and resolution.
        findings: N masks (H, W) bool, outlined in every panel.
        row_titles: N short texts, such as the network that is explained.
        costs: method title to forward passes an image, see `softcam.explainers.passes`.
        times: method title to measured time, in multiples of the plain forward pass.
        percentile: of |value| over the images shown, at full colour; 100 is the largest value,
            by which single hot pixels pale all others.
        title: above the figure.
        panel: width of one panel in inches.

    Raises:
        SoftCAMError: maps that are not finite, or not one an image.
        UnknownNameError: a cost or time of a method that has no maps.
    """
    for name in (*(costs or ()), *(times or ())):
        choose("method with a cost", name, maps)
    limit = f"{percentile:g}th percentile" if percentile < 100 else "largest value"
    limits = {name: common_limit([each], percentile) for name, each in maps.items()}
    shares = {_wrapped(name): array(each) / limits[name] for name, each in maps.items()}
    figure = gallery(
        images,
        shares,
        findings=findings,
        row_titles=row_titles,
        limit=1.0,
        label=f"share of the method's {limit}",
        title=title,
        panel=panel,
    )
    last = figure.axes[(len(images) - 1) * (1 + len(maps)) :]
    for ax, name in zip(last[1:], maps, strict=False):
        lines = _cost((costs or {}).get(name), (times or {}).get(name))
        ax.text(0.5, -0.06, lines, fontsize=9, ha="center", va="top", transform=ax.transAxes)
    return figure


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name, _WRAP, break_long_words=False))


def _cost(passes: float | None, time: float | None) -> str:
    """The lines under a column; empty where nothing is known."""
    lines = [] if passes is None else [f"{passes:g} pass{'es' if passes != 1 else ''}"]
    if time is not None:
        lines.append(f"{time:.{0 if time >= 10 else 1}f}x the time")
    return "\n".join(lines)
