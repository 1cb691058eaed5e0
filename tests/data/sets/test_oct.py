"""Retinal OCT: the layout of the data set, its patients, and the paper's split files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.common import DataError, UnknownNameError
from softcam.data.catalogue import Catalogue
from softcam.data.geometry import Geometry
from softcam.data.sets.oct import COUNTS, read_oct
from softcam.data.store import Store

KINDS = ("CNV", "DME", "DRUSEN", "NORMAL")
TRAIN = [
    f"{kind}-{100 * k + p}-{i}" for k, kind in enumerate(KINDS) for p in range(6) for i in (1, 2)
]
TEST = [f"{kind}-{900 + k}-1" for k, kind in enumerate(KINDS)]


def jpeg(size: tuple[int, int] = (24, 16)) -> bytes:
    data = io.BytesIO()
    Image.new("L", size, 90).save(data, "JPEG")
    return data.getvalue()


JPEG = jpeg()


def names(
    train: Iterable[str] = TRAIN, test: Iterable[str] = TEST, root: str = "OCT/"
) -> list[str]:
    parts = {"train": train, "test": test}
    return [f"{root}{p}/{s.split('-')[0]}/{s}.jpeg" for p, stems in parts.items() for s in stems]


def folder(path: Path, files: Iterable[str], data: bytes = JPEG) -> Path:
    for name in files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def table(path: Path, rows: Iterable[str], header: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def by_split(catalogue: Catalogue) -> dict[str, set[str]]:
    return {s: {i.id for i in catalogue.items if i.split == s} for s in ("train", "val", "test")}


def test_drusen_from_a_folder(tmp_path: Path) -> None:
    store, found = read_oct(folder(tmp_path, [*names(), "OCT/readme.txt", "license.jpeg"]))
    assert found.name == "oct-drusen" and found.classes == ("normal", "drusen") and found.grey
    parts = by_split(found)
    assert parts["test"] == {"DRUSEN-902-1", "NORMAL-903-1"}
    assert parts["train"] | parts["val"] == {s for s in TRAIN if s[:2] in ("DR", "NO")}
    for item in found.items:
        assert item.label == int(item.id.startswith("DRUSEN")) and item.id in item.name
        assert item.patient == item.id.split("-")[1]
        assert store.read(item.name) == JPEG
    crossing = {i.patient for i in found.items if i.split == "train"} & {
        i.patient for i in found.items if i.split == "val"
    }
    assert parts["val"] and not crossing
    assert found.expected == {"test": COUNTS["drusen"]["test"]} and not found.mask_names
    assert any("white borders" in note for note in found.notes)


def test_four_classes_from_an_archive_and_the_seed(tmp_path: Path) -> None:
    path = tmp_path / "OCT.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names(root="ZhangLabData/CellData/OCT/"):
            archive.writestr(name, JPEG)
    store, found = read_oct(path, task="four")
    assert found.classes == ("normal", "drusen", "DME", "CNV")
    order = ("NORMAL", "DRUSEN", "DME", "CNV")
    assert all(order[item.label] == item.id.split("-")[0] for item in found.items)  # type: ignore[index]
    assert store.read(found.items[0].name) == JPEG
    again, other = read_oct(path, task="four")[1], read_oct(path, task="four", seed=1)[1]
    assert by_split(again) == by_split(found) != by_split(other)
    assert by_split(other)["test"] == by_split(found)["test"] == set(TEST)


def test_a_number_is_a_person_in_every_class_and_folder(tmp_path: Path) -> None:
    """Patient 902 is in test as DRUSEN: the normal scans of 902 leave train."""
    train = [*TRAIN, "NORMAL-902-1", "NORMAL-902-2", "CNV-902-7"]
    _, found = read_oct(folder(tmp_path, names(train)))
    assert not any(i.patient == "902" and i.split != "test" for i in found.items)
    assert any(note.startswith("2 training images of 1 patients") for note in found.notes)
    shared = [f"{kind}-7-{i}" for kind in ("NORMAL", "DRUSEN") for i in range(3)]
    _, found = read_oct(folder(tmp_path / "b", names([*TRAIN, *shared])))
    assert len({item.split for item in found.items if item.patient == "7"}) == 1


def test_version_two_has_a_val_folder_and_a_space(tmp_path: Path) -> None:
    files = names(root="OCT2017 /") + [
        "OCT2017 /val/NORMAL/NORMAL-55-1.jpeg",
        f"OCT2017 /val/DRUSEN/{TRAIN[24]}.jpeg",
    ]
    _, found = read_oct(folder(tmp_path, files))
    ids = [item.id for item in found.items]
    assert "NORMAL-55-1" in ids and len(ids) == len(set(ids)) == 24 + 2 + 1
    assert any(note.startswith("1 images are in train/ and in val/") for note in found.notes)


def test_without_a_test_folder_all_three_are_drawn(tmp_path: Path) -> None:
    _, found = read_oct(folder(tmp_path, names(test=[])))
    assert all(by_split(found).values()) and any("no test folder" in n for n in found.notes)


def test_the_same_tree_twice_counts_once_and_two_trees_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, names(root="OCT2017 /") + names(root="oct2017/OCT2017 /"))
    _, found = read_oct(tmp_path)
    assert len(found.items) == 26 and all(i.name.startswith("OCT2017 /") for i in found.items)
    assert any("2 times" in note for note in found.notes)
    folder(tmp_path, names(["DRUSEN-5-1"], [], "more/"))
    with pytest.raises(DataError, match="others in 'more/'"):
        read_oct(tmp_path)


def test_file_names_that_do_not_fit(tmp_path: Path) -> None:
    odd = ["OCT/train/DRUSEN/NORMAL-1-1.jpeg", "OCT/train/DRUSEN/DRUSEN-x-1.jpeg"]
    folder(tmp_path, names() + odd)
    with pytest.raises(DataError, match="2 files are not named after their class"):
        read_oct(tmp_path)
    _, found = read_oct(tmp_path, on_error="skip")
    assert len(found.items) == 26 and found.notes[0].startswith("2 files of another name")


def test_an_empty_folder_and_unknown_options(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no scans; expected train/ and test/"):
        read_oct(folder(tmp_path, ["a/b.jpeg"]))
    with pytest.raises(UnknownNameError, match="'drusen'"):
        read_oct(tmp_path, task="drusn")
    with pytest.raises(DataError, match="of NORMAL, DRUSEN is left"):
        read_oct(folder(tmp_path / "c", names(["CNV-1-1"], [])))


# The authors' split files, with their columns.
BINARY = "patient_id,filename,type,drusen"
FOUR = "patient_id,height,width,label,level,drusen_vs_healthy,cnv_dme_vs_drusen_healthy,filename"


def binary(folder: Path, **changed: list[str]) -> Path:
    def row(stem: str) -> str:
        kind, patient, _ = stem.split("-")
        return f"{patient},{stem}.jpeg,{kind},{int(kind == 'DRUSEN')}"

    train = [row(stem) for stem in TRAIN if stem.startswith(("DR", "NO")) and stem[-3] != "5"]
    val = [row(stem) for stem in TRAIN if stem.startswith(("DR", "NO")) and stem[-3] == "5"]
    test = [row(stem) for stem in TEST[2:]]
    for split, rows in ({"train": train, "val": val, "test": test} | changed).items():
        table(folder / f"drusen_{split}.csv", rows, BINARY)
    return folder


def test_the_authors_binary_files(tmp_path: Path) -> None:
    data, splits = folder(tmp_path / "data", names()), binary(tmp_path / "csv")
    _, found = read_oct(data, splits=splits)
    parts = by_split(found)
    assert parts["val"] == {s for s in TRAIN if s[:2] in ("DR", "NO") and s[-3] == "5"}
    assert len(parts["train"]) == 20 and parts["test"] == set(TEST[2:])
    assert found.expected == COUNTS["drusen"] and found.options["seed"] is None
    assert any(note.startswith("26 images are in none") for note in found.notes)


def test_the_authors_files_of_four_classes(tmp_path: Path) -> None:
    levels = {"NORMAL": 0, "DRUSEN": 1, "DME": 2, "CNV": 3}

    def row(stem: str) -> str:
        kind, patient, _ = stem.split("-")
        return f"{patient},496,512,{kind},{levels[kind]},0,0,{stem}.jpeg"

    rows = {stem: row(stem) for stem in TRAIN}
    csv = tmp_path / "csv"
    table(csv / "a_train.csv", [r for s, r in rows.items() if s[-3] != "5"], FOUR)
    table(csv / "a_val.csv", [r for s, r in rows.items() if s[-3] == "5"], FOUR)
    test = [f"{s}.jpeg,{s.split('-')[1]},{levels[s.split('-')[0]]}" for s in TEST]
    table(csv / "a_test.csv", test, "filename,patient_id,level")
    _, found = read_oct(folder(tmp_path / "data", names()), task="four", splits=csv)
    assert len(found.items) == len(TRAIN) + len(TEST) and found.expected == COUNTS["four"]
    assert len(by_split(found)["val"]) == 8
    _, found = read_oct(tmp_path / "data", splits=csv)
    assert len(found.items) == 26
    assert any("no class for: 13 CNV, 13 DME" in note for note in found.notes)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["903,NORMAL-903-1.jpeg,NORMAL,1"], r"test\.csv, row 2, column 'drusen': '1'.*expected 0"),
        (["300,NORMAL-903-1.jpeg,NORMAL,0"], r"test\.csv, row 2.*'300'.*'train' in drusen_train"),
        (["1,NORMAL-1-1.jpeg,NORMAL,0"], r"test\.csv, row 2: 1 of the 25.*'NORMAL-1-1'"),
    ],
)
def test_split_files_that_do_not_fit(tmp_path: Path, rows: list[str], message: str) -> None:
    folder(tmp_path / "data", names())
    with pytest.raises(DataError, match=message):
        read_oct(tmp_path / "data", splits=binary(tmp_path / "csv", test=rows))


def test_patients_that_cross_by_number(tmp_path: Path) -> None:
    """By the files' own patients it is their decision, and a warning; else an error."""
    data = folder(tmp_path / "data", names([*TRAIN, "DRUSEN-903-1"]))
    rows = ["d903,DRUSEN-903-1.jpeg,DRUSEN,1", "204,DRUSEN-204-1.jpeg,DRUSEN,1"]
    splits = binary(tmp_path / "csv", val=rows, train=["205,DRUSEN-205-1,DRUSEN,1"])
    _, found = read_oct(data, splits=splits)
    assert found.shared_patients and "903 in val and test" in found.warnings[0]
    one = ["DRUSEN-903-1,val", "NORMAL-903-1,test", "DRUSEN-204-1,train"]
    with pytest.raises(
        DataError, match=r"row [23], column 'filename': patient 903 .* val and test"
    ):
        read_oct(data, splits=table(tmp_path / "one.csv", one, "filename,split"))


