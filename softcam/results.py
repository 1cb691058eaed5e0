"""The results: one number a row, and beside it the same measure image by image.

`results.csv` has the columns of `COLUMNS`, `-` where one does not apply. `per_image.parquet` has
those that say what was measured (`KEYS`), and for each image its id, its patient, the value and
its weight: the value over images is sum(weight * value) / sum(weight). It holds the labels and
logits too (metrics `label` and `logit`), from which AUC, kappa and calibration can be computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import SoftCAMError, atomic_path, write_text
from softcam.metrics import Interval, Measure, Ratios, bootstrap_ratio

if TYPE_CHECKING:
    import pandas as pd

    from softcam.data.records import ImageSet

__all__ = ["COLUMNS", "KEYS", "Recorder", "read_results", "write_results"]

KEYS = (
    "run_id", "dataset", "task", "split", "profile", "model", "backbone", "arm", "lambda1",
    "lambda2", "seed", "method", "occluded_run", "gauge", "protocol", "target", "finding", "fill",
    "interpolation", "threshold", "metric", "step", "direction", "unit",
)  # fmt: skip
STATISTICS = ("value", "ci_low", "ci_high", "ci_kind", "n", "n_excluded")
COLUMNS = KEYS + STATISTICS
PER_IMAGE = (*KEYS, "image_id", "patient_id", "value", "weight")


@dataclass
class Recorder:
    """Collects rows while an evaluation runs.

    Attributes:
        n_boot: draws of a bootstrap interval.
        seed: of the draws.
    """

    n_boot: int = 1000
    seed: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    blocks: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)

    def add_ratios(
        self,
        keys: Mapping[str, Any],
        measure: Measure,
        ratios: Ratios,
        data: ImageSet,
        indices: np.ndarray,
    ) -> None:
        """A measure with a value an image: one row a step, and the images one by one.

        Args:
            keys: the columns that say what was measured; what is missing becomes `-`.
            measure: gives name, direction, unit, steps, threshold and interpolation.
            ratios: (B, S).
            data, indices: which images the B are.
        """
        groups = patient_groups(data, indices)
        interval = bootstrap_ratio(ratios, self.n_boot, self.seed, groups)
        steps: Sequence[Any] = measure.steps or ("-",)
        for s, step in enumerate(steps[: ratios.numerator.shape[1]]):
            filled = _filled(keys, measure, step)
            value, low, high = (each[s] for each in interval)
            one = Interval(value, low, high, interval.kind, interval.reason)
            self._row(filled, one, int(ratios.n[s]), int(ratios.n_excluded[s]))
            weights = ratios.denominator[:, s]
            kept = weights > 0
            self._images(filled, data, indices[kept], ratios.per_image[kept, s], weights[kept])

    def add_statistic(
        self, keys: Mapping[str, Any], measure: Measure, interval: Interval, n: int
    ) -> None:
        """A measure without a value an image, such as the AUC: one row."""
        self._row(_filled(keys, measure, "-"), interval, n, 0)

    def add_predictions(self, keys: Mapping[str, Any], data: ImageSet, logits: np.ndarray) -> None:
        """Labels and logits (N, C) of every image, for what is computed from all together."""
        every, ones = np.arange(len(data)), np.ones(len(data))
        extra = {"metric": "label", "unit": "class", "target": "label"}
        self._images(_dashed({**keys, **extra}), data, every, np.asarray(data.labels), ones)
        for c in range(logits.shape[1]):
            extra = {"metric": "logit", "unit": "logit", "target": f"class:{c}"}
            self._images(_dashed({**keys, **extra}), data, every, logits[:, c], ones)

    def _row(self, keys: dict[str, Any], interval: Interval, n: int, n_excluded: int) -> None:
        value, low, high = (float(each) for each in interval)
        kind = interval.kind if np.isfinite(low) else f"none: {interval.reason}"
        numbers = (value, low, high, kind, n, n_excluded)
        self.rows.append({**keys, **dict(zip(STATISTICS, numbers, strict=True))})

    def _images(
        self,
        keys: dict[str, Any],
        data: ImageSet,
        indices: np.ndarray,
        values: np.ndarray,
        weights: np.ndarray,
    ) -> None:
        columns = {
            "image_id": [data.ids[i] for i in indices],
            "patient_id": [data.patients[i] for i in indices],
            "value": np.asarray(values, np.float64),
            "weight": np.asarray(weights, np.float64),
        }
        self.blocks.append((keys, columns))

    def table(self) -> pd.DataFrame:
        """`results.csv` as a table."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=list(COLUMNS))

    def per_image(self) -> pd.DataFrame:
        """`per_image.parquet` as a table; its words are categories, for there are many rows."""
        import pandas as pd

        lengths = [len(columns["value"]) for _, columns in self.blocks]
        out: dict[str, Any] = {}
        for name in KEYS:
            codes, words = pd.factorize(np.array([str(k[name]) for k, _ in self.blocks], object))
            out[name] = pd.Categorical.from_codes(np.repeat(codes, lengths), pd.Index(words))
        for name in ("image_id", "patient_id"):
            every = [str(v) for _, columns in self.blocks for v in columns[name]]
            out[name] = pd.Categorical(every)
        for name in ("value", "weight"):
            parts = [columns[name] for _, columns in self.blocks]
            out[name] = np.concatenate(parts) if parts else np.zeros(0)
        return pd.DataFrame(out, columns=list(PER_IMAGE))


