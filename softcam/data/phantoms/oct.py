"""OCT B-scan of the macula: retinal layers, foveal pit, choroid, speckle; drusen, cysts, CNV.

The log-compressed intensity of a real scanner is imitated: grey layers, multiplicative speckle,
a noise floor in the dark vitreous.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from softcam.data.phantoms.drawing import (
    FLOAT,
    blob,
    edge,
    fractal,
    grain,
    letters,
    smooth_noise,
    to_bytes,
)
from softcam.data.phantoms.options import PhantomOptions
from softcam.data.phantoms.retina import CHOROID, INNER, LAYERS, RANGES, VITREOUS, Retina
from softcam.data.phantoms.scene import Marker, Phantom, Scene, Thing, stream, uniform

__all__ = ["draw", "draw_marker", "render"]

Array = np.ndarray

COUNTS = {
    "drusen": (3, 7),
    "cyst": (4, 9),
    "cnv": (1, 1),
    "granularity": (1, 1),
    "thinning": (1, 1),
}
SIZES: dict[str, dict[str, tuple[float, float]]] = {
    "drusen": {"height": (0.018, 0.045), "width": (0.022, 0.05), "reflect": (0.9, 1.15)},
    "cyst": {"rx": (0.026, 0.055), "ry": (0.018, 0.048), "contrast": (0.75, 0.95)},
    "cnv": {
        "height": (0.06, 0.105),
        "width": (0.085, 0.15),
        "fluid": (0.02, 0.05),
        "reflect": (1.15, 1.5),
    },
    "granularity": {"contrast": (0.16, 0.24)},
    "thinning": {"amount": (0.30, 0.45)},
}


def draw(
    options: PhantomOptions, index: int, true_label: int
) -> tuple[dict[str, float], tuple[Thing, ...], tuple[Thing, ...]]:
    """Anatomy, lesions and look-alikes of one scene."""
    anatomy = uniform(stream(options, index, "anatomy"), RANGES)
    generator = stream(options, index, "lesions")
    lesions: tuple[Thing, ...] = ()
    if true_label > 0:
        name = options.classes[true_label]
        kind = "cyst" if name == "dme" else name
        low, high = COUNTS[kind]
        count = int(generator.integers(low, high + 1))
        lesions = tuple(
            Thing(kind, k, _parameters(kind, k, anatomy, generator)) for k in range(count)
        )
    lookalikes: tuple[Thing, ...] = ()
    if options.lookalikes:
        lookalikes = _lookalikes(stream(options, index, "lookalikes"))
    return anatomy, lesions, lookalikes


def _parameters(
    kind: str, number: int, anatomy: Mapping[str, float], generator: np.random.Generator
) -> dict[str, float]:
    values = uniform(generator, SIZES[kind])
    across, down = (float(u) for u in generator.random(2))
    if kind == "drusen":
        values["x"] = 0.10 + 0.80 * across
    elif kind == "cyst":
        values["x"] = anatomy["fovea"] + 0.40 * (across - 0.5)
        values["level"] = 0.3 if number % 2 else 0.62  # inner nuclear or outer nuclear layer
        values["level"] += 0.16 * (down - 0.5)
    elif kind == "cnv":
        values["x"] = anatomy["fovea"] + 0.34 * (across - 0.5)
    elif kind == "thinning":
        values["side"] = 1.0 if across < 0.5 else -1.0
    return values


def _lookalikes(generator: np.random.Generator) -> tuple[Thing, ...]:
    """Retinal vessels with their shadows, vitreous specks, bright reflections."""
    things: list[Thing] = []
    for kind, most in (("vessel", 4), ("speck", 3), ("reflex", 3)):
        for _ in range(int(generator.integers(0, most + 1))):
            x, y, size, strength = (float(u) for u in generator.random(4))
            values = {"x": 0.05 + 0.9 * x, "y": y, "size": size, "strength": strength}
            things.append(Thing(kind, len(things), values))
    return tuple(things)


def draw_marker(generator: np.random.Generator) -> Marker:
    """The scanner's tag, in an upper corner of the dark vitreous."""
    x, y, height, value, side, text = generator.random(6)
    left = side < 0.5
    return Marker(
        text="HE" if text < 0.5 else "SD",
        x=(0.03 if left else 0.80) + 0.04 * float(x),
        y=0.03 + 0.05 * float(y),
        height=0.065 + 0.02 * float(height),
        value=0.9 + 0.1 * float(value),
    )


