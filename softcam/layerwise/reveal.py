"""An image of which only what a cluster map looks at is shown, a little more with each step.

The pixels where the enlarged cluster map is highest are shown, softly at their border; the rest
lies under one plain colour. In the "Deep Reveal" game of the paper a player who needs fewer of
them to guess the class has seen what the network sees.

Source: Bianchi et al., "Interpretable Network Visualizations", IJCAI 2024. There too the border is
blurred more the coarser the layer is; here at most so much that the smallest step stays visible.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from softcam.common import SoftCAMError
from softcam.layerwise.clusters import ClusterMap

__all__ = ["HIDDEN", "STEPS", "as_pixels", "opacity", "revealed"]

STEPS = (0.02, 0.045, 0.08, 0.13, 0.20, 0.30)  # shares of the image's pixels
HIDDEN = (70, 88, 120)  # slate blue: no scan has it, and it is neither lung nor bone


def revealed(image: Any, cluster_map: ClusterMap | np.ndarray, share: float) -> np.ndarray:
    """The image where the cluster map is highest, and one plain colour elsewhere.

    Args:
        image: (3, H, W) or (1, 3, H, W) in [0, 1], or (H, W) or (H, W, 3) uint8.
        cluster_map: a ClusterMap, or its map (h, w); any finite values, only their order counts.
        share: the part of the pixels that is shown, in (0, 1]; 1 shows the image as it is.

    Returns:
        (H, W, 3) uint8.

    Raises:
        SoftCAMError: another shape, values that are not finite, a share out of range.
    """
    pixels = as_pixels(image)
    if share == 1:
        return pixels
    shown = opacity(cluster_map, share, pixels.shape[:2])[..., None]
    mixed = shown * pixels + (1 - shown) * np.array(HIDDEN)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def opacity(
    cluster_map: ClusterMap | np.ndarray, share: float, size: tuple[int, ...]
) -> np.ndarray:
    """How much of each pixel is shown, (H, W) in [0, 1]; its mean is the share, to a pixel.

    A larger share shows every pixel at least as much. Where the map ties, as where it is zero
    everywhere, pixels near the high ones come first, then pixels near the middle of the image.
    """
    from scipy import ndimage

    if not 0 < share <= 1:
        raise SoftCAMError(
            f"share is {share!r}: expected a part of the pixels, above 0, at most 1."
        )
    height, width = size
    small = _as_map(cluster_map)
    large = _enlarge(small, height, width)
    count = max(1, round(share * height * width))
    mask = np.zeros(height * width)
    mask[_order(large, float(np.ptp(small)))[:count]] = 1
    cell = max(height / small.shape[0], width / small.shape[1])
    softness = min(cell / 2, (STEPS[0] * height * width) ** 0.5 / 4)
    return np.clip(ndimage.gaussian_filter(mask.reshape(height, width), softness), 0, 1)


def as_pixels(image: Any) -> np.ndarray:
    """Any image softcam knows, a tensor too, as (H, W, 3) uint8."""
    if hasattr(image, "detach"):
        image = image.detach().cpu()
    pixels = np.asarray(image)
    if pixels.ndim == 4 and len(pixels) == 1:
        pixels = pixels[0]
    if pixels.dtype == np.uint8:
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        fits = pixels.ndim == 3 and pixels.shape[2] == 3
    else:
        fits = pixels.ndim == 3 and pixels.shape[0] == 3 and pixels.dtype.kind == "f"
    if not fits or not pixels.size or not np.isfinite(pixels).all():
        raise SoftCAMError(
            f"the image is {pixels.dtype} {pixels.shape}: expected finite numbers (3, H, W) in "
            "[0, 1], or (H, W) or (H, W, 3) uint8."
        )
    if pixels.dtype == np.uint8:
        return pixels
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def _as_map(cluster_map: ClusterMap | np.ndarray) -> np.ndarray:
    values = np.asarray(getattr(cluster_map, "map", cluster_map))
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise SoftCAMError(
            f"the cluster map is {values.dtype} {values.shape}: expected finite numbers (h, w)."
        )
    return values.astype(np.float64)


def _enlarge(small: np.ndarray, height: int, width: int) -> np.ndarray:
    """(h, w) to (H, W): bilinear with half-pixel centres, as maps are enlarged everywhere here."""
    tensor = torch.from_numpy(small)[None, None]
    large = F.interpolate(tensor, size=(height, width), mode="bilinear", align_corners=False)
    return large[0, 0].numpy()


def _order(large: np.ndarray, scale: float) -> np.ndarray:
    """The numbers of the pixels (H * W,), the first to be shown first; `scale` of the values."""
    from scipy import ndimage

    value = np.round((large - large.min()) / (scale or 1.0), 9)  # rounding errors are ties
    near = np.round(ndimage.gaussian_filter(value, max(large.shape) / 8), 9)
    y, x = np.indices(large.shape)
    middle = (y - (large.shape[0] - 1) / 2) ** 2 + (x - (large.shape[1] - 1) / 2) ** 2
    return np.lexsort((middle.ravel(), -near.ravel(), -value.ravel()))
