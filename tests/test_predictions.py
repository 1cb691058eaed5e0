"""An answer is stored before the plot, kept as it was, and compared with what the data say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softcam import compare_prediction, predict_first
from softcam.common import SoftCAMError, UnknownNameError

OPTIONS = {"a": "the lung", "b": "the marker"}
QUESTION = "What does the model look at?"


@pytest.fixture
def read_by_somebody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOFTCAM_OUT", str(tmp_path))
    monkeypatch.delenv("SOFTCAM_UNATTENDED", raising=False)
    return tmp_path / "predictions" / "00-where.json"


def test_an_answer_is_stored_before_the_next_cell(read_by_somebody: Path) -> None:
    stored = predict_first("00-where", QUESTION, OPTIONS, "b")
    assert repr(stored) == "stored: b. Now run the next cell."
    kept = json.loads(read_by_somebody.read_text(encoding="utf-8"))
    assert kept["name"] == "00-where" and kept["question"] == QUESTION
    (answer,) = kept["answers"]
    assert answer["letter"] == "b" and answer["time"].endswith("+00:00")
    assert [path.name for path in read_by_somebody.parent.iterdir()] == ["00-where.json"]


def test_run_all_stops_at_the_question(read_by_somebody: Path) -> None:
    with pytest.raises(SoftCAMError, match=r"choose first: What does(.|\n)*b: the marker") as said:
        predict_first("00-where", QUESTION, OPTIONS)
    assert "mine='a'" in str(said.value) and "SOFTCAM_UNATTENDED=1" in str(said.value)
    assert not read_by_somebody.exists(), "nothing was said, so nothing is stored"
    with pytest.raises(SoftCAMError, match="run the cell that asks"):
        compare_prediction("00-where", "b")


@pytest.mark.parametrize("value", ["", "0"])
def test_a_variable_that_says_no_is_no(
    read_by_somebody: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SOFTCAM_UNATTENDED", value)
    with pytest.raises(SoftCAMError, match="choose first"):
        predict_first("00-where", QUESTION, OPTIONS)


def test_a_run_without_a_reader_passes(
    read_by_somebody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTCAM_UNATTENDED", "1")
    assert "nothing stored" in repr(predict_first("00-where", QUESTION, OPTIONS))
    found = compare_prediction("00-where", "b")
    assert found.answer is None and not found.agrees
    assert repr(found) == "The data say b: the marker."


def test_a_second_answer_does_not_replace_the_first(read_by_somebody: Path) -> None:
    predict_first("00-where", QUESTION, OPTIONS, "a")
    predict_first("00-where", QUESTION, OPTIONS, "b")
    letters = [each["letter"] for each in json.loads(read_by_somebody.read_text())["answers"]]
    assert letters == ["a", "b"]
    found = compare_prediction("00-where", "b")
    assert not found.agrees, "the answer that was given before the plot counts"
    assert repr(found) == "You predicted a: the lung.\nThe data say b: the marker."


def test_a_right_answer_is_said_to_be_one(read_by_somebody: Path) -> None:
    predict_first("00-where", QUESTION, OPTIONS, "b")
    found = compare_prediction("00-where", "b")
    assert found.agrees and repr(found) == "You predicted what the data say, b: the marker."


def test_a_question_worded_anew_starts_anew(read_by_somebody: Path) -> None:
    predict_first("00-where", QUESTION, OPTIONS, "a")
    predict_first("00-where", "Where is it red?", OPTIONS, "b")
    assert compare_prediction("00-where", "b").agrees


def test_bad_questions_and_letters_are_refused(read_by_somebody: Path) -> None:
    with pytest.raises(UnknownNameError, match="answer to 00-where 'c'"):
        predict_first("00-where", QUESTION, OPTIONS, "c")
    for name, question, options in (
        ("00 where", QUESTION, OPTIONS),
        ("00-where", " ", OPTIONS),
        ("00-where", QUESTION, {"a": "one alone"}),
        ("00-where", QUESTION, {"A": "one", "b": "two"}),
        ("00-where", QUESTION, {"a": "", "b": "two"}),
    ):
        with pytest.raises(SoftCAMError, match="expected|is like"):
            predict_first(name, question, options, "a")
    assert not read_by_somebody.exists()
    predict_first("00-where", QUESTION, OPTIONS, "a")
    with pytest.raises(UnknownNameError, match="answer to 00-where 'x'"):
        compare_prediction("00-where", "x")


@pytest.mark.parametrize("content", ["{", "{}", '"text"'])
def test_a_damaged_file_is_named(read_by_somebody: Path, content: str) -> None:
    read_by_somebody.parent.mkdir()
    read_by_somebody.write_text(content, encoding="utf-8")
    with pytest.raises(SoftCAMError, match=r"00-where\.json"):
        compare_prediction("00-where", "a")
    with pytest.raises(SoftCAMError, match=r"00-where\.json"):
        predict_first("00-where", QUESTION, OPTIONS, "a")