def render(scene: Scene, size: int) -> Phantom:
    """The scan, (size, size) uint8, and its masks."""
    a, level = scene.anatomy, scene.options.level
    retina = Retina(scene, size, scene.lesions)
    tissue = scene.stream("tissue")
    image = _stack(scene, retina, tissue)
    masks: dict[str, Array] = _lesion_masks(scene, retina)
    image = _inside(scene, retina, image, masks)
    image = _harmless(scene, retina, image, masks)
    speckles = scene.stream("grain")
    speckle = grain(speckles, size, 0.35)
    image *= FLOAT(a["signal"]) * (FLOAT(1) + FLOAT(0.24 * level.noise) * speckle)
    image += FLOAT(0.035 * level.noise) * np.abs(grain(speckles, size, 0.2))
    middle = (retina.x - FLOAT(0.5)) * FLOAT(2)
    image *= FLOAT(1) - FLOAT(a["vignette"]) * middle * middle
    if scene.marker is not None:
        token = scene.marker
        ink = letters(size, token.text, token.x, token.y, token.height)
        image += ink * (FLOAT(token.value) - image)
        masks["marker"] = ink > FLOAT(0.5)
    inside = np.abs(retina.x - FLOAT(a["fovea"])) < FLOAT(0.6 * a["pit_width"])
    masks |= {
        "vitreous": retina.y < retina.tops[0],
        "inner_retina": retina.between(0, INNER),
        "outer_retina": retina.between(INNER, 7),
        "rpe": retina.between(8, 9),
        "choroid": (retina.y >= retina.bruch) & (retina.y < retina.bruch + FLOAT(a["choroid"])),
        "fovea": retina.between(0, 8) & inside,
    }
    return Phantom(to_bytes(image), masks)


def _stack(scene: Scene, retina: Retina, tissue: np.random.Generator) -> Array:
    """The layers from the vitreous to the choroid, which fades with depth."""
    size, soft = retina.size, max(0.010, 1.5 / retina.size)
    values = [VITREOUS, *(value for _, _, value in LAYERS), CHOROID]
    reflect = max((i["reflect"] for i in scene.lesions if "reflect" in i.parameters), default=1.0)
    values[-2] *= reflect
    image = np.full((size, size), VITREOUS, FLOAT)
    for top, above, below in zip(
        [*retina.tops, retina.bruch], values[:-1], values[1:], strict=True
    ):
        image += FLOAT(below - above) * edge(retina.y - top, soft)
    texture = fractal(tissue, size, 10, 3, 0.7)
    image *= FLOAT(1) + FLOAT(0.06) * texture
    depth = retina.y - retina.bruch
    under = edge(depth, soft)
    thickness = FLOAT(scene.anatomy["choroid"])
    lumen = np.maximum(smooth_noise(tissue, size, 22, 15), 0)
    fade = np.exp(-np.maximum(depth, 0) * FLOAT(4.0)) * (
        FLOAT(1) - FLOAT(0.55) * edge(depth - thickness, 0.12)
    )
    choroid = fade * (FLOAT(1) - FLOAT(0.38) * np.minimum(lumen, FLOAT(1.6)))
    return image * (FLOAT(1) + under * (choroid - FLOAT(1)))


