"""Fundus photograph: round field, disc, vessel tree, macula, uneven light; lesions in colour."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from softcam.data.phantoms.drawing import (
    FLOAT,
    blob,
    edge,
    fractal,
    grain,
    grid,
    letters,
    smooth_noise,
    strokes,
    to_bytes,
    trails,
)
from softcam.data.phantoms.grades import disc_centre, draw, draw_marker, macula_centre
from softcam.data.phantoms.scene import Phantom, Scene, Thing

__all__ = ["draw", "draw_marker", "render"]

Array = np.ndarray

BLOOD = (0.42, 0.055, 0.03)
YELLOW = (0.98, 0.88, 0.42)
COTTON = (0.95, 0.86, 0.66)
BROWN = (0.36, 0.20, 0.10)
WHITE = (1.0, 0.93, 0.80)
COLOURS = {
    "microaneurysm": BLOOD,
    "haemorrhage": BLOOD,
    "hard_exudate": YELLOW,
    "soft_exudate": COTTON,
    "new_vessel": (0.52, 0.12, 0.06),
    "reflex": WHITE,
    "pigment": BROWN,
    "pale_spot": (0.92, 0.70, 0.36),
    "dust": (0.55, 0.35, 0.25),
}
TWIGS, STEPS = 34, 90  # branches of the vessel tree, points of a main vessel


class _Picture:
    """Three float planes to blend colours into."""

    def __init__(self, planes: list[Array]) -> None:
        self.planes = planes

    def blend(self, cover: Array, colour: tuple[float, float, float], light: Array) -> None:
        """Move the pixels towards a colour, lit like the rest, by `cover` in [0, 1]."""
        touched = np.flatnonzero(cover.max(axis=1))
        if not len(touched):
            return
        rows = slice(int(touched[0]), int(touched[-1]) + 1)  # most covers are small
        for plane, value in zip(self.planes, colour, strict=True):
            plane[rows] += cover[rows] * (FLOAT(value) * light[rows] - plane[rows])

    def filter(self, cover: Array, absorbed: tuple[float, float, float]) -> None:
        """Take a share of each colour away where `cover` is."""
        for plane, share in zip(self.planes, absorbed, strict=True):
            plane *= FLOAT(1) - FLOAT(share) * cover


def _distance(size: int, centre: tuple[float, float], stretch: float = 1.0) -> Array:
    x, y = grid(size)
    dx, dy = x - FLOAT(centre[0]), (y - FLOAT(centre[1])) * FLOAT(1 / stretch)
    return np.sqrt(dx * dx + dy * dy)


def render(scene: Scene, size: int) -> Phantom:
    """The photograph, (size, size, 3) uint8 RGB, and its masks."""
    a = scene.anatomy
    _, y = grid(size)
    soft = 1.5 / size
    field = edge(FLOAT(a["field"]) - _distance(size, (0.5, 0.5)), soft)
    field = field * edge(FLOAT(a["flat"]) - np.abs(y - FLOAT(0.5)), soft)
    tissue = scene.stream("tissue")
    picture, light = _background(scene, size, tissue)
    disc, cup, healthy = _disc(scene, size, picture, light)
    vessels = _vessels(scene, size)
    picture.filter(vessels, (0.36, 0.62, 0.55))
    masks = _paint(scene, picture, light, field)
    if scene.lesions_of("cupping"):
        masks["cupping"] = cup - healthy > FLOAT(0.5)
    image = _expose(scene, picture, field)
    if scene.marker is not None:
        token = scene.marker
        ink = letters(size, token.text, token.x, token.y, token.height)
        image += ink[..., None] * (FLOAT(token.value) - image)
        masks["marker"] = ink > FLOAT(0.5)
    masks |= {
        "field": field > FLOAT(0.5),
        "disc": disc > FLOAT(0.5),
        "cup": cup > FLOAT(0.5),
        "vessels": vessels * field > FLOAT(0.3),
        "macula": _distance(size, macula_centre(a)) < FLOAT(0.085),
    }
    return Phantom(to_bytes(image), masks)


def _paint(scene: Scene, picture: _Picture, light: Array, field: Array) -> dict[str, Array]:
    """Paint look-alikes and lesions; their masks."""
    size, contrast = len(field), scene.options.level.contrast
    masks: dict[str, Array] = {}
    for name, thing in _things(scene):
        if thing.kind == "mottling":
            _mottle(scene, thing, size, picture)
            masks[name] = field > FLOAT(0.5)
        elif thing.kind != "cupping":  # that one is a wider cup, painted with the disc
            shape = _shape(scene, thing, size) * field
            amount = thing["contrast"]
            if name != "lookalike":
                amount = min(1.0, amount * contrast)
            picture.blend(FLOAT(amount) * shape, COLOURS[thing.kind], light)
            # Relative, since a dot smaller than a pixel is drawn fainter, not smaller.
            shown = shape > np.maximum(FLOAT(0.35) * shape.max(), FLOAT(1e-3))
            masks[name] = masks.get(name, False) | shown
    return masks


def _expose(scene: Scene, picture: _Picture, field: Array) -> Array:
    """Add the camera's noise and the black surround: (size, size, 3)."""
    generator, size = scene.stream("grain"), len(field)
    shared, tint = grain(generator, size, 0.5), grain(generator, size, 0.5)
    amount = FLOAT(0.012 * scene.options.level.noise)
    planes = []
    for plane, sign in zip(picture.planes, (1.0, -0.5, 0.5), strict=True):
        noisy = plane + amount * (shared + FLOAT(0.5 * sign) * tint)
        planes.append(noisy * field + FLOAT(0.015))
    return np.stack(planes, axis=-1)


