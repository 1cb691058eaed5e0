"""The retina of an OCT B-scan as a stack of layers over Bruch's membrane.

Each layer has a thickness along x; what lies between or inside layers (drusen, fluid, cysts)
pushes everything above it up, as in the eye.
"""

from __future__ import annotations

import numpy as np

from softcam.data.phantoms.drawing import FLOAT, curve_noise, edge, grid
from softcam.data.phantoms.scene import Scene, Thing

__all__ = ["CHOROID", "INNER", "LAYERS", "RANGES", "VITREOUS", "Retina"]

Array = np.ndarray

RANGES = {
    "depth": (0.60, 0.70),  # y of Bruch's membrane in the middle
    "tilt": (-0.10, 0.10),
    "bow": (-0.03, 0.09),
    "thickness": (0.22, 0.30),  # of the whole retina beside the fovea
    "fovea": (0.40, 0.60),
    "pit": (0.80, 0.95),  # share of the inner layers that is missing in the pit
    "pit_width": (0.085, 0.13),
    "nasal": (-1.0, 1.0),  # nerve fibres are thicker towards the disc
    "side_ratio": (-0.05, 0.05),  # healthy asymmetry of the inner layers
    "choroid": (0.12, 0.22),
    "signal": (0.88, 1.1),
    "vignette": (0.0, 0.25),
}

# (name, share of the retinal thickness, brightness), from the vitreous down
LAYERS = (
    ("nerve fibres", 0.10, 0.74),
    ("ganglion cells", 0.27, 0.50),
    ("inner nuclear", 0.12, 0.33),
    ("outer plexiform", 0.08, 0.54),
    ("outer nuclear", 0.23, 0.24),
    ("ellipsoid", 0.06, 0.74),
    ("outer segments", 0.07, 0.46),
    ("fluid", 0.0, 0.10),
    ("pigment epithelium", 0.07, 0.92),
    ("drusen", 0.0, 0.47),
)
INNER = 4  # layers that thin out in the pit
VITREOUS, CHOROID = 0.07, 0.60


class Retina:
    """Upper boundaries of all layers along x, (1, size) each, and the lesions' lifts."""

    def __init__(self, scene: Scene, size: int, lesions: tuple[Thing, ...]) -> None:
        a, level = scene.anatomy, scene.options.level
        self.x, self.y = grid(size)
        self.scene, self.size = scene, size
        self.strength = float(min(1.3, 0.45 + 0.55 * level.contrast)) * level.size
        middle = self.x - FLOAT(0.5)
        waves = FLOAT(0.004) * curve_noise(scene.stream("tissue", 1), size, 5)
        bow = FLOAT(a["tilt"]) * middle - FLOAT(a["bow"] * 2) * middle * middle
        self.bruch = FLOAT(a["depth"]) + bow + waves
        self.lift = {kind: self._lift(lesions, kind) for kind in ("drusen", "cnv", "fluid")}
        tops, bottom = [], self.bruch
        for number in reversed(range(len(LAYERS))):
            bottom = bottom - self._thickness(number, lesions)
            tops.append(bottom)
        self.tops = tops[::-1]

    def _lift(self, lesions: tuple[Thing, ...], kind: str) -> Array:
        total = np.zeros((1, self.size), FLOAT)
        for item in lesions:
            if item.kind != ("cnv" if kind == "fluid" else kind):
                continue
            spread = 1.7 if kind == "fluid" else 1.0
            height = item["fluid" if kind == "fluid" else "height"] * self.strength
            u = (self.x - FLOAT(item["x"])) * FLOAT(1 / (item["width"] * spread))
            dome = np.maximum(FLOAT(1) - u * u * FLOAT(0.5), 0)
            if kind == "cnv":
                ripple = curve_noise(self.scene.stream("thing", item.number), self.size, 14)
                dome = dome * (FLOAT(1) + FLOAT(0.16) * ripple)
            total = np.maximum(total, FLOAT(height) * dome * dome)
        return total

    def _thickness(self, number: int, lesions: tuple[Thing, ...]) -> Array:
        a = self.scene.anatomy
        name, share, _ = LAYERS[number]
        if name == "fluid":
            return self.lift["fluid"]
        if name == "drusen":
            return np.maximum(self.lift["drusen"], self.lift["cnv"])
        off = (self.x - FLOAT(a["fovea"])) * FLOAT(1 / a["pit_width"])
        near = np.exp(FLOAT(-0.5) * off * off)
        side = np.tanh(off * FLOAT(0.6))
        thickness = np.full((1, self.size), a["thickness"] * share, FLOAT)
        if number < INNER:
            thickness *= FLOAT(1) - FLOAT(a["pit"]) * near + FLOAT(a["side_ratio"]) * side
            for item in lesions:
                if item.kind == "thinning":
                    part = edge(FLOAT(item["side"]) * off - FLOAT(0.8), 1.4)
                    thickness *= FLOAT(1) - FLOAT(item["amount"] * self.strength) * part
            thickness += FLOAT(0.14) * self._swelling(lesions)
        elif name == "outer nuclear":  # it gives way to what bulges from below
            thickness *= FLOAT(1) + FLOAT(0.35) * near
            bulge = FLOAT(0.8) * self.lift["drusen"] + FLOAT(0.4) * self.lift["cnv"]
            thickness = np.maximum(thickness - bulge, FLOAT(0.3) * thickness)
            thickness += FLOAT(0.44) * self._swelling(lesions)
        if number == 0:
            thickness *= np.maximum(FLOAT(1) + FLOAT(0.8 * a["nasal"]) * side, FLOAT(0.25))
        return thickness

    def _swelling(self, lesions: tuple[Thing, ...]) -> Array:
        """Cysts make the retina thicker around them."""
        total = np.zeros((1, self.size), FLOAT)
        for item in lesions:
            if item.kind == "cyst":
                u = (self.x - FLOAT(item["x"])) * FLOAT(1 / 0.10)
                total += FLOAT(0.75 * item["ry"] * self.strength) * np.exp(-u * u)
        return total

    def between(self, first: int, last: int) -> Array:
        """(size, size) bool: from the top of layer `first` to the top of layer `last`."""
        low = self.bruch if last == len(LAYERS) else self.tops[last]
        return (self.y >= self.tops[first]) & (self.y < low)
