"""The results: one number a row, and beside it the same measure image by image.

`results.csv` has the columns of `COLUMNS`, `-` where one does not apply. `per_image.parquet` has
those that say what was measured (`KEYS`), and for each image its id, its patient, the value and
its weight: the value over images is sum(weight * value) / sum(weight). It holds the labels and
logits too (metrics `label` and `logit`), from which AUC, kappa and calibration can be computed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from softcam.common import SoftCAMError, atomic_path, write_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "KEYS",
    "PER_IMAGE",
    "STATISTICS",
    "read_per_image",
    "read_results",
    "read_table",
    "write_results",
    "write_table",
]

KEYS = (
    "run_id", "dataset", "task", "split", "profile", "model", "backbone", "arm", "lambda1",
    "lambda2", "seed", "method", "occluded_run", "gauge", "protocol", "target", "finding", "fill",
    "interpolation", "threshold", "metric", "step", "direction", "unit",
)  # fmt: skip
STATISTICS = ("value", "ci_low", "ci_high", "ci_kind", "n", "n_excluded")
COLUMNS = KEYS + STATISTICS
PER_IMAGE = (*KEYS, "image_id", "patient_id", "value", "weight")


def write_results(table: pd.DataFrame, per_image: pd.DataFrame, folder: str | Path) -> Path:
    """Write `results.csv` and `per_image.parquet` into a folder, each atomically.

    Raises:
        SoftCAMError: a column is missing or one too many.
    """
    folder = Path(folder)
    _check("per_image.parquet", per_image, PER_IMAGE)
    _check("results.csv", table, COLUMNS)
    with atomic_path(folder / "per_image.parquet") as temporary:
        per_image[list(PER_IMAGE)].to_parquet(temporary, index=False)
    write_table(table, folder)
    return folder


def write_table(table: pd.DataFrame, folder: str | Path) -> Path:
    """Write `results.csv` alone; what is undefined is a `-`."""
    _check("results.csv", table, COLUMNS)
    text = table[list(COLUMNS)].to_csv(index=False, lineterminator="\n", na_rep="-")
    return write_text(Path(folder) / "results.csv", text)


def read_results(folder: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two tables of a folder; `step` and `threshold` are words, as when they were written."""
    folder = Path(folder)
    for name in ("results.csv", "per_image.parquet"):
        if not (folder / name).is_file():
            raise SoftCAMError(f"{folder} has no {name}: run `softcam evaluate` first.")
    return read_table(folder / "results.csv"), read_per_image(folder / "per_image.parquet")


def read_table(file: str | Path) -> pd.DataFrame:
    """`results.csv` alone; an undefined value is NaN."""
    import pandas as pd

    words = {name: str for name in KEYS if name not in ("lambda1", "lambda2", "seed")}
    undefined = {name: ["-", ""] for name in ("value", "ci_low", "ci_high")}
    return pd.read_csv(file, dtype=words, keep_default_na=False, na_values=undefined)


def read_per_image(file: str | Path) -> pd.DataFrame:
    """The rows of single images; words are categories, for there are many rows."""
    import pyarrow.parquet

    words = [name for name in PER_IMAGE if name not in ("value", "weight")]
    return pyarrow.parquet.read_table(file, read_dictionary=words).to_pandas()


def _check(name: str, table: pd.DataFrame, wanted: tuple[str, ...]) -> None:
    wrong = sorted(set(table.columns) ^ set(wanted))
    if wrong:
        raise SoftCAMError(
            f"{name} must have exactly its agreed columns, these are missing or too many: "
            f"{', '.join(wrong)}."
        )
