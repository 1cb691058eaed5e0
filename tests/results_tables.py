"""Small tables of results as `evaluate` makes them: what is measured is given image by image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from softcam.metrics import Ratios, bootstrap_ratio
from softcam.results import COLUMNS, KEYS

PLAIN: dict[str, Any] = {
    **dict.fromkeys(KEYS, "-"), "dataset": "d", "split": "test", "model": "m", "lambda1": 0.0,
    "lambda2": 0.0, "seed": 0, "protocol": "corrected", "direction": "higher",
}  # fmt: skip


class Tables:
    """Collects rows of both tables."""

    def __init__(self) -> None:
        self._table: list[dict[str, Any]] = []
        self._images: list[pd.DataFrame] = []

    def add(self, values: np.ndarray, **keys: Any) -> None:
        """A measure with a value an image; NaN leaves the image out."""
        keys = {**PLAIN, **keys}
        known = ~np.isnan(values)
        ratios = Ratios(np.where(known, values, 0), known.astype(float))
        value, low, high = (float(each[0]) for each in bootstrap_ratio(ratios, n_boot=50))
        numbers = {"value": value, "ci_low": low, "ci_high": high, "ci_kind": "bootstrap"}
        self._table.append({**keys, **numbers, "n": int(known.sum()), "n_excluded": 0})
        self._rows(values[known], np.flatnonzero(known), keys)

    def predict(self, labels: np.ndarray, logits: np.ndarray, **keys: Any) -> None:
        """Labels, logits of two classes, and the row of the AUC."""
        from softcam.metrics.classification import auc

        both = np.stack([-logits, logits], 1) / 2
        keys = {**PLAIN, **keys, "protocol": "-"}
        every = np.arange(len(labels))
        self._rows(labels.astype(float), every, {**keys, "metric": "label", "target": "label"})
        for c in range(2):
            own = {**keys, "metric": "logit", "target": f"class:{c}"}
            self._rows(both[:, c], every, own)
        numbers = {"value": auc(labels, both), "ci_low": 0.0, "ci_high": 1.0, "ci_kind": "-"}
        own = {**keys, "metric": "auc", "protocol": "corrected"}
        self._table.append({**own, **numbers, "n": len(labels), "n_excluded": 0})

    def predict_findings(self, labels: np.ndarray, logits: np.ndarray, **keys: Any) -> None:
        """(N, C) labels and logits of several findings, and the rows of the AUC."""
        from softcam.metrics import macro_mean
        from softcam.metrics.classification import auc

        keys = {**PLAIN, **keys, "protocol": "-"}
        every = np.arange(len(labels))
        values = {"-": macro_mean(auc)(labels, logits)}
        for c in range(labels.shape[1]):
            own = {**keys, "target": f"class:{c}"}
            self._rows(labels[:, c].astype(float), every, {**own, "metric": "label"})
            self._rows(logits[:, c], every, {**own, "metric": "logit"})
            values[f"class:{c}"] = auc(labels[:, c], logits[:, c : c + 1], "sigmoid")
        for target, value in values.items():
            own = {**keys, "metric": "auc", "protocol": "corrected", "target": target}
            numbers = {"value": value, "ci_low": 0.0, "ci_high": 1.0, "ci_kind": "-"}
            self._table.append({**own, **numbers, "n": len(labels), "n_excluded": 0})

    def _rows(self, values: np.ndarray, ids: np.ndarray, keys: Mapping[str, Any]) -> None:
        frame = pd.DataFrame({name: [str(keys[name])] * len(values) for name in KEYS})
        images = [f"i{k}" for k in ids]
        self._images.append(
            frame.assign(image_id=images, patient_id=images, value=values, weight=1.0)
        )

    def table(self) -> pd.DataFrame:
        """`results.csv`."""
        return pd.DataFrame(self._table, columns=list(COLUMNS))

    def per_image(self) -> pd.DataFrame:
        """`per_image.parquet`."""
        return pd.concat(self._images, ignore_index=True)
