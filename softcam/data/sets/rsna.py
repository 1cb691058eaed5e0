"""RSNA Pneumonia Detection Challenge (2018): chest X-rays, every box of every image.

    PATH/stage_2_train_labels.csv         patientId, x, y, width, height, Target; one row a box
    PATH/stage_2_detailed_class_info.csv  patientId, class; repeated for every box
    PATH/stage_2_train_images/ID.dcm      8-bit JPEG in DICOM, 1024 x 1024; or PNG or JPEG of ID

PATH is a folder or the archive of the challenge. Normal is 0, Lung Opacity is 1; the third class,
"No Lung Opacity / Not Normal", is left out as in the paper. Readers looked at every image, so an
image without a box is one without an opacity.

A `patientId` names one image. The images come from NIH ChestX-ray14, where a person may have
several, and these tables do not say which belong together.

Shih et al., Radiology: Artificial Intelligence 1(1):e180041 (2019),
https://doi.org/10.1148/ryai.2019180041.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from softcam.common import DataError, as_integer, choose, hides_bar
from softcam.data.catalogue import Catalogue, Item
from softcam.data.dicom import dicom_headers, needs_pydicom
from softcam.data.images import image_size
from softcam.data.sets.rsna_tables import OPACITY, THIRD, Doubts, Listed, read_tables
from softcam.data.split_files import SplitPath, read_split_files
from softcam.data.splitting import grouped_split
from softcam.data.store import Store, open_store

__all__ = ["read_rsna"]

LABELS = "stage_2_train_labels.csv"
CLASS_INFO = "stage_2_detailed_class_info.csv"
IMAGES = "stage_2_train_images"
DICOM, PLAIN = (".dcm", ".dicom"), (".png", ".jpg", ".jpeg")
SIDE = 1024  # of the original images, in whose pixels the boxes are
HEADERS = ("ViewPosition", "PatientAge", "PatientSex")
ON_ERROR = ("stop", "skip")
NORMAL_IS_REST = "No Lung Opacity"  # class 0 where the third class is negative

# images of class 0 and 1, of the paper's split files and of the whole challenge
SPLIT_COUNTS = {"train": (6770, 4599), "val": (753, 511), "test": (1328, 902)}
ALL_COUNTS = {"all": (8851, 6012)}


def read_rsna(
    path: str | Path,
    *,
    splits: SplitPath | None = None,
    on_error: str = "stop",
    third_class: str = "drop",
    headers: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> tuple[Store, Catalogue]:
    """List the challenge's training images; both tables are checked before an image is opened.

    Args:
        path: the folder or archive that holds the tables and the images.
        splits: the authors' split files (`filename`, and `bin_target` to compare), as a folder,
            a list of three files, or one file with a column `split`. None draws a split,
            stratified by label.
        on_error: `stop` at the first row or image that does not fit, or `skip` such images and
            count them.
        third_class: `drop` "No Lung Opacity / Not Normal", or take it as `negative`, together
            with Normal.
        headers: read view position, age and sex from the DICOM headers into the catalogue's
            metadata, for the audit. It opens every file.
        seed: of the split, where one is drawn.
        progress: show a bar while headers are read.

    Returns:
        The files, and the catalogue: one kind of mark, `opacity`, which is the finding. Its
        `expected` counts are by split with `splits`, and of `all` images without.

    Raises:
        DataError: what does not fit, with file, row and column.
        SoftCAMError: the images are DICOM and pydicom is not installed.
    """
    choose("on_error", on_error, ON_ERROR)
    choose("third_class", third_class, ("drop", "negative"))
    as_integer("seed", seed, 0, 2**32 - 1)
    if splits is not None and third_class == "negative":
        raise DataError("the split files leave the third class out: use third_class='drop'.")
    store = open_store(path)
    names = store.names()
    root = _root(store, names)
    doubts = Doubts(on_error)
    listed = read_tables(store, root + LABELS, root + CLASS_INFO, doubts)
    drop = THIRD if third_class == "drop" else ""
    kept = {patient: item for patient, item in listed.items() if item.kind != drop}
    dropped = len(listed) - len(kept)
    files, view = _files(store, names, root)
    _check_files(store, files, listed, kept, doubts)
    kept = {patient: item for patient, item in kept.items() if patient not in doubts.found}
    notes = [f"{dropped} images of the class {THIRD!r} are left out."] if dropped else []
    if not kept:
        raise DataError(f"{store.path}: no image is left. {' '.join([*notes, *doubts.notes()])}")
    where, more = _splits(splits, kept, on_error, seed)
    chosen = [patient for patient in sorted(kept) if patient in where]
    return store, Catalogue(
        name="rsna",
        items=[_item(kept[patient], files[patient], where[patient]) for patient in chosen],
        classes=("Normal" if third_class == "drop" else NORMAL_IS_REST, OPACITY),
        mask_names=("opacity",),
        finding_names=("opacity",),
        view=view,
        options=_options(splits, third_class, seed),
        metadata=_headers(store, [files[p] for p in chosen], on_error, progress)
        if headers and view == "dicom"
        else {},
        expected=_expected(splits, third_class),
        notes=(*notes, *more),
        warnings=tuple(doubts.notes()),
        table=root + LABELS,
        grey=True,
    )


def _root(store: Store, names: Sequence[str]) -> str:
    """The folder in the store that holds the tables, with its slash; '' is the top."""
    found = [name.removesuffix(LABELS) for name in names if PurePosixPath(name).name == LABELS]
    if len(found) != 1:
        what = "no" if not found else f"{len(found)} files"
        raise DataError(
            f"{store.path}: {what} {LABELS}; expected it once, beside {CLASS_INFO} and "
            f"{IMAGES}/. Download all of the challenge's data, or give the folder that holds it."
        )
    return found[0]


def _files(store: Store, names: Sequence[str], root: str) -> tuple[dict[str, str], str]:
    """Name in the store by patientId, and the view: DICOM where there is any."""
    place = f"{root}{IMAGES}/"
    inside = [PurePosixPath(name) for name in names if name.startswith(place)]
    for suffixes, view in ((DICOM, "dicom"), (PLAIN, "image")):
        found: dict[str, str] = {}
        for name in inside:
            if name.suffix.lower() not in suffixes:
                continue
            if name.stem in found:
                raise DataError(
                    f"{store.path}: {found[name.stem]!r} and {str(name)!r} are one patientId; "
                    "remove one."
                )
            found[name.stem] = str(name)
        if found:
            needs_pydicom() if view == "dicom" else _check_side(store, min(found.values()))
            return found, view
    raise DataError(f"{store.path}: no DICOM, PNG or JPEG file in {place}")


def _check_side(store: Store, name: str) -> None:
    """Raise where a converted image has another size than the boxes' coordinates mean."""
    try:
        height, width = image_size(store.read(name), name)
    except DataError:
        return  # which is said, or skipped, when the images are prepared
    if (height, width) != (SIDE, SIDE):
        raise DataError(
            f"{store.path}: {name!r} has {width} x {height} pixels, but the boxes are in pixels "
            f"of the original {SIDE} x {SIDE}; use the DICOM files, or convert at full size."
        )


