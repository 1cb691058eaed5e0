"""What a fundus photograph shows: the eye, its diabetic lesions, and the grade they make.

The grade follows from the lesions, after the International Clinical Diabetic Retinopathy scale
(Wilkinson et al., Ophthalmology 2003), much simplified: see `grade_of`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from softcam.data.phantoms.options import PhantomOptions
from softcam.data.phantoms.scene import Marker, Thing, stream, uniform

__all__ = ["RANGES", "disc_centre", "draw", "draw_marker", "grade_of", "macula_centre"]

RANGES = {
    "eye": (-1.0, 1.0),  # the sign says on which side the disc lies
    "disc_off": (0.20, 0.27),
    "disc_y": (0.44, 0.53),
    "macula_off": (0.03, 0.09),
    "macula_y": (0.48, 0.56),
    "field": (0.455, 0.495),
    "flat": (0.40, 0.60),  # half height where the camera cuts the field above and below
    "disc": (0.055, 0.072),
    "disc_stretch": (1.0, 1.18),
    "cup": (0.30, 0.48),  # cup to disc
    "pale": (0.8, 1.05),
    "red": (0.70, 0.86),
    "green": (0.34, 0.46),
    "blue": (0.13, 0.22),
    "light_x": (0.35, 0.65),
    "light_y": (0.35, 0.65),
    "light_fall": (0.5, 1.3),
    "macula_dark": (0.22, 0.42),
    "pigment": (0.03, 0.08),
    "arch": (0.85, 1.15),  # how wide the temporal arcades are
    "thickness": (0.85, 1.2),
}

# Lesions of each grade, least and most; grade 3 puts two haemorrhages into every quadrant.
CONTENT: dict[int, dict[str, tuple[int, int]]] = {
    1: {"microaneurysm": (3, 7)},
    2: {
        "microaneurysm": (3, 8),
        "haemorrhage": (2, 5),
        "hard_exudate": (0, 3),
        "soft_exudate": (0, 1),
    },
    3: {
        "microaneurysm": (5, 10),
        "haemorrhage": (9, 14),
        "hard_exudate": (0, 3),
        "soft_exudate": (1, 3),
    },
    4: {
        "microaneurysm": (3, 8),
        "haemorrhage": (2, 7),
        "hard_exudate": (0, 2),
        "soft_exudate": (0, 2),
        "new_vessel": (1, 3),
    },
}
SIZES: dict[str, dict[str, tuple[float, float]]] = {
    "microaneurysm": {"radius": (0.005, 0.008), "contrast": (0.7, 1.0)},
    "haemorrhage": {"radius": (0.016, 0.038), "stretch": (0.7, 1.4), "contrast": (0.7, 0.95)},
    "hard_exudate": {"radius": (0.02, 0.05), "specks": (5, 16), "contrast": (0.75, 1.0)},
    "soft_exudate": {"radius": (0.03, 0.05), "stretch": (0.7, 1.4), "contrast": (0.55, 0.8)},
    "new_vessel": {"radius": (0.05, 0.085), "twigs": (9, 15), "contrast": (0.6, 0.85)},
    "mottling": {"contrast": (0.05, 0.08)},
    "cupping": {"ratio": (0.66, 0.84)},
}
HARMLESS: dict[str, dict[str, tuple[float, float]]] = {
    "reflex": {
        "radius": (0.02, 0.04),
        "stretch": (1.5, 2.6),
        "contrast": (0.12, 0.3),
        "angle": (0.0, 3.14),
    },
    "pigment": {"radius": (0.012, 0.03), "contrast": (0.3, 0.6), "angle": (0.0, 3.14)},
    "pale_spot": {"radius": (0.006, 0.010), "contrast": (0.25, 0.5), "angle": (0.0, 3.14)},
    "dust": {"radius": (0.02, 0.035), "contrast": (0.2, 0.4), "angle": (0.0, 3.14)},
}


def grade_of(lesions: Sequence[Thing]) -> int:
    """The grade 0-4 that a set of lesions makes.

    4: new vessels. 3: at least two haemorrhages in each of the four quadrants around the macula.
    2: any haemorrhage, hard or soft exudate. 1: microaneurysms only. 0: none of these.
    """
    kinds = {lesion.kind for lesion in lesions}
    if "new_vessel" in kinds:
        return 4
    quadrants = [int(item["quadrant"]) for item in lesions if item.kind == "haemorrhage"]
    if all(quadrants.count(q) >= 2 for q in range(4)):
        return 3
    if kinds & {"haemorrhage", "hard_exudate", "soft_exudate"}:
        return 2
    return 1 if "microaneurysm" in kinds else 0


def draw(
    options: PhantomOptions, index: int, true_label: int
) -> tuple[dict[str, float], tuple[Thing, ...], tuple[Thing, ...]]:
    """Anatomy, lesions and look-alikes of one scene."""
    anatomy = uniform(stream(options, index, "anatomy"), RANGES)
    generator = stream(options, index, "lesions")
    lesions: tuple[Thing, ...] = ()
    if true_label > 0 and options.sign != "local":
        kind = options.classes[1]
        lesions = (Thing(kind, 0, uniform(generator, SIZES[kind])),)
    elif true_label > 0:
        grade = true_label if options.task == "multi" else int(generator.integers(2, 5))
        lesions = _content(grade, anatomy, generator)
    lookalikes: tuple[Thing, ...] = ()
    if options.lookalikes:
        lookalikes = _lookalikes(anatomy, stream(options, index, "lookalikes"))
    return anatomy, lesions, lookalikes


def disc_centre(a: Mapping[str, float]) -> tuple[float, float]:
    """x, y of the optic disc."""
    return 0.5 + (1.0 if a["eye"] > 0 else -1.0) * a["disc_off"], a["disc_y"]


def macula_centre(a: Mapping[str, float]) -> tuple[float, float]:
    """x, y of the fovea."""
    return 0.5 - (1.0 if a["eye"] > 0 else -1.0) * a["macula_off"], a["macula_y"]


def _content(
    grade: int, a: Mapping[str, float], generator: np.random.Generator
) -> tuple[Thing, ...]:
    things: list[Thing] = []
    for kind, (low, high) in CONTENT[grade].items():
        for k in range(int(generator.integers(low, high + 1))):
            spread = kind == "haemorrhage" and grade == 3
            quadrant = k % 4 if spread else int(generator.integers(4))
            reach = (0.07, 0.24) if kind == "hard_exudate" else (0.09, 0.36)
            x, y = _place(a, generator, quadrant, reach)
            values = {"x": x, "y": y, "quadrant": float(quadrant)}
            values |= uniform(generator, SIZES[kind] | {"angle": (0.0, 3.14)})
            things.append(Thing(kind, len(things), values))
    return tuple(things)


def _place(
    a: Mapping[str, float],
    generator: np.random.Generator,
    quadrant: int,
    reach: tuple[float, float],
) -> tuple[float, float]:
    """A point of one quadrant around the macula, in the field and off the disc."""
    (mx, my), (dx, dy) = macula_centre(a), disc_centre(a)
    x, y = mx, my
    for _ in range(40):
        angle = (quadrant + 0.08 + 0.84 * float(generator.random())) * np.pi / 2
        distance = reach[0] + (reach[1] - reach[0]) * float(generator.random())
        x, y = mx + distance * float(np.cos(angle)), my + distance * float(np.sin(angle))
        in_field = (
            np.hypot(x - 0.5, y - 0.5) < a["field"] - 0.06 and abs(y - 0.5) < a["flat"] - 0.05
        )
        if in_field and np.hypot(x - dx, y - dy) > a["disc"] * 1.9:
            break
    return x, y


def _lookalikes(a: Mapping[str, float], generator: np.random.Generator) -> tuple[Thing, ...]:
    """Reflections of the nerve fibres, pigment spots, pale old drusen, a dust speck on the lens."""
    things: list[Thing] = []
    for kind, most in (("reflex", 3), ("pigment", 2), ("pale_spot", 3), ("dust", 1)):
        for _ in range(int(generator.integers(0, most + 1))):
            x, y = _place(a, generator, int(generator.integers(4)), (0.08, 0.36))
            values = {"x": x, "y": y, **uniform(generator, HARMLESS[kind])}
            things.append(Thing(kind, len(things), values))
    return tuple(things)


def draw_marker(generator: np.random.Generator) -> Marker:
    """The camera's tag, in a black corner outside the field."""
    x, y, height, value, corner = generator.random(5)
    left, top = int(corner * 4) % 2 == 0, int(corner * 4) < 2
    return Marker(
        text="R" if left else "L",
        x=(0.02 if left else 0.925) + 0.015 * float(x),
        y=(0.02 if top else 0.90) + 0.015 * float(y),
        height=0.065 + 0.01 * float(height),
        value=0.85 + 0.15 * float(value),
    )
