"""Does the model find the few that have it? The area under the precision-recall curve.

Where a class is rare, an AUC near 1 may go with more false alarms than hits; this area does not.
"""

from __future__ import annotations

import numpy as np

from softcam.metrics.classification import against_the_rest
from softcam.metrics.registry import measure

__all__ = ["auprc"]


@measure(
    name="auprc",
    title="Area under the precision-recall curve",
    direction="higher",
    unit="-",
    source="Boyd et al., Area under the precision-recall curve, ECML 2013: average precision",
    kind="classification",
    gauge="invariant",
)
def auprc(labels: np.ndarray, logits: np.ndarray, link: str = "softmax") -> float:
    """Average precision: precision where recall rises, weighted by how much it rises.

    Of class 1; with more than two classes the mean of one against the rest, as in `auc`. Chance
    is the share of images that have the class, so values of different sets do not compare.
    """
    return against_the_rest(_binary_auprc, labels, logits, link)


def _binary_auprc(positive: np.ndarray, score: np.ndarray) -> float:
    """Mean over the positives of the precision at their score; equal scores come together."""
    if positive.all() or not positive.any():
        return float("nan")
    _, place, counts = np.unique(-score, return_inverse=True, return_counts=True)
    hits = np.bincount(place, weights=positive)
    return float((np.cumsum(hits) / np.cumsum(counts) * hits).sum() / hits.sum())
