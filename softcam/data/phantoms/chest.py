"""The anatomy of a chest X-ray: where lungs, heart, ribs and spine are, as soft coverages.

Lengths are in image sides; a lung is the space between an inner and an outer edge given as
distances from the midline, so that lesions can be placed without drawing anything.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from softcam.data.phantoms.drawing import FLOAT, edge, grid

__all__ = ["RANGES", "Chest", "dome", "heart_reach", "lung_edges"]

Array = np.ndarray

RANGES = {
    "middle": (0.48, 0.52),  # x of the spine
    "apex": (0.07, 0.13),  # y of the lung tops
    "dome": (0.70, 0.80),  # y of the right hemidiaphragm
    "dome_left": (0.01, 0.04),  # the left one is lower by this
    "angle_depth": (0.08, 0.12),  # costophrenic angle below the dome
    "chest": (0.33, 0.42),  # half width of the chest
    "shape": (2.0, 2.7),  # how square the chest is
    "ratio": (0.41, 0.49),  # heart to chest
    "heart_slant": (0.2, 0.5),
    "mediastinum": (0.045, 0.065),
    "knob": (0.025, 0.04),  # aortic knob
    "wall": (0.05, 0.11),  # soft tissue beside the ribs
    "shoulder": (0.08, 0.15),
    "air": (0.85, 1.1),  # how dark the lungs are
    "exposure": (0.9, 1.1),
    "rib_spacing": (0.068, 0.08),
    "rib_start": (0.0, 1.0),
    "rib_strength": (0.06, 0.11),
    "rib_fall": (0.18, 0.32),
    "clavicle_y": (0.10, 0.15),
    "clavicle_tilt": (0.05, 0.14),
    "breast": (-0.10, 0.16),  # below 0: none
    "bubble": (-0.5, 1.0),  # stomach bubble, below 0: none
    "tilt": (-0.03, 0.03),  # rotation: rise across the width
}


def dome(a: Mapping[str, float], side: float) -> float:
    """Height (y) of the top of one hemidiaphragm."""
    return a["dome"] + (a["dome_left"] if side > 0 else 0.0)


def lung_edges(a: Mapping[str, float], side: float, y: Array) -> tuple[Array, Array]:
    """Distance of the inner and the outer edge of one lung from the midline, at heights y."""
    top, foot = a["apex"], dome(a, side) + a["angle_depth"] + 0.05
    t = np.clip((y - top) / (foot - top), 0.0, 1.0)
    outer = a["chest"] * (1.0 - (1.0 - t) ** a["shape"]) ** 0.42
    inner = a["mediastinum"] + 0.06 * np.exp(-t / 0.07) + 0.015 * t
    return inner, outer


def heart_axes(a: Mapping[str, float], ratio: float) -> tuple[float, float, float, float]:
    """Centre x (from the midline), centre y, half width and half height of the heart."""
    half = ratio * a["chest"]
    return 0.32 * half, dome(a, 1.0) - 0.42 * half, half, 1.05 * half


def heart_reach(a: Mapping[str, float], ratio: float, side: float, y: Array) -> Array:
    """How far the heart reaches to one side of the midline, at heights y."""
    x0, y0, half, tall = heart_axes(a, ratio)
    inside = np.clip(1.0 - ((y - y0) / tall) ** 2, 0.0, 1.0)
    centre = x0 + a["heart_slant"] * (y - y0)
    return side * centre + half * np.sqrt(inside)


class Chest:
    """The structures of one chest as (size, size) coverages in [0, 1]."""

    def __init__(self, a: Mapping[str, float], ratio: float, size: int) -> None:
        x, y = grid(size)
        self.size, self.a, self.px = size, a, 1.0 / size
        self.x = x
        self.y = y + FLOAT(a["tilt"]) * (x - FLOAT(0.5))
        self.across = x - FLOAT(a["middle"])
        self.left, self.right = self._lung(-1.0), self._lung(1.0)  # as seen on the film
        self.lungs = self.left + self.right
        self.heart = self._heart(ratio)
        self.body = self._body()
        self.below = self._below()

    def soft(self, width: float) -> float:
        """An edge is never sharper than a pixel and a half."""
        return max(width, 1.5 * self.px)

    def _lung(self, side: float) -> Array:
        a, x, rows = self.a, self.across, self.y[:, :1].astype(np.float64)
        inner, outer = (e.astype(FLOAT) for e in lung_edges(a, side, rows))
        u = x if side > 0 else -x
        lung = edge(u - inner, self.soft(0.03)) * edge(outer - u, self.soft(0.016))
        bow = (x * FLOAT(side) - FLOAT(0.42 * a["chest"])) * FLOAT(1 / (0.58 * a["chest"]))
        floor = FLOAT(dome(a, side)) + FLOAT(a["angle_depth"]) * bow * bow
        return lung * edge(floor - self.y, self.soft(0.018))

    def _heart(self, ratio: float) -> Array:
        """A slanted ellipse, rounder below, with a soft border that the heartbeat blurs."""
        x0, y0, half, tall = heart_axes(self.a, ratio)
        down = self.y - FLOAT(y0)
        centre = FLOAT(x0) + FLOAT(self.a["heart_slant"]) * down
        u, v = (self.across - centre) * FLOAT(1 / half), down * FLOAT(1 / tall)
        squared = u * u + v * v
        return edge((FLOAT(1) - squared) * FLOAT(half / 2), self.soft(0.035))

    def _body(self) -> Array:
        a, u = self.a, np.abs(self.across)
        slope = FLOAT(a["shoulder"]) * np.maximum(u - FLOAT(0.13), FLOAT(0)) * FLOAT(3.0)
        top = np.where(u < FLOAT(0.13), FLOAT(-1), FLOAT(0.01) + slope)
        side = FLOAT(a["chest"] + a["wall"]) - u + FLOAT(0.25) * edge(FLOAT(0.26) - self.y, 0.25)
        return edge(self.y - top, 0.04) * edge(side, 0.05)

    def ribs(self) -> tuple[Array, Array]:
        """Posterior ribs (from the spine, falling outwards) and the fainter anterior ones."""
        a = self.a
        u = np.abs(self.across) * FLOAT(1 / a["chest"])
        cage = edge(FLOAT(1.06) - u - FLOAT(0.5) * edge(FLOAT(0.22) - self.y, 0.2), 0.06)
        cage = cage * edge(FLOAT(dome(a, 1.0) + 0.13) - self.y, 0.12)
        cage = cage * edge(self.y - FLOAT(a["apex"] - 0.02), 0.05)
        fall = FLOAT(a["rib_fall"])
        back = self.y - fall * u * u * FLOAT(0.55) + FLOAT(0.045) * u
        front = self.y + FLOAT(0.75) * fall * (u - FLOAT(0.3)) - FLOAT(0.05) * u * u
        posterior = self._bars(back, a["rib_spacing"], a["rib_start"], 0.0105)
        anterior = self._bars(front, a["rib_spacing"] * 1.25, a["rib_start"] + 0.4, 0.014)
        anterior = anterior * edge(u - FLOAT(0.42), 0.25)
        return posterior * cage * edge(u - FLOAT(0.1), 0.12), anterior * cage

    def _bars(self, level: Array, spacing: float, start: float, half: float) -> Array:
        phase = level * FLOAT(1 / spacing) - FLOAT(start)
        distance = np.abs(phase - np.rint(phase)) * FLOAT(spacing)
        bar = edge(FLOAT(half) - distance, self.soft(0.012))
        rim = np.maximum(FLOAT(1) - np.abs(distance - FLOAT(half * 0.75)) * FLOAT(1.8 / half), 0)
        return bar * (FLOAT(0.75) + FLOAT(0.35) * rim)

    def clavicles(self) -> Array:
        """Two slightly bent bars from the sternum to the shoulders."""
        a, u = self.a, np.abs(self.across)
        bend = FLOAT(0.02) * np.sin(u * FLOAT(16.0))
        level = FLOAT(a["clavicle_y"] + 0.065) - FLOAT(a["clavicle_tilt"]) * u * FLOAT(1.5) + bend
        distance = np.abs(self.y - level)
        bar = edge(FLOAT(0.017) - distance, self.soft(0.012))
        return bar * edge(u - FLOAT(0.045), 0.03) * edge(FLOAT(0.40) - u, 0.1)

    def spine(self) -> Array:
        """The vertebral column, with its discs as a faint ripple."""
        column = edge(FLOAT(0.042) - np.abs(self.across), self.soft(0.02))
        ripple = np.cos(self.y * FLOAT(2 * np.pi / 0.062) + FLOAT(6.0 * self.a["rib_start"]))
        rims = np.abs(np.abs(self.across) - FLOAT(0.03)) * FLOAT(1 / 0.012)
        shade = FLOAT(0.7) + FLOAT(0.2) * ripple + FLOAT(0.25) * np.maximum(FLOAT(1) - rims, 0)
        return column * shade

    def mediastinum(self) -> Array:
        """Great vessels and aortic knob, with the trachea as a dark band inside."""
        a = self.a
        width = FLOAT(a["mediastinum"] + 0.012)
        band = edge(width - np.abs(self.across), self.soft(0.03))
        knob = (self.across - FLOAT(a["mediastinum"])) ** 2 + (self.y - FLOAT(a["apex"] + 0.2)) ** 2
        band = np.maximum(band, edge(FLOAT(a["knob"]) - np.sqrt(knob), self.soft(0.02)))
        return band * edge(self.y - FLOAT(0.1), 0.2)

    def trachea(self) -> Array:
        """The air column down to the carina."""
        band = edge(FLOAT(0.02) - np.abs(self.across + FLOAT(0.005)), self.soft(0.016))
        return band * edge(FLOAT(self.a["apex"] + 0.24) - self.y, 0.06)

    def _below(self) -> Array:
        """Everything under the diaphragm."""
        a = self.a
        both = []
        for side in (-1.0, 1.0):
            bow = (self.across * FLOAT(side) - FLOAT(0.42 * a["chest"])) * FLOAT(
                1 / (0.58 * a["chest"])
            )
            floor = FLOAT(dome(a, side)) + FLOAT(a["angle_depth"]) * np.minimum(bow * bow, 1)
            both.append(edge(self.y - floor, self.soft(0.018)))
        return np.where(self.across > 0, both[1], both[0]) * self.body

    def breasts(self) -> Array:
        """A veil over the lower lungs with a soft lower edge."""
        u = np.abs(self.across) - FLOAT(0.58 * self.a["chest"])
        v = self.y - FLOAT(0.60)
        round_ = FLOAT(1) - (u * FLOAT(1 / 0.2)) ** 2 - (v * FLOAT(1 / 0.17)) ** 2
        return edge(round_, 1.0) * edge(FLOAT(0.78) - self.y, 0.1)
