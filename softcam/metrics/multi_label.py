"""Several findings an image: each is a question by itself, and their mean stands for all.

Labels are (N, C), 0 or 1 a finding, and each of the C logits has a sigmoid of its own. A measure
of one finding is that of two classes and one logit; over all findings it is their plain mean
(macro), so that a rare finding counts as much as a common one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from softcam.common import SoftCAMError
from softcam.metrics.classification import classification_ratios
from softcam.metrics.records import Ratios
from softcam.metrics.registry import measures

__all__ = ["UNORDERED", "macro_mean", "multi_label_measures", "multi_label_ratios", "one_finding"]

UNORDERED = ("quadratic-kappa",)  # of classification: what findings do not have, an order
Statistic = Callable[..., float]  # labels, logits and the link to one number


def multi_label_measures(labels: Any, logits: Any) -> dict[str, float]:
    """The macro mean of every measure of classification that findings have, by name.

    Args:
        labels: (N, C) integers, 0 or 1.
        logits: (N, C), finite; arrays or tensors on the CPU.

    Returns:
        NaN where no finding has the measure; else the mean over those that do.

    Raises:
        SoftCAMError: nothing to measure, shapes that do not fit, another label, or a logit that
            is NaN or infinite.
    """
    labels, logits = _checked(labels, logits)
    known = [each for each in measures("classification") if each.name not in UNORDERED]
    return {each.name: macro_mean(each.function)(labels, logits) for each in known}


def multi_label_ratios(labels: Any, logits: Any) -> dict[str, Ratios]:
    """The measures that are means over images, image by image: of each the mean over findings."""
    labels, logits = _checked(labels, logits)
    each = [
        classification_ratios(*one_finding(labels, logits, c), "sigmoid")
        for c in range(logits.shape[1])
    ]
    return {
        name: Ratios(
            np.mean([found[name].numerator for found in each], 0), each[0][name].denominator
        )
        for name in each[0]
    }


def macro_mean(statistic: Statistic) -> Statistic:
    """The mean over findings of a statistic of two classes and one logit.

    The mean is over the findings for which it is defined; NaN if there is none.
    """

    def mean(labels: np.ndarray, logits: np.ndarray, link: str = "sigmoid") -> float:
        columns = range(logits.shape[1])
        values = np.array([statistic(*one_finding(labels, logits, c), link) for c in columns])
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) else float("nan")

    return mean


def one_finding(labels: np.ndarray, logits: np.ndarray, c: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) and logits (N, 1) of finding `c`."""
    return labels[:, c], logits[:, c : c + 1]


def _checked(labels: Any, logits: Any) -> tuple[np.ndarray, np.ndarray]:
    labels, logits = np.asarray(labels), np.asarray(logits, dtype=np.float64)
    if labels.ndim != 2 or labels.shape != logits.shape or not labels.size:
        raise SoftCAMError(
            f"expected labels and logits of one shape (N, C), one a finding, with N >= 1, found "
            f"{labels.shape} and {logits.shape}."
        )
    if labels.dtype.kind not in "iub" or not np.isin(labels, (0, 1)).all():
        raise SoftCAMError(
            f"expected integer labels of 0 and 1, found {labels.dtype} from {labels.min()} to "
            f"{labels.max()}."
        )
    if not np.isfinite(logits).all():
        rows = np.flatnonzero(~np.isfinite(logits).all(1))
        raise SoftCAMError(
            f"the logits of {len(rows)} images are NaN or infinite, first {rows[0]}."
        )
    return labels.astype(np.int64), logits
