"""Folder data: what is read is what was written, and every mistake is named with its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.common import DataError, UnknownNameError
from softcam.data.folder import folder_splits
from softcam.data.records import Splits

SIDE = 16
SPLIT_OF = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
NAMES = [f"im{i}.png" for i in range(8)]
HEADER = "filename,label,split,patient_id"
ROWS = [f"{NAMES[i]},{i % 2},{SPLIT_OF[i]},p{i}" for i in range(8)]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))
    monkeypatch.setenv("SOFTCAM_DATA", str(tmp_path / "sets"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight images, two classes, a split; nothing is marked."""
    path = tmp_path / "sets" / "My Set"
    (path / "images").mkdir(parents=True)
    for i, name in enumerate(NAMES):
        draw = np.random.default_rng(i)
        pixels = draw.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / "images" / name)
    labels(path, ROWS)
    return path


def labels(folder: Path, rows: list[str], header: str = HEADER) -> None:
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def boxes(folder: Path, *rows: str) -> None:
    text = "\n".join(["filename,x,y,width,height,class", *rows]) + "\n"
    (folder / "boxes.csv").write_text(text, encoding="utf-8")


def read(folder: Path, **options: object) -> Splits:
    return folder_splits(folder, SIDE, **options)  # type: ignore[arg-type]


def test_images_labels_and_ids_come_back(folder: Path) -> None:
    splits = read(folder)
    assert splits.name == "folder-my-set" and splits.classes == ("0", "1")
    assert splits.train.ids == tuple(NAMES[:4]) and splits.test.ids == tuple(NAMES[6:])
    assert splits.val.labels.tolist() == [0, 1] and splits.val.patients == ("p4", "p5")
    for i, image in enumerate(splits.train.images):
        expected = np.asarray(Image.open(folder / "images" / NAMES[i]))
        np.testing.assert_array_equal(image, expected)


def test_a_name_is_looked_for_in_the_data_folder(folder: Path) -> None:
    assert folder_splits("My Set", SIDE).fingerprint == read(folder).fingerprint
    with pytest.raises(DataError, match="SOFTCAM_DATA"):
        folder_splits("My Sett", SIDE)


def test_boxes_become_masks(folder: Path) -> None:
    boxes(folder, "im6.png,2,3,4,5,lesion", "im6.png,10,10,2,2,lesion", "im7.png,0,0,3,3,disc")
    test = read(folder, finding_classes="lesion").test
    assert test.mask_names == ("disc", "lesion") and test.finding_names == ("lesion",)
    expected = np.zeros((SIDE, SIDE), bool)
    expected[3:8, 2:6] = expected[10:12, 10:12] = True
    np.testing.assert_array_equal(test.finding(0), expected)
    assert test.mask(1, "disc").sum() == 9 and not test.finding(1).any()
    assert test.annotated.tolist() == [True, True], "a box of any class shows that somebody looked"
    assert test.with_findings().tolist() == [0]


def test_an_image_without_a_mark_is_not_annotated(folder: Path) -> None:
    boxes(folder, "im6.png,2,3,4,5,lesion")
    splits = read(folder)
    assert splits.test.annotated.tolist() == [True, False] and not splits.train.annotated.any()


def test_has_annotation_decides_where_it_is_given(folder: Path) -> None:
    boxes(folder, "im6.png,2,3,4,5,lesion")
    labels(folder, [f"{row},{i % 2}" for i, row in enumerate(ROWS)], HEADER + ",has_annotation")
    assert read(folder).test.annotated.tolist() == [False, True]


def test_masks_become_masks(folder: Path) -> None:
    (folder / "masks").mkdir()
    drawn = np.random.default_rng(3).random((SIDE, SIDE)) > 0.7
    Image.fromarray(drawn).save(folder / "masks" / "im6.png")
    Image.fromarray(~drawn).save(folder / "masks" / "im6.vessel.png")
    Image.fromarray(drawn & False).save(folder / "masks" / "im7.png")
    test = read(folder, finding_classes=["finding"]).test
    np.testing.assert_array_equal(test.finding(0), drawn)
    np.testing.assert_array_equal(test.mask(0, "vessel"), ~drawn)
    assert test.annotated.tolist() == [True, True], "an empty mask says that nothing is there"


def test_a_mask_of_another_size_is_named(folder: Path) -> None:
    (folder / "masks").mkdir()
    Image.new("1", (9, 9)).save(folder / "masks" / "im6.png")
    with pytest.raises(DataError, match=r"masks.im6\.png: 9 x 9 pixels.*16 x 16"):
        read(folder)


