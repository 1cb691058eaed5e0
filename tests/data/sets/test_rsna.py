"""RSNA: tables, boxes and splits from the challenge's own layout."""

from __future__ import annotations

import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.common import DataError, SoftCAMError
from softcam.data.prepare import prepared_splits
from softcam.data.sets.rsna import read_rsna
from tests.data.dicom_files import CT, dicom
from tests.data.sets.rsna_files import (
    BOXES,
    IMAGES,
    LABELS,
    NORMAL,
    OPACITY,
    SIDE,
    catalogue,
    pixels,
)

pytestmark = pytest.mark.usefixtures("project")


def test_classes_boxes_and_marks(rsna_tables: Path) -> None:
    found = catalogue(rsna_tables)
    assert found.classes == ("Normal", "Lung Opacity")
    labels = {item.id: item.label for item in found.items}
    assert labels == dict.fromkeys(NORMAL, 0) | dict.fromkeys(OPACITY, 1)
    boxes = {item.id: [mark.box for mark in item.boxes] for item in found.items if item.boxes}
    assert boxes == BOXES, "all boxes of an image"
    assert found.finding_names == found.mask_names == ("opacity",) and found.view == "dicom"
    assert all(item.annotated and item.patient == item.id for item in found.items)
    assert any(note.startswith("2 images of the class 'No Lung Opacity") for note in found.notes)
    assert not found.warnings and found.table == LABELS


def test_the_third_class_can_be_negative(rsna_tables: Path) -> None:
    found = catalogue(rsna_tables, third_class="negative")
    assert found.classes == ("No Lung Opacity", "Lung Opacity") and not found.expected
    assert Counter(item.label for item in found.items) == {0: 14, 1: 9}


def test_the_drawn_split_is_stratified_and_seeded(rsna_tables: Path) -> None:
    found = catalogue(rsna_tables, seed=3)
    counts = Counter((item.split, item.label) for item in found.items)
    assert all(counts[split, label] for split in ("train", "val", "test") for label in (0, 1))
    splits = [item.split for item in found.items]
    assert splits == [item.split for item in catalogue(rsna_tables, seed=3).items]
    assert splits != [item.split for item in catalogue(rsna_tables, seed=4).items]
    assert found.expected == {"all": (8851, 6012)} and found.options["seed"] == 3
    assert sum(found.expected["all"]) == 14863


def test_from_dicom_to_arrays_as_folder_and_as_archive(rsna_folder: Path, tmp_path: Path) -> None:
    """Pixels are those of the JPEG, masks those of the boxes; the archive gives the same."""
    store, found = read_rsna(rsna_folder)
    prepared = prepared_splits(store, found, SIDE, workers=0, progress=False)
    for item in found.items:
        split = prepared[item.split]
        row = split.ids.index(item.id)
        expected = np.zeros((SIDE, SIDE), bool)
        for x, y, width, height in BOXES.get(item.id, []):
            expected[int(y) : int(y + height), int(x) : int(np.ceil(x + width - 0.5))] = True
        np.testing.assert_array_equal(split.finding(row), expected)
        far = np.abs(split.images[row].astype(int) - pixels(item.id)).max()
        assert far < 40, "a JPEG of noise"
        assert split.annotated[row]
    archive = tmp_path / "rsna-pneumonia-detection-challenge.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for file in sorted(rsna_folder.rglob("*")):
            target.write(file, file.relative_to(rsna_folder))
    again = prepared_splits(*read_rsna(archive), SIDE, workers=0, progress=False)
    assert again.fingerprint == prepared.fingerprint
    deeper = tmp_path / "deeper.zip"
    with zipfile.ZipFile(deeper, "w") as target:
        for file in sorted(rsna_folder.rglob("*")):
            target.write(file, Path("download") / file.relative_to(rsna_folder))
    assert catalogue(deeper).items[0].name == f"download/{IMAGES}/n00.dcm"


def test_files_without_rescale_are_counted_and_named(rsna_folder: Path) -> None:
    """Neither skipped nor warned of: the standard allows it in films."""
    for patient in NORMAL[1:] + OPACITY:
        data = dicom(pixels(patient), RescaleSlope=1, RescaleIntercept=0)
        (rsna_folder / IMAGES / f"{patient}.dcm").write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepared = prepared_splits(*read_rsna(rsna_folder), SIDE, workers=0, progress=False)
    (note,) = (note for note in prepared.notes if "rescale" in note)
    assert note.startswith("1 images have no rescale in their header") and note.endswith(": n00.")
    data = dicom(pixels("n00"), SOPClassUID=CT)
    (rsna_folder / IMAGES / "n00.dcm").write_bytes(data)
    with pytest.raises(DataError, match=r"n00\.dcm: rescale slope None.*mean nothing"):
        prepared_splits(*read_rsna(rsna_folder), SIDE, workers=0, progress=False)


