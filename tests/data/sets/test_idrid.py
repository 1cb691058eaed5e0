"""IDRiD: grades with the masks of the same photographs; the masks alone are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.common import DataError
from softcam.data.catalogue import MaskFile
from softcam.data.sets.idrid import read_idrid

IMAGES = "B. Disease Grading/1. Original Images/"
TABLES = "B. Disease Grading/2. Groundtruths/"
SEGMENTED = "A. Segmentation/1. Original Images/"
MASKS = "A. Segmentation/2. All Segmentation Groundtruths/"
HEADER = "Image name,Retinopathy grade,Risk of macular edema ,,"


def put(root: Path, name: str, data: bytes) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(data)


def grading(root: Path, train: int = 25, test: int = 3) -> None:
    for part, n, word in (("a", train, "Training"), ("b", test, "Testing")):
        rows = [f"IDRiD_{i:03d},{i % 5},1,," for i in range(1, n + 1)]
        text = "\n".join([HEADER, *rows]) + "\n"
        put(root, f"{TABLES}{part}. IDRiD_Disease Grading_{word} Labels.csv", text.encode())
        for i in range(1, n + 1):
            put(root, f"{IMAGES}{part}. {word} Set/IDRiD_{i:03d}.jpg", f"{part}{i:03d}".encode())


def segmentation(root: Path) -> None:
    put(root, f"{SEGMENTED}a. Training Set/IDRiD_01.jpg", b"b002")  # test 002 of the grading part
    put(root, f"{SEGMENTED}a. Training Set/IDRiD_02.jpg", b"none")
    put(root, f"{MASKS}a. Training Set/1. Microaneurysms/IDRiD_01_MA.tif", b"m")
    put(root, f"{MASKS}a. Training Set/5. Optic Disc/IDRiD_01_OD.tif", b"m")
    put(root, f"{MASKS}a. Training Set/3. Hard Exudates/IDRiD_02_EX.tif", b"m")


def test_grades_and_masks(tmp_path: Path) -> None:
    grading(tmp_path)
    segmentation(tmp_path)
    store, found = read_idrid(tmp_path, task="grade")
    items = {item.id: item for item in found.items}
    assert len(items) == 28 and found.view == "fundus" and found.name == "idrid-grade"
    assert sorted(i.split for i in found.items).count("test") == 3
    assert {i.split for i in found.items} == {"train", "val", "test"}
    for key, item in items.items():
        assert item.label == int(key[-3:]) % 5 and item.patient == f"unknown:{key}"
    marked = items["test/IDRiD_002"]
    assert [mask.kind for mask in marked.masks] == ["MA", "OD"] and marked.annotated
    assert isinstance(marked.masks[0], MaskFile) and store.read(marked.masks[0].name) == b"m"
    assert sum(bool(item.masks) for item in found.items) == 1
    assert found.finding_names == ("MA",) and found.mask_names == ("MA", "OD")
    assert any(note.startswith("1 of the 2 segmented") for note in found.notes)


def test_without_masks(tmp_path: Path) -> None:
    grading(tmp_path)
    _, found = read_idrid(tmp_path)
    assert not found.mask_names and {i.label for i in found.items} == {0, 1}


def test_the_masks_alone_train_nothing(tmp_path: Path) -> None:
    segmentation(tmp_path)
    with pytest.raises(DataError, match="only photographs of diseased eyes"):
        read_idrid(tmp_path)


def test_rows_and_photographs_that_do_not_fit(tmp_path: Path) -> None:
    grading(tmp_path)
    (tmp_path / f"{IMAGES}a. Training Set/IDRiD_004.jpg").unlink()
    put(tmp_path, f"{IMAGES}a. Training Set/IDRiD_400.jpg", b"new")
    with pytest.raises(
        DataError, match=r"Labels\.csv, row 5, column 'Image name': 'IDRiD_004' has"
    ):
        read_idrid(tmp_path)
    _, found = read_idrid(tmp_path, on_error="skip")
    assert len(found.items) == 27
    assert found.notes[:2] == (
        "1 rows have no photograph: left out.",
        "1 photographs have no grade: left out.",
    )
    put(tmp_path, f"{TABLES}a. second.csv", b"x")
    with pytest.raises(DataError, match="2 label tables 'a'"):
        read_idrid(tmp_path)
