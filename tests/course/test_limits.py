"""Paths, time, words, names: what the guard leans on, in this process."""

from __future__ import annotations

import os
import sys
import time
import warnings

import pytest

from softcam.checks import CheckFailed
from softcam.common import SoftCAMError
from softcam.course import check
from softcam.course.checking import wrapped
from softcam.course.guard import Places, refuse
from softcam.course.limits import TimeIsUp, TooManyWords, limit_words, time_limit
from softcam.course.masking import _resolve, masked_names
from softcam.course.settings import needs_extra


def test_a_path_that_begins_alike_is_another_folder() -> None:
    places = Places(free=("/c/autograded/ada",), closed=("/c",))
    assert refuse("open", ("/c/autograded/ada2/x", "w", os.O_WRONLY), places)
    assert not refuse("open", ("/c/autograded/ada/x", "w", os.O_WRONLY), places)
    assert refuse("open", ("/c/x", "r", os.O_RDONLY), places)
    assert not refuse("open", ("/cc/x", "r", os.O_RDONLY), places)
    assert not refuse("open", (3, "w", os.O_WRONLY), places)  # a descriptor that is open already


def test_secrets_are_closed_wherever_they_lie() -> None:
    places = Places(free=("/c/autograded/ada",), closed=("/c", "/home/key"))
    for path in ("/home/key", "/home/my.secret", "/home/MY.SECRET", "/x/solutions.sealed"):
        assert refuse("open", (path, "r", os.O_RDONLY), places), path
    assert not refuse("open", ("/home/keys", "r", os.O_RDONLY), places)
    assert not refuse("open", ("/c/autograded/ada/my.secret", "r", os.O_RDONLY), places)


def test_warnings_are_said_also_where_a_check_fails() -> None:
    def cam(features: object, weight: object) -> object:
        warnings.warn("deprecated, they say", stacklevel=1)
        print("loud", file=sys.stderr)
        raise ValueError("not today")

    with pytest.raises(CheckFailed) as caught:
        check("cam", cam, student="ada")
    assert "deprecated, they say" in str(caught.value) and "loud" in str(caught.value)


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
