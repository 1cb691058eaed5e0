"""What often goes wrong with the share of a map that is the same in every image."""

from __future__ import annotations

import numpy as np

from softcam.checks.records import Mistake

__all__ = ["CONSTANT"]


def _level(a: np.ndarray) -> np.ndarray:
    """The maps without their logits."""
    return np.asarray(a - a.mean((2, 3), keepdims=True))


def _share(d: np.ndarray) -> np.ndarray:
    """(C,): of maps from which the level was taken, or not."""
    total = (d**2).sum((2, 3)).mean(0)
    common = (d.mean(0) ** 2).sum((1, 2))
    return np.where(total < 1e-12, 0, common / np.where(total < 1e-12, 1, total))


OWN = "three steps: the logit out of each map, the mean over images, two sums of squares."

CONSTANT = (
    Mistake(
        "level-left",
        "You leave the logits in: that all images have a high logit counts as paint.",
        OWN,
        lambda a: _share(a),
    ),
    Mistake(
        "wrong-mean",
        "You take one mean over images and cells away; every map has its own.",
        OWN,
        lambda a: _share(a - a.mean((0, 2, 3), keepdims=True)),
    ),
    Mistake(
        "wrong-mean",
        "You take the mean over the classes away; every map has its own mean over cells.",
        OWN,
        lambda a: _share(a - a.mean(1, keepdims=True)),
    ),
    Mistake(
        "wrong-axis",
        "You average over the classes where the images belong.",
        "paint is the same in every IMAGE.",
        lambda a: _share(_level(a).swapaxes(0, 1)),
    ),
    Mistake(
        "squared-too-early",
        "You square before you average over images: then nothing can cancel, and all looks alike.",
        "the mean map first, its square afterwards.",
        lambda a: np.where(_share(_level(a)) > 0, 1.0, 0.0),
    ),
    Mistake(
        "nan-at-zero",
        "Where a map is the same in every cell you divide by zero.",
        "0 where D is zero everywhere.",
        lambda a: (_level(a).mean(0) ** 2).sum((1, 2)) / (_level(a) ** 2).sum((2, 3)).mean(0),
    ),
    Mistake(
        "sum-for-mean",
        "Below the bar you take the sum over images; their mean is asked for.",
        OWN,
        lambda a: _share(_level(a)) / len(a),
    ),
    Mistake(
        "sum-for-mean",
        "Above the bar you take the sum over images; the mean map is asked for.",
        OWN,
        lambda a: _share(_level(a)) * len(a) ** 2,
    ),
    Mistake(
        "abs-for-square",
        "You use absolute values; squares are asked for.",
        OWN,
        lambda a: np.where(
            np.abs(_level(a)).sum((2, 3)).mean(0) < 1e-6,
            0,
            np.abs(_level(a).mean(0)).sum((1, 2))
            / np.maximum(np.abs(_level(a)).sum((2, 3)).mean(0), 1e-12),
        ),
    ),
    Mistake(
        "root",
        "You take the root of the share.",
        "squares above and below the bar.",
        lambda a: np.sqrt(_share(_level(a))),
    ),
    Mistake(
        "complement",
        "You return the part that differs between images.",
        "1 is the same map in every image.",
        lambda a: 1 - _share(_level(a)),
    ),
    Mistake(
        "classes-together",
        "You return one number; each class has its own.",
        "(C,): one number a class.",
        lambda a: _share(_level(a)).mean(),
    ),
)
