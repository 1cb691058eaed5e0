"""What often goes wrong in assignment 6, each as a function that gives the wrong result."""

from __future__ import annotations

import numpy as np

from softcam.checks.records import Mistake

__all__ = ["FORGE", "SHIFT", "SMILEY"]


def _only(maps: np.ndarray, c: int, new: np.ndarray) -> np.ndarray:
    """The maps, those of class c replaced."""
    found = maps.copy()
    found[:, c] = new
    return found


STAY = "the softmax of the logits before and after, and what differs between two classes."

FORGE = (
    Mistake(
        "prediction-changes",
        "You replace the map of class c alone: its logit moves, and with it the prediction.",
        STAY,
        lambda a, w, c: _only(a, c, np.broadcast_to(w, a[:, c].shape)),
    ),
    Mistake(
        "prediction-changes",
        "You add the wanted map to class c alone: its logit moves, and with it the prediction.",
        STAY,
        lambda a, w, c: _only(a, c, a[:, c] + w),
    ),
    Mistake(
        "all-alike",
        "You show the wanted map for every class: their contrast is gone.",
        STAY,
        lambda a, w, c: np.broadcast_to(w, a.shape).copy(),
    ),
    Mistake(
        "old-map-left",
        "You add the wanted map to all classes: the old map of class c is still in it.",
        "class c must show exactly the wanted map.",
        lambda a, w, c: a + w,
    ),
    Mistake(
        "wrong-class",
        "You forge the map of class 0, not that of class c.",
        "`c` says which class is to show the wanted map.",
        lambda a, w, c: a + (w - a[:, 0])[:, None],
    ),
    Mistake(
        "batch-mean",
        "You use the mean map over the images: class c shows the wanted map in none of them.",
        "each image needs a shift of its own.",
        lambda a, w, c: a + (w - a[:, c].mean(0))[None, None],
    ),
    Mistake(
        "batch-mean",
        "You use the map of the first image for all images.",
        "each image needs a shift of its own.",
        lambda a, w, c: a + (w - a[0, c])[None, None],
    ),
    Mistake(
        "mean-only",
        "You shift by the means only: cell by cell the map is not the wanted one.",
        "class c must show exactly the wanted map.",
        lambda a, w, c: a + w.mean() - a[:, c].mean((1, 2))[:, None, None, None],
    ),
    Mistake(
        "logit-kept",
        "You give class c the wanted map at its old logit, and leave the other classes alone: the "
        "prediction stays, but the contrast does not, and it is not quite the wanted map.",
        STAY,
        lambda a, w, c: _only(a, c, w - w.mean() + a[:, c].mean((1, 2))[:, None, None]),
    ),
    Mistake(
        "sign",
        "You subtract what should be added.",
        "what does class c lack of the wanted map?",
        lambda a, w, c: a - (w - a[:, c])[:, None],
    ),
)

ROWS = "with features z, every logit must move by the same amount."

SHIFT = (
    Mistake(
        "one-row",
        "You change one row only: its class gains on the others.",
        ROWS,
        lambda w, b, v, n: (_row(w, v), _row(b, n)),
    ),
    Mistake(
        "one-row",
        "You change one row only: its class gains on the others.",
        ROWS,
        lambda w, b, v, n: (_row(w, v), b + n),
    ),
    Mistake(
        "bias-forgotten",
        "The number is not added to the bias.",
        ROWS,
        lambda w, b, v, n: (w + v, b),
    ),
    Mistake(
        "vector-forgotten",
        "The vector is not added to the weight.",
        ROWS,
        lambda w, b, v, n: (w, b + n),
    ),
    Mistake(
        "transposed-weight",
        "You add the vector to the columns.",
        "the weight has the shape (C, D), the vector (D,).",
        lambda w, b, v, n: (w + v[:, None], b + n),
    ),
    Mistake(
        "scaled",
        "You multiply where you should add: the predictions get more or less certain.",
        ROWS,
        lambda w, b, v, n: (w * n, b * n),
    ),
    Mistake(
        "number-everywhere",
        "You add the number to the weight as well.",
        "the number goes to the bias, the vector to the rows.",
        lambda w, b, v, n: (w + v + n, b + n),
    ),
    Mistake(
        "shared-out",
        "You share the shift out over the classes; each gets all of it.",
        ROWS,
        lambda w, b, v, n: (w + v / len(w), b + n / len(w)),
    ),
    Mistake(
        "sign",
        "You subtract the shift.",
        "added to every row, to every bias.",
        lambda w, b, v, n: (w - v, b - n),
    ),
    Mistake(
        "order-swapped",
        "You return (bias, weight), expected (weight, bias).",
        "the order.",
        lambda w, b, v, n: (b + n, w + v),
    ),
)


