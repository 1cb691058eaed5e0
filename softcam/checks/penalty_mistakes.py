"""What often goes wrong in assignment 3, each as a function that gives the wrong result."""

from __future__ import annotations

import math

import numpy as np

from softcam.checks.records import Mistake

__all__ = ["GRADIENT", "PENALTY"]


def _l1(a: np.ndarray) -> np.ndarray:
    """Of each image, (B,)."""
    return np.asarray(np.abs(a).sum((1, 2, 3)))


def _l2(a: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((a**2).sum((1, 2, 3))))


def _whole(a: np.ndarray) -> np.ndarray:
    """The batch as one image."""
    return a.reshape(1, -1, 1, 1)


SQUARE = "the paper's second term is the norm itself; what textbooks call ridge is its square."
BATCH = "what the penalty is for twice as many images, all alike: it must not change."
ALL = "which sum runs over what: cells and classes inside an image, then the mean over images."

PENALTY = (
    Mistake(
        "squared-norm",
        "Your second term is the sum of squares; it should be its root, the norm.",
        SQUARE,
        lambda a, x, y: (x * _l1(a) + y * _l2(a) ** 2).mean(),
    ),
    Mistake(
        "mean-for-sum",
        "You take the mean over cells and classes; within an image it is the sum.",
        ALL,
        lambda a, x, y: (x * _l1(a) / a[0].size + y * _l2(a) / math.sqrt(a[0].size)).mean(),
    ),
    Mistake(
        "mean-for-sum",
        "Your first term is the mean of |A|; within an image it is the sum.",
        ALL,
        lambda a, x, y: (x * _l1(a) / a[0].size + y * _l2(a)).mean(),
    ),
    Mistake(
        "sum-over-batch",
        "You add up the images of the batch; it should be their mean.",
        BATCH,
        lambda a, x, y: (x * _l1(a) + y * _l2(a)).sum(),
    ),
    Mistake(
        "norm-of-batch",
        "Your norm runs over the whole batch; each image has its own.",
        BATCH,
        lambda a, x, y: x * _l1(a).mean() + y * _l2(_whole(a))[0],
    ),
    Mistake(
        "norm-of-batch",
        "You treat the whole batch as one image.",
        BATCH,
        lambda a, x, y: x * _l1(a).sum() + y * _l2(_whole(a))[0],
    ),
    Mistake(
        "norm-of-batch",
        "Your norm runs over the whole batch and is divided by its size afterwards.",
        BATCH,
        lambda a, x, y: x * _l1(a).mean() + y * _l2(_whole(a))[0] / len(a),
    ),
    Mistake(
        "first-image-only",
        "You take the first image of the batch only.",
        "the public code does so; in the mean over many batches it is the same, with more noise.",
        lambda a, x, y: (x * _l1(a) + y * _l2(a))[0],
    ),
    Mistake(
        "norm-per-class",
        "You take a norm for each class and add them up; there is one for the whole image.",
        ALL,
        lambda a, x, y: (x * _l1(a) + y * np.sqrt((a**2).sum((2, 3))).sum(1)).mean(),
    ),
    Mistake(
        "norm-per-cell",
        "You take the norm of single numbers, which is |A| again: your two terms are the same.",
        "equation 5 as printed has the norm of a number. The code has one norm for the image.",
        lambda a, x, y: ((x + y) * _l1(a)).mean(),
    ),
    Mistake(
        "abs-forgotten",
        "You forget the absolute value: negative cells lower your penalty.",
        "the penalty of a map and of its negative are the same.",
        lambda a, x, y: (x * a.sum((1, 2, 3)) + y * _l2(a)).mean(),
    ),
    Mistake(
        "penalty-on-logits",
        "You penalise the logits, not the cells: maps that cancel cost nothing.",
        "the absolute value comes before the sum over cells.",
        lambda a, x, y: (
            x * np.abs(a.mean((2, 3))).sum(1) + y * np.sqrt((a.mean((2, 3)) ** 2).sum(1))
        ).mean(),
    ),
    Mistake(
        "lambdas-swapped",
        "The weights lambda1 and lambda2 have changed places.",
        "lambda1 goes with |A|, lambda2 with the norm.",
        lambda a, x, y: (y * _l1(a) + x * _l2(a)).mean(),
    ),
    Mistake(
        "lambdas-forgotten",
        "The weights lambda1 and lambda2 are not used.",
        "what must happen for lambda1 = 0?",
        lambda a, x, y: (_l1(a) + _l2(a)).mean(),
    ),
    Mistake(
        "relu-too-early",
        "You count the positive cells only.",
        "negative evidence costs as much as positive.",
        lambda a, x, y: (x * _l1(np.maximum(a, 0)) + y * _l2(np.maximum(a, 0))).mean(),
    ),
)


