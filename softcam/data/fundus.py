"""Fundus photographs: where the round field of view lies, so that every image shows the same.

A photograph is a bright disc on a dark ground, smaller than the file or cut off at its edges. The
disc is found on a reduced copy, as the largest region that differs from the ground in the corners.
A circle through its edge is chosen by consensus of random triples of edge points (Fischler and
Bolles 1981) and fitted to those that agree, by least squares on the distance. Edge points on the
border of the image are left out, so a disc that is cut off keeps its true circle, and the square
around it reaches outside the image.

A photograph without contrast is refused. One whose region has no round edge (already cut to the
inside of the disc, say) is taken whole: its `crop` is None, and so it stands in the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from softcam.common import DataError, rng
from softcam.data.geometry import Box
from softcam.data.images import decode_image
from softcam.data.views import Picture

__all__ = ["Disc", "field_of_view", "read_fundus"]

LONG_SIDE = 384  # pixels of the reduced copy, at most; its edge is found to a third of a pixel
CORNER = 0.05  # of a side: the corners that show the ground
LEAST_CONTRAST = 8.0  # grey values between ground and disc; less is a black photograph
DISTINCT = 0.5  # of the brightest: less contrast is that within the disc, and no ground
EDGE = 0.12  # of that contrast: the disc is dark towards its edge
TRIPLES = 256
VOTERS = 240  # as many edge points say which circle is best
TOLERANCE = 0.015  # of the radius, for a point to agree with a circle
AGREEING = 0.6  # of the edge points at least, or there is no circle
ARC = 90.0  # degrees of the circle at least on which edge points lie
STREAM = 0xF0D5


@dataclass(frozen=True)
class Disc:
    """A circle in pixels of the image; x and y count from its top left corner, not from the
    centre of the first pixel."""

    x: float
    y: float
    radius: float

    @property
    def square(self) -> Box:
        """The square around it, in whole pixels: x, y, width, height; it may reach outside."""
        side = round(2 * self.radius)
        return round(self.x - side / 2), round(self.y - side / 2), side, side


def read_fundus(data: bytes, name: str) -> Picture:
    """A stored photograph and the square around its field of view.

    Raises:
        DataError: no image that can be used, or one without contrast; it begins with `name`.
    """
    pixels = decode_image(data, name)
    try:
        disc = field_of_view(pixels)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    return Picture(pixels, None if disc is None else disc.square)


def field_of_view(pixels: np.ndarray) -> Disc | None:
    """The disc in (H, W, 3) uint8 pixels, or None where no round edge is found.

    Raises:
        DataError: everything is as dark as the corners.
    """
    factor = -(-max(pixels.shape[:2]) // LONG_SIDE)
    small = _reduce(pixels, factor)
    differs = _differs(small)
    if differs is None:
        return None
    region = _largest(differs)
    points = _edge_points(region)
    disc = _circle(points)
    if disc is None or not _is_plausible(disc, points, region.shape):
        return None
    return Disc(disc.x * factor, disc.y * factor, disc.radius * factor)


def _reduce(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Mean of `factor` x `factor` pixels, (h, w, 3) float32; a last narrower block counts whole."""
    image = Image.fromarray(pixels)
    return np.asarray(image if factor == 1 else image.reduce(factor), dtype=np.float32)


def _differs(small: np.ndarray) -> np.ndarray | None:
    """(h, w) bool: what differs from the ground in any channel; None if the corners show tissue."""
    height, width = small.shape[:2]
    y, x = max(round(CORNER * height), 2), max(round(CORNER * width), 2)
    corners = [small[:y, :x], small[:y, -x:], small[-y:, :x], small[-y:, -x:]]
    ground = np.concatenate([corner.reshape(-1, 3) for corner in corners])
    level = np.median(ground, axis=0)
    distance = _over_channels(np.abs(small - level))
    contrast = float(np.quantile(distance, 0.95))
    if contrast < LEAST_CONTRAST:
        raise DataError(
            f"no field of view: no part differs from the corners by more than {contrast:.0f} grey "
            f"values, expected {LEAST_CONTRAST:.0f} or more; the photograph is black or uniform."
        )
    brightest = max(float(np.quantile(_over_channels(small), 0.95)), float(level.max()))
    if contrast < DISTINCT * brightest:
        return None
    noise = 1.48 * float(np.median(np.abs(ground - level).max(-1)))
    return distance > min(max(EDGE * contrast, 2 + 4 * noise), contrast / 2)


