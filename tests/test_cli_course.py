"""`softcam course`: what the words on the command line become, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import softcam.course as room
from softcam.cli.course import course
from softcam.common import SoftCAMError
from softcam.course.grading import Graded, Part

app = typer.Typer()
app.command()(course)


def call(*words: str | Path) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("sixteen bytes, or more\n", encoding="utf-8")
    return path


def test_the_bundle_is_what_it_makes_without_a_word(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def build(secret: Path, **options: Any) -> Path:
        asked.update(options, secret=secret)
        return tmp_path / "course"

    monkeypatch.setattr(room, "build", build)
    result = call("--secret", key, "--roster", "r.csv", "--out", "o", "--no-progress")
    assert result.exit_code == 0, result.output
    assert asked == {"secret": key, "roster": Path("r.csv"), "out": Path("o"), "progress": False}
    assert str(tmp_path / "course" / "release") in result.output.replace("\n", "")


def test_grading_says_points_and_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    asked = {}

    def grade(**options: Any) -> list[Graded]:
        asked.update(options)
        by_hand = Part("argument", 0, 4, by_hand=True)
        right = Graded("ada", "5_cheat", (Part("cam", 2, 2), by_hand))
        return [right, Graded("bob", "5_cheat", problem="no kernel")]

    monkeypatch.setattr(room, "grade", grade)
    result = call("grade", "--student", "ada", "--assignment", "5_cheat", "--no-resume")
    assert result.exit_code == 1  # bob is left
    assert "ada  5_cheat  2 of 6, 1 to be graded by hand" in result.output
    assert "bob  5_cheat  no kernel" in result.output
    assert asked == {
        "out": None, "assignment": "5_cheat", "student": "ada", "resume": False, "progress": True,
    }  # fmt: skip


def test_feedback_is_a_word_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, project: Path
) -> None:
    monkeypatch.setattr(room, "renew_feedback", lambda **options: [])
    result = call("feedback", "--out", tmp_path)
    assert result.exit_code == 0 and str(tmp_path / "grades.csv") in result.output.replace("\n", "")


@pytest.mark.parametrize("word", ["edit", "seal", "reseal"])
def test_the_sources_have_their_options(
    word: str, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def note(*given: Any, **named: Any) -> Any:
        asked.append((given, named))
        return tmp_path / "x" if word == "reseal" else [tmp_path / "x"]

    name = {"edit": "edit", "seal": "seal_folder", "reseal": "reseal"}[word]
    monkeypatch.setattr(room, name, note)
    result = call("--secret", key, f"--{word}", key)
    assert result.exit_code == 0, result.output
    content = key.read_bytes().strip()
    named = {"secret": content, "new": content} if word == "reseal" else {"secret": content}
    assert asked == [(() if word == "reseal" else (key,), named)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--secret is missing"),
        (["--edit", "somewhere"], "--secret is missing"),
        (["--secret", "KEY", "--edit", "a", "--seal", "b"], "one at a time"),
        (["--secret", "nowhere"], "cannot be read"),
    ],
)
def test_what_is_missing_is_said(words: list[str], message: str, key: Path, project: Path) -> None:
    result = call(*[str(key) if word == "KEY" else word for word in words])
    assert isinstance(result.exception, SoftCAMError) and message in str(result.exception)