def _check_files(
    store: Store,
    files: Mapping[str, str],
    listed: Mapping[str, Listed],
    kept: Mapping[str, Listed],
    doubts: Doubts,
) -> None:
    """Every image that is used has a file, and every file a row."""
    for patient, item in kept.items():
        if patient not in files:
            problem = item.row.error("patientId", f"{patient!r} has no file in {IMAGES}/.")
            doubts.add(patient, "have no file", problem)
    for patient in sorted(set(files) - set(listed) - set(doubts.found)):
        problem = DataError(f"{store.path}: {files[patient]!r} has no row in {LABELS}.")
        doubts.add(patient, "have no row", problem)


def _splits(
    given: SplitPath | None, kept: Mapping[str, Listed], on_error: str, seed: int
) -> tuple[dict[str, str], list[str]]:
    """Split by patientId, and notes."""
    if given is None:
        patients = sorted(kept)
        drawn = grouped_split([kept[p].label for p in patients], patients, seed=seed)
        note = f"no split is given: drawn by patientId and label with seed {seed}."
        return dict(zip(patients, drawn, strict=True)), [note]
    files = read_split_files(given, id_column=("filename", "patientId"))
    for patient, row in files.rows.items():
        text = row.get("bin_target")
        if text and patient in kept and row.number("bin_target") != kept[patient].label:
            raise row.error(
                "bin_target",
                f"{text!r}, but {patient!r} is {kept[patient].kind!r} in {CLASS_INFO}.",
            )
    return files.match(list(kept), on_error)


def _item(listed: Listed, name: str, split: str) -> Item:
    patient = listed.patient
    return Item(patient, name, listed.label, split, patient, tuple(listed.boxes), annotated=True)


def _options(splits: SplitPath | None, third_class: str, seed: int) -> dict[str, Any]:
    return {
        "third_class": third_class,
        "splits": "drawn" if splits is None else "given",
        "seed": seed if splits is None else None,
    }


def _expected(splits: SplitPath | None, third_class: str) -> Mapping[str, tuple[int, ...]]:
    if third_class != "drop":
        return {}
    return ALL_COUNTS if splits is None else SPLIT_COUNTS


def _headers(
    store: Store, names: Sequence[str], on_error: str, progress: bool
) -> dict[str, list[str]]:
    """Header fields of every image, in the order of `names`; '' where a file has none."""
    from tqdm.auto import tqdm

    columns: dict[str, list[str]] = {keyword: [] for keyword in HEADERS}
    for name in tqdm(names, desc="reading headers", unit=" images", disable=hides_bar(progress)):
        try:
            found = dicom_headers(store.read(name), str(store.path / name), HEADERS)
        except DataError:
            if on_error == "stop":
                raise
            found = {}  # the image itself is skipped and counted when it is prepared
        for keyword, values in columns.items():
            values.append(found.get(keyword, ""))
    return columns
