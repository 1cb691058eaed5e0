"""Kaggle DR: the challenge's files, the paper's split files, quality, lesions, parts."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image

from softcam.common import DataError, SoftCAMError, UnknownNameError
from softcam.data.catalogue import Catalogue, MaskFile
from softcam.data.sets.kaggle_dr import read_kaggle_dr

TRAIN = {
    f"{n}_{eye}": (n + k) % 5 for n in range(10, 30) for k, eye in enumerate(("left", "right"))
}
TEST = {f"{n}_{eye}": n % 5 for n in range(1, 6) for eye in ("left", "right")}


def jpeg() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (12, 10), (90, 40, 10)).save(data, "JPEG")
    return data.getvalue()


JPEG = jpeg()
SOLUTION = [f"{key},{level},{'Public' if key < '3' else 'Private'}" for key, level in TEST.items()]


def put(path: Path, files: Iterable[str], data: bytes = JPEG) -> Path:
    for name in files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def table(path: Path, rows: Iterable[str], header: str = "image,level") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def levels(part: dict[str, int]) -> list[str]:
    return [f"{key},{level}" for key, level in part.items()]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The challenge, unpacked."""
    path = tmp_path / "kaggle"
    put(path, [f"train/{key}.jpeg" for key in TRAIN] + [f"test/{key}.jpeg" for key in TEST])
    table(path / "trainLabels.csv", levels(TRAIN))
    table(path / "retinopathy_solution.csv", SOLUTION, "image,level,Usage")
    return path


def by_split(found: Catalogue) -> dict[str, set[str]]:
    return {s: {i.id for i in found.items if i.split == s} for s in ("train", "val", "test")}


@pytest.mark.parametrize(
    ("task", "classes", "label"),
    [
        ("onset1", 2, lambda level: int(level >= 1)),
        ("onset2", 2, lambda level: int(level >= 2)),
        ("grade", 5, lambda level: level),
    ],
)
def test_the_challenge(data: Path, task: str, classes: int, label: object) -> None:
    store, found = read_kaggle_dr(data, task=task)
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
    assert by_split(read_kaggle_dr(data, task=task, seed=1)[1])["train"] != parts["train"]


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


