"""Kaggle DR: tables of quality and masks of lesions, which others have added."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.common import DataError
from softcam.data.catalogue import MaskFile
from softcam.data.sets.kaggle_dr import read_kaggle_dr
from tests.data.sets.kaggle_files import JPEG, TEST, TRAIN, put, table


@pytest.mark.parametrize("header", ["gradable", "ungradability_MEAN", "ungradability_MEDIAN"])
def test_gradable(kaggle: Path, tmp_path: Path, header: str) -> None:
    good, bad = ("1", "0") if header == "gradable" else ("0.5", "0.51")
    rows = [f"{key}.jpeg,{bad if key.startswith('1') else good}" for key in {**TRAIN, **TEST}]
    path = table(tmp_path / "quality.csv", rows[:-2], f"image,{header}")
    _, found = read_kaggle_dr(kaggle, gradable=path)
    assert {i.id for i in found.items} == {k for k in {**TRAIN, **TEST} if k[0] != "1"} - {
        "5_left",
        "5_right",
    }
    assert "22 images are not gradable: left out." in found.notes
    assert "2 images are not in quality.csv: left out." in found.notes


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("image,gradable", "10_left,maybe", r"row 2, column 'gradable': 'maybe', expected 0 or 1"),
        ("image,ungradability_MEAN", "10_left,1.5", r"row 2, column 'ungradability_MEAN': '1.5'"),
        ("image,ungradability_MEAN", "10_left,", r"row 2, column 'ungradability_MEAN': ''"),
        ("image,ungradability_MEAN", "10_left,.9", "no image is left"),
        ("image,quality", "10_left,1", "row 1: no column says what is gradable"),
        ("name,gradable", "10_left,1", "row 1: column 'image' is missing"),
        ("image,gradable", "10_left,1\n10_left,1", "row 3, column 'image': '10_left' is listed"),
    ],
)
def test_gradable_that_does_not_fit(
    kaggle: Path, tmp_path: Path, header: str, row: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_kaggle_dr(kaggle, gradable=table(tmp_path / "q.csv", [row], header))


def test_a_limit_outside_its_range(kaggle: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "q.csv", ["10_left,1"], "image,gradable")
    with pytest.raises(DataError, match="ungradable_above is 2"):
        read_kaggle_dr(kaggle, gradable=path, ungradable_above=2)


def test_lesions(kaggle: Path, tmp_path: Path) -> None:
    masks = put(
        tmp_path / "masks",
        [
            "1_left_MA.tif",
            "1_left_OD.png",
            "Hard Exudates/1_left.png",
            "2. Haemorrhages/2_left_HE.tif",
            "3_left.png",
            "notes.txt",
        ],
    )
    store, found = read_kaggle_dr(kaggle, lesions=masks)
    items = {item.id: item for item in found.items}
    assert set(items["1_left"].masks) == {
        MaskFile("MA", "lesions/1_left_MA.tif"),
        MaskFile("OD", "lesions/1_left_OD.png"),
        MaskFile("EX", "lesions/Hard Exudates/1_left.png"),
    }
    assert items["2_left"].masks == (MaskFile("HE", "lesions/2. Haemorrhages/2_left_HE.tif"),)
    assert items["3_left"].masks == (MaskFile("lesion", "lesions/3_left.png"),)
    assert found.mask_names == ("EX", "HE", "MA", "OD", "lesion")
    assert found.finding_names == ("EX", "HE", "MA", "lesion")
    assert {i.id for i in found.items if i.annotated} == {"1_left", "2_left", "3_left"}
    assert store.read("lesions/1_left_MA.tif") == JPEG == store.read("train/10_left.jpeg")
    assert store.path == kaggle


def test_lesions_that_do_not_fit(kaggle: Path, tmp_path: Path) -> None:
    masks = put(tmp_path / "masks", ["99_left_MA.tif"])
    for on_error in ("stop", "skip"):
        with pytest.raises(DataError, match="1 masks belong to no image, such as '99_left_MA.tif'"):
            read_kaggle_dr(kaggle, lesions=masks, on_error=on_error)
    put(masks, ["1_left_MA.tif"])
    _, found = read_kaggle_dr(kaggle, lesions=masks, on_error="skip")
    assert "1 masks belong to no image: left out." in found.notes
    with pytest.raises(DataError, match="no mask; expected STEM_KIND"):
        read_kaggle_dr(kaggle, lesions=put(tmp_path / "empty", ["a.txt"]))
