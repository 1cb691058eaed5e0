"""Collects rows while an evaluation runs; the rows of single images go straight to a file."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import atomic_path
from softcam.data.records import ImageSet
from softcam.metrics import Interval, Measure, Ratios, bootstrap_ratio
from softcam.results import COLUMNS, KEYS, read_per_image

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Recorder", "patient_groups"]

BUFFER = 100_000  # rows of single images held at a time


class Recorder:
    """The two tables of an evaluation, while it runs.

    Use it in a `with` block: the file of per-image rows appears when the block ends well.

    Args:
        n_boot: draws of a bootstrap interval.
        seed: of the draws.
        file: where the per-image rows go; None takes a temporary file, until `close`.
    """

    def __init__(self, n_boot: int = 1000, seed: int = 0, file: Path | None = None) -> None:
        self.n_boot, self.seed = n_boot, seed
        self.rows: list[tuple[Any, ...]] = []  # in the order of COLUMNS
        self.file = file
        self._folder = ExitStack()
        self._target = ExitStack()
        self._writer: Any = None
        self._blocks: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._held = 0

    def __enter__(self) -> Recorder:
        if self.file is None:
            folder = self._folder.enter_context(tempfile.TemporaryDirectory(prefix="softcam-"))
            self.file = Path(folder) / "per_image.parquet"
        self._path = self._target.enter_context(atomic_path(self.file))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._flush(at_end=True)
        except BaseException:
            self._target.__exit__(*sys.exc_info())  # the half-written file goes
            raise
        self._target.__exit__(kind, error, trace)

    def close(self) -> None:
        """Forget the temporary file, where there is one."""
        self._folder.close()

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
        interval = bootstrap_ratio(ratios, self.n_boot, self.seed, patient_groups(data, indices))
        steps: Sequence[Any] = measure.steps or ("-",)
        values = ratios.per_image
        for s, step in enumerate(steps[: ratios.numerator.shape[1]]):
            filled = _filled(keys, measure, step)
            value, low, high = (each[s] for each in interval)
            one = _honest(Interval(value, low, high, interval.kind, interval.reason), measure)
            self._row(filled, one, int(ratios.n[s]), int(ratios.n_excluded[s]))
            weights = ratios.denominator[:, s]
            kept = weights > 0
            self._images(filled, data, indices[kept], values[kept, s], weights[kept])

    def add_statistic(
        self,
        keys: Mapping[str, Any],
        measure: Measure,
        interval: Interval,
        n: int,
        n_excluded: int = 0,
    ) -> None:
        """A measure without a value an image, such as the AUC: one row."""
        self._row(_filled(keys, measure, "-"), interval, n, n_excluded)

    def add_predictions(
        self, keys: Mapping[str, Any], data: ImageSet, indices: np.ndarray, logits: np.ndarray
    ) -> None:
        """Labels and logits (n, C) of these images, for what is computed from all together.

        The labels of a multi-label set are one row a finding, target `class:N`.
        """
        ones = np.ones(len(indices))
        labels = np.asarray(data.labels)[indices]
        columns = {"label": labels}
        if data.multi_label:
            columns = {f"class:{c}": labels[:, c] for c in range(labels.shape[1])}
        for target, values in columns.items():
            extra = {"metric": "label", "unit": "class", "target": target}
            self._images(_dashed({**keys, **extra}), data, indices, values, ones)
        for c in range(logits.shape[1]):
            extra = {"metric": "logit", "unit": "logit", "target": f"class:{c}"}
            self._images(_dashed({**keys, **extra}), data, indices, logits[:, c], ones)

    def _row(self, keys: dict[str, Any], interval: Interval, n: int, n_excluded: int) -> None:
        value, low, high = (float(each) for each in interval)
        said = f"; {interval.reason}" if interval.reason else ""
        kind = f"{interval.kind}{said}" if np.isfinite(low) else f"none: {interval.reason}"
        self.rows.append((*keys.values(), value, low, high, kind, n, n_excluded))

    def _images(
        self,
        keys: dict[str, Any],
        data: ImageSet,
        indices: np.ndarray,
        values: np.ndarray,
        weights: np.ndarray,
    ) -> None:
        """Rows of single images; written as soon as there are `BUFFER` of them."""
        start = 0
        while start < len(indices):
            part = slice(start, start + BUFFER - self._held)
            columns: dict[str, Any] = {
                "image_id": [data.ids[i] for i in indices[part]],
                "patient_id": [data.patients[i] for i in indices[part]],
                "value": np.asarray(values[part], np.float64),
                "weight": np.asarray(weights[part], np.float64),
            }
            self._blocks.append((keys, columns))
            self._held += len(columns["value"])
            start += len(columns["value"])
            if self._held >= BUFFER:
                self._flush()

    def _flush(self, at_end: bool = False) -> None:
        """Write what is held as one row group; words are dictionaries, for there are many rows."""
        if not self._blocks and not (at_end and self._writer is None):
            return
        import pyarrow
        from pyarrow import parquet

        lengths = [len(columns["value"]) for _, columns in self._blocks]
        arrays: dict[str, Any] = {}
        for name in KEYS:
            words = [str(keys[name]) for keys, _ in self._blocks]
            arrays[name] = _dictionary(words, lengths)
        for name in ("image_id", "patient_id"):
            words = [str(v) for _, columns in self._blocks for v in columns[name]]
            arrays[name] = _dictionary(words, [1] * len(words))
        for name in ("value", "weight"):
            parts = [columns[name] for _, columns in self._blocks]
            arrays[name] = pyarrow.array(np.concatenate(parts) if parts else np.zeros(0))
        table = pyarrow.table(arrays)
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._path, table.schema)
            self._target.callback(self._writer.close)  # before the file is moved or taken away
        self._writer.write_table(table)
        self._blocks, self._held = [], 0

    def table(self) -> pd.DataFrame:
        """`results.csv` as a table."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=list(COLUMNS))

    def per_image(self) -> pd.DataFrame:
        """`per_image.parquet` as a table, once the block has ended."""
        assert self.file is not None
        return read_per_image(self.file)


def _dictionary(words: Sequence[str], lengths: Sequence[int]) -> Any:
    """Each word repeated, as a dictionary array of text."""
    import pyarrow

    known: dict[str, int] = {}
    codes = [known.setdefault(word, len(known)) for word in words]
    indices = pyarrow.array(np.repeat(np.array(codes, np.int32), np.array(lengths, int)))
    return pyarrow.DictionaryArray.from_arrays(
        indices, pyarrow.array(list(known), pyarrow.string())
    )


def _honest(interval: Interval, measure: Measure) -> Interval:
    """The interval as far as images may be drawn one by one (`Measure.joint`)."""
    if measure.joint == "classes":
        nan = np.array(np.nan)
        return Interval(interval.value, nan, nan, interval.kind, "a mean of class means")
    if measure.joint == "opponents":
        kind = f"{interval.kind}, those they are held against fixed: too narrow"
        return Interval(interval.value, interval.low, interval.high, kind, interval.reason)
    return interval


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
    """The key columns in their order, `-` where one does not apply."""
    return {name: keys.get(name, "-") for name in KEYS}


def patient_groups(data: ImageSet, indices: np.ndarray) -> np.ndarray | None:
    """A number for the patient of each image, or None where every image is one of its own."""
    patients = _patient_numbers(data.patients)[indices]
    return None if len(np.unique(patients)) == len(patients) else patients


@lru_cache(maxsize=2)
def _patient_numbers(patients: tuple[str, ...]) -> np.ndarray:
    """(N,): patients numbered in the order of their names."""
    return np.unique(np.array(patients, str), return_inverse=True)[1]
