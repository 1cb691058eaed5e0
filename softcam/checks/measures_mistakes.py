"""What often goes wrong in assignment 4, each as a function that gives the wrong result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from softcam.checks.grid_mistakes import CENTRES
from softcam.checks.records import Mistake

__all__ = ["ASKED", "POINTING", "PRECISION", "STEPS", "three_numbers"]

Hit = Callable[[np.ndarray, np.ndarray], bool]


def _large(maps: np.ndarray, findings: np.ndarray, **how: Any) -> np.ndarray:
    how = how or {"mode": "bilinear", "align_corners": False}
    given = torch.from_numpy(maps)[:, None]
    large = F.interpolate(given, size=findings.shape[1:], **how)[:, 0].numpy()
    return np.asarray(large.round(9))  # equal values stay equal, whatever the order of the sums


def _first(image: np.ndarray, marked: np.ndarray) -> bool:
    return bool(marked.ravel()[image.argmax()]) and image.max() > image.min()


def _share(
    large: np.ndarray, findings: np.ndarray, hit: Hit = _first, *, every: bool = False
) -> float:
    """Hits / images with a finding; `every` divides by all images."""
    asked = [(a, m) for a, m in zip(large, findings, strict=True) if every or m.any()]
    return sum(hit(a, m) for a, m in asked) / len(asked)


def _cell_touches(maps: np.ndarray, findings: np.ndarray) -> float:
    """Whether any pixel of the hottest cell is marked."""
    high, wide = (m // c for m, c in zip(findings.shape[1:], maps.shape[1:], strict=True))
    hits = []
    for cells, marked in zip(maps, findings, strict=True):
        row, column = np.unravel_index(cells.argmax(), cells.shape)
        block = marked[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
        hits.append(bool(block.any()))
    return float(np.mean(np.array(hits)[findings.any((1, 2))]))


ENLARGE = "enlarge first, ask afterwards: the finding is given in pixels."
ASKED = "images without a finding cannot be hit or missed: they are not asked."

POINTING = (
    Mistake(
        "empty-images-counted",
        "You count images without a finding as misses.",
        ASKED,
        lambda a, m: _share(_large(a, m), m, every=True),
    ),
    Mistake(
        "constant-is-hit",
        "A constant map counts as a hit when the first pixel is marked: it points nowhere.",
        "what the maximum of a map means that is the same everywhere.",
        lambda a, m: _share(_large(a, m), m, lambda x, y: bool(y.ravel()[x.argmax()])),
    ),
    Mistake(
        "abs-for-maximum",
        "You take the largest absolute value: evidence against the class counts as well.",
        "the map is signed; its maximum is asked for.",
        lambda a, m: _share(_large(np.abs(a), m), m),
    ),
    Mistake(
        "minimum-for-maximum",
        "You take the smallest value of the map.",
        "red speaks for the class, blue against it.",
        lambda a, m: _share(_large(-a, m), m),
    ),
    Mistake(
        "nearest",
        "You enlarge by repeating cells; it should be bilinear.",
        CENTRES,
        lambda a, m: _share(_large(a, m, mode="nearest"), m),
    ),
    Mistake(
        "corners-aligned",
        "You put the corner cells on the corner pixels.",
        CENTRES,
        lambda a, m: _share(_large(a, m, mode="bilinear", align_corners=True), m),
    ),
    Mistake(
        "any-maximum",
        "With two equal maxima you count a hit if any of them lies in the finding.",
        "the first in reading order decides.",
        lambda a, m: _share(
            _large(a, m), m, lambda x, y: bool(y[x == x.max()].any()) and x.max() > x.min()
        ),
    ),
    Mistake(
        "last-maximum",
        "With two equal maxima you take the last one.",
        "the first in reading order decides.",
        lambda a, m: _share(_large(a, m)[:, ::-1, ::-1], m[:, ::-1, ::-1]),
    ),
    Mistake(
        "not-enlarged", "You look for the hottest cell of the small map.", ENLARGE, _cell_touches
    ),
    Mistake(
        "row-and-column-swapped",
        "Row and column of the maximum have changed places.",
        "how the index in a flat image is split into row and column: by the width.",
        lambda a, m: _share(
            _large(a, m),
            m,
            lambda x, y: bool(
                y[min(x.argmax() % x.shape[1], y.shape[0] - 1), x.argmax() // x.shape[1]]
            ),
        ),
    ),
    Mistake(
        "mean-for-hit",
        "You count how much of the map lies in the finding, not whether its maximum does.",
        "each image is a hit or a miss.",
        lambda a, m: _nanmean(_precision(_large(a, m), m)),
    ),
    Mistake(
        "percent",
        "You return per cent; the share is a number from 0 to 1.",
        "the unit.",
        lambda a, m: 100 * _share(_large(a, m), m),
    ),
    Mistake(
        "count-for-share",
        "You return how many images are hit, not their share.",
        ASKED,
        lambda a, m: sum(_first(*each) for each in zip(_large(a, m), m, strict=True)) + 0.0,
    ),
)


def _precision(
    large: np.ndarray, findings: np.ndarray, *, minimum: bool = True, nothing: float = np.nan
) -> np.ndarray:
    """Of each image, (B,); `large` as it is to be shared out."""
    shares = []
    for image, marked in zip(large, findings, strict=True):
        image = image - image.min() if minimum else image
        total = image.sum()
        shares.append(image[marked].sum() / total if total and marked.any() else nothing)
    return np.array(shares)


def _nanmean(values: np.ndarray) -> float:
    return float(np.mean(values[~np.isnan(values)]))


def _relu(a: np.ndarray) -> np.ndarray:
    return np.maximum(a, 0)


STEPS = "the four steps in their order: enlarge, positive part, minimum to zero, the two sums."

PRECISION = (
    Mistake(
        "relu-too-early",
        "You set negative cells to zero before you enlarge the map: near the border of the "
        "positive part it makes a difference.",
        STEPS,
        lambda a, m: _precision(_relu(_large(_relu(a), m)), m),
    ),
    Mistake(
        "relu-forgotten",
        "You share out the signed map: negative evidence cancels positive.",
        STEPS,
        lambda a, m: _precision(_large(a, m), m, minimum=False),
    ),
    Mistake(
        "normalised-map",
        "You move the minimum of the signed map to zero: then evidence against counts as for.",
        STEPS,
        lambda a, m: _precision(_large(a, m), m),
    ),
    Mistake(
        "abs-for-relu",
        "You share out absolute values; evidence against the class is not asked for.",
        STEPS,
        lambda a, m: _precision(np.abs(_large(a, m)), m),
    ),
    Mistake(
        "abs-for-relu",
        "You share out absolute values; evidence against the class is not asked for.",
        STEPS,
        lambda a, m: _precision(np.abs(_large(a, m)), m, minimum=False),
    ),
    Mistake(
        "zero-for-nan",
        "Where nothing can be asked you return 0: that would count as the worst map.",
        "no finding, or no positive evidence: NaN says that the image has no value.",
        lambda a, m: _precision(_relu(_large(a, m)), m, nothing=0.0),
    ),
    Mistake(
        "minimum-forgotten",
        "You forget to move the minimum of the positive part to zero.",
        "a map that is positive everywhere: its common level points nowhere.",
        lambda a, m: _precision(_relu(_large(a, m)), m, minimum=False),
    ),
    Mistake(
        "sensitivity",
        "You divide by the area of the finding: that is activation sensitivity.",
        "precision: of what the map marks. Sensitivity: of what is to be marked.",
        lambda a, m: _sensitivity(_relu(_large(a, m)), m),
    ),
    Mistake(
        "sensitivity",
        "You divide by the area of the finding: that is activation sensitivity.",
        "precision: of what the map marks. Sensitivity: of what is to be marked.",
        lambda a, m: _sensitivity(_relu(_large(a, m)), m, scaled=False),
    ),
    Mistake(
        "outside",
        "You return the share outside the finding.",
        "precision is high where the map keeps to the finding.",
        lambda a, m: 1 - _precision(_relu(_large(a, m)), m),
    ),
    Mistake(
        "nearest",
        "You enlarge by repeating cells; it should be bilinear.",
        CENTRES,
        lambda a, m: _precision(_relu(_large(a, m, mode="nearest")), m),
    ),
    Mistake(
        "corners-aligned",
        "You put the corner cells on the corner pixels.",
        CENTRES,
        lambda a, m: _precision(_relu(_large(a, m, mode="bilinear", align_corners=True)), m),
    ),
    Mistake(
        "pixels-counted",
        "You count positive pixels; each should count by its evidence.",
        STEPS,
        lambda a, m: _precision((_large(a, m) > 0).astype(float), m, minimum=False),
    ),
    Mistake(
        "batch-mean",
        "You add up the batch before you divide; each image has its own value.",
        "(B,): one number an image.",
        lambda a, m: np.full(len(a), _relu(_large(a, m))[m].sum() / _relu(_large(a, m)).sum()),
    ),
    Mistake(
        "batch-mean",
        "You return the mean over images; each image has its own value.",
        "(B,): one number an image.",
        lambda a, m: np.asarray(_nanmean(_precision(_relu(_large(a, m)), m))),
    ),
)


def _sensitivity(positive: np.ndarray, findings: np.ndarray, *, scaled: bool = True) -> np.ndarray:
    low = positive.min((1, 2), keepdims=True)
    span = positive.max((1, 2), keepdims=True) - low
    level = (positive - low) / np.where(span == 0, 1, span) if scaled else positive
    return np.asarray((level * findings).sum((1, 2)) / findings.sum((1, 2)))


def three_numbers(map: np.ndarray, finding: np.ndarray, **other: float) -> dict[str, Any]:
    """The answers of `measures_by_hand`."""
    precision = float(_precision(_relu(map)[None], finding[None], minimum=False)[0])
    hit = float(_first(map, finding))
    return {"pointing": hit, "precision": precision, "chance": float(finding.mean()), **other}