def _norms(a: np.ndarray) -> np.ndarray:
    norm = _l2(a)[:, None, None, None]
    return np.where(norm == 0, 1, norm)


SLOPE = "move one cell by a little, and see by how much the penalty of the batch changes."

GRADIENT = (
    Mistake(
        "batch-forgotten",
        "Your gradient is too large by the size of the batch.",
        f"the penalty is a mean over images; {SLOPE}",
        lambda a, x, y: x * np.sign(a) + y * a / _norms(a),
    ),
    Mistake(
        "squared-norm",
        "You take the slope of the sum of squares; the second term is its root.",
        SQUARE,
        lambda a, x, y: (x * np.sign(a) + 2 * y * a) / len(a),
    ),
    Mistake(
        "norm-of-batch",
        "Your norm runs over the whole batch; each image has its own.",
        SLOPE,
        lambda a, x, y: (x * np.sign(a) + y * a / (_l2(_whole(a))[0] or 1)) / len(a),
    ),
    Mistake(
        "norm-per-class",
        "You divide by a norm for each class; there is one for the whole image.",
        SLOPE,
        lambda a, x, y: (
            (x * np.sign(a) + y * a / np.maximum(np.sqrt((a**2).sum((2, 3), keepdims=True)), 1e-30))
            / len(a)
        ),
    ),
    Mistake(
        "abs-for-sign",
        "You use |A| where its slope belongs.",
        "the slope of |a| is the same for a = 1 and a = 100.",
        lambda a, x, y: (x * np.abs(a) + y * a / _norms(a)) / len(a),
    ),
    Mistake(
        "value-for-sign",
        "You use A itself where the slope of |A| belongs.",
        "the slope of |a| is the same for a = 1 and a = 100.",
        lambda a, x, y: (x * a + y * a / _norms(a)) / len(a),
    ),
    Mistake(
        "sign-forgotten",
        "The slope of |a| is taken to be 1 everywhere.",
        "on which side of zero does |a| fall?",
        lambda a, x, y: (x * np.ones_like(a) + y * a / _norms(a)) / len(a),
    ),
    Mistake(
        "one-term-only",
        "The term of lambda2 is missing.",
        SLOPE,
        lambda a, x, y: x * np.sign(a) / len(a),
    ),
    Mistake(
        "one-term-only",
        "The term of lambda1 is missing.",
        SLOPE,
        lambda a, x, y: y * a / _norms(a) / len(a),
    ),
    Mistake(
        "lambdas-swapped",
        "The weights lambda1 and lambda2 have changed places.",
        "lambda1 goes with |A|, lambda2 with the norm.",
        lambda a, x, y: (y * np.sign(a) + x * a / _norms(a)) / len(a),
    ),
    Mistake(
        "sign",
        "You return the step of a training, minus the gradient.",
        "a larger |A| costs more: the gradient points away from zero.",
        lambda a, x, y: -(x * np.sign(a) + y * a / _norms(a)) / len(a),
    ),
    Mistake(
        "nan-at-zero",
        "On maps of zeros you divide by zero.",
        "where the norm is 0 its slope is taken to be 0.",
        lambda a, x, y: (x * np.sign(a) + y * a / _l2(a)[:, None, None, None]) / len(a),
    ),
)