def test_several_classes_need_a_word(folder: Path) -> None:
    boxes(folder, "im6.png,2,3,4,5,lesion", "im7.png,0,0,3,3,disc")
    with pytest.raises(DataError, match="disc, lesion.*finding_classes"):
        read(folder)
    with pytest.raises(UnknownNameError, match="'lesion'"):
        read(folder, finding_classes=("lesoin",))


def test_a_box_partly_outside_is_clipped_and_counted(folder: Path) -> None:
    boxes(folder, "im6.png,-2,12,5,9,lesion", "im7.png,0,0,16,16,lesion")
    with pytest.warns(UserWarning, match="1 boxes are clipped"):
        splits = read(folder)
    expected = np.zeros((SIDE, SIDE), bool)
    expected[12:, :3] = True
    np.testing.assert_array_equal(splits.test.finding(0), expected)
    assert any("1 boxes are clipped" in note for note in read(folder).notes), "also when cached"


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("im7.png,1,1,0,3,lesion", "width"),
        ("im7.png,1,1,3,-3,lesion", "height"),
        ("im7.png,,1,3,3,lesion", "x"),
        ("im7.png,1,nan,3,3,lesion", "y"),
        ("im7.png,40,1,3,3,lesion", "x"),
    ],
)
def test_a_bad_box_stops_or_is_counted(folder: Path, row: str, column: str) -> None:
    boxes(folder, "im6.png,2,3,4,5,lesion", row)
    with pytest.raises(DataError, match=rf"boxes\.csv, row 3, column '{column}'"):
        read(folder)
    with pytest.warns(UserWarning, match="1 boxes"):
        test = read(folder, on_error="skip").test
    assert test.with_findings().tolist() == [0] and len(test) == 2


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("gone.png,1,1,2,2,l", "filename"),
        ("im7.png,one,1,2,2,l", "x"),
        ("im7.png,1,1,2,2,", "class"),
    ],
)
def test_a_wrong_row_of_boxes_is_named(folder: Path, row: str, column: str) -> None:
    boxes(folder, row)
    for on_error in ("stop", "skip"):
        with pytest.raises(DataError, match=rf"boxes\.csv, row 2, column '{column}'"):
            read(folder, on_error=on_error)


