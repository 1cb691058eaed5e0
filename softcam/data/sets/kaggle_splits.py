"""Splits of the Kaggle photographs, drawn or given: both eyes of a patient in one of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from softcam.common import DataError
from softcam.data.sets.grades import Graded, Task, compare_grades, read_grades
from softcam.data.split_files import SplitPath, draw_validation, read_split_files
from softcam.data.splitting import crossings, grouped_split

__all__ = ["TEST_LABELS", "TRAIN_LABELS", "drawn_splits", "given_splits", "order", "parts"]

TRAIN_LABELS, TEST_LABELS = "trainLabels.csv", "retinopathy_solution.csv"
VALIDATION = 0.1  # of the training images, where it is drawn


def parts(key: str) -> tuple[str, str]:
    """Patient and eye of an id such as `10_left`."""
    patient, _, eye = key.partition("_")
    return patient, eye


def order(key: str) -> tuple[int, str]:
    """Patients by number, the left eye first."""
    patient, eye = parts(key)
    return int(patient), eye


def drawn_splits(
    place: Path,
    files: Mapping[str, str],
    train: Mapping[str, Graded],
    test: Mapping[str, Graded],
    task: Task,
    seed: int,
    on_error: str,
) -> tuple[dict[str, str], list[str]]:
    """Test as in the challenge where its labels and images are there; the rest by patient.

    Args:
        place: of the data set, for messages.
        files: name in the store by id.
        train, test: the challenge's labels by id.
        task: what the draw is stratified by.
        seed: of the draw.
        on_error: `stop` at a row without an image, or `skip` and count.

    Returns:
        Splits by id, and notes.
    """
    if not train:
        raise DataError(f"{place}: no {TRAIN_LABELS}; it comes with the images. Or give splits.")
    for key, entry in test.items():
        if key in train:
            raise entry.row.error(
                entry.column, f"{key!r} is in row {train[key].row.line} of {TRAIN_LABELS} too."
            )
    notes = _missing(files, train, TRAIN_LABELS, on_error)
    notes += _missing(files, test, TEST_LABELS, on_error)
    if unlisted := sum(key not in train and key not in test for key in files):
        notes.append(f"{unlisted} images have no label: left out.")
    kept = sorted((key for key in train if key in files), key=order)
    if not kept:
        raise DataError(f"{place}: no image is in {TRAIN_LABELS}.")
    tested = [key for key in test if key in files]
    labels, patients = [task.label(train[key].level) for key in kept], [parts(k)[0] for k in kept]
    if tested:
        drawn = draw_validation(labels, patients, VALIDATION, seed)
        notes.append(f"validation is drawn from train by patient and label with seed {seed}.")
    else:
        drawn = grouped_split(labels, patients, seed=seed)
        notes.append(f"no test labels: splits are drawn by patient and label with seed {seed}.")
    where = {**dict(zip(kept, drawn, strict=True)), **dict.fromkeys(tested, "test")}
    _check_patients(where, {**train, **test})
    return where, notes


def given_splits(
    splits: SplitPath, files: Mapping[str, str], graded: Mapping[str, Graded], on_error: str
) -> tuple[dict[str, str], dict[str, Graded], list[str]]:
    """The splits of the authors' files, the grades of their images, and notes.

    Args:
        splits: see `read_split_files`; with `image` or `filename`, and `level`.
        files: name in the store by id.
        graded: the challenge's labels, as far as they are there; they have to agree.
        on_error: as in `drawn_splits`.
    """
    given = read_split_files(splits, id_column=("image", "filename"), columns=["level"])
    compare_grades(given, graded)
    levels = read_grades(given.rows.values(), "image", "filename")
    where, notes = given.match(files, on_error)
    _check_patients(where, levels)
    return where, levels, notes


def _missing(
    files: Mapping[str, str], graded: Mapping[str, Graded], table: str, on_error: str
) -> list[str]:
    """A note on rows without an image; an error where only some are missing, under `stop`."""
    absent = [key for key in graded if key not in files]
    if absent and len(absent) < len(graded) and on_error == "stop":
        first = graded[absent[0]]
        raise first.row.error(
            first.column,
            f"{absent[0]!r} has no file; {len(absent)} of {len(graded)} rows have none. Complete "
            "the images, or leave these rows out: --on-error skip.",
        )
    return [f"{len(absent)} rows of {table} have no image: left out."] if absent else []


def _check_patients(where: Mapping[str, str], graded: Mapping[str, Graded]) -> None:
    """Raise where the eyes of a patient are in different splits."""
    crossed = crossings([parts(key)[0] for key in where], list(where.values()))
    for patient, found in crossed.items():
        key = max((key for key in where if parts(key)[0] == patient), key=order)
        raise graded[key].row.error(
            graded[key].column,
            f"patient {patient} is in the splits {' and '.join(found)}, and belongs in one "
            f"({len(crossed)} patients are in several).",
        )
