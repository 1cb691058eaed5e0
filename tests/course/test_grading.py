"""Going on after a kill, what counts as done, and the table; nbgrader itself is left out."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("nbgrader")

from softcam.common import SoftCAMError, UnknownNameError, write_json  # noqa: E402
from softcam.course import grader, grading  # noqa: E402
from softcam.course.grading import Part, grade  # noqa: E402

NAME = "1_first"


class Fake:
    """In place of nbgrader: notes what it is asked to grade."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.stop_at = ""
        self.broken: set[str] = set()

    def autograde(self, root: Path, name: str, student: str) -> None:
        self.asked.append(student)
        if student in self.broken:
            raise SoftCAMError("the kernel would not start")

    def feedback(self, root: Path, name: str, student: str) -> None:
        if student == self.stop_at:
            raise KeyboardInterrupt

    def parts(self, root: Path, name: str, student: str) -> tuple[Part, ...]:
        points = 2.0 if student == "ada" else 0.0
        return (Part("cam", points, 2.0, "" if points else "sum-for-mean"),)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setattr(grader, "autograde", made.autograde)
    monkeypatch.setattr(grader, "feedback", made.feedback)
    monkeypatch.setattr(grading, "_parts", made.parts)
    return made


@pytest.fixture
def course(tmp_path: Path) -> Path:
    write_json(tmp_path / "course.json", {"variants": {NAME: "00"}})
    released = tmp_path / "release" / NAME
    released.mkdir(parents=True)
    (released / f"{NAME}.ipynb").write_text("{}", encoding="utf-8")
    for student in ("ada", "bob", "cyd", "dan"):
        hand_in(tmp_path, student, "{}")
    return tmp_path


def hand_in(root: Path, student: str, text: str) -> None:
    folder = root / "submitted" / student / NAME
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.ipynb").write_text(text, encoding="utf-8")


def again(course: Path, **options: bool | str) -> list[str]:
    return [each.student for each in grade(out=course, progress=False, **options)]  # type: ignore[arg-type]


def test_a_kill_loses_one_submission_at_most(course: Path, fake: Fake) -> None:
    fake.stop_at = "cyd"
    with pytest.raises(KeyboardInterrupt):
        again(course)
    assert fake.asked == ["ada", "bob", "cyd"]
    fake.stop_at, fake.asked = "", []
    assert again(course) == ["ada", "bob", "cyd", "dan"]
    assert fake.asked == ["cyd", "dan"]


def test_what_is_done_is_left_alone_until_it_changes(course: Path, fake: Fake) -> None:
    again(course)
    fake.asked = []
    again(course)
    assert fake.asked == []
    hand_in(course, "bob", "[]")
    again(course)
    assert fake.asked == ["bob"]
    fake.asked = []
    again(course, resume=False, student="dan")
    assert fake.asked == ["dan"]


@pytest.mark.parametrize("change", ["release", "variant"])
def test_another_release_or_secret_counts_as_a_change(
    course: Path, fake: Fake, change: str
) -> None:
    again(course)
    fake.asked = []
    if change == "release":
        (course / "release" / NAME / f"{NAME}.ipynb").write_text("[]", encoding="utf-8")
    else:
        write_json(course / "course.json", {"variants": {NAME: "01"}})
    again(course)
    assert fake.asked == ["ada", "bob", "cyd", "dan"]


def test_one_that_cannot_be_graded_does_not_stop_the_others(
    course: Path, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    fake.broken = {"bob"}
    graded = {each.student: each for each in grade(out=course, progress=False)}
    assert graded["bob"].problem == "the kernel would not start" and graded["cyd"].problem == ""
    assert "of bob was not graded: the kernel would not start" in caplog.text
    fake.broken, fake.asked = set(), []
    again(course)
    assert fake.asked == ["bob"]


@pytest.mark.parametrize("where", ["_parts", "autograde"])
def test_what_nobody_has_foreseen_does_not_stop_the_others(
    course: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    place = grading if where == "_parts" else grader
    usual = getattr(place, where)

    def odd(root: Path, name: str, student: str) -> object:
        if student == "bob":
            raise KeyError("cells")
        return usual(root, name, student)

    monkeypatch.setattr(place, where, odd)
    graded = {each.student: each for each in grade(out=course, progress=False)}
    assert graded["bob"].problem == "KeyError: 'cells'" and graded["dan"].points == 0
    assert {each.student for each in graded.values() if not each.problem} == {"ada", "cyd", "dan"}


def test_a_second_hand_in_under_a_wrong_name_is_graded(course: Path, fake: Fake) -> None:
    folder = course / "submitted" / "bob" / NAME
    (folder / f"{NAME}.ipynb").rename(folder / "mine.ipynb")
    again(course)
    fake.asked = []
    (folder / "mine.ipynb").write_text("[]", encoding="utf-8")
    again(course)
    assert fake.asked == ["bob"]
    assert (folder / f"{NAME}.ipynb").read_text(encoding="utf-8") == "[]"


def test_a_folder_with_an_odd_name_does_not_stop_the_others(course: Path, fake: Fake) -> None:
    for name in ("Zoë M", "a*", "__MACOSX", ".trash"):
        hand_in(course, name, "{}")
    (course / "submitted" / "stray.txt").write_text("", encoding="utf-8")
    graded = {each.student: each for each in grade(out=course, progress=False)}
    assert fake.asked == ["ada", "bob", "cyd", "dan"]
    assert set(graded) == {"ada", "bob", "cyd", "dan", "Zoë M", "a*"}
    assert "the id 'Zoë M' does not fit" in graded["Zoë M"].problem


def test_a_folder_or_a_link_in_place_of_a_notebook_does_not_stop_the_others(
    course: Path, fake: Fake
) -> None:
    for student in ("bob", "cyd"):
        (course / "submitted" / student / NAME / f"{NAME}.ipynb").unlink()
    (course / "submitted" / "bob" / NAME / f"{NAME}.ipynb").mkdir()
    (course / "submitted" / "cyd" / NAME / f"{NAME}.ipynb").symlink_to(course / "nowhere")
    assert again(course) == ["ada", "bob", "cyd", "dan"] and len(fake.asked) == 4


def test_the_table_has_a_row_for_every_part(course: Path, fake: Fake) -> None:
    again(course, student="ada")
    again(course, student="bob")  # the table keeps what was graded before
    with (course / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["student"], row["points"], row["mistake"]) for row in rows] == [
        ("ada", "2.0", ""),
        ("bob", "0.0", "sum-for-mean"),
    ]


def test_two_at_a_time_are_refused(course: Path, fake: Fake) -> None:
    from filelock import FileLock

    with FileLock(course / ".lock"), pytest.raises(SoftCAMError, match="another call"):
        again(course)


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda root: (root / "course.json").unlink(), SoftCAMError, "build it first"),
        (lambda root: (root / "submitted").rename(root / "x"), SoftCAMError, "nothing to grade"),
        (lambda root: shutil.rmtree(root / "release"), SoftCAMError, "build the course first"),
    ],
)
def test_a_course_that_is_not_in_order(
    course: Path, fake: Fake, spoil: Callable[[Path], None], error: type[Exception], words: str
) -> None:
    spoil(course)
    with pytest.raises(error, match=words):
        again(course)


def test_an_unknown_assignment_is_named(
    course: Path, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UnknownNameError, match="2_second"):
        again(course, assignment="2_second")
    (course / "submitted" / "ada" / "old_name").mkdir()
    again(course)
    assert "there is no assignment old_name" in caplog.text