def _over_channels(pixels: np.ndarray) -> np.ndarray:
    """Maximum over the last axis of (h, w, 3), of which `max` is slow for being so short."""
    red, green, blue = (pixels[..., channel] for channel in range(3))
    return np.maximum(np.maximum(red, green), blue)


def _largest(marked: np.ndarray) -> np.ndarray:
    """The largest connected region of a mask that has one."""
    from scipy.ndimage import label

    regions, _ = label(marked)
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    return regions == int(sizes.argmax())


def _edge_points(region: np.ndarray) -> np.ndarray:
    """(N, 2) x, y of the outermost edges of every row and column, without the image's border."""
    return np.concatenate([_row_ends(region), _row_ends(region.T)[:, ::-1]])


def _row_ends(region: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(region.any(1))
    width = region.shape[1]
    first = region[rows].argmax(1)
    last = width - region[rows, ::-1].argmax(1)
    ends = np.concatenate([np.stack([first, rows + 0.5], 1), np.stack([last, rows + 0.5], 1)])
    return ends[(ends[:, 0] > 1) & (ends[:, 0] < width - 1)]


def _circle(points: np.ndarray) -> Disc | None:
    """The circle that most points agree with, fitted to them; None without enough of them."""
    if len(points) < 12:
        return None
    triples = points[rng(len(points), STREAM).integers(0, len(points), (TRIPLES, 3))]
    x, y, radius = _through(triples)
    fits = np.isfinite(radius)
    if not fits.any():
        return None
    x, y, radius = x[fits], y[fits], radius[fits]
    some = points[:: max(len(points) // VOTERS, 1)]
    off = np.abs(np.hypot(some[:, 0] - x[:, None], some[:, 1] - y[:, None]) - radius[:, None])
    best = int((off < TOLERANCE * radius[:, None]).sum(1).argmax())
    disc = Disc(float(x[best]), float(y[best]), float(radius[best]))
    for _ in range(3):
        near = points[_off(disc, points) < TOLERANCE * disc.radius]
        disc = _fitted(disc, near)
    return disc


def _through(triples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and radius of the circle through each of (N, 3, 2) points; NaN where there is none."""
    start = triples[:, 0]
    b, c = triples[:, 1] - start, triples[:, 2] - start
    cross = 2 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    cross = np.where(np.abs(cross) < 1e-6, np.nan, cross)
    b2, c2 = (b**2).sum(1), (c**2).sum(1)
    x = (c[:, 1] * b2 - b[:, 1] * c2) / cross
    y = (b[:, 0] * c2 - c[:, 0] * b2) / cross
    return x + start[:, 0], y + start[:, 1], np.hypot(x, y)


def _off(disc: Disc, points: np.ndarray) -> np.ndarray:
    """Distance of each point from the circle."""
    return np.abs(np.hypot(points[:, 0] - disc.x, points[:, 1] - disc.y) - disc.radius)


def _fitted(disc: Disc, points: np.ndarray) -> Disc:
    """One Gauss-Newton step towards the least sum of squared distances from the circle."""
    away = points - (disc.x, disc.y)
    distance = np.maximum(np.hypot(away[:, 0], away[:, 1]), 1e-9)
    slopes = np.column_stack([away / distance[:, None], np.ones(len(points))])
    step = np.linalg.lstsq(slopes, distance - disc.radius, rcond=None)[0]
    return Disc(disc.x + float(step[0]), disc.y + float(step[1]), disc.radius + float(step[2]))


def _is_plausible(disc: Disc, points: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether it is a field of view: a round edge all along, large, its centre in the image."""
    height, width = shape
    agrees = _off(disc, points) < TOLERANCE * disc.radius
    angles = np.degrees(np.arctan2(points[agrees, 1] - disc.y, points[agrees, 0] - disc.x))
    arc = 5 * len(np.unique(np.floor(angles / 5)))
    return bool(
        agrees.mean() >= AGREEING
        and arc >= ARC
        and min(shape) / 4 <= disc.radius <= max(shape)
        and 0 <= disc.x <= width
        and 0 <= disc.y <= height
    )
