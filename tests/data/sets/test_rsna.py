"""RSNA: tables, boxes and splits from the challenge's own layout, and every way they can clash."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from softcam.common import DataError, SoftCAMError, UnknownNameError
from softcam.data.catalogue import Catalogue
from softcam.data.prepare import prepared_splits
from softcam.data.sets import rsna
from softcam.data.sets.rsna import read_rsna
from tests.data.dicom_files import dicom

SIDE = 32
LABELS, CLASS_INFO, IMAGES = rsna.LABELS, rsna.CLASS_INFO, rsna.IMAGES
THIRD = "No Lung Opacity / Not Normal"
NORMAL = [f"n{i:02}" for i in range(12)]
OPACITY = [f"o{i:02}" for i in range(9)]
OTHER = ["t00", "t01"]
BOXES = {p: [(4.0, 6.0, 8.0, 10.0)] for p in OPACITY} | {
    "o00": [(4.0, 6.0, 8.0, 10.0), (20.0, 2.0, 6.5, 9.0), (1.0, 25.0, 3.0, 3.0)]
}

pytestmark = pytest.mark.usefixtures("project")


def pixels(patient: str) -> np.ndarray:
    seed = sum(map(ord, patient))
    small = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((SIDE, SIDE)))


def label_rows() -> list[str]:
    rows = [f"{p},,,,,0" for p in NORMAL + OTHER]
    rows += [f"{p},{x},{y},{w},{h},1" for p, boxes in BOXES.items() for x, y, w, h in boxes]
    return rows


def class_rows() -> list[str]:
    rows = [f"{p},Normal" for p in NORMAL] + [f"{p},{THIRD}" for p in OTHER]
    return rows + [f"{p},Lung Opacity" for p, boxes in BOXES.items() for _ in boxes]


def write_tables(folder: Path, labels: list[str], classes: list[str]) -> None:
    (folder / LABELS).write_text("\n".join(["patientId,x,y,width,height,Target", *labels]) + "\n")
    (folder / CLASS_INFO).write_text("\n".join(["patientId,class", *classes]) + "\n")


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """The two tables, and files that hold nothing: the reader opens none of them."""
    pytest.importorskip("pydicom", reason="the extra softcam[dicom] is not installed")
    folder = tmp_path / "rsna"
    (folder / IMAGES).mkdir(parents=True)
    (folder / "stage_2_test_images").mkdir()
    (folder / "stage_2_test_images" / "unlisted.dcm").touch()
    for patient in NORMAL + OPACITY + OTHER:
        (folder / IMAGES / f"{patient}.dcm").touch()
    write_tables(folder, label_rows(), class_rows())
    return folder


@pytest.fixture
def folder(tables: Path) -> Path:
    """The same with genuine DICOM files."""
    for patient in NORMAL + OPACITY + OTHER:
        view = "AP" if patient in OPACITY else "PA"
        data = dicom(pixels(patient), "jpeg", ViewPosition=view, PatientID=patient)
        (tables / IMAGES / f"{patient}.dcm").write_bytes(data)
    return tables


def catalogue(path: Path, **options: Any) -> Catalogue:
    return read_rsna(path, progress=False, **options)[1]


def test_classes_boxes_and_marks(tables: Path) -> None:
    found = catalogue(tables)
    assert found.classes == ("Normal", "Lung Opacity")
    labels = {item.id: item.label for item in found.items}
    assert labels == dict.fromkeys(NORMAL, 0) | dict.fromkeys(OPACITY, 1)
    boxes = {item.id: [mark.box for mark in item.boxes] for item in found.items if item.boxes}
    assert boxes == BOXES, "all boxes of an image"
    assert found.finding_names == found.mask_names == ("opacity",) and found.view == "dicom"
    assert all(item.annotated and item.patient == item.id for item in found.items)
    assert any(note.startswith("2 images of the class 'No Lung Opacity") for note in found.notes)
    assert not found.warnings and found.table == LABELS


def test_the_third_class_can_be_negative(tables: Path) -> None:
    found = catalogue(tables, third_class="negative")
    assert found.classes == ("No Lung Opacity", "Lung Opacity") and not found.expected
    assert Counter(item.label for item in found.items) == {0: 14, 1: 9}


def test_the_drawn_split_is_stratified_and_seeded(tables: Path) -> None:
    found = catalogue(tables, seed=3)
    counts = Counter((item.split, item.label) for item in found.items)
    assert all(counts[split, label] for split in ("train", "val", "test") for label in (0, 1))
    splits = [item.split for item in found.items]
    assert splits == [item.split for item in catalogue(tables, seed=3).items]
    assert splits != [item.split for item in catalogue(tables, seed=4).items]
    assert found.expected == {"all": (8851, 6012)} and found.options["seed"] == 3
    assert sum(found.expected["all"]) == 14863


def test_from_dicom_to_arrays_as_folder_and_as_archive(folder: Path, tmp_path: Path) -> None:
    """Pixels are those of the JPEG, masks those of the boxes; the archive gives the same."""
    store, found = read_rsna(folder)
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
        for file in sorted(folder.rglob("*")):
            target.write(file, file.relative_to(folder))
    again = prepared_splits(*read_rsna(archive), SIDE, workers=0, progress=False)
    assert again.fingerprint == prepared.fingerprint
    deeper = tmp_path / "deeper.zip"
    with zipfile.ZipFile(deeper, "w") as target:
        for file in sorted(folder.rglob("*")):
            target.write(file, Path("download") / file.relative_to(folder))
    assert catalogue(deeper).items[0].name == f"download/{IMAGES}/n00.dcm"


def test_headers_are_metadata_for_the_audit(folder: Path) -> None:
    found = catalogue(folder, headers=True)
    assert set(found.metadata) == {"ViewPosition", "PatientAge", "PatientSex"}
    for item, view in zip(found.items, found.metadata["ViewPosition"], strict=True):
        assert view == ("AP" if item.label else "PA")
    assert set(found.metadata["PatientAge"]) == {"51"}
    (folder / IMAGES / "n03.dcm").write_bytes(b"no DICOM")
    with pytest.raises(DataError, match=r"n03\.dcm: not a DICOM file"):
        catalogue(folder, headers=True)
    assert catalogue(folder, headers=True, on_error="skip").metadata["PatientAge"][3] == ""
    assert not catalogue(folder).metadata, "no file is opened unless asked"


def as_png(tables: Path, side: int) -> None:
    for file in sorted((tables / IMAGES).iterdir()):
        Image.new("L", (side, side)).save(file.with_suffix(".png"))
        file.unlink()


def test_png_files_of_the_original_size(tables: Path) -> None:
    as_png(tables, 1024)
    found = catalogue(tables, headers=True)
    assert found.view == "image" and found.items[0].name == f"{IMAGES}/n00.png"
    assert not found.metadata


def test_png_files_of_another_size_would_misplace_every_box(tables: Path) -> None:
    as_png(tables, 512)
    with pytest.raises(DataError, match=r"512 x 512 pixels, but the boxes.*1024 x 1024"):
        catalogue(tables)


def test_dicom_files_need_pydicom(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SoftCAMError, match=r"softcam\[dicom\]"):
        catalogue(tables)


def split_files(tables: Path, change: Callable[[str], str] = lambda row: row) -> Path:
    """Three files of the authors' columns: one box an image."""
    folder = tables.parent / "splits"
    folder.mkdir()
    parts = {"train": slice(0, 5), "val": slice(5, 7), "test": slice(7, 9)}
    for split, part in parts.items():
        rows = ["filename,x,y,width,height,type,bin_target,target"]
        rows += [f"{p}.png,,,,,Normal,0,0" for p in NORMAL[part]]
        rows += [f"{p}.png,4,6,8,10,Lung Opacity,1,2" for p in OPACITY[part]]
        text = "\n".join(map(change, rows)) + "\n"
        (folder / f"rsna_{split}.csv").write_text(text)
    return folder