def _filled(keys: Mapping[str, Any], measure: Measure, step: Any) -> dict[str, Any]:
    """All key columns of one row."""
    own = {
        "metric": measure.name,
        "direction": measure.direction,
        "unit": measure.unit,
        "threshold": measure.threshold,
        "interpolation": measure.interpolation,
        "protocol": measure.protocol,
        "step": str(step),
    }
    return _dashed({**own, **keys})


def _dashed(keys: Mapping[str, Any]) -> dict[str, Any]:
    return {name: keys.get(name, "-") for name in KEYS}


def patient_groups(data: ImageSet, indices: np.ndarray) -> np.ndarray | None:
    """The patient of each image, or None where every image is a patient of its own."""
    patients = np.array([data.patients[i] for i in indices], object)
    return None if len(set(patients)) == len(patients) else patients.astype(str)


def write_results(table: pd.DataFrame, per_image: pd.DataFrame, folder: str | Path) -> Path:
    """Write `results.csv` and `per_image.parquet` into a folder, each atomically.

    Raises:
        SoftCAMError: a column is missing or one too many.
    """
    folder = Path(folder)
    for name, found, wanted in (
        ("results.csv", table, COLUMNS),
        ("per_image.parquet", per_image, PER_IMAGE),
    ):
        wrong = sorted(set(found.columns) ^ set(wanted))
        if wrong:
            raise SoftCAMError(
                f"{name} must have exactly its agreed columns, these are missing or too many: "
                f"{', '.join(wrong)}."
            )
    with atomic_path(folder / "per_image.parquet") as temporary:
        per_image[list(PER_IMAGE)].to_parquet(temporary, index=False)
    text = table[list(COLUMNS)].to_csv(index=False, lineterminator="\n")
    write_text(folder / "results.csv", text)
    return folder


def read_results(folder: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two tables of a folder; `step` and `threshold` are words, as when they were written."""
    import pandas as pd

    folder = Path(folder)
    for name in ("results.csv", "per_image.parquet"):
        if not (folder / name).is_file():
            raise SoftCAMError(f"{folder} has no {name}: run `softcam evaluate` first.")
    words = {name: str for name in KEYS if name not in ("lambda1", "lambda2", "seed")}
    table = pd.read_csv(folder / "results.csv", dtype=words, keep_default_na=False, na_values=[""])
    return table, pd.read_parquet(folder / "per_image.parquet")
