"""A course from its sealed sources to the feedback pages, through nbgrader, with real kernels."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

pytest.importorskip("nbgrader")
pytest.importorskip("cryptography")

from softcam.checks import tasks  # noqa: E402
from softcam.course import grader  # noqa: E402
from softcam.course.bundle import build_from  # noqa: E402
from softcam.course.grading import Graded, grade, renew_feedback  # noqa: E402
from softcam.course.roster import Student  # noqa: E402
from softcam.course.sources import solutions  # noqa: E402
from tests.checks.wrong_answers import wrong_answers  # noqa: E402
from tests.course.submissions import Desk, as_literal  # noqa: E402

pytestmark = pytest.mark.slow
NAME = "1_cam_by_hand"
POINTS = {task.name: task.points for task in tasks(1)}
ALL = sum(POINTS.values())
SECONDS = 240  # the bar: ten submissions of one assignment, two cores

# Ten typical mistakes, of those in tests/checks/wrong: the answer's name there.
WRONG = (
    "cam__relu_too_early",
    "cam__pooled_too_early",
    "cam__mean_for_sum",
    "evidence_maps__bias_forgotten",
    "evidence_maps__bias_shared_out",
    "logits_from_maps__sum_for_mean",
    "logits_from_maps__wrong_axis",
    "logits_from_maps__relu_too_early",
    "map_by_hand__row_and_column_swapped",
    "upsample__corners_aligned",
)


def who(answer: str) -> str:
    """The student who hands in a wrong answer."""
    return answer.replace("_", "-")


class Course:
    """A graded course: its desk, what came out, and how long it took."""

    def __init__(self, root: Path, sources: dict[str, str]) -> None:
        self.root, self.script = root, sources[NAME]
        students = [Student("ada", "Ada", "Lovelace"), Student("untouched")]
        build_from({NAME: self.script}, b"a secret of this test", students, root, progress=False)
        self.desk = Desk(root, NAME)
        self.graded: dict[str, Graded] = {}
        self.seconds = 0.0

    def numbers(self, student: str) -> str:
        """The cell with the student's own numbers, typed in."""
        right = solutions(NAME, self.script, student=student)["map_by_hand"]
        return f"map_by_hand = {as_literal(right)}"

    def hand_in(self, student: str, task: str = "", text: str = "") -> None:
        """Right answers but for one."""
        cells = {"map_by_hand": self.numbers(student), **({task: text} if task else {})}
        self.desk.hand_in(student, self.desk.filled(student, cells))

    def grade(self) -> None:
        started = time.perf_counter()
        for each in grade(out=self.root, progress=False):
            self.graded[each.student] = each
        self.seconds = time.perf_counter() - started

    def mistakes(self, student: str) -> dict[str, str]:
        return {part.task: part.mistake for part in self.graded[student].parts if part.mistake}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory, sources: dict[str, str]) -> Course:
    """Ten wrong submissions, a right one and an untouched one, graded."""
    made = Course(tmp_path_factory.mktemp("course"), sources)
    imports = "import numpy as np\nimport torch\nfrom torch.nn import functional as F\n\n"
    answers = {each.function.__name__: each for each in wrong_answers(1)}
    for name in WRONG:
        answer = answers[name]
        text = imports + answer.source
        if answer.task == "map_by_hand":
            text += "\n\nfrom softcam.course import numbers\n\nmap_by_hand = map_by_hand("
            text += 'numbers("map_by_hand", student))'
        made.hand_in(who(name), answer.task, text)
    made.hand_in("ada")
    made.desk.hand_in("untouched", made.desk.release)
    made.grade()
    return made


def test_the_model_solution_has_full_marks(course: Course) -> None:
    assert course.graded["ada"].points == course.graded["ada"].most == ALL
    assert course.mistakes("ada") == {}


