"""The instructor's bundle of all six assignments, with the answer key of a roster."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("nbgrader")
pytest.importorskip("cryptography")

from softcam.checks import check, numbers, tasks  # noqa: E402
from softcam.common import SoftCAMError, read_json  # noqa: E402
from softcam.course import build, grader  # noqa: E402
from softcam.course.bundle import _answers, _plain, _write_private, alone, build_from  # noqa: E402
from softcam.course.grading import grade  # noqa: E402

Rows = list[dict[str, str]]


def hold(rows: Rows, students: list[str]) -> None:
    """Every task that asks for numbers has a right answer in the key, for every student."""
    asked = {row["name"] for row in rows}
    assert {"map_by_hand", "penalty_by_hand", "verdict"} <= asked
    assert [(row["student"], row["name"]) for row in rows] == sorted(
        ((who, row["name"]) for who in students for row in rows if row["student"] == who),
        key=lambda each: students.index(each[0]),
    )
    for row in rows:
        check(row["name"], json.loads(row["answer"]), student=row["student"])
        given = json.loads(row["given"])
        assert given.keys() == numbers(row["name"], row["student"]).keys()
        assert given == _plain(numbers(row["name"], row["student"]))


def test_the_answer_key_is_right_for_all_assignments(sources: dict[str, str]) -> None:
    students = ["ada", "grace"]
    rows = [row for student in students for row in _answers(sources, student)]
    assert {row["task"][0] for row in rows} <= {str(task.assignment) for task in tasks()}
    hold(rows, students)


def test_truth_values_and_words_stay_what_they_are() -> None:
    value = {"seen": torch.tensor([True, False]), "one": np.bool_(True), "model": "a", "none": None}
    assert _plain(value) == {"seen": [True, False], "one": True, "model": "a", "none": None}
    assert _plain((torch.tensor(1 / 3), np.float32(2), 3)) == [0.333333, 2.0, 3]
    assert _plain({"maps": torch.zeros(8, 2, 12, 12)}) == {"maps": "8 x 2 x 12 x 12 numbers"}


@pytest.mark.slow
def test_a_bundle_of_all_six_with_a_roster(
    tmp_path: Path, secret: bytes, sources: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secret").write_bytes(secret)
    public = b"known to everybody" in secret
    roster = tmp_path / "students.csv"
    roster.write_text("id,first_name\nada,Ada\ngrace,Grace\n", encoding="utf-8")
    out = tmp_path / "a course"
    root = build(tmp_path / "secret", roster=roster, out=out, progress=False)
    assert ("can be worked out" in caplog.text) == public
    assert read_json(root / "course.json")["closed"] == [str((tmp_path / "secret").resolve())]
    assert sorted(path.stem for path in root.glob("release/*/*.ipynb")) == sorted(sources)
    with (root / "answers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    hold(rows, ["ada", "grace"])
    assert max(len(value) for row in rows for value in row.values()) < 32767
    with grader.gradebook(root) as book:
        assert {(each.id, each.first_name) for each in book.students} == {
            ("ada", "Ada"),
            ("grace", "Grace"),
        }
    with pytest.raises(SoftCAMError, match="nothing to grade"):
        grade(out=root, progress=False)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="rights of files as on POSIX")
def test_what_is_secret_is_so_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    usual = os.replace

    def watched(source: str, target: str | Path) -> None:
        seen.append(os.stat(source).st_mode & 0o777)
        usual(source, target)

    monkeypatch.setattr(os, "replace", watched)
    _write_private(tmp_path / "answers.csv", "42")
    assert seen == [0o600] and (tmp_path / "answers.csv").read_text(encoding="utf-8") == "42"
    assert (tmp_path / "answers.csv").stat().st_mode & 0o777 == 0o600
    monkeypatch.undo()
    new, open_before = tmp_path / "new", tmp_path / "open"
    open_before.mkdir(mode=0o755)
    for root in (new, open_before):
        build_from({}, b"a secret of this test", [], root, closed=["my.key"], progress=False)
        assert (root / "source").stat().st_mode & 0o777 == 0o700
        assert (root / "course.json").stat().st_mode & 0o777 == 0o600
    assert new.stat().st_mode & 0o777 == 0o700
    assert read_json(new / "course.json")["closed"] == [str(Path("my.key").resolve())]


def test_nobody_builds_while_somebody_grades(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(SoftCAMError, match="another call"):
        build_from({}, b"a secret of this test", [], tmp_path)


def test_a_folder_that_nbgrader_cannot_find_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SoftCAMError, match="without any of"):
        build_from({}, b"a secret of this test", [], tmp_path / "course [1]")