def test_the_authors_split(tables: Path) -> None:
    found = catalogue(tables, splits=split_files(tables))
    splits = {item.id: item.split for item in found.items}
    assert splits["n04"] == splits["o00"] == "train" and splits["n05"] == "val"
    assert splits["o08"] == "test" and "n09" not in splits
    assert any("3 images are in none of the split files" in note for note in found.notes)
    assert found.expected == {"train": (6770, 4599), "val": (753, 511), "test": (1328, 902)}
    assert len(found.items[-1].boxes) == 1 and found.options["seed"] is None
    first = next(item for item in found.items if item.id == "o00")
    assert len(first.boxes) == 3, "boxes come from the challenge, not from the split files"


def test_split_files_that_do_not_fit(tables: Path) -> None:
    with pytest.raises(DataError, match="third_class='drop'"):
        catalogue(tables, splits="nowhere", third_class="negative")
    wrong = split_files(tables, lambda row: row.replace("n01.png,,,,,Normal,0", "n01.png,,,,,X,1"))
    with pytest.raises(DataError, match=r"rsna_train\.csv, row 3, column 'bin_target'.*'n01'"):
        catalogue(tables, splits=wrong)


def test_split_files_that_name_an_image_of_the_third_class(tables: Path) -> None:
    wrong = split_files(tables, lambda row: row.replace("n01.png", "t00.png"))
    with pytest.raises(DataError, match=r"rsna_train\.csv, row 3: 1 of the 18 images.*'t00'"):
        catalogue(tables, splits=wrong)
    assert len(catalogue(tables, splits=wrong, on_error="skip").items) == 17


