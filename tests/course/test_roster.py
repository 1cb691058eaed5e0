"""The roster: nbgrader's columns, and ids that can name a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.common import SoftCAMError
from softcam.course.roster import Student, read_roster


def roster(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "students.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_roster_is_read(tmp_path: Path) -> None:
    text = (
        "\ufeffid, first_name,last_name,email,group\nada,Ada,Lovelace,ada@example.org,1\nbob,,,\n"
        "\n,,,,\n"
    )
    assert read_roster(roster(tmp_path, text)) == [
        Student("ada", "Ada", "Lovelace", "ada@example.org"),
        Student("bob"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected id,first_name"),
        ("name\nada\n", "columns name"),
        ("id\n", "names nobody"),
        ("id,email\n,x\n", "line 2: the id ''"),
        ("id\nada\nada\n", "line 3: the id 'ada' is there twice"),
        ("id\n../ada\n", "does not fit"),
        ("id\na*\n", "does not fit"),
        ("id\n.hidden\n", "does not fit"),
        ("id\nada love\n", "does not fit"),
        ("id\nAda\nada\n", "line 3: the id 'ada' is there twice"),  # one folder on macOS
        ("id;email\nada;x\n", "with commas between them"),
        ('id\n"ada\n', "no CSV"),
        ("id\n" + "a" * 200_000 + "\n", "no CSV"),
    ],
)
def test_a_roster_that_is_not_in_order(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SoftCAMError, match=words.replace("*", r"\*")):
        read_roster(roster(tmp_path, text))


def test_a_roster_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "students.csv"
    for encoding in ("cp1252", "utf-16"):
        path.write_bytes("id,first_name\nzoe,Zoë\n".encode(encoding))
        with pytest.raises(SoftCAMError, match="save it once more as `CSV UTF-8`"):
            read_roster(path)


def test_a_roster_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="cannot be read"):
        read_roster(tmp_path / "nowhere.csv")
