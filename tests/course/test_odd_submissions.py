"""Files that no check has foreseen, and notebooks that reach for points they have not earned."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nbgrader")
pytest.importorskip("cryptography")

from softcam.course import grader  # noqa: E402
from tests.course.submissions import ALL, NAME, POINTS, Course  # noqa: E402

pytestmark = pytest.mark.slow
PLANT = """import os
from pathlib import Path

planted = Path(os.environ["SOFTCAM_ROOT"], "data", "checkpoints", "planted.safetensors")
print("there before" if planted.exists() else "its own folder")
planted.parent.mkdir(parents=True, exist_ok=True)
planted.write_text("mine")"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, sources: dict[str, str]) -> Course:
    """Files that no check has foreseen."""
    made = Course(tmp_path_factory.mktemp("odd"), sources)
    made.desk.hand_in("broken", _broken(made))
    made.desk.hand_in("hanging", _hanging(made), file="final version (2).ipynb")
    made.desk.hand_in("loud", _loud(made))
    made.desk.hand_in("neighbour", _planting(made))
    made.desk.hand_in("torn", '{"cells": [{"cell_type": "co')
    for file in ("one.ipynb", "two.ipynb"):
        made.desk.hand_in("two", made.desk.filled("two"), file=file)
    made.desk.hand_in("faker", _faker(made))
    _careless(made)
    made.desk.hand_in("linked", "")
    linked = made.root / "submitted" / "linked" / NAME / f"{NAME}.ipynb"
    linked.unlink()
    linked.symlink_to(made.root / "source" / NAME / f"{NAME}.ipynb")
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
        "open('../../../scratch/planted.txt', 'w')",
        PLANT,
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


def _planting(course: Course) -> dict[str, object]:
    """Nothing but a file in the project folder, where another submission puts it as well."""
    book = course.desk.filled("neighbour")
    cell = {"cell_type": "code", "metadata": {}, "source": PLANT, "outputs": []}
    book["cells"] = [{**cell, "execution_count": None}]
    return dict(book)


def _faker(course: Course) -> dict[str, object]:
    """Puts a check that always agrees in the place of the real one."""
    agrees = "import sys, types\n\ncam = evidence_maps = print\n"
    agrees += "fake = types.SimpleNamespace(check=lambda *a, **k: 'right', numbers=numbers)\n"
    agrees += "sys.modules['softcam.course'] = fake"
    return dict(course.desk.filled("faker", {"cam": agrees}))


def _careless(course: Course) -> None:
    """All is right; around it lies what could stop the kernel, or nbgrader."""
    book = course.desk.filled("careless", {"map_by_hand": course.numbers("careless")})
    for code in ("exit()", "import sys\nsys.exit()", "%%bash\nls", "print = lambda *a: 500"):
        cell = {"cell_type": "code", "metadata": {}, "source": code, "outputs": []}
        book["cells"].insert(3, {**cell, "execution_count": None})
    book["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "half: \ud83d"})
    course.desk.hand_in("careless", book)
    folder = course.root / "submitted" / "careless" / NAME
    for name in ("torch.py", "softcam.py", "ipykernel_launcher.py"):
        (folder / name).write_text("raise ImportError('not this one')", encoding="utf-8")
    (folder / "broken").symlink_to(folder / "nowhere")


def test_no_odd_file_is_left_ungraded(odd: Course) -> None:
    known = {"broken", "careless", "faker", "hanging", "linked", "loud", "neighbour"}
    known |= {"torn", "two"}
    assert set(odd.graded) == known
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


def test_a_check_that_was_replaced_gives_no_points(odd: Course) -> None:
    assert odd.graded["faker"].points == 0, odd.desk.outputs("faker")
    assert odd.mistakes("faker")["cam"] == odd.mistakes("faker")["upsample"] == "NoReceipt"
    assert "has not said that it passed" in odd.desk.feedback("faker")


def test_no_submission_leaves_anything_for_a_later_one(odd: Course) -> None:
    assert "its own folder" in odd.desk.outputs("loud")
    assert "its own folder" in odd.desk.outputs("neighbour")
    assert "planted.txt, outside the folder of the submission" in odd.desk.outputs("loud")
    assert not list((odd.root / "scratch").rglob("planted*"))


def test_what_lies_around_right_answers_costs_nothing(odd: Course) -> None:
    assert odd.graded["careless"].points == ALL, odd.desk.outputs("careless")
    assert "exit() and quit() would end the notebook" in odd.desk.outputs("careless")


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ("torn", "is not a notebook: it is damaged, or of another program"),
        ("linked", "is a link to another place"),
        ("two", "None of the notebooks one.ipynb, two.ipynb is called 1_cam_by_hand.ipynb"),
    ],
)
def test_a_file_that_cannot_be_graded_says_why(odd: Course, student: str, words: str) -> None:
    assert odd.graded[student].points == 0
    assert words in odd.desk.feedback(student)