def test_what_is_missing(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image named ID_left"):
        read_kaggle_dr(put(tmp_path / "a", ["train/x.jpeg"]))
    with pytest.raises(DataError, match="no trainLabels.csv"):
        read_kaggle_dr(put(tmp_path / "b", ["train/1_left.jpeg"]))
    put(data, ["other/10_left.png"])
    with pytest.raises(DataError, match="'other/10_left.png' and 'train/10_left.jpeg' are one"):
        read_kaggle_dr(data)
    with pytest.raises(UnknownNameError, match="'onset1'"):
        read_kaggle_dr(data, task="onset")
    with pytest.raises(SoftCAMError, match="seed"):
        read_kaggle_dr(data, seed=-1)


def test_tables_in_two_places_and_foreign_labels(data: Path) -> None:
    table(data / "more/trainLabels.csv", ["7_left,0"])
    with pytest.raises(DataError, match="trainLabels.csv is there 2 times"):
        read_kaggle_dr(data)
    (data / "more/trainLabels.csv").unlink()
    table(data / "trainLabels.csv", ["77_left,0"])
    with pytest.raises(DataError, match="no image is in trainLabels.csv"):
        read_kaggle_dr(data)


def test_rows_without_an_image_and_images_without_a_row(data: Path) -> None:
    (data / "train/12_left.jpeg").unlink()
    put(data, ["train/88_left.jpeg"])
    with pytest.raises(
        DataError, match=r"trainLabels\.csv, row 6, column 'image': '12_left'.*1 of 40"
    ):
        read_kaggle_dr(data)
    _, found = read_kaggle_dr(data, on_error="skip")
    assert len(found.items) == 49 and "12_left" not in {i.id for i in found.items}
    assert found.notes[:2] == (
        "1 rows of trainLabels.csv have no image: left out.",
        "1 images have no label: left out.",
    )


def test_without_the_test_images(data: Path) -> None:
    for key in TEST:
        (data / f"test/{key}.jpeg").unlink()
    _, found = read_kaggle_dr(data)
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
def test_labels_that_do_not_fit(data: Path, row: str, message: str) -> None:
    table(data / "trainLabels.csv", [*levels(TRAIN), row])
    with pytest.raises(DataError, match=message):
        read_kaggle_dr(data)


def test_eyes_in_both_tables(data: Path) -> None:
    table(data / "retinopathy_solution.csv", ["1_left,1,Public"], "image,level,Usage")
    table(data / "trainLabels.csv", [*levels(TRAIN), "1_right,1"])
    with pytest.raises(DataError, match="patient 1 is in the splits (train|val) and test"):
        read_kaggle_dr(data)


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


def test_the_authors_split_files(data: Path, tmp_path: Path) -> None:
    splits = authors(tmp_path / "csv")
    _, found = read_kaggle_dr(data, splits=splits, task="onset2")
    parts = by_split(found)
    assert (
        parts["val"] == {key for key in TRAIN if int(key[:2]) >= 25} and len(parts["train"]) == 30
    )
    assert found.expected["test"] == (5655, 1301) and found.expected["train"] == (8701, 6404)
    (data / "trainLabels.csv").unlink()
    _, alone = read_kaggle_dr(data, splits=splits, task="onset2")
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
    data: Path, tmp_path: Path, rows: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_kaggle_dr(data, splits=authors(tmp_path / "csv", test=rows))


def test_eyes_in_two_splits(data: Path, tmp_path: Path) -> None:
    rows = ["1_left,1,train", "2_left,2,val", "1_right,1,test"]
    path = table(tmp_path / "one.csv", rows, "image,level,split")
    with pytest.raises(
        DataError, match=r"one\.csv, row 4, column 'image': patient 1 is in .*train"
    ):
        read_kaggle_dr(data, splits=path)


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


@pytest.mark.parametrize("header", ["gradable", "ungradability_MEAN", "ungradability_MEDIAN"])
def test_gradable(data: Path, tmp_path: Path, header: str) -> None:
    good, bad = ("1", "0") if header == "gradable" else ("0.5", "0.51")
    rows = [f"{key}.jpeg,{bad if key.startswith('1') else good}" for key in {**TRAIN, **TEST}]
    path = table(tmp_path / "quality.csv", rows[:-2], f"image,{header}")
    _, found = read_kaggle_dr(data, gradable=path)
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
    data: Path, tmp_path: Path, header: str, row: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_kaggle_dr(data, gradable=table(tmp_path / "q.csv", [row], header))


def test_a_limit_outside_its_range(data: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "q.csv", ["10_left,1"], "image,gradable")
    with pytest.raises(DataError, match="ungradable_above is 2"):
        read_kaggle_dr(data, gradable=path, ungradable_above=2)


def test_lesions(data: Path, tmp_path: Path) -> None:
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
    store, found = read_kaggle_dr(data, lesions=masks)
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
    assert store.path == data


def test_lesions_that_do_not_fit(data: Path, tmp_path: Path) -> None:
    masks = put(tmp_path / "masks", ["99_left_MA.tif"])
    for on_error in ("stop", "skip"):
        with pytest.raises(DataError, match="1 masks belong to no image, such as '99_left_MA.tif'"):
            read_kaggle_dr(data, lesions=masks, on_error=on_error)
    put(masks, ["1_left_MA.tif"])
    _, found = read_kaggle_dr(data, lesions=masks, on_error="skip")
    assert "1 masks belong to no image: left out." in found.notes
    with pytest.raises(DataError, match="no mask; expected STEM_KIND"):
        read_kaggle_dr(data, lesions=put(tmp_path / "empty", ["a.txt"]))
