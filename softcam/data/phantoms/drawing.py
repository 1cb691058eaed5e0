"""Drawing by arithmetic: grids, soft edges, smooth noise, strokes, letters.

Lengths are in image sides and (0, 0) is the top-left corner, so a scene can be drawn at any size.
Everything is float32 NumPy without reductions over the image and without BLAS, so pixels agree
between platforms up to rounding.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

__all__ = [
    "blob",
    "curve_noise",
    "edge",
    "fractal",
    "grain",
    "grid",
    "letters",
    "smooth_noise",
    "strokes",
    "to_bytes",
    "trails",
]

Array = np.ndarray
FLOAT = np.float32

# 5 x 7 dots; enough for side markers and scanner tags.
FONT = {
    "L": ("1....", "1....", "1....", "1....", "1....", "1....", "11111"),
    "R": ("1111.", "1...1", "1...1", "1111.", "1.1..", "1..1.", "1...1"),
    "A": (".111.", "1...1", "1...1", "11111", "1...1", "1...1", "1...1"),
    "P": ("1111.", "1...1", "1...1", "1111.", "1....", "1....", "1...."),
    "H": ("1...1", "1...1", "1...1", "11111", "1...1", "1...1", "1...1"),
    "E": ("11111", "1....", "1....", "1111.", "1....", "1....", "11111"),
    "D": ("1111.", "1...1", "1...1", "1...1", "1...1", "1...1", "1111."),
    "S": (".1111", "1....", "1....", ".111.", "....1", "....1", "1111."),
}


@lru_cache(maxsize=8)
def grid(size: int) -> tuple[Array, Array]:
    """Pixel centres: x (1, size) and y (size, 1) float32 in (0, 1), read-only."""
    centres = ((np.arange(size) + 0.5) / size).astype(FLOAT)
    x, y = centres[None, :].copy(), centres[:, None].copy()
    x.setflags(write=False)
    y.setflags(write=False)
    return x, y


def edge(distance: Array, soft: float) -> Array:
    """A smooth step: 0 at distance <= -soft / 2, 1 at distance >= soft / 2."""
    t = np.clip(distance * FLOAT(1.0 / soft) + FLOAT(0.5), FLOAT(0), FLOAT(1))
    return t * t * (FLOAT(3) - FLOAT(2) * t)


@lru_cache(maxsize=64)
def _taps(size: int, cells: int) -> tuple[Array, Array]:
    """Uniform cubic B-spline over [0, 1]: first knot (size,) and the weights of 4 (4, size, 1)."""
    position = (np.arange(size) + 0.5) / size * cells
    first = np.minimum(position.astype(int), cells - 1)
    t = position - first
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    return first, np.stack(weights).astype(FLOAT)[:, :, None]


def _interpolate(knots: Array, size: int) -> Array:
    """Knots (cells + 3, n) to (size, n): four taps, no BLAS, whose threads would cost more."""
    first, weights = _taps(size, len(knots) - 3)
    total = weights[0] * knots[first]
    for k in (1, 2, 3):
        total += weights[k] * knots[first + k]
    return total


# Mean of the sum of squared cubic B-spline weights: the variance the spline leaves, per axis.
_SPLINE_VARIANCE = 0.4794


def smooth_noise(generator: np.random.Generator, size: int, rows: int, columns: int) -> Array:
    """Smooth noise of about unit variance: (size, size), `rows` x `columns` cells."""
    knots = generator.standard_normal((rows + 3, columns + 3), dtype=FLOAT)
    knots *= FLOAT(1 / _SPLINE_VARIANCE)
    across = _interpolate(np.ascontiguousarray(knots.T), size)
    return _interpolate(np.ascontiguousarray(across.T), size)


def curve_noise(generator: np.random.Generator, size: int, cells: int) -> Array:
    """Smooth noise along x, about unit variance: (1, size)."""
    knots = generator.standard_normal(cells + 3, dtype=FLOAT) * FLOAT(_SPLINE_VARIANCE**-0.5)
    return _interpolate(knots[:, None], size).T


def fractal(
    generator: np.random.Generator, size: int, cells: int, octaves: int, fall: float = 0.5
) -> Array:
    """Sum of `octaves` of smooth noise, each twice as fine and `fall` as strong: (size, size)."""
    total = np.zeros((size, size), FLOAT)
    for octave in range(octaves):
        amount = FLOAT(fall**octave)
        total += amount * smooth_noise(generator, size, cells << octave, cells << octave)
    return total


def grain(generator: np.random.Generator, size: int, blur: float = 0.5) -> Array:
    """Noise of about unit variance at pixel scale: (size, size).

    `blur` in [0, 1] is the weight of a pixel's upper and left neighbours.
    """
    white = generator.standard_normal((size + 1, size + 1), dtype=FLOAT)
    rows = white[1:] + FLOAT(blur) * white[:-1]
    both = rows[:, 1:] + FLOAT(blur) * rows[:, :-1]
    both *= FLOAT(1 / (1 + blur * blur))
    return both


def blob(
    generator: np.random.Generator,
    size: int,
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float = 0.0,
    ragged: float = 0.25,
) -> Array:
    """A soft, ragged ellipse with compact support: 1 in the middle, 0 outside, (size, size).

    Level 0.5 is at about 0.54 of the radii.
    """
    canvas = np.zeros((size, size), FLOAT)
    phases = generator.random(3) * 2 * np.pi
    reach = 1.5 * max(radii)
    columns, rows = _window(size, centre[0], reach), _window(size, centre[1], reach)
    x, y = grid(size)
    dx, dy = x[:, columns] - FLOAT(centre[0]), y[rows] - FLOAT(centre[1])
    cos, sin = FLOAT(np.cos(angle)), FLOAT(np.sin(angle))
    u = (dx * cos + dy * sin) * FLOAT(1 / radii[0])
    v = (dy * cos - dx * sin) * FLOAT(1 / radii[1])
    squared = u * u + v * v
    if ragged > 0 and squared.size:
        theta = np.arctan2(v, u)
        for k, phase in enumerate(phases):
            wave = np.cos(FLOAT(k + 2) * theta + FLOAT(phase))
            squared = squared * (FLOAT(1) + FLOAT(ragged / (k + 1.5)) * wave)
    inside = np.maximum(FLOAT(1) - squared, FLOAT(0))
    canvas[rows, columns] = inside * inside
    return canvas


def _window(size: int, centre: float, reach: float) -> slice:
    """The pixels within `reach` of `centre`, cut at the image."""
    low = int(np.floor((centre - reach) * size))
    high = int(np.ceil((centre + reach) * size)) + 1
    return slice(min(max(low, 0), size), max(min(high, size), 0))


def trails(
    start: Array, angle: Array, bend: Array, length: Array, steps: int, wiggle: Array | None = None
) -> Array:
    """Curved paths: N starts (N, 2), headings, total turns and lengths (N,) to (N, steps, 2)."""
    along = np.linspace(0.0, 1.0, steps)
    heading = angle[:, None] + bend[:, None] * along[None, :]
    if wiggle is not None:
        heading = heading + wiggle
    stride = (length / (steps - 1))[:, None]
    moves = np.stack([np.cos(heading) * stride, np.sin(heading) * stride], axis=-1)
    moves[:, 0] = 0.0
    return start[:, None, :] + np.cumsum(moves, axis=1)


def strokes(size: int, points: Array, radius: Array, amount: Array) -> Array:
    """Lines as overlapping soft dots, the strongest wins: (size, size) float32.

    Args:
        points: (N, 2) x, y in image sides, closer together than about a radius.
        radius: (N,) where the profile is at about half, in image sides.
        amount: (N,) the value on the line.
    """
    pixels = points * size - 0.5
    # A line thinner than the grid keeps its integral, not its height.
    wanted = radius * size
    drawn = np.maximum(wanted, 0.55)
    height = (amount * np.minimum(1.0, wanted / 0.55)).astype(FLOAT)
    reach = int(np.ceil(drawn.max() * 2.0)) if len(drawn) else 1
    corner = np.rint(pixels).astype(np.int64)
    offset = np.arange(-reach, reach + 1)
    columns = corner[:, 0, None] + offset
    rows = corner[:, 1, None] + offset
    scale = (0.8326 / drawn)[:, None]  # exp(-0.8326**2) = 0.5
    fall_x = np.exp(-(((columns - pixels[:, 0, None]) * scale) ** 2)).astype(FLOAT)
    fall_y = np.exp(-(((rows - pixels[:, 1, None]) * scale) ** 2)).astype(FLOAT)
    fall_x[(columns < 0) | (columns >= size)] = 0
    fall_y[(rows < 0) | (rows >= size)] = 0
    values = (height[:, None, None] * fall_y[:, :, None]) * fall_x[:, None, :]
    where = np.clip(rows, 0, size - 1)[:, :, None] * size + np.clip(columns, 0, size - 1)[:, None]
    canvas = np.zeros(size * size, FLOAT)
    np.maximum.at(canvas, where.reshape(-1), values.reshape(-1))
    return canvas.reshape(size, size)


def _coverage(size: int, start: float, step: float, count: int) -> Array:
    """Share of each pixel covered by each of `count` cells from `start`: (size, count)."""
    low = np.arange(size)[:, None] / size
    cells = start + step * np.arange(count)[None, :]
    overlap = np.minimum(low + 1 / size, cells + step) - np.maximum(low, cells)
    return (np.clip(overlap, 0, None) * size).astype(FLOAT)


def letters(size: int, text: str, x: float, y: float, height: float) -> Array:
    """Dot-matrix letters with anti-aliased edges: coverage (size, size) in [0, 1]."""
    rows = [".".join(FONT[letter][row] for letter in text) for row in range(7)]
    dots = np.array([[dot == "1" for dot in row] for row in rows], FLOAT)
    step = height / 7
    down = _coverage(size, y, step, 7)
    across = _coverage(size, x, step, dots.shape[1])
    ink = np.einsum("yr,rc->yc", down, dots)
    return np.clip(np.einsum("yc,xc->yx", ink, across), FLOAT(0), FLOAT(1))


def to_bytes(values: Array) -> Array:
    """[0, 1] to uint8, clipped and rounded."""
    return (np.clip(values, FLOAT(0), FLOAT(1)) * FLOAT(255) + FLOAT(0.5)).astype(np.uint8)
