"""Kaggle DR: the challenge's files in folders, archives and parts, and the paper's split files."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from softcam.common import DataError, SoftCAMError, UnknownNameError
from softcam.data.sets.kaggle_dr import read_kaggle_dr
from tests.data.sets.kaggle_files import JPEG, SOLUTION, TEST, TRAIN, by_split, levels, put, table


@pytest.mark.parametrize(
    ("task", "classes", "label"),
    [
        ("onset1", 2, lambda level: int(level >= 1)),
        ("onset2", 2, lambda level: int(level >= 2)),
        ("grade", 5, lambda level: level),
    ],
)
def test_the_challenge(kaggle: Path, task: str, classes: int, label: object) -> None:
    store, found = read_kaggle_dr(kaggle, task=task)
    assert found.name == f"kaggle-dr-{task}" and len(found.classes) == classes
    assert found.view == "fundus" and not found.expected
    parts = by_split(found)
    assert parts["test"] == set(TEST) and parts["train"] | parts["val"] == set(TRAIN)
    patients = {s: {i.patient for i in found.items if i.split == s} for s in parts}
    assert patients["val"] and not patients["train"] & patients["val"]
    for item, eye in zip(found.items, found.metadata["eye"], strict=True):
        assert item.label == label({**TRAIN, **TEST}[item.id])  # type: ignore[operator]
        assert item.id == f"{item.patient}_{eye}" and item.id in item.name
    assert [i.patient for i in found.items[:4]] == ["1", "1", "2", "2"], "by number"
    assert store.read(found.items[0].name) == JPEG
    assert by_split(read_kaggle_dr(kaggle, task=task, seed=1)[1])["train"] != parts["train"]


def test_one_archive_of_everything(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for key in TRAIN:
            archive.writestr(f"resized_train/resized_train/{key}.jpeg", JPEG)
        archive.writestr("trainLabels.csv", "image,level\n" + "\n".join(levels(TRAIN)))
    _, found = read_kaggle_dr(path)
    assert len(found.items) == len(TRAIN) and all(by_split(found).values())
    assert any("no test labels" in note for note in found.notes)


def test_train_and_test_as_archives_in_a_folder(tmp_path: Path) -> None:
    for name, part in (("train", TRAIN), ("test", TEST)):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for key in part:
                archive.writestr(f"{name}/{key}.jpeg", JPEG + key.encode())
    table(tmp_path / "trainLabels.csv", levels(TRAIN))
    table(tmp_path / "retinopathy_solution.csv", SOLUTION, "image,level,Usage")
    store, found = read_kaggle_dr(tmp_path)
    assert len(found.items) == len(TRAIN) + len(TEST)
    store = pickle.loads(pickle.dumps(store))
    for item in found.items:
        assert store.read(item.name) == JPEG + item.id.encode()
        assert store.stamp(item.name)[0] == len(JPEG) + len(item.id)
    assert set(store.names()) >= {item.name for item in found.items} | {"trainLabels.csv"}


def test_an_archive_in_parts_is_an_error_with_the_steps(tmp_path: Path) -> None:
    put(tmp_path, ["train.zip.001", "train.zip.002", "trainLabels.csv.zip"], b"x")
    for path in (tmp_path, tmp_path / "train.zip.001"):
        with pytest.raises(
            DataError, match=r"(?s)train\.zip\.001.*cat train\.zip\.\* > train\.zip"
        ):
            read_kaggle_dr(path)
    put(tmp_path, ["train/1_left.jpeg"])
    with pytest.raises(DataError, match=r"trainLabels\.csv\.zip: unpack it"):
        read_kaggle_dr(tmp_path)


def test_what_is_missing(kaggle: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image named ID_left"):
        read_kaggle_dr(put(tmp_path / "a", ["train/x.jpeg"]))
    with pytest.raises(DataError, match="no trainLabels.csv"):
        read_kaggle_dr(put(tmp_path / "b", ["train/1_left.jpeg"]))
    put(kaggle, ["other/10_left.png"])
    with pytest.raises(DataError, match="'other/10_left.png' and 'train/10_left.jpeg' are one"):
        read_kaggle_dr(kaggle)
    with pytest.raises(UnknownNameError, match="'onset1'"):
        read_kaggle_dr(kaggle, task="onset")
    with pytest.raises(SoftCAMError, match="seed"):
        read_kaggle_dr(kaggle, seed=-1)


def test_tables_in_two_places_and_foreign_labels(kaggle: Path) -> None:
    table(kaggle / "more/trainLabels.csv", ["7_left,0"])
    with pytest.raises(DataError, match="trainLabels.csv is there 2 times"):
        read_kaggle_dr(kaggle)
    (kaggle / "more/trainLabels.csv").unlink()
    table(kaggle / "trainLabels.csv", ["77_left,0"])
    with pytest.raises(DataError, match="no image is in trainLabels.csv"):
        read_kaggle_dr(kaggle)


def test_rows_without_an_image_and_images_without_a_row(kaggle: Path) -> None:
    (kaggle / "train/12_left.jpeg").unlink()
    put(kaggle, ["train/88_left.jpeg"])
    with pytest.raises(
        DataError, match=r"trainLabels\.csv, row 6, column 'image': '12_left'.*1 of 40"
    ):
        read_kaggle_dr(kaggle)
    _, found = read_kaggle_dr(kaggle, on_error="skip")
    assert len(found.items) == 49 and "12_left" not in {i.id for i in found.items}
    assert found.notes[:2] == (
        "1 rows of trainLabels.csv have no image: left out.",
        "1 images have no label: left out.",
    )


def test_without_the_test_images(kaggle: Path) -> None:
    for key in TEST:
        (kaggle / f"test/{key}.jpeg").unlink()
    _, found = read_kaggle_dr(kaggle)
    assert by_split(found)["test"] <= set(TRAIN) and by_split(found)["test"]
    assert "10 rows of retinopathy_solution.csv" in found.notes[0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("31_left,5", r"trainLabels\.csv, row 42, column 'level': '5'"),
        ("31_left,nan", r"row 42, column 'level': 'nan'"),
        ("31_left,high", r"row 42, column 'level': 'high' is not a number"),
        ("10_left,0", r"row 42, column 'image': '10_left' is a duplicate of row 2"),
        (",0", r"row 42, column 'image': blank"),
        ("1_left,1", r"retinopathy_solution\.csv, row 2.*'1_left' is in row 42 of trainLabels"),
    ],
)
def test_labels_that_do_not_fit(kaggle: Path, row: str, message: str) -> None:
    table(kaggle / "trainLabels.csv", [*levels(TRAIN), row])
    with pytest.raises(DataError, match=message):
        read_kaggle_dr(kaggle)


def test_eyes_in_both_tables(kaggle: Path) -> None:
    table(kaggle / "retinopathy_solution.csv", ["1_left,1,Public"], "image,level,Usage")
    table(kaggle / "trainLabels.csv", [*levels(TRAIN), "1_right,1"])
    with pytest.raises(DataError, match="patient 1 is in the splits (train|val) and test"):
        read_kaggle_dr(kaggle)


AUTHORS = "image,level,ungradability_MEAN,ungradability_MEDIAN,Usage,onset1,onset2,filename"


def authors(folder: Path, **changed: list[str]) -> Path:
    def row(key: str, level: int) -> str:
        return f"{key},{level},0.1,0.1,Private,{int(level > 0)},{int(level > 1)},{key}.png"

    train = [row(k, v) for k, v in TRAIN.items() if int(k[:2]) < 25]
    val = [row(k, v) for k, v in TRAIN.items() if int(k[:2]) >= 25]
    test = [row(k, v) for k, v in TEST.items()]
    for split, rows in ({"train": train, "val": val, "test": test} | changed).items():
        table(folder / f"kaggle_gradable_{split}.csv", rows, AUTHORS)
    return folder


def test_the_authors_split_files(kaggle: Path, tmp_path: Path) -> None:
    splits = authors(tmp_path / "csv")
    _, found = read_kaggle_dr(kaggle, splits=splits, task="onset2")
    parts = by_split(found)
    assert (
        parts["val"] == {key for key in TRAIN if int(key[:2]) >= 25} and len(parts["train"]) == 30
    )
    assert found.expected["test"] == (5655, 1301) and found.expected["train"] == (8701, 6404)
    (kaggle / "trainLabels.csv").unlink()
    _, alone = read_kaggle_dr(kaggle, splits=splits, task="onset2")
    assert alone.items == found.items, "the files hold the levels as well"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["1_left,3,0,0,,1,1,"],
            r"test\.csv, row 2, column 'level': '3'.*'1_left' has 1 in retino",
        ),
        (["30_left,3,0,0,,1,1,"], r"test\.csv, row 2: 1 of the 41.*'30_left'"),
        (["29_left,9,0,0,,1,1,"], r"test\.csv, row 2, column 'image': '29_left' is listed already"),
    ],
)
def test_split_files_that_do_not_fit(
    kaggle: Path, tmp_path: Path, rows: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_kaggle_dr(kaggle, splits=authors(tmp_path / "csv", test=rows))


def test_eyes_in_two_splits(kaggle: Path, tmp_path: Path) -> None:
    rows = ["1_left,1,train", "2_left,2,val", "1_right,1,test"]
    path = table(tmp_path / "one.csv", rows, "image,level,split")
    with pytest.raises(
        DataError, match=r"one\.csv, row 4, column 'image': patient 1 is in .*train"
    ):
        read_kaggle_dr(kaggle, splits=path)


def test_counts_of_the_paper() -> None:
    """The sums of the levels are those of the two onsets."""
    from softcam.data.sets.grades import expected_counts

    full, reduced = ["train"] * 34350, ["train"] * 15105
    assert expected_counts("grade", full)["train"] == (25245, 2701, 5060, 888, 456)
    assert expected_counts("onset1", full) == {
        "train": (25245, 9105),
        "val": (3420, 1197),
        "test": (5118, 1838),
    }
    assert expected_counts("onset2", full)["train"] == (27946, 6404)
    assert expected_counts("onset1", reduced)["train"] == (6000, 9105)
