"""Predict first, then look: a reader's answer is stored before the plot appears.

Somebody who has seen the plot knows what they would have said. So a notebook asks before, keeps
the answer, and says afterwards what the data say. The answers lie in `predictions/` of the
notebooks' output folder, a file a question, and go nowhere else.

Predict-observe-explain: White & Gunstone, "Probing Understanding", 1992.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softcam.common import SoftCAMError, choose, output_root, read_json, write_json

__all__ = ["UNATTENDED", "Comparison", "Prediction", "compare_prediction", "predict_first"]

UNATTENDED = "SOFTCAM_UNATTENDED"  # set to 1 where a notebook runs and nobody can answer


@dataclass(frozen=True)
class Prediction:
    """What a notebook shows after the question; `answer` is None if nobody was there to ask."""

    name: str
    answer: str | None

    def __repr__(self) -> str:
        if self.answer is None:
            return "nobody is here to ask: nothing stored."
        return f"stored: {self.answer}. Now run the next cell."


@dataclass(frozen=True)
class Comparison:
    """What was predicted beside what the data say.

    Attributes:
        name: of the question.
        options: letter to text.
        answer: the letter that was stored first, None if nobody was there to ask.
        right: the letter that the data say.
    """

    name: str
    options: dict[str, str]
    answer: str | None
    right: str

    @property
    def agrees(self) -> bool:
        """Whether the first answer is what the data say."""
        return self.answer == self.right

    def __repr__(self) -> str:
        said = f"{self.right}: {self.options[self.right]}"
        if self.answer is None:
            return f"The data say {said}."
        if self.agrees:
            return f"You predicted what the data say, {said}."
        mine = f"{self.answer}: {self.options[self.answer]}"
        return f"You predicted {mine}.\nThe data say {said}."


def predict_first(
    name: str, question: str, options: Mapping[str, str], mine: str | None = None
) -> Prediction:
    """Store an answer to a question before its plot is drawn.

    A second answer to the same question is stored beside the first, which stays the one that is
    compared: after the plot nobody predicts any more.

    Args:
        name: lower-case words joined by hyphens, beginning with the notebook's number.
        question: as the reader sees it.
        options: two or more, a lower-case letter each, with what it says.
        mine: the letter that is chosen. None stops a notebook that somebody reads, so that
            running all cells stops here; where `SOFTCAM_UNATTENDED` is 1 it passes.

    Raises:
        SoftCAMError: nothing chosen, or a name or options of another form.
        UnknownNameError: a letter that is no option.
    """
    _check(name, question, options)
    if mine is None:
        if _unattended():
            _write(name, question, options, None)
            return Prediction(name, None)
        lines = "\n".join(f"  {letter}: {text}" for letter, text in options.items())
        raise SoftCAMError(
            f"choose first: {question}\n{lines}\n"
            f"Put your letter into this cell, mine={next(iter(options))!r} or another, run it "
            "again, and go on below. A guess is fine: it is for you alone. "
            f"(To run a notebook without a reader, set the environment variable {UNATTENDED}=1.)"
        )
    choose(f"answer to {name}", mine, options)
    _write(name, question, options, mine)
    return Prediction(name, mine)


def compare_prediction(name: str, right: str) -> Comparison:
    """What was predicted, beside the letter that the data say.

    Args:
        name: of a question that `predict_first` has asked.
        right: the right letter, worked out from the data.

    Raises:
        SoftCAMError: the question was not asked yet, or its file cannot be read.
        UnknownNameError: `right` is no option of the question.
    """
    path = _path(name)
    if not path.is_file():
        raise SoftCAMError(
            f"no prediction of the name {name!r} ({path} is missing): run the cell that asks, "
            "`predict_first`, before the one that compares."
        )
    stored = _read(path)
    choose(f"answer to {name}", right, stored["options"])
    answers = stored["answers"]
    return Comparison(name, stored["options"], answers[0]["letter"] if answers else None, right)


def _check(name: str, question: str, options: Mapping[str, str]) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise SoftCAMError(f"a question's name is like '00-where-it-looks', found {name!r}.")
    if not question.strip():
        raise SoftCAMError(f"question {name!r} asks nothing: expected a sentence.")
    letters = all(re.fullmatch("[a-z]", key) and text.strip() for key, text in options.items())
    if len(options) < 2 or not letters:
        raise SoftCAMError(
            f"question {name!r} has the options {dict(options)!r}: expected two or more, such as "
            "{'a': 'the marker', 'b': 'the lung'}."
        )


def _unattended() -> bool:
    return os.environ.get(UNATTENDED, "") not in ("", "0")


def _path(name: str) -> Path:
    return output_root() / "predictions" / f"{name}.json"


def _write(name: str, question: str, options: Mapping[str, str], letter: str | None) -> None:
    """Add an answer; a question that was worded otherwise starts anew."""
    asked: dict[str, Any] = {"name": name, "question": question, "options": dict(options)}
    before = _read(_path(name)) if _path(name).is_file() else {}
    same = all(before.get(key) == value for key, value in asked.items())
    answers = list(before["answers"]) if same else []
    if letter is not None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        answers.append({"letter": letter, "time": now})
    write_json(_path(name), {**asked, "answers": answers})


def _read(path: Path) -> dict[str, Any]:
    stored = read_json(path)
    if not isinstance(stored, dict) or not {"options", "answers"} <= set(stored):
        raise SoftCAMError(
            f"{path} holds no prediction: remove the file and answer the question again."
        )
    return stored
