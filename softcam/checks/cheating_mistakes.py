"""What often goes wrong in assignment 5, each as a function that gives the wrong result."""

from __future__ import annotations

import numpy as np

from softcam.checks.invariant import bilinear
from softcam.checks.records import Mistake

__all__ = ["EFFECT", "INSIDE", "SHARE", "pooled"]


def pooled(masks: np.ndarray, shape: tuple[int, ...], touched: bool = False) -> np.ndarray:
    """(B, h, w): the marked share of each cell, or whether any pixel of it is marked."""
    high, wide = masks.shape[1] // shape[0], masks.shape[2] // shape[1]
    blocks = masks.reshape(len(masks), shape[0], high, shape[1], wide).astype(float)
    return np.asarray(blocks.max((2, 4)) if touched else blocks.mean((2, 4)))


def _sum(a: np.ndarray, m: np.ndarray, touched: bool = False) -> np.ndarray:
    return np.asarray((a * pooled(m, a.shape[1:], touched)).sum((1, 2)))


def _all(a: np.ndarray) -> np.ndarray:
    return np.asarray(a.sum((1, 2)))


def _relu(a: np.ndarray) -> np.ndarray:
    return np.maximum(a, 0)


def _large(a: np.ndarray, m: np.ndarray) -> np.ndarray:
    return bilinear(a[:, None], (m.shape[1], m.shape[2]))[:, 0]


CELLS = "a cell with a quarter of its pixels in the mask counts a quarter."
SHARES = "share: what of the map's own size lies inside; nothing else is divided by."

SHARE = (
    Mistake(
        "abs-forgotten",
        "You add the evidence with its signs: for and against cancel.",
        "the absolute value comes before every sum.",
        lambda a, m: _sum(a, m) / _all(a),
    ),
    Mistake(
        "abs-too-late",
        "You take absolute values of sums: for and against have cancelled before.",
        "the absolute value comes before every sum.",
        lambda a, m: np.abs(_sum(a, m)) / np.abs(_all(a)),
    ),
    Mistake(
        "abs-too-late",
        "Above the bar, for and against cancel inside the mask.",
        "the absolute value comes before every sum.",
        lambda a, m: np.abs(_sum(a, m)) / _all(np.abs(a)),
    ),
    Mistake(
        "abs-too-late",
        "Above the bar, for and against cancel inside the mask.",
        "the absolute value comes before every sum.",
        lambda a, m: _sum(a, m) / _all(np.abs(a)),
    ),
    Mistake(
        "relu-too-early",
        "You count positive evidence only.",
        "a model that reads the marker may also hold its absence against a class.",
        lambda a, m: _sum(_relu(a), m) / _all(_relu(a)),
    ),
    Mistake(
        "touched-cells",
        "A cell that the mask only touches counts as a whole.",
        CELLS,
        lambda a, m: _sum(np.abs(a), m, True) / _all(np.abs(a)),
    ),
    Mistake(
        "squared",
        "You share out squares; strong cells then count too much.",
        SHARES,
        lambda a, m: _sum(a**2, m) / _all(a**2),
    ),
    Mistake(
        "upsampled-first",
        "You enlarge the map smoothly: evidence of the cells beside the mask flows into it.",
        CELLS,
        lambda a, m: _all(np.abs(_large(a, m)) * m) / _all(np.abs(_large(a, m))),
    ),
    Mistake(
        "mean-for-share",
        "You return the mean |evidence| inside the mask, not its share.",
        SHARES,
        lambda a, m: _sum(np.abs(a), m) / _all(pooled(m, a.shape[1:])),
    ),
    Mistake(
        "not-divided",
        "You return the |evidence| inside; its share of all is asked for.",
        SHARES,
        lambda a, m: _sum(np.abs(a), m),
    ),
    Mistake(
        "outside",
        "You return the share outside the mask.",
        SHARES,
        lambda a, m: 1 - _sum(np.abs(a), m) / _all(np.abs(a)),
    ),
    Mistake(
        "batch-mean",
        "You add up the batch before you divide; each image has its own share.",
        "(B,): one number an image.",
        lambda a, m: np.full(len(a), _sum(np.abs(a), m).sum() / np.abs(a).sum()),
    ),
    Mistake(
        "zero-for-nan",
        "A map of zeros has no share: NaN, not 0.",
        "0 would say: all of the evidence is outside.",
        lambda a, m: np.where(_all(np.abs(a)) == 0, 0, _sum(np.abs(a), m) / _all(np.abs(a))),
    ),
)

UNIT = "with a mask over the whole image the logit must come out."

