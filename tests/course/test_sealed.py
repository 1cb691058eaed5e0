"""The sealed file: it opens with its secret and only then, and shows any change."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from softcam.common import SoftCAMError
from softcam.course import sealed
from softcam.course.sealed import derive, entries, read_secret, seal, unseal

pytest.importorskip("cryptography")
SECRET, OTHER = b"a secret of sixteen bytes or more", b"another secret, long enough too"
SOURCES = {"1_first": "x = 'ä'\n", "2_second": "y = 2\n" * 200}
STUDENTS = {"1_first": "one", "2_second": "two"}


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that costs next to nothing; the committed file is opened at its full cost elsewhere."""
    monkeypatch.setattr(sealed, "COST", {"n": 2**4, "r": 8, "p": 1})


def test_what_was_sealed_comes_back() -> None:
    assert unseal(seal(SOURCES, STUDENTS, SECRET), SECRET) == SOURCES


def test_the_header_tells_sizes_and_hashes_without_the_secret() -> None:
    listed = entries(seal(SOURCES, STUDENTS, SECRET))
    assert [each["name"] for each in listed] == list(SOURCES)
    for each in listed:
        text = SOURCES[each["name"]].encode()
        assert each["bytes"] == len(text)
        assert each["sha256"] == hashlib.sha256(text).hexdigest()
        student = STUDENTS[each["name"]].encode()
        assert each["student_sha256"] == hashlib.sha256(student).hexdigest()


def test_nothing_of_the_sources_is_in_clear() -> None:
    text = seal({"1_first": "class_evidence_layer = 'readable'\n"}, STUDENTS, SECRET)
    assert "class_evidence" not in text and "readable" not in text


def test_two_seals_of_the_same_differ() -> None:
    first, second = (json.loads(seal(SOURCES, STUDENTS, SECRET)) for _ in range(2))
    assert first["nonce"] != second["nonce"] and first["sealed"] != second["sealed"]
    assert first["scrypt"]["salt"] != second["scrypt"]["salt"]


def test_another_secret_does_not_open_it() -> None:
    with pytest.raises(SoftCAMError, match="another secret"):
        unseal(seal(SOURCES, STUDENTS, SECRET), OTHER)


CHANGES = ["hash", "name", "size", "nonce", "cipher", "cost", "empty", "endless"]


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_is_noticed(change: str) -> None:
    content = json.loads(seal(SOURCES, STUDENTS, SECRET))
    if change == "hash":
        content["files"][0]["student_sha256"] = "0" * 64
    elif change == "name":
        content["files"][0]["name"] = "3_third"
    elif change == "size":
        content["files"][0]["bytes"] += 1
    elif change == "nonce":
        content["nonce"] = "00" * 12
    elif change == "cipher":
        line = content["sealed"][0]
        content["sealed"][0] = ("A" if line[0] != "A" else "B") + line[1:]
    elif change == "cost":
        content["scrypt"]["n"] = 2**40  # nobody waits a year for a file from elsewhere
    elif change == "endless":
        content["scrypt"]["n"] = float("inf")
    else:
        content["sealed"] = []
    with pytest.raises(SoftCAMError, match="do not open"):
        unseal(json.dumps(content), SECRET)


def test_a_file_that_was_cut_off_or_flipped_is_refused_in_words() -> None:
    text = seal(SOURCES, STUDENTS, SECRET)
    for place in range(0, len(text) - 2, 37):
        flipped = text[:place] + chr(ord(text[place]) ^ 4) + text[place + 1 :]
        for damaged in (text[:place], flipped):
            try:
                entries(damaged)  # the header only; what it says is proven when it is opened
            except SoftCAMError:
                continue
            assert damaged == flipped


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', "\x00", '{"files": [1]}'])
def test_another_file_is_refused_in_words(text: str) -> None:
    with pytest.raises(SoftCAMError, match="no file of sealed solutions"):
        entries(text)


def test_another_version_is_refused() -> None:
    content = json.loads(seal(SOURCES, STUDENTS, SECRET)) | {"version": 2}
    with pytest.raises(SoftCAMError, match="version 2"):
        unseal(json.dumps(content), SECRET)


def test_a_secret_is_the_content_of_a_file_without_white_space(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"  0123456789abcdef\r\n")
    assert read_secret(path) == b"0123456789abcdef"
    path.write_bytes(b"short\n")
    with pytest.raises(SoftCAMError, match="5 bytes"):
        read_secret(path)
    with pytest.raises(SoftCAMError, match="cannot be read"):
        read_secret(tmp_path / "nowhere")


def test_derived_keys_differ_by_every_word() -> None:
    keys = {derive(SECRET, "a", "b"), derive(SECRET, "ab"), derive(OTHER, "a", "b")}
    assert len(keys) == 3 and all(len(key) == 64 for key in keys)
    assert derive(SECRET, "a", "b") == derive(SECRET, "a", "b")
