"""Does the model classify, is it calibrated, and how loud are its logits?

Every measure takes labels (N,), logits (N, C) and the link, and returns one number; NaN where
it is undefined, which `classification_measures` says in the log. The ranks and the confusion
matrix are computed here, since an interval needs them a thousand times; the tests hold them
against scikit-learn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from softcam.common import SoftCAMError, choose
from softcam.metrics.records import Ratios
from softcam.metrics.registry import measure, measures

__all__ = [
    "accuracy",
    "against_the_rest",
    "auc",
    "brier",
    "class_probabilities",
    "classification_measures",
    "classification_ratios",
    "expected_calibration_error",
    "logit_contrast",
    "logit_size",
    "quadratic_kappa",
]

log = logging.getLogger(__name__)
BINS = 15


def class_probabilities(logits: Any, link: str = "softmax") -> np.ndarray:
    """(N, C) float64 in [0, 1]. One sigmoid logit becomes two columns: 1 - p and p."""
    choose("link", link, ("softmax", "sigmoid"))
    z = np.asarray(logits, dtype=np.float64)
    if link == "softmax":
        z = np.exp(z - z.max(1, keepdims=True))
        return z / z.sum(1, keepdims=True)
    if z.shape[1] == 1:
        z = np.hstack([-z, z])
    return 0.5 * (1 + np.tanh(z / 2))  # a sigmoid that does not overflow


def classification_measures(labels: Any, logits: Any, link: str = "softmax") -> dict[str, float]:
    """All measures of this file, by name.

    Args:
        labels: (N,) integers, 0 to C - 1 (0 or 1 with one sigmoid logit).
        logits: (N, C), finite; arrays or tensors on the CPU.
        link: `softmax` or `sigmoid`.

    Raises:
        SoftCAMError: nothing to measure, shapes that do not fit, a label out of range, or a
            logit that is NaN or infinite (a model that predicts NaN is broken, not excluded).
    """
    labels, logits = _checked(labels, logits, link)
    values = {each.name: float(each(labels, logits, link)) for each in measures("classification")}
    missing = [name for name, value in values.items() if np.isnan(value)]
    if missing:
        log.warning(
            "%s undefined: the labels hold only class %s", ", ".join(missing), np.unique(labels)
        )
    return values


def classification_ratios(labels: Any, logits: Any, link: str = "softmax") -> dict[str, Ratios]:
    """The measures that are means over images, image by image: for intervals and paired tests."""
    labels, logits = _checked(labels, logits, link)
    return {
        "accuracy": _over_images(_hits(labels, logits, link)),
        "brier": _over_images(_squared_errors(labels, logits, link)),
        "logit-size": _over_images(np.abs(logits).mean(1)),
        "logit-contrast": _over_images(_margins(logits, link)),
    }


@measure(
    name="accuracy",
    title="Accuracy",
    direction="higher",
    source="share of images whose most probable class is the label",
    kind="classification",
    gauge="invariant",
)
def accuracy(labels: np.ndarray, logits: np.ndarray, link: str = "softmax") -> float:
    """Share of images whose most probable class (the first of equal ones) is the label."""
    return float(_hits(labels, logits, link).mean())


@measure(
    name="auc",
    title="AUC",
    direction="higher",
    unit="-",
    source="Hanley and McNeil, Radiology 1982",
    kind="classification",
    gauge="invariant",
)
def auc(labels: np.ndarray, logits: np.ndarray, link: str = "softmax") -> float:
    """Area under the ROC curve; with more than two classes the mean of one against the rest.

    The mean is over the classes that have both images of their own and others; NaN if none has.
    """
    return against_the_rest(_binary_auc, labels, logits, link)


@measure(
    name="quadratic-kappa",
    title="Quadratic kappa",
    direction="higher",
    unit="-",
    source="Cohen, Psychological Bulletin 1968",
    kind="classification",
    gauge="invariant",
)
def quadratic_kappa(labels: np.ndarray, logits: np.ndarray, link: str = "softmax") -> float:
    """Cohen's kappa with weights (i - j)^2: agreement beyond chance for ordered classes.

    NaN where label and prediction are one and the same class throughout.
    """
    p = class_probabilities(logits, link)
    classes = p.shape[1]
    found = np.bincount(labels * classes + p.argmax(1), minlength=classes**2)
    confusion = found.reshape(classes, classes) / len(labels)
    expected = np.outer(confusion.sum(1), confusion.sum(0))
    weight = np.subtract.outer(np.arange(classes), np.arange(classes)) ** 2
    chance = (weight * expected).sum()
    return float(1 - (weight * confusion).sum() / chance) if chance > 0 else float("nan")


@measure(
    name="ece",
    title="Expected calibration error",
    direction="lower",
    source="Guo et al., On calibration of modern neural networks, ICML 2017",
    kind="classification",
    gauge="invariant",
)
def expected_calibration_error(
    labels: np.ndarray, logits: np.ndarray, link: str = "softmax", bins: int = BINS
) -> float:
    """Mean gap between confidence and accuracy over 15 bins of equal width, (low, high].

    Confidence is the largest probability. Biased upwards in small sets.
    """
    confidence = class_probabilities(logits, link).max(1)
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = confidence - _hits(labels, logits, link)
    return float(np.abs(np.bincount(index, weights=gap, minlength=bins)).sum() / len(labels))


@measure(
    name="brier",
    title="Brier score",
    direction="lower",
    unit="-",
    source="Brier, Monthly Weather Review 1950",
    kind="classification",
    gauge="invariant",
)
def brier(labels: np.ndarray, logits: np.ndarray, link: str = "softmax") -> float:
    """Mean squared error of the probabilities, as in scikit-learn.

    Two classes: mean of (p_1 - y)^2, 0 to 1. More: summed over the classes, 0 to 2 (one sigmoid
    a class may reach C).
    """
    return float(_squared_errors(labels, logits, link).mean())


@measure(
    name="logit-size",
    title="Mean |logit|",
    direction="lower",
    unit="logit",
    source="mean over images and classes; what L1 on the maps shrinks first",
    kind="classification",
    gauge="zero",
)
def logit_size(labels: np.ndarray, logits: np.ndarray, link: str = "softmax") -> float:
    """Mean |logit| over images and classes. No merit in itself: it shows what a penalty costs."""
    return float(np.abs(logits).mean())


@measure(
    name="logit-contrast",
    title="Mean |logit contrast|",
    direction="lower",
    unit="logit",
    source="mean difference between the highest and the second highest logit",
    kind="classification",
    gauge="invariant",
)
def logit_contrast(labels: np.ndarray, logits: np.ndarray, link: str = "softmax") -> float:
    """Mean difference between the two highest logits: mean |logit| without its free zero.

    With a sigmoid link the zero is fixed, and this is mean |logit|.
    """
    return float(_margins(logits, link).mean())


def _over_images(values: np.ndarray) -> Ratios:
    return Ratios(values, np.ones(len(values)))


def _hits(labels: np.ndarray, logits: np.ndarray, link: str) -> np.ndarray:
    return (class_probabilities(logits, link).argmax(1) == labels).astype(float)


def _squared_errors(labels: np.ndarray, logits: np.ndarray, link: str) -> np.ndarray:
    p = class_probabilities(logits, link)
    errors = ((p - np.eye(p.shape[1])[labels]) ** 2).sum(1)
    return errors / 2 if p.shape[1] == 2 else errors


def _margins(logits: np.ndarray, link: str) -> np.ndarray:
    if link == "sigmoid":
        return np.abs(logits).mean(1)
    highest = np.sort(logits, 1)
    return highest[:, -1] - highest[:, -2]


def against_the_rest(
    area: Callable[[np.ndarray, np.ndarray], float],
    labels: np.ndarray,
    logits: np.ndarray,
    link: str,
) -> float:
    """An area of class 1, or the mean over those of several classes that have one."""
    if logits.shape[1] == 1:
        return area(labels == 1, logits[:, 0])
    if logits.shape[1] == 2 and link == "softmax":  # probabilities saturate at 1 and would tie
        return area(labels == 1, logits[:, 1] - logits[:, 0])
    p = class_probabilities(logits, link)
    each = [area(labels == c, p[:, c]) for c in range(p.shape[1])]
    defined = [value for value in each if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _binary_auc(positive: np.ndarray, score: np.ndarray) -> float:
    """Share of pairs (positive, negative) in the right order; a tie counts half (Mann-Whitney)."""
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # mean rank among equal scores
    return float((rank[positive].sum() - n * (n + 1) / 2) / (n * m))


def _checked(labels: Any, logits: Any, link: str) -> tuple[np.ndarray, np.ndarray]:
    labels, logits = np.asarray(labels), np.asarray(logits, dtype=np.float64)
    if labels.ndim != 1 or logits.ndim != 2 or len(labels) != len(logits) or not len(labels):
        raise SoftCAMError(
            f"expected labels (N,) and logits (N, C) with N >= 1, found {labels.shape} and "
            f"{logits.shape}."
        )
    classes = logits.shape[1] if logits.shape[1] > 1 else 2
    if logits.shape[1] == 1 and link == "softmax":
        raise SoftCAMError("a softmax over one logit is always 1: use link='sigmoid'.")
    if labels.dtype.kind not in "iub" or labels.min() < 0 or labels.max() >= classes:
        raise SoftCAMError(
            f"expected integer labels from 0 to {classes - 1}, found {labels.dtype} from "
            f"{labels.min()} to {labels.max()}."
        )
    if not np.isfinite(logits).all():
        rows = np.flatnonzero(~np.isfinite(logits).all(1))
        raise SoftCAMError(
            f"the logits of {len(rows)} images are NaN or infinite, first {rows[0]}."
        )
    return labels.astype(np.int64), logits