def test_the_untouched_release_has_none(course: Course) -> None:
    assert course.graded["untouched"].points == 0
    assert set(course.mistakes("untouched")) == set(POINTS)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_loses_its_points_and_is_named(course: Course, name: str) -> None:
    task, mistake = name.split("__")[:2]
    slug = mistake.replace("_", "-")
    graded = course.graded[who(name)]
    lost = {part.task: part.most - part.points for part in graded.parts if part.points < part.most}
    assert lost == {task: POINTS[task]}, course.desk.outputs(who(name))
    assert course.mistakes(who(name)) == {task: slug}
    page = re.sub(r"<[^>]+>", "", course.desk.feedback(who(name)))
    assert f"(mistake: {slug})" in page and "Look at:" in page


def test_grading_keeps_to_the_bar(course: Course) -> None:
    seconds = course.seconds * 10 / len(course.graded)
    assert seconds < SECONDS, f"{seconds:.0f} s for ten submissions"


def test_nbgraders_own_table_says_the_same(course: Course) -> None:
    with grader.gradebook(course.root) as book:
        rows = {row["student"]: row["score"] for row in book.submission_dicts(NAME)}
    assert rows == {student: each.points for student, each in course.graded.items()}


def test_feedback_is_renewed_after_a_person_has_graded(course: Course) -> None:
    with grader.gradebook(course.root) as book:
        part = book.find_grade("check-upsample", NAME, NAME, "untouched")
        part.manual_score = 2
        book.db.commit()
    renewed = {each.student: each for each in renew_feedback(out=course.root, progress=False)}
    assert renewed["untouched"].points == 2
    assert "untouched,1_cam_by_hand,upsample,2.0" in (course.root / "grades.csv").read_text()
    assert f"Score: 2.0 / {ALL:.1f}" in course.desk.feedback("untouched")
    assert renewed["ada"] == course.graded["ada"]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, sources: dict[str, str]) -> Course:
    """Files that no check has foreseen."""
    made = Course(tmp_path_factory.mktemp("odd"), sources)
    made.desk.hand_in("broken", _broken(made))
    made.desk.hand_in("hanging", _hanging(made), file="final version (2).ipynb")
    made.desk.hand_in("loud", _loud(made))
    made.desk.hand_in("torn", '{"cells": [{"cell_type": "co')
    for file in ("one.ipynb", "two.ipynb"):
        made.desk.hand_in("two", made.desk.filled("two"), file=file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grader, "configure", _impatient)
        patch.setenv("MY_TOKEN", "of the instructor")
        made.grade()
    return made


def _impatient(config: object, root: Path) -> object:
    """The options of a course, with less patience than a course has."""
    from softcam.course.settings import configure

    made = configure(config, root)
    made.GuardedExecute.cell_seconds, made.GuardedExecute.check_seconds = 12, 5
    return made


def _broken(course: Course) -> dict[str, object]:
    """One part wrong in each of five ways."""
    book = course.desk.filled(
        "somebody-else",
        {
            "cam": "def cam(features, weight)\n    return features",
            "evidence_maps": "def evidencemaps(features, weight, bias):\n    return features",
            "logits_from_maps": "def logits_from_maps(maps):\n    while True:\n        pass",
            "upsample": "from softcam import to_softcam\n\nupsample = to_softcam",
        },
    )
    gone = ("map_by_hand", "check-map_by_hand")
    cells = book["cells"]
    book["cells"] = [
        cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("grade_id") not in gone
    ]
    return dict(book)


def _hanging(course: Course) -> dict[str, object]:
    """Two cells that take the kernel with them; the other three are right."""
    endless = "while True:\n    try:\n        while True:\n            pass\n"
    return dict(
        course.desk.filled(
            "hanging",
            {
                "cam": endless + "    except BaseException:\n        pass",
                "evidence_maps": "import os\n\nos._exit(1)",
                "map_by_hand": course.numbers("hanging"),
            },
        )
    )