LABEL, KIND = "labels", "classes"
CLASHES = {
    "Target 1 without a box": (
        (LABEL, "o03,4.0,6.0,8.0,10.0,1", "o03,,,,,1"),
        r"stage_2_train_labels\.csv, row \d+, column 'x': '', but Target is 1",
        "o03",
    ),
    "half a box": (
        (LABEL, "o03,4.0,6.0,8.0,10.0,1", "o03,4.0,6.0,8.0,nan,1"),
        r"column 'height': 'nan', but Target is 1: expected a number above 0",
        "o03",
    ),
    "empty box": ((LABEL, "o03,4.0,6.0,8.0", "o03,4.0,6.0,0"), r"column 'width': '0'", "o03"),
    "no number": ((LABEL, "o03,4.0", "o03,left"), r"column 'x': 'left' is not a number", "o03"),
    "box at Target 0": (
        (LABEL, "n02,,,,,0", "n02,,7,,,0"),
        r"row 4, column 'y': '7', but Target is 0",
        "n02",
    ),
    "no Target": ((LABEL, "n02,,,,,0", "n02,,,,,2"), r"column 'Target': '2', expected 0", "n02"),
    "two Targets": (
        (LABEL, "n03,,,,,0", "n03,,,,,0\nn03,1,1,2,2,1"),
        r"row 6, column 'Target': '1', but another in row 5",
        "n03",
    ),
    "class against Target": (
        (KIND, "n02,Normal", "n02,Lung Opacity"),
        r"labels\.csv, row 4, column 'Target': '0', but row 4 of stage_2_detailed_class_info",
        "n02",
    ),
    "Target against the third class": (
        (KIND, "o03,Lung Opacity", f"o03,{THIRD}"),
        r"column 'Target': '1', but row \d+ of .*'No Lung Opacity",
        "o03",
    ),
    "unknown class": (
        (KIND, "n02,Normal", "n02,normal"),
        r"info\.csv, row 4, column 'class': 'normal', expected 'Normal'",
        "n02",
    ),
    "two classes": (
        (KIND, "n02,Normal", f"n02,Normal\nn02,{THIRD}"),
        r"row 5, column 'class': .*, but 'Normal' in row 4",
        "n02",
    ),
    "no class": (
        (KIND, "n02,Normal\n", ""),
        r"labels\.csv, row 4, column 'patientId': 'n02' is not in stage_2_detailed",
        "n02",
    ),
    "no label": (
        (LABEL, "n02,,,,,0\n", ""),
        r"info\.csv, row 4, column 'patientId': 'n02' is not in stage_2_train_labels",
        "n02",
    ),
}


