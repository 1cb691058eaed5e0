"""Paths, time, words, names: what the guard leans on, in this process."""

from __future__ import annotations

import os
import time

import pytest

from softcam.common import SoftCAMError
from softcam.course import check
from softcam.course.checking import wrapped
from softcam.course.guard import Places, refuse
from softcam.course.limits import TimeIsUp, TooManyWords, limit_words, time_limit
from softcam.course.masking import _resolve, masked_names
from softcam.course.settings import needs_extra


def test_a_path_that_begins_alike_is_another_folder() -> None:
    places = Places(free=("/c/autograded/ada",), closed="/c")
    assert refuse("open", ("/c/autograded/ada2/x", "w", os.O_WRONLY), places)
    assert not refuse("open", ("/c/autograded/ada/x", "w", os.O_WRONLY), places)
    assert refuse("open", ("/c/x", "r", os.O_RDONLY), places)
    assert not refuse("open", ("/cc/x", "r", os.O_RDONLY), places)
    assert not refuse("open", (3, "w", os.O_WRONLY), places)  # a descriptor that is open already


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGALRM is there on POSIX only")
def test_time_limit_is_told_again_to_code_that_swallows_it() -> None:
    swallowed = 0
    started = time.monotonic()
    with pytest.raises(TimeIsUp), time_limit(0.2):
        while swallowed < 1:
            try:
                while True:
                    pass
            except BaseException:
                swallowed += 1
        while True:
            pass
    assert swallowed == 1 and time.monotonic() - started < 20
    with time_limit(None):
        pass


def test_a_cell_may_not_print_without_end() -> None:
    class Stream:
        text = ""

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

    stream = Stream()
    limit_words(stream, 10)
    assert stream.write("12345") == 5
    with pytest.raises(TooManyWords, match="more than 10"):
        stream.write("123456")
    assert stream.text == "12345"
    limit_words(stream, 10)  # the next cell
    assert stream.write("1234567890") == 10


def test_nbgrader_without_the_guard_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(SoftCAMError, match="without the guard"):
        check("cam", lambda features, weight: features)


def test_masked_names_exist_for_every_assignment() -> None:
    for assignment in range(1, 7):
        for name in masked_names(assignment):
            _resolve(name)


def test_feedback_keeps_to_its_width() -> None:
    lines = wrapped("word " * 50 + "\n  indented " + "word " * 50).splitlines()
    assert max(map(len, lines)) <= 92
    assert lines[-1].startswith("  ")


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SoftCAMError, match="nbgrader and cryptography.*softcam.course"):
        needs_extra()