def test_a_name_in_both_folders_is_the_one_of_its_split(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", names([*TRAIN, TEST[3]]))
    _, found = read_oct(data, splits=binary(tmp_path / "csv"))
    assert [i.name for i in found.items if i.id == TEST[3]] == [f"OCT/test/NORMAL/{TEST[3]}.jpeg"]


def test_points_in_pixels_of_the_file(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", names())
    rows = ["DRUSEN-902-1.jpeg,3,5", "DRUSEN-902-1.jpeg,7.9,0.2", "NORMAL-903-1.jpeg,,"]
    points = table(tmp_path / "points.csv", rows, "filename,x,y")
    _, found = read_oct(data, points=points)
    items = {item.id: item for item in found.items}
    marks = items["DRUSEN-902-1"].boxes
    assert [mark.box for mark in marks] == [(3, 5, 1, 1), (7, 0, 1, 1)]
    assert marks[1].place.endswith("points.csv, row 3") and marks[0].kind == "drusen"
    assert found.mask_names == found.finding_names == ("drusen",)
    looked = {key for key, item in items.items() if item.annotated}
    assert looked == {"DRUSEN-902-1", "NORMAL-903-1"}


@pytest.mark.parametrize("size", [(512, 496), (768, 496), (496, 512), (1536, 496), (1000, 700)])
def test_points_in_the_papers_frame(tmp_path: Path, size: tuple[int, int]) -> None:
    """In the prepared image of 496 pixels the marked pixel is the paper's."""
    data = folder(tmp_path / "data", names(), jpeg(size))
    drawn = [(0.0, 0.0), (300.0, 41.0), (511.0, 511.0), (256.5, 200.2)]
    rows = [f"DRUSEN-902-1.jpeg,{x},{y}" for x, y in drawn]
    points = table(tmp_path / "points.csv", rows, "filename,x,y")
    _, found = read_oct(data, points=points, point_frame="paper")
    marks = next(item.boxes for item in found.items if item.boxes)
    geometry = Geometry(size[1], size[0], 496)
    for (x, y), mark in zip(drawn, marks, strict=True):
        mask = geometry.box_mask(mark.box)
        rows_, columns = np.nonzero(mask)
        assert int(y * 496 / 512) in rows_ and int(x * 496 / 512) in columns
        assert mask.sum() == 1


@pytest.mark.parametrize(
    ("row", "frame", "message"),
    [
        ("DRUSEN-902-1.jpeg,x,5", "stored", r"row 2, column 'x': 'x' is not a number"),
        ("DRUSEN-902-1.jpeg,3,", "stored", r"row 2, column 'y': '', expected a number from 0"),
        ("DRUSEN-902-1.jpeg,-3,1", "stored", r"row 2, column 'x': '-3'"),
        ("DRUSEN-902-1.jpeg,3,512", "paper", r"row 2, column 'y': '512'.*below 512"),
        (
            "CNV-900-1.jpeg,3,5",
            "stored",
            r"row 2, column 'filename'.*no image of this task.*1 rows",
        ),
    ],
)
def test_points_that_do_not_fit(tmp_path: Path, row: str, frame: str, message: str) -> None:
    data = folder(tmp_path / "data", names())
    points = table(tmp_path / "points.csv", [row], "filename,x,y")
    with pytest.raises(DataError, match=message):
        read_oct(data, points=points, point_frame=frame)


def test_points_of_other_images_are_counted_under_skip(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", names())
    points = table(tmp_path / "p.csv", ["CNV-900-1,3,5", "DRUSEN-902-1,3,5"], "filename,x,y")
    _, found = read_oct(data, points=points, on_error="skip")
    assert any(note.startswith("1 points of images that are not used") for note in found.notes)
    (data / "OCT/test/DRUSEN/DRUSEN-902-1.jpeg").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"DRUSEN-902-1\.jpeg: not an image"):
        read_oct(data, points=points, point_frame="paper", on_error="skip")


def test_the_store_is_the_one_that_was_given(tmp_path: Path) -> None:
    store: Store = read_oct(folder(tmp_path, names()))[0]
    assert store.path == tmp_path