def test_headers_are_metadata_for_the_audit(rsna_folder: Path) -> None:
    found = catalogue(rsna_folder, headers=True)
    assert set(found.metadata) == {"ViewPosition", "PatientAge", "PatientSex"}
    for item, view in zip(found.items, found.metadata["ViewPosition"], strict=True):
        assert view == ("AP" if item.label else "PA")
    assert set(found.metadata["PatientAge"]) == {"51"}
    (rsna_folder / IMAGES / "n03.dcm").write_bytes(b"no DICOM")
    with pytest.raises(DataError, match=r"n03\.dcm: not a DICOM file"):
        catalogue(rsna_folder, headers=True)
    assert catalogue(rsna_folder, headers=True, on_error="skip").metadata["PatientAge"][3] == ""
    assert not catalogue(rsna_folder).metadata, "no file is opened unless asked"


def as_png(rsna_tables: Path, side: int) -> None:
    for file in sorted((rsna_tables / IMAGES).iterdir()):
        Image.new("L", (side, side)).save(file.with_suffix(".png"))
        file.unlink()


def test_png_files_of_the_original_size(rsna_tables: Path) -> None:
    as_png(rsna_tables, 1024)
    found = catalogue(rsna_tables, headers=True)
    assert found.view == "image" and found.items[0].name == f"{IMAGES}/n00.png"
    assert not found.metadata


def test_png_files_of_another_size_would_misplace_every_box(rsna_tables: Path) -> None:
    as_png(rsna_tables, 512)
    with pytest.raises(DataError, match=r"512 x 512 pixels, but the boxes.*1024 x 1024"):
        catalogue(rsna_tables)


def test_a_png_bomb_is_named_when_it_is_prepared(
    rsna_tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_png(rsna_tables, 1024)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"n\d\d\.png: more than .* pixels; make it smaller"):
        prepared_splits(*read_rsna(rsna_tables), SIDE, workers=0, progress=False)


def test_dicom_files_need_pydicom(rsna_tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SoftCAMError, match=r"softcam\[dicom\]"):
        catalogue(rsna_tables)


def split_files(rsna_tables: Path, change: Callable[[str], str] = lambda row: row) -> Path:
    """Three files of the authors' columns: one box an image."""
    folder = rsna_tables.parent / "splits"
    folder.mkdir()
    parts = {"train": slice(0, 5), "val": slice(5, 7), "test": slice(7, 9)}
    for split, part in parts.items():
        rows = ["filename,x,y,width,height,type,bin_target,target"]
        rows += [f"{p}.png,,,,,Normal,0,0" for p in NORMAL[part]]
        rows += [f"{p}.png,4,6,8,10,Lung Opacity,1,2" for p in OPACITY[part]]
        text = "\n".join(map(change, rows)) + "\n"
        (folder / f"rsna_{split}.csv").write_text(text)
    return folder


def test_the_authors_split(rsna_tables: Path) -> None:
    found = catalogue(rsna_tables, splits=split_files(rsna_tables))
    splits = {item.id: item.split for item in found.items}
    assert splits["n04"] == splits["o00"] == "train" and splits["n05"] == "val"
    assert splits["o08"] == "test" and "n09" not in splits
    assert any("3 images are in none of the split files" in note for note in found.notes)
    assert found.expected == {"train": (6770, 4599), "val": (753, 511), "test": (1328, 902)}
    assert len(found.items[-1].boxes) == 1 and found.options["seed"] is None
    first = next(item for item in found.items if item.id == "o00")
    assert len(first.boxes) == 3, "boxes come from the challenge, not from the split files"


def test_split_files_that_do_not_fit(rsna_tables: Path) -> None:
    with pytest.raises(DataError, match="third_class='drop'"):
        catalogue(rsna_tables, splits="nowhere", third_class="negative")
    wrong = split_files(
        rsna_tables, lambda row: row.replace("n01.png,,,,,Normal,0", "n01.png,,,,,X,1")
    )
    with pytest.raises(DataError, match=r"rsna_train\.csv, row 3, column 'bin_target'.*'n01'"):
        catalogue(rsna_tables, splits=wrong)


def test_split_files_that_name_an_image_of_the_third_class(rsna_tables: Path) -> None:
    wrong = split_files(rsna_tables, lambda row: row.replace("n01.png", "t00.png"))
    with pytest.raises(DataError, match=r"rsna_train\.csv, row 3: 1 of the 18 images.*'t00'"):
        catalogue(rsna_tables, splits=wrong)
    assert len(catalogue(rsna_tables, splits=wrong, on_error="skip").items) == 17
