"""Tables as people write them: read right, or named with row and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.common import DataError
from softcam.data.tables import read_table


def written(folder: Path, data: bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        b'name,note,x\na.png,"one, two",1.5\nb.png,,nan\n',
        b'\xef\xbb\xbfname,note,x\r\na.png,"one, two",1.5\r\n\r\nb.png,,nan\r\n',
        b"name;note;x\na.png;one, two;1,5\nb.png;;nan\n",
        b"name\tnote\tx\na.png\tone, two\t1.5\nb.png\t\tnan\n",
        b'name,note,x\n a.png ,"one, two", 1.5\n,,\nb.png,,nan',
    ],
)
def test_dialects_say_the_same(tmp_path: Path, data: bytes) -> None:
    first, second = read_table(written(tmp_path, data)).rows
    assert first.fields == {"name": "a.png", "note": "one, two", "x": "1.5"} or first["x"] == "1,5"
    assert first.number("x") == 1.5 and first["note"] == "one, two"
    assert second.get("note") == "" and second.get("x") == "" and second["x"] == "nan"
    assert second.number("x") != second.number("x"), "a blank number is NaN"
    assert second.get("other") == ""


def test_columns_without_a_name_are_left_alone(tmp_path: Path) -> None:
    """What a spreadsheet leaves behind: empty columns at the end."""
    table = read_table(written(tmp_path, b"name;x;;\na;1;;\nb;2;;\n"))
    assert table.columns == ("name", "x", "", "") and [row["x"] for row in table.rows] == ["1", "2"]


def test_an_error_names_file_row_and_column(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, b"name,x\na,1\n\nb,one\n"))
    with pytest.raises(DataError, match=r"t\.csv, row 4, column 'x': 'one' is not a number"):
        table.rows[1].number("x")
    with pytest.raises(DataError, match=r"row 1: column 'y' is missing; found 'name', 'x'"):
        table.require(["name", "y"])
    with pytest.raises(DataError, match=r"row 2: 3 fields, the header has 2"):
        read_table(written(tmp_path, b"name,x\na,1,2\n"))


def test_python_takes_more_for_a_number_than_a_table_does(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, b"name,x\na,1_0\n"))
    with pytest.raises(DataError, match=r"row 2, column 'x': '1_0' is not a number"):
        table.rows[0].number("x")
