"""Folders without a table, several findings an image, and splits and patients from elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from softcam.common import DataError, UnknownNameError
from softcam.data.folder import folder_splits, read_folder
from softcam.data.records import SPLITS, Splits
from tests.data.test_folder import HEADER, NAMES, ROWS, SIDE, boxes, folder, labels, project, read

__all__ = ["folder", "project"]  # fixtures

SPLIT_OF = ["train"] * 4 + ["val"] * 2 + ["test"] * 2


def by_class(folder: Path, count: int = 24) -> Path:
    """The same kind of images in a folder a class, without a table."""
    path = folder.with_name("by-class")
    for i in range(count):
        target = path / ("ill", "well")[i % 2] / f"p{i // 4}-{i}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((folder / "images" / NAMES[i % 8]).read_bytes() + bytes([i]))
    return path


def all_of(splits: Splits) -> dict[str, tuple[int, str]]:
    """Label and patient by id."""
    return {
        name: (int(label), patient)
        for part in (splits[split] for split in SPLITS)
        for name, label, patient in zip(part.ids, part.labels, part.patients, strict=True)
    }


@pytest.mark.filterwarnings("ignore:.*lie in several splits")
def test_a_pattern_lists_the_images_and_folders_name_the_classes(folder: Path) -> None:
    path = by_class(folder)
    (path / "masks" / "ill").mkdir(parents=True)
    (path / "masks" / "ill" / "p0-0.png").write_bytes((folder / "images/im0.png").read_bytes())
    splits = folder_splits(path, SIDE, glob="*/*.png")
    assert splits.classes == ("ill", "well")
    found = all_of(splits)
    assert len(found) == 24 and found["ill/p0-0.png"] == (0, "unknown:ill/p0-0.png")
    assert any("24 images name no patient" in note for note in splits.notes)
    assert sum(len(splits[split].with_findings()) for split in SPLITS) == 1
    grouped = all_of(folder_splits(path, SIDE, glob="**/*.png", patient_pattern=r"p(\d+)-"))
    assert grouped["well/p2-9.png"] == (1, "2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"glob": "*/*.jpg"}, "finds no image"),
        ({"glob": "ill/*.png"}, "one class only .'ill'"),
        ({"glob": "../*/*.png"}, "expected a pattern"),
        ({"glob": "/*/*.png"}, "relative to the folder"),
        ({"glob": ""}, "expected a pattern"),
        ({"glob": "**/*.png", "patient_pattern": "("}, "no regular expression"),
        ({"glob": "**/*.png", "patient_pattern": "x(y)"}, "finds nothing in any file name"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(
    folder: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        folder_splits(by_class(folder), SIDE, **options)


def test_a_pattern_and_a_table_exclude_each_other(folder: Path) -> None:
    with pytest.raises(DataError, match="leave out one"):
        read(folder, glob="*/*.png")
    path = by_class(folder)
    (path / "loose.png").write_bytes((path / "ill" / "p0-0.png").read_bytes())
    with pytest.raises(DataError, match=r"loose\.png: lies in no folder"):
        folder_splits(path, SIDE, glob="**/*.png")


def test_names_with_bars_are_several_findings(folder: Path) -> None:
    kinds = ["edema|effusion", "None", "effusion", "no finding", "edema", "effusion | edema",
             "none", "effusion"]  # fmt: skip
    labels(folder, [row.replace(f",{i % 2},", f",{kinds[i]},") for i, row in enumerate(ROWS)])
    splits = read(folder)
    assert splits.classes == ("edema", "effusion") and splits.multi_label
    assert splits.train.labels.tolist() == [[1, 1], [0, 0], [0, 1], [0, 0]]
    assert splits.val.labels.tolist() == [[1, 0], [1, 1]]
    assert any("3 images show none" in note and "sigmoid" in note for note in splits.notes)


def test_several_columns_are_several_findings(folder: Path) -> None:
    rows = [f"{row},{i // 2 % 2}" for i, row in enumerate(ROWS)]
    labels(folder, rows, HEADER + ",b")
    splits = read(folder, label_column=["label", "b"])
    assert splits.classes == ("label", "b")
    assert splits.train.labels.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    assert splits.train.options["label_column"] == ["label", "b"]
    assert read(folder, label_column=["label"]).classes == ("0", "1"), "one column is one class"
    rows[2] = rows[2][:-1] + "-1"
    labels(folder, rows, HEADER + ",b")
    with pytest.raises(DataError, match=r"row 4, column 'b': '-1', expected 0 or 1; what is unce"):
        read(folder, label_column=["label", "b"])
    with pytest.raises(DataError, match="twice"):
        read(folder, label_column=["b", "b"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a|none", "names one"),
        ("a||b", "a blank between the bars"),
        ("a|A", "named twice"),
        ("A|b", "'A' is 'a' in another row"),
        ("0|1", "classes or flags"),
        ("normal", "a finding, or that there is none"),
        ("nan", "expected a label"),
    ],
)
def test_an_ambiguous_list_of_findings_is_refused(folder: Path, text: str, message: str) -> None:
    kinds = ["a|b", "b", "a", "none", text, "b", "a", "b"]
    labels(folder, [row.replace(f",{i % 2},", f",{kinds[i]},") for i, row in enumerate(ROWS)])
    with pytest.raises(DataError, match=rf"row 6, column 'label': .*{message}"):
        read(folder)


def test_a_finding_that_never_or_always_shows_cannot_be_learned(folder: Path) -> None:
    rows = [f"{row},{int(i > 3)}" for i, row in enumerate(ROWS)]
    labels(folder, rows, HEADER + ",b")
    with pytest.raises(DataError, match="'train' has no image of class b"):
        read(folder, label_column=["label", "b"])
    rows = [f"{row},{int(i < 4)}" for i, row in enumerate(ROWS)]
    labels(folder, rows, HEADER + ",b")
    with pytest.raises(DataError, match="'train' has no image without b"):
        read(folder, label_column=["label", "b"])


def write_splits(folder: Path, splits: list[str], header: str = "filename,split") -> None:
    lines = [f"{name},{split}" for name, split in zip(NAMES, splits, strict=False)]
    (folder / "mine.csv").write_text("\n".join([header, *lines]) + "\n")


def test_a_table_of_splits_counts_more_than_the_column(folder: Path) -> None:
    write_splits(folder, SPLIT_OF[::-1])
    splits = read(folder, splits="mine.csv")
    assert splits.test.ids == ("im0.png", "im1.png") and len(splits.train) == 4
    assert splits.train.options["splits"] == "mine.csv" and splits.train.options["seed"] is None
    assert read(folder).test.ids == ("im6.png", "im7.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (["train"] * 8, "no image is left for 'val'"),
        (SPLIT_OF[:7], "1 of 8 images are in no split, for example 'im7.png'"),
        (["tain", *SPLIT_OF[1:]], r"row 2, column 'split': 'tain'"),
        ([f"{s},one" for s in SPLIT_OF], r"row 6, column 'patient_id': patient 'one' is in split"),
    ],
)
def test_a_wrong_table_of_splits_is_named(folder: Path, spoil: list[str], message: str) -> None:
    header = "filename,split" + ",patient_id" * spoil[0].endswith("one")
    write_splits(folder, spoil, header)
    with pytest.raises(DataError, match=rf"mine\.csv.*{message}"):
        read(folder, splits="mine.csv")


def test_rows_of_a_table_of_splits_belong_to_images(folder: Path) -> None:
    for extra, message in (("im9.png,train", "no image of"), ("im0.png,train", "duplicate of row")):
        write_splits(folder, SPLIT_OF)
        with (folder / "mine.csv").open("a") as file:
            file.write(extra + "\n")
        with pytest.raises(DataError, match=rf"row 10, column 'filename': .*{message}"):
            read(folder, splits="mine.csv")


def test_a_patient_in_two_splits_stops_or_is_counted(folder: Path) -> None:
    labels(folder, [row.replace(",p6", ",p2") for row in ROWS])
    with pytest.raises(DataError, match="patient 'p2' is in split 'test' here and in 'train'"):
        read(folder)
    notes = read(folder, on_leak="warn").notes
    assert any("1 patients are in several splits ('p2' in train and test)" in n for n in notes)
    with pytest.raises(UnknownNameError, match="on_leak"):
        read(folder, on_leak="wran")


def test_a_pattern_finds_patients_where_no_column_names_them(folder: Path) -> None:
    with pytest.raises(DataError, match="patient_pattern is given as well"):
        read(folder, patient_pattern=r"im(\d)")
    labels(folder, [row.rpartition(",")[0] for row in ROWS], "filename,label,split")
    assert read(folder, patient_pattern=r"im(\d)").train.patients == ("0", "1", "2", "3")
    with pytest.raises(DataError, match="row 6, column 'filename': patient 'im' is in split"):
        read(folder, patient_pattern="im")


def test_other_columns_are_metadata(folder: Path) -> None:
    labels(folder, [f'{row},"PA, erect"' for row in ROWS], HEADER + ",view")
    boxes(folder, "im6.png,2,3,4,5,lesion", "im6.png,9,9,2,2,lesion")
    _, catalogue = read_folder(folder)
    assert dict(catalogue.metadata) == {"view": ["PA, erect"] * 8}, "a quoted comma is no separator"
    assert [mark.box for mark in catalogue.items[6].boxes] == [(2, 3, 4, 5), (9, 9, 2, 2)]
    assert np.all([item.annotated is None for item in catalogue.items])


@pytest.mark.parametrize(
    ("option", "value"),
    [("label_column", v) for v in (5, None, True, [1], {"a": 1}, "")]
    + [("splits", v) for v in (5, True, [1], {"a": 1}, "\0")],
)
def test_options_of_another_kind_are_refused(folder: Path, option: str, value: object) -> None:
    with pytest.raises(DataError, match=f"{option} is "):
        read_folder(folder, **{option: value})  # type: ignore[arg-type]
