"""What often goes wrong in assignment 1, each as a function that gives the wrong result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from softcam.checks.records import Mistake

__all__ = ["CAM", "EVIDENCE", "LOGITS", "scaled", "weighed"]


def weighed(z: np.ndarray, w: np.ndarray, b: np.ndarray | float = 0.0) -> np.ndarray:
    """(B, C, h, w): features weighed, plus the bias."""
    return np.einsum("cd,bdij->bcij", w, z) + np.reshape(b, (-1, 1, 1))


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def scaled(x: np.ndarray) -> np.ndarray:
    """Each map from 0 to 1."""
    low, high = x.min((2, 3), keepdims=True), x.max((2, 3), keepdims=True)
    return (x - low) / (high - low)


def _pooled(z: np.ndarray, w: np.ndarray, b: np.ndarray | float = 0.0) -> np.ndarray:
    return np.broadcast_to(weighed(z.mean((2, 3), keepdims=True), w, b), _shape(z, w)).copy()


def _shape(z: np.ndarray, w: np.ndarray) -> tuple[int, ...]:
    return (len(z), len(w), *z.shape[2:])


RELU = "negative cells are evidence against the class; what happens to the mean without them?"
SUM = "the channels of a cell are added, each times its weight; nothing divides by their number."
SCALE = "maps are in logits. Scaling them is for drawing; their mean must stay the logit."
ROWS = "one row of the weight belongs to one class: its shape is (C, D)."
POOL = "the point of a CAM: weigh first, at every cell, and pool afterwards."
BATCH = "every image of the batch has its own map; nothing is averaged over images."


def _one_cell(z: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    maps = weighed(z, w)
    maps[:, :, 0, 0] += b
    return maps


BIAS = "take the mean of your map: is it the logit, with the bias counted exactly once?"

EVIDENCE = (
    Mistake(
        "bias-forgotten",
        "The bias is missing.",
        BIAS,
        lambda z, w, b: weighed(z, w),
    ),
    Mistake(
        "bias-shared-out",
        "You share the bias out over the cells, so that each holds only a part of it.",
        f"the logit is the mean of the cells, not their sum; {BIAS}",
        lambda z, w, b: weighed(z, w, b / (z.shape[2] * z.shape[3])),
    ),
    Mistake("bias-in-one-cell", "You add the bias to one cell only.", BIAS, _one_cell),
    Mistake(
        "bias-times-cells",
        "You add the bias times the number of cells.",
        BIAS,
        lambda z, w, b: weighed(z, w, b * z.shape[2] * z.shape[3]),
    ),
    Mistake(
        "bias-per-channel",
        "You add the bias once for each channel, inside the sum.",
        BIAS,
        lambda z, w, b: weighed(z, w, b * w.shape[1]),
    ),
    Mistake(
        "sign-of-bias",
        "You subtract the bias.",
        BIAS,
        lambda z, w, b: weighed(z, w, -b),
    ),
    Mistake(
        "relu-too-early",
        "You set negative values to zero: the map must stay signed.",
        RELU,
        lambda z, w, b: np.maximum(weighed(z, w, b), 0),
    ),
    Mistake(
        "relu-too-early",
        "You set negative values to zero before you add the bias.",
        RELU,
        lambda z, w, b: np.maximum(weighed(z, w), 0) + b[:, None, None],
    ),
    Mistake(
        "transposed-weight",
        "You use the columns of the weight where its rows belong.",
        ROWS,
        lambda z, w, b: weighed(z, w.T, b),
    ),
    Mistake(
        "mean-for-sum",
        "You take the mean over the channels; it should be their weighted sum.",
        SUM,
        lambda z, w, b: weighed(z, w) / w.shape[1] + b[:, None, None],
    ),
    Mistake(
        "mean-for-sum",
        "You divide by the number of channels; it should be the plain weighted sum.",
        SUM,
        lambda z, w, b: weighed(z, w, b) / w.shape[1],
    ),
    Mistake(
        "batch-mean",
        "You average over the images of the batch.",
        BATCH,
        lambda z, w, b: np.repeat(weighed(z, w, b).mean(0, keepdims=True), len(z), 0),
    ),
    Mistake(
        "pooled-too-early",
        "You average the features over the cells before you weigh them: every cell is the same.",
        POOL,
        _pooled,
    ),
    Mistake(
        "pooled-too-early",
        "You return one number for each class: the map has been pooled away.",
        POOL,
        lambda z, w, b: weighed(z, w, b).mean((2, 3)),
    ),
    Mistake(
        "normalised-map",
        "You scale each map to the range from 0 to 1.",
        SCALE,
        lambda z, w, b: scaled(weighed(z, w, b)),
    ),
    Mistake(
        "softmax-too-early",
        "You apply a softmax over the classes at each cell.",
        "maps are in logits; a softmax comes at the very end, on the pooled logits, if at all.",
        lambda z, w, b: _softmax(weighed(z, w, b)),
    ),
    Mistake(
        "normalised-map",
        "You divide each map by its largest value.",
        SCALE,
        lambda z, w, b: weighed(z, w, b) / weighed(z, w, b).max((2, 3), keepdims=True),
    ),
    Mistake(
        "abs-of-weights",
        "You drop the sign of the weights.",
        "a negative weight says that the channel speaks against the class.",
        lambda z, w, b: weighed(z, np.abs(w), b),
    ),
    Mistake(
        "weights-forgotten",
        "Each class has the same map, the plain sum of the channels: the weights are not used.",
        ROWS,
        lambda z, w, b: weighed(z, np.ones_like(w), b),
    ),
    Mistake(
        "relu-too-early",
        "You set negative features to zero before weighing them.",
        "the features are used as they come; the network has applied its own ReLU, if any.",
        lambda z, w, b: weighed(np.maximum(z, 0), w, b),
    ),
)


def _without_bias(mistake: Mistake) -> Mistake:
    function = mistake.function
    return replace(mistake, function=lambda z, w: function(z, w, np.zeros(len(w))))


CAM = tuple(_without_bias(each) for each in EVIDENCE if "bias" not in each.slug + each.words)

AXES = "a map has two axes, height and width; batch and class must remain: (B, C)."

LOGITS = (
    Mistake(
        "sum-for-mean",
        "You take the sum over the cells; the logit is their mean.",
        "a network that sees a larger image has more cells. Should its logits grow with them?",
        lambda a: a.sum((2, 3)),
    ),
    Mistake(
        "max-for-mean",
        "You take the hottest cell; the logit is the mean of all.",
        "global average pooling: every cell counts the same.",
        lambda a: a.max((2, 3)),
    ),
    Mistake(
        "relu-too-early",
        "You set negative cells to zero before you pool.",
        RELU,
        lambda a: np.maximum(a, 0).mean((2, 3)),
    ),
    Mistake(
        "abs-too-early",
        "You drop the sign of the cells before you pool.",
        "evidence against a class lowers its logit.",
        lambda a: np.abs(a).mean((2, 3)),
    ),
    Mistake(
        "softmax-too-early",
        "You apply a softmax at each cell before you pool.",
        "logits are asked for. A softmax comes after pooling, and is not wanted here.",
        lambda a: _softmax(a).mean((2, 3)),
    ),
    Mistake(
        "probabilities",
        "You return probabilities: the softmax of the logits.",
        "logits are asked for, the numbers before the softmax.",
        lambda a: _softmax(a.mean((2, 3))),
    ),
    Mistake(
        "batch-mean",
        "You average over the images of the batch.",
        BATCH,
        lambda a: np.repeat(a.mean((0, 2, 3))[None], len(a), 0),
    ),
    Mistake(
        "batch-mean",
        "You average over the batch as well: one number a class for all images.",
        BATCH,
        lambda a: a.mean((0, 2, 3)),
    ),
    Mistake(
        "one-axis-only",
        "You average over the width only; the height is still there.",
        AXES,
        lambda a: a.mean(3),
    ),
    Mistake(
        "one-axis-only",
        "You average over the height only; the width is still there.",
        AXES,
        lambda a: a.mean(2),
    ),
    Mistake("wrong-axis", "You average over the wrong axes.", AXES, lambda a: a.mean((0, 1))),
    Mistake("wrong-axis", "You average over the wrong axes.", AXES, lambda a: a.mean((1, 2))),
    Mistake("wrong-axis", "You average over the wrong axes.", AXES, lambda a: a.mean((1, 3))),
    Mistake("wrong-axis", "You average over the classes.", AXES, lambda a: a.mean(1)),
    Mistake(
        "median-for-mean",
        "You take the middle value of the cells; the logit is their mean.",
        "global average pooling: every cell counts the same.",
        lambda a: np.sort(a.reshape(*a.shape[:2], -1))[:, :, (a[0, 0].size - 1) // 2],
    ),
)
