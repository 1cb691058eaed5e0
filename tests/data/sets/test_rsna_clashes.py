"""RSNA: every way in which the challenge's tables and files can clash."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.common import DataError, UnknownNameError
from tests.data.sets.rsna_files import (
    CLASS_INFO,
    IMAGES,
    LABELS,
    NORMAL,
    OPACITY,
    OTHER,
    THIRD,
    catalogue,
    class_rows,
    label_rows,
    write_tables,
)

pytestmark = pytest.mark.usefixtures("project")

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
def test_tables_that_clash_stop_or_are_skipped_and_counted(rsna_tables: Path, clash: str) -> None:
    (table, old, new), message, patient = CLASHES[clash]
    file = rsna_tables / (LABELS if table == LABEL else CLASS_INFO)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as caught:
        catalogue(rsna_tables)
    assert "--on-error skip" in str(caught.value)
    found = catalogue(rsna_tables, on_error="skip")
    assert {item.id for item in found.items} == {*NORMAL, *OPACITY} - {patient}
    assert len(found.warnings) == 1 and found.warnings[0].startswith("1 images ")


def test_files_and_rows_that_lack_each_other(rsna_tables: Path) -> None:
    (rsna_tables / IMAGES / "n02.dcm").unlink()
    (rsna_tables / IMAGES / "t00.dcm").unlink()  # not used, so not missed
    with pytest.raises(DataError, match=r"row 4, column 'patientId': 'n02' has no file"):
        catalogue(rsna_tables)
    found = catalogue(rsna_tables, on_error="skip")
    assert found.warnings == ("1 images have no file: left out.",) and len(found.items) == 20
    (rsna_tables / IMAGES / "n02.dcm").touch()
    (rsna_tables / IMAGES / "stranger.dcm").touch()
    with pytest.raises(DataError, match=r"stranger\.dcm' has no row in stage_2_train_labels"):
        catalogue(rsna_tables)
    assert catalogue(rsna_tables, on_error="skip").warnings == ("1 images have no row: left out.",)


def test_rows_that_repeat_and_other_spellings_are_read_right(rsna_tables: Path) -> None:
    expected = catalogue(rsna_tables)
    rows = label_rows()
    text = "\r\n".join(["patientId;x;y;width;height;Target", *rows, rows[-1], ""])
    rewritten = text.replace(",", ";").replace(".0", ",0")
    (rsna_tables / LABELS).write_bytes(b"\xef\xbb\xbf" + rewritten.encode())
    found = catalogue(rsna_tables)
    assert [(i.id, i.label, [m.box for m in i.boxes]) for i in found.items] == [
        (i.id, i.label, [m.box for m in i.boxes]) for i in expected.items
    ]


def test_a_blank_patient_is_an_error_in_any_case(rsna_tables: Path) -> None:
    write_tables(rsna_tables, [*label_rows(), ",,,,,0"], class_rows())
    with pytest.raises(DataError, match=r"row \d+, column 'patientId': blank"):
        catalogue(rsna_tables, on_error="skip")


def test_what_is_missing_is_named(rsna_tables: Path, tmp_path: Path) -> None:
    (rsna_tables / CLASS_INFO).rename(tmp_path / "aside.csv")
    with pytest.raises(DataError, match="stage_2_detailed_class_info.csv"):
        catalogue(rsna_tables)
    (rsna_tables / CLASS_INFO).write_text("patientId\nn00\n")
    with pytest.raises(DataError, match="column 'class' is missing"):
        catalogue(rsna_tables)
    with pytest.raises(DataError, match="no stage_2_train_labels.csv; expected it once"):
        catalogue(rsna_tables / IMAGES)
    write_tables(rsna_tables, label_rows(), class_rows())
    for file in (rsna_tables / IMAGES).iterdir():
        file.rename(file.with_suffix(".gone"))
    with pytest.raises(DataError, match="no DICOM, PNG or JPEG file in stage_2_train_images/"):
        catalogue(rsna_tables)
    with pytest.raises(DataError, match="no such folder or zip"):
        catalogue(tmp_path / "nowhere")


def test_one_image_as_two_files(rsna_tables: Path) -> None:
    (rsna_tables / IMAGES / "n00.dicom").touch()
    with pytest.raises(DataError, match=r"n00\.dcm' and .*n00\.dicom' are one patientId"):
        catalogue(rsna_tables)


def test_options_are_checked(rsna_tables: Path) -> None:
    with pytest.raises(UnknownNameError, match="'drop'"):
        catalogue(rsna_tables, third_class="dorp")
    with pytest.raises(UnknownNameError, match="'stop'"):
        catalogue(rsna_tables, on_error="stpo")


def test_nothing_left_is_an_error(rsna_tables: Path) -> None:
    write_tables(rsna_tables, [f"{p},,,,,0" for p in OTHER], [f"{p},{THIRD}" for p in OTHER])
    with pytest.raises(DataError, match="no image is left. 2 images of the class"):
        catalogue(rsna_tables, on_error="skip")
