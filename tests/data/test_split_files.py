"""Fixed splits: read from one file or three, and every mistake named with its place."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from softcam.common import DataError
from softcam.data.split_files import SplitFiles, draw_validation, file_stem, read_split_files

TRAIN = ["a/p1-1.png,0,p1", "p1-2.png,1,p1", "p2-1.png,0,p2"]
VAL, TEST = ["p3-1.png,1,p3"], ["test\\p4-1.jpeg,0,p4"]


def write(path: Path, rows: list[str], header: str = "filename,level,patient_id") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def three(folder: Path, **rows: list[str]) -> list[Path]:
    parts = {"train": TRAIN, "val": VAL, "test": TEST} | rows
    return [write(folder / f"set_{split}.csv", lines) for split, lines in parts.items()]


def read(path: object, **options: object) -> SplitFiles:
    return read_split_files(path, id_column="filename", **options)  # type: ignore[arg-type]


EXPECTED = {"p1-1": "train", "p1-2": "train", "p2-1": "train", "p3-1": "val", "p4-1": "test"}


def test_three_files_in_a_folder_or_in_any_order(tmp_path: Path) -> None:
    files = three(tmp_path)
    write(tmp_path / "latest.csv", ["x.png,0,q"])
    assert read(tmp_path).splits == read(files[::-1]).splits == EXPECTED
    found = read(str(tmp_path))
    assert [table.path.name for table in found.tables] == [path.name for path in files]
    assert found.rows["p4-1"].path.name == "set_test.csv" and found.rows["p1-2"].line == 3


@pytest.mark.parametrize("names", [("TRAIN", "valid", "Test"), ("xTrain", "validation2", "1test")])
def test_the_word_in_the_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name, rows in zip(names, (TRAIN, VAL, TEST), strict=True):
        write(tmp_path / f"{name}.csv", rows)
    assert read(tmp_path).splits == EXPECTED


def test_one_file_with_a_column(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    rows = [f"{key}.png;{split}" for key, split in EXPECTED.items()]
    path.write_bytes("\r\n".join(["\ufefffilename;split", *rows, ""]).encode("utf-8"))
    assert read(path).splits == EXPECTED
    write(path, ["a.png,Training", "b.png,valid", "c.png,TEST"], "filename,split")
    assert list(read(path).splits.values()) == ["train", "val", "test"]


def test_another_id_column_and_another_id(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", ["A,train", "B,val", "C,test"], "image,split")
    found = read_split_files(path, id_column=("filename", "image"), to_id=str.lower)
    assert list(found.splits) == ["a", "b", "c"]


def test_stems() -> None:
    assert file_stem("a\\b/c.d.JPEG") == "c.d" and file_stem("x/1.2.840.5") == "1.2.840.5"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"train": [*TRAIN, "p2-1.png,0,p2"]}, r"set_train\.csv, row 5.*'p2-1'.*row 4"),
        ({"val": ["p1-2.jpg,0,p9"]}, r"set_val\.csv, row 2.*'p1-2'.*in set_train\.csv, row 3"),
        ({"test": ["p4-1.png,0,p2"]}, r"set_test\.csv, row 2.*'p2'.*'test'.*'train'.*, row 4"),
        ({"test": ["nan,0,p4"]}, r"set_test\.csv, row 2, column 'filename': blank"),
        ({"test": []}, r"no image in 'test'"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, rows: dict[str, list[str]], message: str) -> None:
    three(tmp_path, **rows)
    with pytest.raises(DataError, match=message):
        read(tmp_path, patient_column="patient_id")


def test_blank_patients_are_unknown(tmp_path: Path) -> None:
    three(tmp_path, val=["p3-1.png,1,"], test=["p4-1.png,0,"])
    assert read(tmp_path, patient_column="patient_id").splits == EXPECTED


def test_missing_columns_and_files(tmp_path: Path) -> None:
    files = three(tmp_path)
    with pytest.raises(DataError, match=r"set_train\.csv, row 1: column 'image' is missing"):
        read_split_files(tmp_path, id_column=["image", "name"])
    with pytest.raises(DataError, match=r"column 'type' is missing"):
        read(tmp_path, columns=["type"])
    with pytest.raises(DataError, match=r"'val' in its name, found none"):
        read([files[0], files[2]])
    write(tmp_path / "train_reduce.csv", TRAIN)
    with pytest.raises(DataError, match=r"'train' in its name, found set_train.csv, train_red"):
        read(tmp_path)
    with pytest.raises(DataError, match="column 'split' is missing"):
        read(files[0])
    write(files[0], ["a.png,sometimes"], "filename,split")
    with pytest.raises(DataError, match=r"row 2, column 'split': 'sometimes'"):
        read(files[0])


def test_counts(tmp_path: Path) -> None:
    three(tmp_path)
    found = read(tmp_path)
    assert found.counts("level")["train"] == Counter({"0": 2, "1": 1})
    assert found.describe() == "train 3, val 1, test 1"
    assert found.describe("level") == "train 3 (0: 2, 1: 1), val 1 (1: 1), test 1 (0: 1)"


def test_match_names_what_does_not_exist(tmp_path: Path) -> None:
    three(tmp_path)
    found, known = read(tmp_path), ["p1-1", "p1-2", "p3-1", "p4-1", "other"]
    message = re.escape("set_train.csv, row 4: 1 of the 5 images") + ".*'p2-1'"
    with pytest.raises(DataError, match=message):
        found.match(known)
    kept, notes = found.match(known, "skip")
    assert kept == {key: split for key, split in EXPECTED.items() if key != "p2-1"}
    assert notes[0].startswith("1 images of the split files") and notes[1].startswith("1 images")
    assert found.match([*EXPECTED])[1] == []
    with pytest.raises(DataError, match="5 of the 5 images"):
        found.match(["none"], "skip")


def test_validation_is_drawn_by_patient_and_label() -> None:
    labels, groups = [i % 2 for i in range(200)], [f"p{i // 4}" for i in range(200)]
    drawn = draw_validation(labels, groups, 0.2, seed=1)
    assert len({*zip(groups, drawn, strict=True)}) == 50, "a patient in both"
    assert set(drawn) == {"train", "val"} and abs(drawn.count("val") - 40) <= 4
    assert drawn == draw_validation(labels, groups, 0.2, seed=1)
    assert drawn != draw_validation(labels, groups, 0.2, seed=2)


@pytest.mark.parametrize("path", [5, True, 1.5, [1], {"a": 1}, "\0", "x" * 5000])
def test_what_is_no_path_is_refused(path: object) -> None:
    with pytest.raises(DataError, match="^splits is "):
        read(path)
