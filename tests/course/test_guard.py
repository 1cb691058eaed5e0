"""The guard, the masks and the limits, in a process of their own: they cannot be taken off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]


@pytest.fixture(scope="module")
def tries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What came of every try in `child.py`."""
    base = tmp_path_factory.mktemp("guard").resolve()
    course, outside = base / "course", base / "outside"
    own = course / "autograded" / "ada" / "1_cam_by_hand"
    for folder in (own, course / "source", outside):
        folder.mkdir(parents=True)
    (outside / "kept.txt").write_text("kept", encoding="utf-8")
    for name in ("my.secret", "key.txt"):
        (outside / name).write_text("the instructor's", encoding="utf-8")
    (course / "source" / "secret.txt").write_text("solution", encoding="utf-8")
    paths = os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(HERE / "child.py"), str(course), str(outside)],
        cwd=own,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (
        (outside / "kept.txt").is_file()
        and not list(outside.glob("[mn]o*"))
        and not list(outside.glob("new*"))
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    "name",
    ["from-package", "from-module", "attribute", "importlib", "getattr", "elsewhere", "pretending"],
)
def test_a_masked_name_says_so_on_every_way_to_it(tries: dict[str, str], name: str) -> None:
    assert tries[name].startswith("Masked: "), tries[name]
    assert "SoftCAM would solve" in tries[name] or "to_softcam would solve" in tries[name]
    assert "masked while grading" in tries[name]


def test_a_masked_name_is_not_in_its_module(tries: dict[str, str]) -> None:
    assert tries["dict"] == "KeyError: 'to_softcam'"
    assert tries["star"].startswith("Masked")  # __all__ names it
    assert tries["module"].startswith(("Masked", "NameError")), tries["module"]


def test_no_second_copy_is_loaded(tries: dict[str, str]) -> None:
    assert tries["afresh"].startswith("Masked: softcam.convert was loaded before")
    assert tries["by-path"] == (
        "PermissionError: refused while grading: a module of softcam once more."
    )


def test_the_answers_of_the_checks_are_closed(tries: dict[str, str]) -> None:
    assert (
        tries["references"].startswith("Masked") and "belongs to the checks" in tries["references"]
    )
    assert tries["sealed"].startswith("Masked")


def test_check_cannot_be_replaced(tries: dict[str, str]) -> None:
    assert tries["replaced"].startswith("Masked: softcam.course.check cannot be replaced")


def test_everything_else_goes_on_working(tries: dict[str, str]) -> None:
    assert tries["others"] == tries["inside"] == "done"
    assert tries["check"] == "done"


def test_a_check_that_never_ends_is_stopped(tries: dict[str, str]) -> None:
    assert tries["too-long"].startswith("CheckFailed")
    assert "had not come back after 1 s." in tries["too-long"]
    assert "(mistake: too-long)" in tries["too-long"]


def test_a_warning_costs_no_points_and_is_said(tries: dict[str, str]) -> None:
    assert tries["warning"] == "done"  # nbgrader takes any output on stderr for a failure
    assert "deprecated, they say" in tries["said"] and tries["said"].count("loud") == 1


def test_another_id_is_said(tries: dict[str, str]) -> None:
    assert "student = 'bob', but it was handed in by 'ada'" in tries["said"]


@pytest.mark.parametrize("name", ["connect", "raw", "listen", "name", "datagram"])
def test_sockets_are_refused(tries: dict[str, str], name: str) -> None:
    assert tries[name].startswith("PermissionError: refused while grading: a connection"), tries


def test_urllib_says_why(tries: dict[str, str]) -> None:
    assert "refused while grading" in tries["urllib"]


@pytest.mark.parametrize("name", ["process", "system", "spawn", "kill"])
def test_processes_are_refused(tries: dict[str, str], name: str) -> None:
    assert tries[name] == "PermissionError: refused while grading: another process."
    assert tries["kill-own"] == "done"


@pytest.mark.parametrize("name", ["own-file", "own-folder", "temporary", "read-outside"])
def test_own_files_are_free(tries: dict[str, str], name: str) -> None:
    assert tries[name] == "done"


@pytest.mark.parametrize("name", ["outside", "climb", "remove", "rename", "link"])
def test_files_outside_are_left_alone(tries: dict[str, str], name: str) -> None:
    assert tries[name].startswith("PermissionError: refused while grading:"), tries[name]


@pytest.mark.parametrize("name", ["gradebook", "solutions", "others-work"])
def test_the_course_cannot_be_read(tries: dict[str, str], name: str) -> None:
    assert "which belongs to the course" in tries[name], tries[name]


@pytest.mark.parametrize("name", ["secret", "named-secret", "sealed-file", "tests"])
def test_secrets_and_sealed_solutions_cannot_be_read(tries: dict[str, str], name: str) -> None:
    assert tries[name].startswith("PermissionError: refused while grading: reading"), tries[name]


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts on Linux only")
def test_memory_is_limited(tries: dict[str, str]) -> None:
    assert tries["memory"].startswith("MemoryError")