def _things(scene: Scene) -> list[tuple[str, Thing]]:
    """(mask name, thing), in the order in which they are painted."""
    harmless = [("lookalike", thing) for thing in scene.lookalikes]
    return harmless + [(lesion.kind, lesion) for lesion in scene.lesions]


def _background(scene: Scene, size: int, tissue: np.random.Generator) -> tuple[_Picture, Array]:
    """The red of the choroid under uneven light, darker at the macula; and the light."""
    a = scene.anatomy
    away = _distance(size, (a["light_x"], a["light_y"]))
    light = FLOAT(1.06) - FLOAT(a["light_fall"]) * away * away
    light = light * (FLOAT(1) + FLOAT(0.05) * smooth_noise(tissue, size, 3, 3))
    pigment = FLOAT(a["pigment"]) * fractal(tissue, size, 7, 3, 0.65)
    macula = _distance(size, macula_centre(a))
    shade = FLOAT(a["macula_dark"]) * np.exp(FLOAT(-0.5 / 0.065**2) * macula * macula)
    planes = []
    for name, weight, dark in (("red", 0.5, 0.45), ("green", 1.0, 1.0), ("blue", 1.0, 0.9)):
        plane = FLOAT(a[name]) * light * (FLOAT(1) + FLOAT(weight) * pigment)
        planes.append(plane * (FLOAT(1) - FLOAT(dark) * shade))
    picture = _Picture(planes)
    glint = np.exp(FLOAT(-0.5 / 0.007**2) * macula * macula)
    picture.blend(FLOAT(0.22) * glint, WHITE, light)
    return picture, light


def _disc(scene: Scene, size: int, picture: _Picture, light: Array) -> tuple[Array, Array, Array]:
    """Paint the optic disc; coverages of disc, cup, and the cup without the lesion."""
    a, level = scene.anatomy, scene.options.level
    away = _distance(size, disc_centre(a), a["disc_stretch"])
    soft = max(0.014, 1.5 / size)
    ratio = a["cup"]
    for lesion in scene.lesions_of("cupping"):
        ratio += (lesion["ratio"] - a["cup"]) * min(1.15, 0.4 + 0.6 * level.contrast)
    disc = edge(FLOAT(a["disc"]) - away, soft)
    cup = edge(FLOAT(a["disc"] * ratio) - away, soft)
    healthy = edge(FLOAT(a["disc"] * a["cup"]) - away, soft)
    halo = np.exp(FLOAT(-0.5) * (away * FLOAT(1 / (1.6 * a["disc"]))) ** 2)
    picture.blend(FLOAT(0.16) * halo, (1.0, 0.72, 0.40), light)
    pale = a["pale"]
    picture.blend(FLOAT(0.92) * disc, (1.0 * pale, 0.70 * pale, 0.38 * pale), light)
    picture.blend(FLOAT(0.85) * cup, (1.0, 0.92, 0.70), light)
    return disc, cup, healthy


def _trunks(a: Mapping[str, float], generator: np.random.Generator) -> tuple[Array, ...]:
    """Arteries and veins from the disc: four arcades, each twice; headings and bends."""
    temporal = -1.0 if a["eye"] > 0 else 1.0  # towards the macula
    heading, bend, length = [], [], []
    for up in (-1.0, 1.0):
        for start, turn, reach in (
            (62, 78, 0.62),
            (84, 84, 0.60),
            (128, 28, 0.38),
            (152, -24, 0.34),
        ):
            jitter = float(generator.uniform(-9, 9))
            angle = np.deg2rad(start + jitter) * up
            curl = -np.deg2rad(turn * a["arch"] + float(generator.uniform(-12, 12))) * up
            heading.append(angle if temporal > 0 else np.pi - angle)
            bend.append(curl if temporal > 0 else -curl)
            length.append(reach * float(generator.uniform(0.9, 1.1)))
    return np.array(heading), np.array(bend), np.array(length)


