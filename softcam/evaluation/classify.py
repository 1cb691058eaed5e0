"""Does the model classify? The rows about predictions alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from softcam.data.records import ImageSet
from softcam.evaluation.recorder import Recorder, patient_groups
from softcam.metrics import (
    Measure,
    Ratios,
    bootstrap_statistic,
    classification_ratios,
    macro_mean,
    multi_label_ratios,
)
from softcam.metrics.multi_label import one_finding

__all__ = ["add_classification", "predicted_targets"]


def add_classification(
    recorder: Recorder,
    keys: Mapping[str, Any],
    data: ImageSet,
    indices: np.ndarray,
    logits: np.ndarray,
    link: str,
    measures: Sequence[Measure],
) -> None:
    """Every measure of kind `classification` on the logits (n, C) of these images.

    Of a multi-label set: the mean over findings, and each finding by itself, target `class:N`.
    """
    keys = {**keys, "finding": "-"}
    labels = np.asarray(data.labels)[indices]
    recorder.add_predictions(keys, data, indices, logits)
    if not measures:
        return
    if not data.multi_label:
        by_image = classification_ratios(labels, logits, link)
        _add(recorder, keys, data, indices, labels, logits, link, measures, by_image)
        return
    by_image = multi_label_ratios(labels, logits)
    _add(recorder, keys, data, indices, labels, logits, link, measures, by_image, macro_mean)
    for c in range(logits.shape[1]):
        own = one_finding(labels, logits, c)
        by_image = classification_ratios(*own, link)
        target = {**keys, "target": f"class:{c}"}
        _add(recorder, target, data, indices, *own, link, measures, by_image)


def _add(
    recorder: Recorder,
    keys: Mapping[str, Any],
    data: ImageSet,
    indices: np.ndarray,
    labels: np.ndarray,
    logits: np.ndarray,
    link: str,
    measures: Sequence[Measure],
    by_image: Mapping[str, Ratios],
    of: Callable[[Callable[..., float]], Callable[..., float]] = lambda statistic: statistic,
) -> None:
    """Means over images image by image, all other measures as statistics of all of them."""
    for measure in measures:
        if measure.name in by_image:
            recorder.add_ratios(keys, measure, by_image[measure.name], data, indices)
            continue
        statistic = of(measure.function)
        interval = bootstrap_statistic(
            lambda y, z, statistic=statistic: statistic(y, z, link), labels, logits,
            n_boot=recorder.n_boot, seed=recorder.seed, groups=patient_groups(data, indices),
        )  # fmt: skip
        recorder.add_statistic(keys, measure, interval, len(labels))


def predicted_targets(logits: np.ndarray, targets: np.ndarray, link: str = "softmax") -> np.ndarray:
    """(N,) bool: the target is what the model predicts; with a sigmoid, p > 0.5."""
    if logits.shape[1] == 1:
        return np.asarray((logits[:, 0] > 0) == (targets == 1))
    if link == "sigmoid":
        return np.asarray(logits[np.arange(len(logits)), targets] > 0)
    return np.asarray(logits.argmax(1) == targets)
