"""A database that is locked, damaged, read-only or not ours: a clear message, and nothing lost."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from softcam.common import SoftCAMError
from softcam.layerwise.rounds import RoundStore
from tests.layerwise.players import NASTY, a_round


@pytest.fixture
def store(project: Path) -> RoundStore:
    store = RoundStore(project / "rounds.sqlite", patience=0.05)
    store.add(a_round(session="before"))
    return store


def refused(store: RoundStore, says: str) -> None:
    """A round with difficult text cannot be stored: it waits in memory and in a file."""
    waiting = a_round(session="late", words="".join(NASTY), player="\ud83d\0")
    with pytest.raises(SoftCAMError, match=says) as caught:
        store.add(waiting)
    assert "Rounds that wait to be stored: 1, in " in str(caught.value)
    assert store.unsaved == (waiting,)
    other = RoundStore.__new__(RoundStore)  # as a program that is started later would find it
    other.__dict__ |= store.__dict__ | {"_memory": {}}
    assert other.unsaved == (waiting,), "the file does not hold what was lost from memory"


def accepted(store: RoundStore) -> None:
    """What waited goes in with the next round, once, and no file of it is left."""
    assert store.add(a_round(session="next")) == 2
    assert sorted(store.rounds().session)[-2:] == ["late", "next"]
    assert not store.unsaved and not list(store.path.parent.rglob("*.json"))


def test_a_locked_database(store: RoundStore) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused(store, r"rounds\.sqlite is locked by another program for more than 0\.05 s")
    assert {each.session for each in store.of_session("late")} == {"late"}, "it is known as done"
    other.close()
    accepted(store)


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(5000)]
)
def test_a_file_that_is_no_database_is_left_as_it_is(store: RoundStore, content: bytes) -> None:
    store.path.write_bytes(content)
    with pytest.raises(SoftCAMError, match="is damaged .* is left as it is: move it away"):
        RoundStore(store.path)
    refused(store, "is damaged")
    with pytest.raises(SoftCAMError, match="is damaged"):
        store.delete("somebody")
    assert store.path.read_bytes() == content
    store.path.unlink()
    accepted(store)


def test_a_database_with_a_torn_page_is_left_as_it_is(store: RoundStore) -> None:
    store.add(*(a_round(words="w" * 500) for _ in range(50)))
    content = bytearray(store.path.read_bytes())
    content[4096 : 3 * 4096] = os.urandom(2 * 4096)
    store.path.write_bytes(content)
    with pytest.raises(SoftCAMError, match="is damaged"):
        RoundStore(store.path)
    with pytest.raises(SoftCAMError, match="is damaged"):
        store.rounds()
    assert store.path.read_bytes() == content


def test_a_database_that_was_cut_is_left_as_it_is(store: RoundStore) -> None:
    store.add(*(a_round(words="w" * 500) for _ in range(50)))
    content = store.path.read_bytes()[:-5000]
    store.path.write_bytes(content)
    with pytest.raises(SoftCAMError, match="is damaged"):
        RoundStore(store.path)
    refused(store, "is damaged")
    assert store.path.read_bytes() == content


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (("CREATE TABLE notes (a)",), "made by another program, expected our format 1"),
        (("PRAGMA application_id=1396919383", "PRAGMA user_version=2"), "in our format 2"),
    ],
)
def test_a_database_of_another_schema_is_left_as_it_is(
    project: Path, sql: tuple[str, ...], says: str
) -> None:
    path = project / "other.sqlite"
    connection = sqlite3.connect(path)
    for statement in sql:
        connection.execute(statement)
    connection.close()
    content = path.read_bytes()
    with pytest.raises(SoftCAMError, match=says):
        RoundStore(path)
    assert path.read_bytes() == content


def test_an_empty_file_becomes_a_database(project: Path) -> None:
    path = project / "rounds.sqlite"
    path.touch()
    store = RoundStore(path)
    assert store.rounds().empty and store.add(a_round()) == 1


@contextmanager
def without_rights(*paths: Path) -> Iterator[None]:
    """As a user who may read these paths and not write them."""
    before = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in zip(paths, before, strict=True):
            path.chmod(mode)


@pytest.fixture
def open_project(project: Path) -> Iterator[Path]:
    """The project where another user can get to it: pytest's folders are the owner's alone."""
    closed = [each for each in project.parents if not each.stat().st_mode & 0o001]
    modes = [each.stat().st_mode for each in closed]
    for each in closed:
        each.chmod(0o711)
    yield project
    for each, mode in zip(closed, modes, strict=True):
        each.chmod(mode)


@pytest.mark.skipif(os.name == "nt", reason="rights of files")
def test_a_database_that_may_only_be_read(store: RoundStore, open_project: Path) -> None:
    side = open_project / "runs" / "unsaved"
    side.mkdir(parents=True)
    side.chmod(0o777)
    with without_rights(store.path, open_project):
        refused(store, r"cannot be opened or written .*make the file and its folder writable")
        assert list(store.rounds().session) == ["before"]
    assert list(side.rglob("*.json")), "the second place was not taken"
    accepted(store)


@pytest.mark.skipif(os.name == "nt", reason="rights of files")
def test_nowhere_to_write(store: RoundStore, open_project: Path) -> None:
    with without_rights(store.path, open_project):
        with pytest.raises(SoftCAMError, match="in memory only: leave this program open"):
            store.add(a_round(session="late"))
        assert [each.session for each in store.unsaved] == ["late"]
    accepted(store)


def test_a_folder_in_place_of_the_file(project: Path) -> None:
    with pytest.raises(SoftCAMError, match="cannot be opened or written"):
        RoundStore(project)


def test_another_players_store_takes_what_waits(store: RoundStore) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused(store, "is locked")
    other.close()
    assert RoundStore(store.path).retry() == 1
    assert store.retry() == 0 and not store.unsaved, "the first store still offers it"
    assert list(store.rounds().session) == ["before", "late"]


def test_what_waits_is_deleted_too(store: RoundStore, caplog: pytest.LogCaptureFixture) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused(store, "is locked")
    other.close()
    folder = store.path.with_name("rounds.sqlite.unsaved")
    (folder / "odd.json").write_text("{", encoding="utf-8")
    assert store.delete("late") == 0 and not store.unsaved
    assert [path.name for path in folder.iterdir()] == ["odd.json"], "it is not ours to remove"
    assert "an unsaved round is left out" in caplog.text