def _vessels(scene: Scene, size: int) -> Array:
    """The vessel tree as absorption in [0, 1]; veins are wider and darker than arteries."""
    a, generator = scene.anatomy, scene.stream("vessels")
    heading, bend, length = _trunks(a, generator)
    count = len(heading)
    start = np.array(disc_centre(a)) + generator.uniform(-0.012, 0.012, (count, 2))
    shiver = np.cumsum(generator.normal(0.0, 0.055, (count, STEPS)), axis=1)
    trunk = trails(start, heading, bend, length, STEPS, shiver)
    vein = np.arange(count) % 2 == 0
    width = np.where(vein, 0.0125, 0.009) * a["thickness"]
    which = generator.integers(0, count, TWIGS)
    at = generator.integers(10, STEPS - 12, TWIGS)
    along = at / (STEPS - 1)
    turn = generator.choice([-1.0, 1.0], TWIGS) * generator.uniform(0.45, 1.0, TWIGS)
    local = heading[which] + bend[which] * along + shiver[which, at]
    wander = np.cumsum(generator.normal(0.0, 0.09, (TWIGS, STEPS // 2)), axis=1)
    reach = generator.uniform(0.09, 0.24, TWIGS) * (1.1 - 0.5 * along)
    twig = trails(trunk[which, at], local + turn, -0.6 * turn, reach, STEPS // 2, wander)
    taper = np.linspace(1.0, 0.38, STEPS)
    points = [trunk.reshape(-1, 2), twig.reshape(-1, 2)]
    radius = [
        (0.5 * width[:, None] * taper).ravel(),
        (
            0.27 * width[which][:, None] * taper[at][:, None] * np.linspace(1, 0.4, STEPS // 2)
        ).ravel(),
    ]
    amount = [np.repeat(np.where(vein, 0.85, 0.62), STEPS), np.full(twig.size // 2, 0.62)]
    path = np.concatenate(points)
    off = np.hypot(*(path - np.array(macula_centre(a))).T)
    avascular = np.clip((off - 0.045) / 0.04, 0.0, 1.0)  # no vessel crosses the fovea
    return strokes(size, path, np.concatenate(radius), np.concatenate(amount) * avascular)


def _shape(scene: Scene, thing: Thing, size: int) -> Array:
    """Coverage in [0, 1] of one lesion or look-alike."""
    factor = scene.options.level.size
    lesion = thing in scene.lesions
    centre = (thing["x"], thing["y"])
    radius = thing["radius"] * (factor if lesion else 1.0)
    stretch = thing.parameters.get("stretch", 1.0)
    radii = (1.6 * radius * stretch, 1.6 * radius / stretch)
    if thing.kind == "microaneurysm":
        return strokes(size, np.array([centre]), np.array([radius]), np.ones(1))
    generator = scene.stream("thing" if lesion else "lookalikes", thing.number + 1)
    if thing.kind == "hard_exudate":
        return _specks(generator, size, centre, radius, int(thing["specks"]))
    if thing.kind == "new_vessel":
        return _tangle(generator, size, centre, radius, int(thing["twigs"]))
    ragged = {"haemorrhage": 0.5, "soft_exudate": 0.3, "reflex": 0.2}.get(thing.kind, 0.15)
    soft = blob(generator, size, centre, radii, thing["angle"], ragged)
    if thing.kind in ("haemorrhage", "pale_spot"):
        return edge(soft - FLOAT(0.3), 0.45)
    return soft


def _specks(
    generator: np.random.Generator, size: int, centre: tuple[float, float], radius: float, n: int
) -> Array:
    """Hard exudates: sharp waxy specks, loosely on an arc."""
    angle = generator.uniform(0, 2 * np.pi) + generator.uniform(-1.6, 1.6, n)
    distance = radius * (0.75 + 0.3 * generator.standard_normal(n))
    points = np.array(centre) + np.stack([np.cos(angle), np.sin(angle)], 1) * distance[:, None]
    spots = strokes(size, points, generator.uniform(0.004, 0.010, n), np.ones(n))
    return edge(spots - FLOAT(0.4), 0.5)


def _tangle(
    generator: np.random.Generator, size: int, centre: tuple[float, float], radius: float, n: int
) -> Array:
    """New vessels: a fan of fine, curling twigs from one point."""
    steps = 40
    heading = np.linspace(0, 2 * np.pi, n, endpoint=False) + generator.uniform(-0.4, 0.4, n)
    curl = generator.choice([-1.0, 1.0], n) * generator.uniform(0.5, 2.5, n)
    shiver = np.cumsum(generator.normal(0.0, 0.2, (n, steps)), axis=1)
    length = radius * generator.uniform(0.7, 1.4, n)
    paths = trails(np.tile(centre, (n, 1)), heading, curl, length, steps, shiver)
    points = paths.reshape(-1, 2)
    return strokes(size, points, np.full(len(points), 0.0026), np.ones(len(points)))


def _mottle(scene: Scene, thing: Thing, size: int, picture: _Picture) -> None:
    """Fine clumps of pigment over the whole field: a sign without a place."""
    clumps = fractal(scene.stream("thing", thing.number), size, 24, 2, 0.8)
    cover = FLOAT(thing["contrast"] * scene.options.level.contrast) * clumps
    picture.filter(cover, (0.5, 1.0, 1.0))
