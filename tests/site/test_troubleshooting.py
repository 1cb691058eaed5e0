"""Every message that the page explains is still given by the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.common import SoftCAMError, UnknownNameError, choose
from tests.site.quoted import stands_in, texts_of
from tools.site.tables import message_sections, read_messages, sort_rows

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = ROOT / "docs" / "site" / "messages.toml"
KNOWN = read_messages(MESSAGES)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    rooms = ("softcam", "tools/site")
    return texts_of(path for room in rooms for path in sorted((ROOT / room).rglob("*.py")))


@pytest.mark.slow
@pytest.mark.parametrize("message", KNOWN, ids=lambda each: each["says"][:40])
def test_the_package_still_says_so(message: dict[str, str], texts: list[str]) -> None:
    assert stands_in(message["says"], texts), "the message has changed: mend messages.toml"


def test_there_are_enough_of_them_and_none_twice() -> None:
    said = [each["says"] for each in KNOWN]
    assert len(said) >= 30 and len(set(said)) == len(said)


def test_a_message_that_nobody_gives_is_noticed(tmp_path: Path) -> None:
    code = 'raise E(f"no map of {name!r} in {place}: " "convert it.")\n'
    (tmp_path / "a.py").write_text(code, encoding="utf-8")
    texts = texts_of([tmp_path / "a.py"])
    assert stands_in("no map of … in …: convert it.", texts)
    assert stands_in("no map of '…' in …", texts)
    assert not stands_in("no map of …, convert it.", texts)


def test_the_message_on_unknown_names_is_the_one_quoted() -> None:
    with pytest.raises(UnknownNameError) as error:
        choose("method", "gradcam", ["grad-cam"])
    assert str(error.value).startswith("unknown method 'gradcam'")


def test_tables_of_messages_are_ordered_too() -> None:
    page = "| you see | do |\n|---|---|\n| `b` | 1 |\n| `'A` is | 2 |\n\nThen.\n"
    sorted_page = "| you see | do |\n|---|---|\n| `'A` is | 2 |\n| `b` | 1 |\n\nThen.\n"
    assert sort_rows(page) == sorted_page


def test_messages_are_ordered_by_their_first_fixed_words(tmp_path: Path) -> None:
    path = tmp_path / "messages.toml"
    entry = '[[message]]\nsays = "{}"\nmeans = "m"\nmend = "d"\n'
    said = ["targets run", "…: an image", "… : Zebra", "no folder …"]
    path.write_text("".join(map(entry.format, said)), encoding="utf-8")
    page = message_sections(path)
    order = [line[5:-1] for line in page.splitlines() if line.startswith("### ")]
    assert order == ["…: an image", "no folder …", "targets run", "… : Zebra"]
    path.write_text('[[message]]\nsays = "x"\nmeans = ""\nmend = "d"\n', encoding="utf-8")
    with pytest.raises(SoftCAMError, match="expected says, means, mend"):
        read_messages(path)