def _loud(course: Course) -> dict[str, object]:
    """Prints without end, and tries what the guard refuses."""
    tries = [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "open('../../../gradebook.db', 'rb')",
        "open('../stolen.txt', 'w')",
        "import subprocess; subprocess.run(['true'])",
        "import os; print('leaked', os.environ['MY_TOKEN'])",
    ]
    book = course.desk.filled(
        "loud",
        {
            "cam": "while True:\n    print('x' * 1000)",
            "evidence_maps": "def check(*anything, **more):\n    return 'right'\n\n"
            "evidence_maps = print",
            "map_by_hand": course.numbers("loud"),
        },
    )
    for code in tries:
        cell = {"cell_type": "code", "metadata": {}, "source": code, "outputs": []}
        book["cells"].append({**cell, "execution_count": None})
    return dict(book)


def test_no_odd_file_is_left_ungraded(odd: Course) -> None:
    assert set(odd.graded) == {"broken", "hanging", "loud", "torn", "two"}
    assert not any(each.problem for each in odd.graded.values())


def test_every_broken_part_is_named(odd: Course) -> None:
    assert odd.graded["broken"].points == 0
    assert odd.mistakes("broken") == {
        "cam": "no-function",  # a syntax error: see the cell
        "evidence_maps": "no-function",  # renamed
        "logits_from_maps": "too-long",
        "map_by_hand": "not-written",  # deleted
        "upsample": "no-function",  # imports the solution
    }
    page = odd.desk.feedback("broken")
    assert "SyntaxError" in page and "Deleted, and put back as handed out" in page
    assert "to_softcam would solve a part of this assignment" in page
    assert "somebody-else" in page


def test_a_cell_that_takes_the_kernel_with_it_costs_only_its_part(odd: Course) -> None:
    lost = POINTS["cam"] + POINTS["evidence_maps"]
    assert odd.graded["hanging"].points == ALL - lost, odd.desk.outputs("hanging")
    said = odd.desk.outputs("hanging")
    assert "ran for 12 seconds" in said or "did not stop" in said
    assert "This cell ended Python" in said
    assert "final version (2).ipynb was graded" in odd.desk.feedback("hanging")


def test_words_without_end_are_cut_off(odd: Course) -> None:
    lost = POINTS["cam"] + POINTS["evidence_maps"]
    assert odd.graded["loud"].points == ALL - lost, odd.desk.outputs("loud")[-3000:]
    assert "more than 50000 characters" in odd.desk.outputs("loud")
    assert len(odd.desk.feedback("loud")) < 1_000_000


def test_the_guard_holds_in_a_kernel(odd: Course) -> None:
    said = odd.desk.outputs("loud")
    for words in (
        "a connection to another machine",
        "gradebook.db, which belongs to the course",
        "stolen.txt, outside the folder",
        "refused while grading: another process",
    ):
        assert words in said
    assert "leaked" not in said


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ("torn", "is not a notebook (JSONDecodeError)"),
        ("two", "None of the notebooks one.ipynb, two.ipynb is called 1_cam_by_hand.ipynb"),
    ],
)
def test_a_file_that_cannot_be_graded_says_why(odd: Course, student: str, words: str) -> None:
    assert odd.graded[student].points == 0
    assert words in odd.desk.feedback(student)


def test_the_answer_key_has_the_numbers_of_each_student(odd: Course) -> None:
    import csv
    import json

    from softcam.course import check

    with (odd.root / "answers.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["name"] == "map_by_hand"]
    assert [row["student"] for row in rows] == ["ada", "untouched"]
    for row in rows:
        check("map_by_hand", json.loads(row["answer"]), student=row["student"])
    assert rows[0]["answer"] != rows[1]["answer"]


def test_nbgraders_own_commands_work_in_the_bundle(odd: Course) -> None:
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(odd.root)).load_config()
    assert Path(config.CourseDirectory.root) == odd.root.resolve()
    assert config.Autograde.autograde_preprocessors[0].__name__ == "GuardedExecute"
    assert config.Autograde.exporter_class.__name__ == "SubmissionExporter"


def test_the_bundle_keeps_its_secrets(odd: Course) -> None:
    import os

    files = [path for path in odd.root.rglob("*") if path.suffix in (".json", ".py", ".db", ".log")]
    assert len(files) > 5
    assert not any(b"a secret of this test" in path.read_bytes() for path in files)
    if os.name == "posix":
        assert (odd.root / "course.json").stat().st_mode & 0o077 == 0
