"""A course from its sealed sources to the feedback pages, through nbgrader, with real kernels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("nbgrader")
pytest.importorskip("cryptography")

from softcam.course import grader  # noqa: E402
from softcam.course.grading import renew_feedback  # noqa: E402
from tests.checks.wrong_answers import wrong_answers  # noqa: E402
from tests.course.submissions import ALL, NAME, POINTS, Course  # noqa: E402

pytestmark = pytest.mark.slow
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


def test_the_answer_key_has_the_numbers_of_each_student(course: Course) -> None:
    import csv
    import json

    from softcam.course import check

    with (course.root / "answers.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["name"] == "map_by_hand"]
    assert [row["student"] for row in rows] == ["ada", "untouched"]
    for row in rows:
        check("map_by_hand", json.loads(row["answer"]), student=row["student"])
    assert rows[0]["answer"] != rows[1]["answer"]


def test_nbgraders_own_commands_work_in_the_bundle(course: Course) -> None:
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(course.root)).load_config()
    assert Path(config.CourseDirectory.root) == course.root.resolve()
    assert config.Autograde.autograde_preprocessors[0].__name__ == "GuardedExecute"
    assert config.Autograde.exporter_class.__name__ == "SubmissionExporter"


def test_the_bundle_keeps_its_secrets(course: Course) -> None:
    import os

    files = [
        path for path in course.root.rglob("*") if path.suffix in (".json", ".py", ".db", ".log")
    ]
    assert len(files) > 5
    assert not any(b"a secret of this test" in path.read_bytes() for path in files)
    if os.name == "posix":
        assert (course.root / "course.json").stat().st_mode & 0o077 == 0