INSIDE = (
    Mistake(
        "sum-for-mean",
        "You add the cells themselves; each adds only its share of the mean to the logit.",
        UNIT,
        _sum,
    ),
    Mistake(
        "mean-inside",
        "You take the mean over the mask: a small mask then weighs as much as a large one.",
        UNIT,
        lambda a, m: _sum(a, m) / np.maximum(_all(pooled(m, a.shape[1:])), 1e-12),
    ),
    Mistake(
        "mean-inside",
        "You take the mean over the mask: a small mask then weighs as much as a large one.",
        UNIT,
        lambda a, m: _sum(a, m) / _all(pooled(m, a.shape[1:])),
    ),
    Mistake(
        "touched-cells",
        "A cell that the mask only touches counts as a whole.",
        CELLS,
        lambda a, m: _sum(a, m, True) / a[0].size,
    ),
    Mistake(
        "sign-lost",
        "You drop the sign: evidence against the class lowers the logit.",
        UNIT,
        lambda a, m: _sum(np.abs(a), m) / a[0].size,
    ),
    Mistake(
        "relu-too-early",
        "You leave negative cells out: evidence against the class lowers the logit.",
        UNIT,
        lambda a, m: _sum(_relu(a), m) / a[0].size,
    ),
    Mistake(
        "share-for-logits",
        "You return a share of the logit; logits are asked for.",
        UNIT,
        lambda a, m: _sum(a, m) / _all(a),
    ),
    Mistake(
        "outside",
        "You return what lies outside the mask.",
        UNIT,
        lambda a, m: (_all(a) - _sum(a, m)) / a[0].size,
    ),
    Mistake(
        "upsampled-first",
        "You enlarge the map smoothly: evidence of the cells beside the mask flows into it.",
        CELLS,
        lambda a, m: _all(_large(a, m) * m) / m[0].size,
    ),
    Mistake(
        "pixels-for-cells",
        "You divide by the number of pixels, not by that of cells.",
        UNIT,
        lambda a, m: _sum(a, m) / m[0].size,
    ),
)


def _own(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.asarray(x[np.arange(len(x)), t])


def _rival(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The class of the highest other logit."""
    rest = x.copy()
    rest[np.arange(len(x)), t] = -np.inf
    return np.asarray(rest.argmax(1))


def _margin(x: np.ndarray, t: np.ndarray, o: np.ndarray) -> np.ndarray:
    return _own(x, t) - _own(x, o)


def _effect(x: np.ndarray, y: np.ndarray, t: np.ndarray) -> np.ndarray:
    return _margin(x, t, _rival(x, t)) - _margin(y, t, _rival(x, t))


def _softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(1, keepdims=True)


AGAINST = "a number added to all logits of the twin must change nothing."

EFFECT = (
    Mistake(
        "sign",
        "You subtract the image from the twin: a marker that speaks for the class gets a minus.",
        "with the marker minus without it.",
        lambda x, y, t: -_effect(x, y, t),
    ),
    Mistake(
        "other-chosen-again",
        "You choose the other class once more in the twin: then two classes are compared.",
        "the other class is chosen once, in the image.",
        lambda x, y, t: _margin(x, t, _rival(x, t)) - _margin(y, t, _rival(y, t)),
    ),
    Mistake(
        "other-of-twin",
        "You choose the other class in the twin; it is chosen in the image.",
        "which class the model weighs against the target when it sees the image.",
        lambda x, y, t: _margin(x, t, _rival(y, t)) - _margin(y, t, _rival(y, t)),
    ),
    Mistake(
        "raw-logit",
        "You compare the target's logit alone: it also moves when nothing is decided.",
        AGAINST,
        lambda x, y, t: _own(x, t) - _own(y, t),
    ),
    Mistake(
        "centred",
        "You subtract the mean of all logits; the highest other one is asked for.",
        "the decision falls between the target and its closest rival.",
        lambda x, y, t: _own(x, t) - x.mean(1) - _own(y, t) + y.mean(1),
    ),
    Mistake(
        "probabilities",
        "You compare probabilities; logits are asked for.",
        "near 0 and 1 probabilities hardly move, whatever the marker does.",
        lambda x, y, t: _own(_softmax(x), t) - _own(_softmax(y), t),
    ),
    Mistake(
        "abs-of-effect",
        "You drop the sign: a marker may also speak against the class.",
        "the sign says in which direction the marker pulls.",
        lambda x, y, t: np.abs(_effect(x, y, t)),
    ),
    Mistake(
        "target-among-others",
        "Among the other logits is the target's own: where it is the highest, nothing is left.",
        "the highest OTHER logit.",
        lambda x, y, t: _margin(x, t, x.argmax(1)) - _margin(y, t, x.argmax(1)),
    ),
    Mistake(
        "target-ignored",
        "You take the class that the model predicts, not the target.",
        "`targets` says for each image which class is asked about.",
        lambda x, y, t: _effect(x, y, x.argmax(1)),
    ),
    Mistake(
        "target-ignored",
        "You ask about class 1 in every image.",
        "`targets` says for each image which class is asked about.",
        lambda x, y, t: _effect(x, y, np.ones_like(t)),
    ),
    Mistake(
        "batch-mean",
        "You average over the images; each has its own effect.",
        "(B,): one number an image.",
        lambda x, y, t: _effect(x, y, t).mean(),
    ),
)