@pytest.mark.parametrize("clash", CLASHES)
def test_tables_that_clash_stop_or_are_skipped_and_counted(tables: Path, clash: str) -> None:
    (table, old, new), message, patient = CLASHES[clash]
    file = tables / (LABELS if table == LABEL else CLASS_INFO)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as caught:
        catalogue(tables)
    assert "--on-error skip" in str(caught.value)
    found = catalogue(tables, on_error="skip")
    assert {item.id for item in found.items} == {*NORMAL, *OPACITY} - {patient}
    assert len(found.warnings) == 1 and found.warnings[0].startswith("1 images ")


def test_files_and_rows_that_lack_each_other(tables: Path) -> None:
    (tables / IMAGES / "n02.dcm").unlink()
    (tables / IMAGES / "t00.dcm").unlink()  # not used, so not missed
    with pytest.raises(DataError, match=r"row 4, column 'patientId': 'n02' has no file"):
        catalogue(tables)
    found = catalogue(tables, on_error="skip")
    assert found.warnings == ("1 images have no file: left out.",) and len(found.items) == 20
    (tables / IMAGES / "n02.dcm").touch()
    (tables / IMAGES / "stranger.dcm").touch()
    with pytest.raises(DataError, match=r"stranger\.dcm' has no row in stage_2_train_labels"):
        catalogue(tables)
    assert catalogue(tables, on_error="skip").warnings == ("1 images have no row: left out.",)


def test_rows_that_repeat_and_other_spellings_are_read_right(tables: Path) -> None:
    expected = catalogue(tables)
    rows = label_rows()
    text = "\r\n".join(["patientId;x;y;width;height;Target", *rows, rows[-1], ""])
    rewritten = text.replace(",", ";").replace(".0", ",0")
    (tables / LABELS).write_bytes(b"\xef\xbb\xbf" + rewritten.encode())
    found = catalogue(tables)
    assert [(i.id, i.label, [m.box for m in i.boxes]) for i in found.items] == [
        (i.id, i.label, [m.box for m in i.boxes]) for i in expected.items
    ]


def test_a_blank_patient_is_an_error_in_any_case(tables: Path) -> None:
    write_tables(tables, [*label_rows(), ",,,,,0"], class_rows())
    with pytest.raises(DataError, match=r"row \d+, column 'patientId': blank"):
        catalogue(tables, on_error="skip")


def test_what_is_missing_is_named(tables: Path, tmp_path: Path) -> None:
    (tables / CLASS_INFO).rename(tmp_path / "aside.csv")
    with pytest.raises(DataError, match="stage_2_detailed_class_info.csv"):
        catalogue(tables)
    (tables / CLASS_INFO).write_text("patientId\nn00\n")
    with pytest.raises(DataError, match="column 'class' is missing"):
        catalogue(tables)
    with pytest.raises(DataError, match="no stage_2_train_labels.csv; expected it once"):
        catalogue(tables / IMAGES)
    write_tables(tables, label_rows(), class_rows())
    for file in (tables / IMAGES).iterdir():
        file.rename(file.with_suffix(".gone"))
    with pytest.raises(DataError, match="no DICOM, PNG or JPEG file in stage_2_train_images/"):
        catalogue(tables)
    with pytest.raises(DataError, match="no such folder or zip"):
        catalogue(tmp_path / "nowhere")


def test_one_image_as_two_files(tables: Path) -> None:
    (tables / IMAGES / "n00.dicom").touch()
    with pytest.raises(DataError, match=r"n00\.dcm' and .*n00\.dicom' are one patientId"):
        catalogue(tables)


def test_options_are_checked(tables: Path) -> None:
    with pytest.raises(UnknownNameError, match="'drop'"):
        catalogue(tables, third_class="dorp")
    with pytest.raises(UnknownNameError, match="'stop'"):
        catalogue(tables, on_error="stpo")


def test_nothing_left_is_an_error(tables: Path) -> None:
    write_tables(tables, [f"{p},,,,,0" for p in OTHER], [f"{p},{THIRD}" for p in OTHER])
    with pytest.raises(DataError, match="no image is left. 2 images of the class"):
        catalogue(tables, on_error="skip")
