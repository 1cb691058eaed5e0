"""Does the model classify? The rows about predictions alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from softcam.data.records import ImageSet
from softcam.evaluate.recorder import Recorder, patient_groups
from softcam.metrics import Measure, bootstrap_statistic, classification_ratios

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
    """Every measure of kind `classification` on the logits (n, C) of these images."""
    keys = {**keys, "finding": "-"}
    labels = np.asarray(data.labels)[indices]
    recorder.add_predictions(keys, data, indices, logits)
    by_image = classification_ratios(labels, logits, link) if measures else {}
    for measure in measures:
        if measure.name in by_image:
            recorder.add_ratios(keys, measure, by_image[measure.name], data, indices)
            continue
        interval = bootstrap_statistic(
            lambda y, z, measure=measure: measure(y, z, link), labels, logits,
            n_boot=recorder.n_boot, seed=recorder.seed, groups=patient_groups(data, indices),
        )  # fmt: skip
        recorder.add_statistic(keys, measure, interval, len(labels))


def predicted_targets(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(N,) bool: the target is what the model predicts; with one sigmoid logit, p > 0.5."""
    if logits.shape[1] == 1:
        return np.asarray((logits[:, 0] > 0) == (targets == 1))
    return np.asarray(logits.argmax(1) == targets)
