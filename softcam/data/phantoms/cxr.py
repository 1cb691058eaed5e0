"""Chest X-ray (postero-anterior view): lungs, ribs, heart, vessels, film noise; opacities.

Attenuations add up along the beam and the film answers with 1 - exp(-attenuation), so bone on
heart is brighter than either, but less than their sum. The patient's right is on the left side.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from softcam.data.phantoms.chest import RANGES, Chest, dome, heart_reach, lung_edges
from softcam.data.phantoms.drawing import (
    FLOAT,
    blob,
    edge,
    fractal,
    grain,
    letters,
    smooth_noise,
    strokes,
    to_bytes,
    trails,
)
from softcam.data.phantoms.options import PhantomOptions
from softcam.data.phantoms.scene import Marker, Phantom, Scene, Thing, stream, uniform

__all__ = ["draw", "draw_marker", "render"]

Array = np.ndarray

COUNT, TWIGS, STEPS = 11, 26, 40  # vessels of one lung, their branches, points of a vessel


def draw(
    options: PhantomOptions, index: int, true_label: int
) -> tuple[dict[str, float], tuple[Thing, ...], tuple[Thing, ...]]:
    """Anatomy, lesions and look-alikes of one scene."""
    anatomy = uniform(stream(options, index, "anatomy"), RANGES)
    generator = stream(options, index, "lesions")
    lesions: tuple[Thing, ...] = ()
    if true_label > 0:
        kind = options.classes[true_label]
        count = int(generator.choice([1, 2], p=[0.7, 0.3])) if kind == "opacity" else 1
        lesions = tuple(_lesion(kind, k, anatomy, generator) for k in range(count))
    lookalikes: tuple[Thing, ...] = ()
    if options.lookalikes:
        lookalikes = _lookalikes(anatomy, stream(options, index, "lookalikes"))
    return anatomy, lesions, lookalikes


def draw_marker(generator: np.random.Generator) -> Marker:
    """The side marker, in an upper corner, beside or above the shoulder."""
    x, y, height, value, side = generator.random(5)
    left = side < 0.5
    return Marker(
        text="R" if left else "L",
        x=(0.035 if left else 0.895) + 0.03 * float(x),
        y=0.03 + 0.05 * float(y),
        height=0.075 + 0.02 * float(height),
        value=0.9 + 0.1 * float(value),
    )


def _lesion(
    kind: str, number: int, anatomy: Mapping[str, float], generator: np.random.Generator
) -> Thing:
    if kind == "opacity":
        x, y = _place(anatomy, generator, (0.18, 0.92), (0.2, 0.8))
        ranges = {
            "radius": (0.115, 0.185),
            "stretch": (0.75, 1.3),
            "angle": (0.0, 3.14),
            "contrast": (0.26, 0.42),
        }
        return Thing(kind, number, {"x": x, "y": y, **uniform(generator, ranges)})
    if kind == "effusion":
        ranges = {"height": (0.09, 0.2), "contrast": (0.5, 0.7)}
        side = -1.0 if generator.random() < 0.5 else 1.0
        return Thing(kind, number, {"side": side, **uniform(generator, ranges)})
    if kind == "interstitial":
        return Thing(kind, number, uniform(generator, {"contrast": (0.04, 0.065)}))
    return Thing(kind, number, uniform(generator, {"ratio": (0.55, 0.65)}))  # cardiomegaly


def _lookalikes(anatomy: Mapping[str, float], generator: np.random.Generator) -> tuple[Thing, ...]:
    """Nipple shadows (a pair), vessels seen end-on, a calcified granuloma."""
    things: list[Thing] = []
    nipples, granuloma = generator.random(2) < (0.3, 0.25)
    across, down = generator.uniform((0.5, 0.62), (0.62, 0.7))
    for side in (-1, 1):
        if nipples:
            x = anatomy["middle"] + side * float(across) * anatomy["chest"]
            size = {"x": x, "y": float(down), "radius": 0.028, "contrast": 0.16}
            things.append(Thing("nipple", len(things), size))
    for _ in range(int(generator.integers(1, 5))):
        x, y = _place(anatomy, generator, (0.3, 0.8), (0.05, 0.5))
        dot = uniform(generator, {"radius": (0.012, 0.02), "contrast": (0.12, 0.25)})
        things.append(Thing("vessel_end", len(things), {"x": x, "y": y, **dot}))
    if granuloma:
        x, y = _place(anatomy, generator, (0.2, 0.9), (0.2, 0.8))
        dot = {"x": x, "y": y, "radius": 0.018, "contrast": 0.7}
        things.append(Thing("granuloma", len(things), dot))
    return tuple(things)


def _place(
    a: Mapping[str, float],
    generator: np.random.Generator,
    down: tuple[float, float],
    across: tuple[float, float],
) -> tuple[float, float]:
    """A point of a lung that the heart does not hide: shares of its height and its width."""
    side = -1.0 if generator.random() < 0.5 else 1.0
    v, u = (low + (high - low) * float(generator.random()) for low, high in (down, across))
    y = a["apex"] + v * (dome(a, side) - a["apex"])
    inner, outer = lung_edges(a, side, np.array([y]))
    inner = np.maximum(inner, heart_reach(a, a["ratio"], side, np.array([y])))
    return a["middle"] + side * float(inner[0] + u * (outer - inner)[0]), y


def render(scene: Scene, size: int) -> Phantom:
    """The film, (size, size) uint8, and its masks."""
    a, level = scene.anatomy, scene.options.level
    ratio = _ratio(scene)
    chest = Chest(a, ratio, size)
    ribs, front_ribs = chest.ribs()
    clavicles, spine = chest.clavicles(), chest.spine()
    attenuation = _still_life(scene, chest)
    bone = FLOAT(a["rib_strength"])
    attenuation += bone * (FLOAT(1.5) * ribs + FLOAT(0.9) * front_ribs)
    attenuation += FLOAT(0.17) * clavicles + FLOAT(0.20) * spine
    masks = _add_things(scene, chest, attenuation)
    film = FLOAT(1) - np.exp(FLOAT(-1.5) * attenuation)
    speckle = grain(scene.stream("grain"), size, 0.45)
    film += FLOAT(0.017 * level.noise) * speckle * (FLOAT(1.25) - film)
    if scene.marker is not None:
        token = scene.marker
        ink = letters(size, token.text, token.x, token.y, token.height)
        film = film + ink * (FLOAT(token.value) - film)
        masks["marker"] = ink > FLOAT(0.5)
    masks |= {
        "lungs": chest.lungs > FLOAT(0.5),
        "heart": chest.heart > FLOAT(0.5),
        "ribs": np.maximum(ribs, front_ribs) > FLOAT(0.4),
        "clavicles": clavicles > FLOAT(0.4),
        "spine": spine > FLOAT(0.4),
        "diaphragm": chest.below > FLOAT(0.5),
    }
    return Phantom(to_bytes(film), masks)


def _ratio(scene: Scene) -> float:
    """Heart to chest, with the lesion if there is one."""
    healthy = scene.anatomy["ratio"]
    for lesion in scene.lesions_of("cardiomegaly"):
        strength = min(1.25, 0.4 + 0.6 * scene.options.level.contrast)
        return healthy + (lesion["ratio"] - healthy) * strength
    return healthy


def _add_things(scene: Scene, chest: Chest, attenuation: Array) -> dict[str, Array]:
    """Add lesions and look-alikes to the attenuation, in place; their masks."""
    masks: dict[str, Array] = {}
    for lesion in scene.lesions:
        if lesion.kind == "cardiomegaly":
            healthy = Chest(scene.anatomy, scene.anatomy["ratio"], chest.size).heart
            masks["cardiomegaly"] = chest.heart - healthy > FLOAT(0.5)
            continue
        added, mask = _DRAW[lesion.kind](scene, chest, lesion)
        attenuation += added
        masks[lesion.kind] = masks.get(lesion.kind, False) | mask
    for thing in scene.lookalikes:
        spot = _dot(scene, thing, chest.size) * chest.lungs
        attenuation += FLOAT(thing["contrast"]) * spot
        masks["lookalike"] = masks.get("lookalike", False) | (spot > FLOAT(0.3))
    return masks


def _still_life(scene: Scene, chest: Chest) -> Array:
    """Attenuation of everything soft and healthy: body, lungs, heart, great vessels."""
    a, size, y = scene.anatomy, chest.size, chest.y
    generator = scene.stream("tissue")
    cloud = fractal(generator, size, 3, 3, 0.6)
    fine = smooth_noise(generator, size, 28, 28)
    flesh = FLOAT(0.62) + FLOAT(0.28) * edge(y - FLOAT(0.7), 0.5) + FLOAT(0.025) * cloud
    total = flesh * chest.body
    lungs = chest.lungs * (FLOAT(1) - FLOAT(0.85) * chest.heart)
    vessels = _vessels(scene, chest)
    aerated = FLOAT(0.46 * a["air"]) + FLOAT(0.03) * cloud + FLOAT(0.012) * fine
    total -= lungs * (aerated - FLOAT(0.17) * vessels)
    total += FLOAT(0.30) * chest.heart + FLOAT(0.20) * chest.mediastinum()
    total -= FLOAT(0.16) * chest.trachea()
    total += FLOAT(0.45) * chest.below
    if a["breast"] > 0:
        total += FLOAT(a["breast"]) * chest.breasts() * chest.body
    if a["bubble"] > 0:
        centre = (a["middle"] + 0.2, dome(a, 1.0) + 0.075)
        bubble = blob(generator, size, centre, (0.10, 0.05), 0.1, 0.1)
        total -= FLOAT(0.35 * a["bubble"]) * bubble * chest.below
    return np.maximum(total, FLOAT(0.02)) * FLOAT(a["exposure"])


def _vessels(scene: Scene, chest: Chest) -> Array:
    """Hilar shadows and the vessels that branch from them, thinner and fewer outwards."""
    a, generator, size = scene.anatomy, scene.stream("vessels"), chest.size
    total = np.zeros((size, size), FLOAT)
    parts = []
    for side in (-1.0, 1.0):
        hilum = (a["middle"] + side * (a["mediastinum"] + 0.035), a["apex"] + 0.30 + 0.02 * side)
        total += FLOAT(1.1) * blob(generator, size, hilum, (0.075, 0.12), -0.3 * side, 0.3)
        fan = np.linspace(-1.3, 1.5, COUNT) + generator.uniform(-0.14, 0.14, COUNT)
        heading = fan if side > 0 else np.pi - fan
        start = np.array(hilum) + generator.uniform(-0.03, 0.03, (COUNT, 2))
        bend = generator.uniform(-1.0, 1.0, COUNT)
        length = generator.uniform(0.12, 0.30, COUNT) * a["chest"] / 0.38
        shiver = generator.normal(0.0, 0.12, (COUNT, STEPS))
        trunk = trails(start, heading, bend, length, STEPS, shiver)
        parts.append((trunk, 0.0065, 0.0020, generator.uniform(0.3, 0.8, COUNT)))
        which, at = generator.integers(0, COUNT, TWIGS), generator.integers(8, 36, TWIGS)
        turn = generator.choice([-1.0, 1.0], TWIGS) * generator.uniform(0.35, 0.9, TWIGS)
        twig = trails(
            trunk[which, at],
            heading[which] + bend[which] * at / (STEPS - 1) + turn,
            generator.uniform(-0.7, 0.7, TWIGS),
            generator.uniform(0.05, 0.16, TWIGS),
            STEPS // 2,
        )
        parts.append((twig, 0.0034, 0.0012, generator.uniform(0.2, 0.7, TWIGS)))
    points = np.concatenate([path.reshape(-1, 2) for path, *_ in parts])
    radius = np.concatenate(
        [np.tile(np.linspace(r0, r1, p.shape[1]), p.shape[0]) for p, r0, r1, _ in parts]
    )
    amount = np.concatenate([np.repeat(value, p.shape[1]) for p, _, _, value in parts])
    return total + strokes(size, points, radius, amount)


def _dot(scene: Scene, thing: Thing, size: int) -> Array:
    generator = scene.stream("lookalikes", thing.number + 1)
    return blob(generator, size, (thing["x"], thing["y"]), (thing["radius"],) * 2, 0.0, 0.1)


def _opacity(scene: Scene, chest: Chest, lesion: Thing) -> tuple[Array, Array]:
    """A soft, patchy consolidation; it hides the vessels it lies on."""
    level, size = scene.options.level, chest.size
    generator = scene.stream("thing", lesion.number)
    radius = lesion["radius"] * level.size
    radii = (radius * lesion["stretch"], radius / lesion["stretch"])
    shape = blob(generator, size, (lesion["x"], lesion["y"]), radii, lesion["angle"], 0.45)
    patchy = FLOAT(1) + FLOAT(0.22) * fractal(generator, size, 14, 2, 0.6)
    lung = chest.left if lesion["x"] < scene.anatomy["middle"] else chest.right
    cover = np.sqrt(shape) * lung
    added = cover * np.maximum(patchy, FLOAT(0.2)) * FLOAT(lesion["contrast"] * level.contrast)
    return added, cover > FLOAT(0.3)


def _effusion(scene: Scene, chest: Chest, lesion: Thing) -> tuple[Array, Array]:
    """Fluid in one costophrenic angle: a meniscus that climbs the chest wall."""
    a, level = scene.anatomy, scene.options.level
    side = lesion["side"]
    out = chest.across * FLOAT(side / a["chest"])
    climb = FLOAT(lesion["height"] * level.size) * out * np.abs(out)
    surface = FLOAT(dome(a, side) + 0.035) - climb * FLOAT(1.1)
    fluid = edge(chest.y - surface, 0.05) * edge(out - FLOAT(0.45), 0.25) * chest.lungs
    return fluid * FLOAT(lesion["contrast"] * min(1.1, level.contrast)), fluid > FLOAT(0.3)


def _interstitial(scene: Scene, chest: Chest, lesion: Thing) -> tuple[Array, Array]:
    """Fine reticular shadows over both lungs: a sign without a place."""
    generator, size = scene.stream("thing", lesion.number), chest.size
    first = np.abs(smooth_noise(generator, size, 26, 26))
    second = np.abs(smooth_noise(generator, size, 20, 20))
    net = np.maximum(FLOAT(1) - first * FLOAT(2.4), 0) + np.maximum(FLOAT(1) - second * FLOAT(2), 0)
    contrast = FLOAT(2.2 * lesion["contrast"] * scene.options.level.contrast)
    return contrast * net * chest.lungs, chest.lungs > FLOAT(0.5)


_DRAW = {"opacity": _opacity, "effusion": _effusion, "interstitial": _interstitial}
