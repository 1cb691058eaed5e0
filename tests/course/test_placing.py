"""Which of the files that were handed in is graded, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.course import placing
from softcam.course.placing import MOST_BYTES, place_notebook, remarks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a student's notebooks are put."""
    made = tmp_path / "handed-in"
    made.mkdir()
    return made


def placed(folder: Path) -> str:
    """What stands in `1_first.ipynb` when it comes to grading."""
    place_notebook(folder, "1_first", folder.parent / "placed.json")
    return (folder / "1_first.ipynb").read_text(encoding="utf-8")


def put(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.ipynb").write_text(text, encoding="utf-8")


def test_a_notebook_under_another_name_is_taken(folder: Path) -> None:
    put(folder, "1_first (2)", "{}")
    assert placed(folder) == "{}"
    assert "1_first (2).ipynb was graded" in remarks(folder, "1_first")[0]


def test_of_two_notebooks_the_one_with_the_name_is_taken(folder: Path) -> None:
    put(folder, "1_first", "{}")
    put(folder, "old", "[]")
    assert placed(folder) == "{}"
    assert "and not old.ipynb" in remarks(folder, "1_first")[0]


def test_of_two_notebooks_with_other_names_none_is_taken(folder: Path) -> None:
    for name in ("a", "b"):
        put(folder, name, "{}")
    assert placed(folder) == ""
    assert "a.ipynb, b.ipynb is called 1_first.ipynb" in remarks(folder, "1_first")[0]


def test_a_second_hand_in_under_a_wrong_name_takes_the_place_of_the_first(folder: Path) -> None:
    put(folder, "mine", "first")
    assert placed(folder) == "first"
    put(folder, "mine", "second")
    assert placed(folder) == "second"
    (folder / "mine.ipynb").rename(folder / "mine (1).ipynb")
    put(folder, "mine (1)", "third")
    assert placed(folder) == "third"
    put(folder, "1_first", "with its name")
    put(folder, "mine (1)", "an older one")
    assert placed(folder) == placed(folder) == "with its name"  # the student's own stays


def test_a_notebook_that_comes_after_nothing_is_taken(folder: Path) -> None:
    assert placed(folder) == ""
    put(folder, "mine", "late")
    assert placed(folder) == "late"
    put(folder, "another", "which of the two?")
    assert placed(folder) == ""


def test_a_copy_that_was_cut_off_leaves_what_was_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, "mine", "first")
    assert placed(folder) == "first"
    put(folder, "mine", "second")

    def torn(source: Path, target: Path) -> None:
        target.write_text("sec", encoding="utf-8")
        raise OSError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(placing.shutil, "copyfile", torn)
        placed(folder)
    assert (folder / "1_first.ipynb").read_text(encoding="utf-8") == "first"
    assert placed(folder) == "second"


def test_what_archives_leave_beside_a_notebook_is_none(folder: Path) -> None:
    put(folder, "._mine", "of the system")
    put(folder, "mine", "{}")
    assert placed(folder) == "{}"


def test_what_was_handed_in_instead_is_named(folder: Path) -> None:
    (folder / "work.zip").write_bytes(b"PK")
    assert placed(folder) == ""
    assert "Handed in: work.zip." in remarks(folder, "1_first")[0]


@pytest.mark.parametrize("beside", [True, False])
def test_a_large_file_is_not_read_as_a_whole(
    folder: Path, beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = folder / "1_first.ipynb"
    with large.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    if beside:
        put(folder, "old", "{}")
    monkeypatch.setattr(Path, "read_bytes", _never)
    assert placing.file_key(large) == f"{MOST_BYTES + 1} bytes"
    assert remarks(folder, "1_first") == (
        ["Only 1_first.ipynb was graded, and not old.ipynb."] if beside else []
    )


def _never(path: Path) -> bytes:
    raise AssertionError(f"{path.name} was read")


def test_an_empty_folder_gets_an_empty_file(folder: Path) -> None:
    assert placed(folder) == ""
    assert remarks(folder, "1_first") == []