def _row(values: np.ndarray, extra: np.ndarray | float) -> np.ndarray:
    found = values.copy()
    found[0] += extra
    return found


def _paint(maps: np.ndarray, c: int, paint: np.ndarray | float) -> np.ndarray:
    return _only(maps, c, maps[:, c] + paint)


def _unit(pattern: np.ndarray) -> np.ndarray:
    return np.asarray((pattern - pattern.mean()) / pattern.std())


LEVEL = "the logits before and after, to the last digit."

SMILEY = (
    Mistake(
        "mean-left",
        "You paint the pattern as it is: its mean moves the logit.",
        LEVEL,
        lambda a, p, c, s: _paint(a, c, s * p),
    ),
    Mistake(
        "strength-forgotten",
        "The strength is not used.",
        "twice the strength, twice the paint.",
        lambda a, p, c, s: _paint(a, c, p - p.mean()),
    ),
    Mistake(
        "strength-too-early",
        "You take the mean away before it is multiplied by the strength.",
        LEVEL,
        lambda a, p, c, s: _paint(a, c, s * p - p.mean()),
    ),
    Mistake(
        "all-classes",
        "You paint every class: that is the other forgery.",
        "only the maps of class c change.",
        lambda a, p, c, s: a + s * (p - p.mean()),
    ),
    Mistake(
        "wrong-class",
        "You paint class 0, not class c.",
        "`c` says which class is painted.",
        lambda a, p, c, s: _paint(a, 0, s * (p - p.mean())),
    ),
    Mistake(
        "first-image-only",
        "You paint the first image only.",
        "every image of the batch gets the paint.",
        lambda a, p, c, s: np.concatenate([_paint(a[:1], c, s * (p - p.mean())), a[1:]]),
    ),
    Mistake(
        "normalised-pattern",
        "You divide the pattern by its spread: the paint has another strength than asked for.",
        "only the mean is taken away.",
        lambda a, p, c, s: _paint(a, c, s * _unit(p)),
    ),
    Mistake(
        "map-replaced",
        "You replace the map by the paint: the evidence of the class is gone.",
        "painted ON the map.",
        lambda a, p, c, s: _only(a, c, np.broadcast_to(s * (p - p.mean()), a[:, c].shape)),
    ),
    Mistake(
        "map-replaced",
        "You replace the map by paint with the old logit: the evidence of the class is gone.",
        "painted ON the map.",
        lambda a, p, c, s: _only(a, c, s * (p - p.mean()) + a[:, c].mean((1, 2))[:, None, None]),
    ),
    Mistake(
        "wrong-axis",
        "You take the mean of each row of the pattern away; the mean of the whole is asked for.",
        "one mean for the whole pattern.",
        lambda a, p, c, s: _paint(a, c, s * (p - p.mean(1, keepdims=True))),
    ),
    Mistake(
        "wrong-axis",
        "You take the mean of each column of the pattern away; the mean of the whole is asked for.",
        "one mean for the whole pattern.",
        lambda a, p, c, s: _paint(a, c, s * (p - p.mean(0, keepdims=True))),
    ),
    Mistake(
        "sign",
        "You subtract the paint.",
        "strength times the pattern is added.",
        lambda a, p, c, s: _paint(a, c, -s * (p - p.mean())),
    ),
)
