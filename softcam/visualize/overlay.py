"""One map over one image, on a signed scale that is the same wherever it is shown.

Red is evidence for the class, blue against it, and where there is none the image shows through.
What is drawn are contributions, maps / (h * w): the share of the logit that each cell adds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from softcam.common import SoftCAMError
from softcam.visualize.style import DIVERGING, array

__all__ = ["CONTRIBUTION", "colour_bar", "common_limit", "outline", "show_evidence", "show_image"]

CONTRIBUTION = "contribution of a cell to the logit"


def common_limit(maps: Iterable[Any], percentile: float = 99.0) -> float:
    """One symmetric limit for all maps: a percentile of |value| over all of them together.

    Args:
        maps: arrays or tensors of any shapes, in one unit.
        percentile: 100 is the largest value; a little less keeps one hot cell from paling the rest.

    Returns:
        A number > 0, also for maps that are zero everywhere.

    Raises:
        SoftCAMError: no maps, or values that are not finite.
    """
    values = [np.abs(array(m)).ravel() for m in maps]
    together = np.concatenate(values) if values else np.zeros(0)
    if not len(together) or not np.isfinite(together).all():
        raise SoftCAMError(
            f"a common limit needs finite values, found {len(together)} values, "
            f"{int((~np.isfinite(together)).sum())} of them not finite."
        )
    limit = float(np.percentile(together, percentile)) or float(together.max())
    return limit or 1.0


def show_image(image: Any, ax: Any, title: str = "") -> None:
    """Draw an image: (3, H, W) in [0, 1], or (H, W) and (H, W, 3) uint8."""
    ax.imshow(_pixels(image), interpolation="nearest", vmin=0, vmax=1)
    ax.set_axis_off()
    ax.set_title(title, fontsize=11)


def show_evidence(
    image: Any,
    evidence: Any,
    ax: Any,
    *,
    finding: Any | None = None,
    limit: float | None = None,
    title: str = "",
    strength: float = 0.85,
    smooth: bool = True,
) -> Any:
    """Draw a signed map over a grey copy of its image.

    Args:
        image: as in `show_image`.
        evidence: (h, w), signed, at its own resolution; contributions in logits.
        ax: where to draw.
        finding: (H, W) bool, drawn as an outline.
        limit: the value at full colour, see `common_limit`; None scales to this map alone, and
            the title says so.
        strength: opacity at full colour; it falls to 0 where there is no evidence.
        smooth: bilinear enlargement; False shows the cells as they are.

    Returns:
        What `colour_bar` needs.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    pixels = _pixels(image)
    if limit is None:
        limit = common_limit([evidence], 100)
        title = f"{title} (own scale)".strip()
    large = _enlarge(evidence, pixels.shape[:2], smooth)
    scale = Normalize(-limit, limit, clip=True)
    colours = colormaps[DIVERGING](scale(large))
    colours[..., 3] = strength * np.sqrt(np.clip(np.abs(large) / limit, 0, 1))
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    ax.imshow(0.25 + 0.75 * grey, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.imshow(colours, interpolation="nearest")
    if finding is not None:
        outline(finding, ax)
    ax.set_axis_off()
    ax.set_title(title, fontsize=11)
    return ScalarMappable(scale, DIVERGING)


def outline(finding: Any, ax: Any, colour: str = "#F0E442", width: float = 1.2) -> None:
    """Draw the border of a mask (H, W) bool: a bright line on a dark one, visible on anything.

    Args:
        finding: the mask; an empty one draws nothing.
        ax: where to draw.
        colour: of the bright line.
        width: of the bright line in points; the dark one is a bit more than twice as wide.
    """
    mask = array(finding).astype(float)
    if not mask.any():
        return
    padded = np.pad(mask, 1)  # so that a mask that touches the border is closed there
    x, y = np.arange(-1, mask.shape[1] + 1), np.arange(-1, mask.shape[0] + 1)
    for points, line in ((13 / 6 * width, "black"), (width, colour)):
        ax.contour(x, y, padded, [0.5], colors=line, linewidths=points)
    ax.set_xlim(-0.5, mask.shape[1] - 0.5)
    ax.set_ylim(mask.shape[0] - 0.5, -0.5)


def colour_bar(mappable: Any, axes: Any, label: str = CONTRIBUTION, **options: Any) -> Any:
    """The scale beside (or under, `location='bottom'`) the axes it belongs to."""
    axes = list(np.ravel(axes))
    options = {"shrink": 0.8, "aspect": 25, "pad": 0.02, **options}
    bar = axes[0].figure.colorbar(mappable, ax=axes, **options)
    bar.set_label(label, fontsize=10)
    bar.ax.tick_params(labelsize=9)
    return bar


def _pixels(image: Any) -> np.ndarray:
    """Any image softcam knows as (H, W, 3) float in [0, 1]."""
    pixels = array(image)
    if pixels.ndim == 3 and pixels.shape[0] == 3 and pixels.dtype != np.uint8:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise SoftCAMError(
            f"expected an image (3, H, W) in [0, 1] or (H, W[, 3]) uint8, found {pixels.shape}."
        )
    scale = 255 if pixels.dtype == np.uint8 else 1
    return np.clip(pixels.astype(float) / scale, 0, 1)


def _enlarge(evidence: Any, size: tuple[int, ...], smooth: bool) -> np.ndarray:
    """(h, w) to (H, W): bilinear with half-pixel centres, or cells as they are."""
    small = torch.from_numpy(np.ascontiguousarray(array(evidence), dtype=np.float32))
    if small.ndim != 2:
        raise SoftCAMError(f"expected one map (h, w), found shape {tuple(small.shape)}.")
    if smooth:
        large = F.interpolate(small[None, None], size=size, mode="bilinear", align_corners=False)
    else:
        large = F.interpolate(small[None, None], size=size, mode="nearest-exact")
    return large[0, 0].numpy()