def _lesion_masks(scene: Scene, retina: Retina) -> dict[str, Array]:
    """Masks of what lies between layers; drusen and CNV from the lift they make."""
    masks: dict[str, Array] = {}
    under, fluid = retina.between(9, 10), retina.between(7, 8)
    seen = FLOAT(0.004)
    if scene.lesions_of("drusen"):
        masks["drusen"] = under & (retina.lift["drusen"] > seen)
    if scene.lesions_of("cnv"):
        masks["cnv"] = (under & (retina.lift["cnv"] > seen)) | (
            fluid & (retina.lift["fluid"] > seen)
        )
    if scene.lesions_of("granularity"):
        masks["granularity"] = retina.between(0, 8)
    for item in scene.lesions_of("thinning"):
        others = tuple(other for other in scene.lesions if other is not item)
        healthy = Retina(scene, retina.size, others)
        side = FLOAT(item["side"]) * (retina.x - FLOAT(scene.anatomy["fovea"]))
        both = healthy.between(0, INNER) | retina.between(0, INNER)
        masks["thinning"] = both & (side > FLOAT(0.8 * scene.anatomy["pit_width"]))
    return masks


def _inside(scene: Scene, retina: Retina, image: Array, masks: dict[str, Array]) -> Array:
    """What lies inside layers: cysts, granularity."""
    level, size = scene.options.level, retina.size
    for item in scene.lesions_of("cyst"):
        column = min(size - 1, max(0, int(item["x"] * size)))
        top, low = float(retina.tops[0][0, column]), float(retina.tops[7][0, column])
        centre = (item["x"], top + item["level"] * (low - top))
        radii = (item["rx"] * 1.35 * level.size, item["ry"] * 1.35 * level.size)
        shape = blob(scene.stream("thing", item.number), size, centre, radii, 0.0, 0.15)
        hole = edge(shape - FLOAT(0.12), 0.18) * edge(retina.y - retina.tops[0], 0.02)
        hole = hole * edge(retina.tops[7] - retina.y, 0.02)
        depth = FLOAT(min(1.0, item["contrast"] * (0.4 + 0.6 * level.contrast)))
        image = image + depth * hole * (FLOAT(0.09) - image)
        masks["cyst"] = masks.get("cyst", False) | (hole > FLOAT(0.5))
    for item in scene.lesions_of("granularity"):
        dots = smooth_noise(scene.stream("thing", item.number), size, 40, 40)
        bright = np.maximum(dots - FLOAT(0.4), 0) * FLOAT(item["contrast"] * level.contrast)
        part = edge(retina.y - retina.tops[0], 0.02) * edge(retina.tops[8] - retina.y, 0.02)
        image = image + bright * part
    return image


def _harmless(scene: Scene, retina: Retina, image: Array, masks: dict[str, Array]) -> Array:
    """Look-alikes: a vessel (dark lumen, shadow below), a vitreous speck, a bright reflection."""
    size = retina.size
    for thing in scene.lookalikes:
        column = min(size - 1, max(0, int(thing["x"] * size)))
        top, low = float(retina.tops[0][0, column]), float(retina.tops[INNER][0, column])
        generator = scene.stream("lookalikes", thing.number + 1)
        radius = 0.012 + 0.012 * thing["size"]
        if thing.kind == "vessel":
            y, value, peak = top + 0.02, 0.55, -0.25
            shade = np.maximum(FLOAT(1) - np.abs(retina.x - FLOAT(thing["x"])) / FLOAT(radius), 0)
            below = edge(retina.y - FLOAT(y), 0.02)
            image = image * (FLOAT(1) - FLOAT(0.25 + 0.25 * thing["strength"]) * shade * below)
        elif thing.kind == "speck":
            y, value, peak = top * (0.25 + 0.6 * thing["y"]), 0.5, 0.25
            radius *= 0.8
        else:
            y, value, peak = top + thing["y"] * max(low - top, 0.02), 0.95, 0.0
            radius *= 0.7
        spot = blob(generator, size, (thing["x"], y), (radius * 1.3, radius), 0.0, 0.1)
        aim = FLOAT(value + peak * thing["strength"])
        image = image + FLOAT(0.8) * np.sqrt(spot) * (aim - image)
        masks["lookalike"] = masks.get("lookalike", False) | (spot > FLOAT(0.3))
    return image