def test_a_broken_image_stops_or_is_counted(folder: Path) -> None:
    (folder / "images" / "im1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"im1\.png: the file is empty.*skip"):
        read(folder)
    with pytest.warns(UserWarning, match=r"1 images cannot be used.*im1\.png"):
        splits = read(folder, on_error="skip")
    assert splits.train.ids == ("im0.png", "im2.png", "im3.png")


def test_a_split_that_loses_all_its_images_is_an_error(folder: Path) -> None:
    for name in ("im4.png", "im5.png"):
        (folder / "images" / name).write_bytes(b"no image")
    with pytest.raises(DataError, match="no image is left for 'val'"):
        read(folder, on_error="skip")


def replaced(row: int, text: str) -> Callable[[Path], None]:
    return lambda folder: labels(folder, [*ROWS[:row], text, *ROWS[row + 1 :]])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: labels(f, ROWS, HEADER.replace("label", "lable")), "row 1: column 'label'"),
        (lambda f: labels(f, [*ROWS, ROWS[2]]), r"row 10, column 'filename'.*duplicate of row 4"),
        (replaced(1, "im9.png,1,train,p1"), r"row 3, column 'filename': 'im9\.png'.*Did you mean"),
        (replaced(1, "../labels.csv,1,train,p1"), "row 3, column 'filename'"),
        (replaced(1, ",1,train,p1"), "row 3, column 'filename': blank"),
        (replaced(2, "im2.png,1.5,train,p2"), "row 4, column 'label': '1.5'"),
        (replaced(2, "im2.png,-1,train,p2"), "row 4, column 'label': '-1'"),
        (replaced(2, "im2.png,nan,train,p2"), "row 4, column 'label': 'nan'"),
        (replaced(2, "im2.png,,train,p2"), "row 4, column 'label'"),
        (replaced(2, "im2.png,sick,train,p2"), "row 4, column 'label': 'sick'"),
        (replaced(2, "im2.png,7,train,p2"), "column 'label': labels 0, 1, 7"),
        (replaced(2, "im2.png,0,tain,p2"), "row 4, column 'split': 'tain'"),
        (replaced(2, "im2.png,0,,p2"), "row 4, column 'split': blank"),
        (replaced(6, "im6.png,0,test,p2"), "row 8, column 'patient_id': patient 'p2'.*row 4"),
        (replaced(2, "im2.png,0,train"), "row 4: 3 fields, the header has 4"),
        (lambda f: labels(f, ROWS[:6]), "column 'split': no image is left for 'test'"),
        (lambda f: labels(f, ROWS[::2]), "column 'label': one class only"),
        (lambda f: labels(f, [ROWS[0], *ROWS[2:3], *ROWS[4:]]), "'train' has no image of class 1"),
        (lambda f: labels(f, []), "a header and no rows"),
        (lambda f: labels(f, [], ""), "the file is empty"),
        (lambda f: labels(f, ROWS, HEADER.replace("split", "label")), "'label' appears twice"),
        (lambda f: (f / "labels.csv").write_bytes(b"filename,label\n\xff"), "not UTF-8"),
    ],
)
def test_every_mistake_in_labels_names_its_place(
    folder: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(folder)
    for name in NAMES:  # the tables are checked first: a broken image would be another message
        (folder / "images" / name).write_bytes(b"")
    with pytest.raises(DataError, match=rf"labels\.csv.*{message}"):
        read(folder)


def test_spreadsheet_dialects_are_read(folder: Path) -> None:
    boxes(folder, "im6.png,2,3,4,5,lesion")
    plain = read(folder)
    for file in ("labels.csv", "boxes.csv"):
        text = (folder / file).read_text().replace(",", ";").replace("2;3;4;5", "2,0;3;4;5")
        (folder / file).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n\r\n").encode())
    other = read(folder)
    assert other.train.labels.tolist() == plain.train.labels.tolist()
    np.testing.assert_array_equal(other.test.finding(0), plain.test.finding(0))
    assert other.fingerprint == plain.fingerprint


def test_names_as_labels_are_sorted_and_noted(folder: Path) -> None:
    labels(folder, [row.replace(",0,", ",sick,").replace(",1,", ",healthy,") for row in ROWS])
    splits = read(folder)
    assert splits.classes == ("healthy", "sick") and splits.train.labels.tolist() == [1, 0, 1, 0]
    assert any("'healthy' = 0, 'sick' = 1" in note for note in splits.notes)


def test_a_missing_split_is_drawn_by_patient(folder: Path) -> None:
    for i in range(8, 40):
        Image.new("RGB", (SIDE, SIDE), (i, 0, 0)).save(folder / "images" / f"im{i}.png")
    rows = [f"im{i}.png,{i // 2 % 2},{f'p{i // 2}' if i < 30 else ''}" for i in range(40)]
    labels(folder, rows, "filename,label,patient_id")
    splits = read(folder, seed=1)
    where = {p: s for s in ("train", "val", "test") for p in splits[s].patients}
    assert sum(len(set(splits[s].patients)) for s in ("train", "val", "test")) == len(where)
    assert sum(len(splits[s]) for s in ("train", "val", "test")) == 40
    assert any("10 images name no patient" in note for note in splits.notes)
    assert (
        splits.fingerprint == read(folder, seed=1).fingerprint != read(folder, seed=2).fingerprint
    )


def test_identical_images_in_two_splits_are_reported(folder: Path) -> None:
    (folder / "images" / "im7.png").write_bytes((folder / "images" / "im0.png").read_bytes())
    with pytest.warns(UserWarning, match=r"several splits.*im0\.png = im7\.png"):
        read(folder)


def test_the_fingerprint_follows_content_and_nothing_else(folder: Path) -> None:
    boxes(folder, "im6.png,2,3,4,5,lesion")
    first = read(folder).fingerprint
    assert len(first) == 64
    os.utime(folder / "images" / "im0.png", (1, 1))
    assert read(folder).fingerprint == first, "a touched file is the same file"
    assert folder_splits(folder, 24).fingerprint == first, "the size is no part of the data"
    folder.rename(folder.with_name("elsewhere"))
    folder = folder.with_name("elsewhere")
    assert read(folder).fingerprint == first, "nor is the place"
    boxes(folder, "im6.png,2,3,4,6,lesion")
    second = read(folder).fingerprint
    Image.new("RGB", (SIDE, SIDE)).save(folder / "images" / "im0.png")
    third = read(folder).fingerprint
    labels(folder, [ROWS[0].replace(",0,", ",1,"), *ROWS[1:]])
    assert len({first, second, third, read(folder).fingerprint}) == 4


def test_an_unknown_on_error_is_refused(folder: Path) -> None:
    with pytest.raises(UnknownNameError, match="'skip'"):
        read(folder, on_error="skipp")


def test_options_of_a_wrong_kind_are_named(tmp_path: Path) -> None:
    from softcam.common import SoftCAMError

    (tmp_path / "labels.csv").write_text("filename,label\n")
    with pytest.raises(SoftCAMError, match="seed is 'abc'"):
        folder_splits(tmp_path, 24, seed="abc")  # type: ignore[arg-type]
