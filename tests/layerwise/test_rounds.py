"""Rounds go in and come out as they were, from as many players as there are."""

from __future__ import annotations

import multiprocessing
import os
import re
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from softcam.common import SoftCAMError
from softcam.layerwise.records import COLUMNS, Round, shown
from softcam.layerwise.rounds import RoundStore
from softcam.layerwise.tables import read_rounds
from tests.layerwise.players import NASTY, a_round


@pytest.fixture
def store(project: Path) -> RoundStore:
    return RoundStore(project / "rounds.sqlite")


def test_text_comes_back_as_it_came(store: RoundStore) -> None:
    names = ("session", "player", "image", "layer", "class_name", "guess", "words")
    rounds = [a_round(**dict.fromkeys(names, text)) for text in NASTY]
    assert store.add(*rounds) == len(NASTY)
    found = store.rounds()
    assert tuple(found.columns) == COLUMNS
    for name in names:
        assert list(found[name]) == list(NASTY), name
    assert [each.words for each in store.of_session(NASTY[4])] == [NASTY[4]]
    assert store.of_session("half \ud83d pair \udc00") == (rounds[6],)


def test_numbers_are_numbers_and_a_file_without_rounds_has_the_columns(store: RoundStore) -> None:
    empty = store.rounds()
    assert tuple(empty.columns) == COLUMNS and len(empty) == 0 and not store.path.exists()
    store.add(a_round(guess="healthy", reveal=3, cluster=2))
    for found in (empty, store.rounds()):
        assert all(
            found[name].dtype == "int64" for name in ("cluster", "correct", "resigned", "reveal")
        )
    row = store.rounds().iloc[0]
    assert (row.cluster, row.correct, row.resigned, row.reveal) == (2, 0, 0, 3)
    assert pd.Timestamp(row.time).utcoffset() == pd.Timedelta(0)


def test_a_round_is_stored_once_however_often_it_is_added(store: RoundStore) -> None:
    one, two = a_round(), a_round()
    assert [store.add(one), store.add(one, two), store.add(two)] == [1, 1, 0]
    assert list(store.rounds().round_id) == [one.round_id, two.round_id]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"words": None}, "words of a round is None"),
        ({"reveal": 6}, "from 0 to 5"),
        ({"cluster": -1}, "cluster of a round is -1"),
        ({"resigned": True}, "resigned of a round is True"),
        ({"resigned": 1, "reveal": 5, "guess": ""}, "resigned of a round is 1"),
    ],
)
def test_a_round_that_cannot_be(given: dict, says: str) -> None:
    with pytest.raises(SoftCAMError, match=says):
        a_round(**given)


def test_the_scoreboard_by_hand(store: RoundStore) -> None:
    assert list(store.scoreboard().columns) == [
        "session", "player", "rounds", "correct", "resigned", "points",
    ]  # fmt: skip
    store.add(
        a_round(session="a", player="Ann", reveal=0),  # 6 points
        a_round(session="b", player="Ann", reveal=5),  # 1 point; another Ann
        a_round(session="b", player="Annie", reveal=1),  # 5 points
        a_round(session="c", player="", reveal=2, guess="healthy"),
        a_round(session="c", player="", reveal=5, guess="", resigned=True),
    )
    assert store.scoreboard().to_numpy().tolist() == [
        ["a", "Ann", 1, 1, 0, 6],
        ["b", "Annie", 2, 2, 0, 6],
        ["c", "", 2, 0, 1, 0],
    ]


def test_deleting_leaves_no_trace_in_the_file(store: RoundStore) -> None:
    store.add(a_round(session="mine", words="my secret words" * 500), a_round(session="other"))
    assert b"secret" in store.path.read_bytes()
    assert store.delete("mine") == 1
    assert list(store.rounds().session) == ["other"]
    assert [path.name for path in store.path.parent.glob("rounds*")] == ["rounds.sqlite"]
    assert b"secret" not in store.path.read_bytes()
    assert store.delete() == 1 and store.rounds().empty and store.delete("nobody") == 0


def test_csv_is_safe_in_a_spreadsheet_and_reads_back(store: RoundStore, project: Path) -> None:
    store.add(*(a_round(player=text, words=text) for text in NASTY))
    path = store.export_csv(project / "out" / "rounds.csv")
    cells = pd.read_csv(path, keep_default_na=False)["words"]
    assert not [
        cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d"))
    ]
    assert path.read_bytes().startswith(b"\xef\xbb\xbf") and list(path.parent.iterdir()) == [path]
    back, expected = read_rounds(path), store.rounds()
    for name in ("player", "words"):  # UTF-8 has no half pairs
        texts = [t.replace("\ud83d", "\ufffd").replace("\udc00", "\ufffd") for t in NASTY]
        expected[name] = pd.Series(texts, dtype=object)
    pd.testing.assert_frame_equal(back, expected)


def test_no_formula_stands_behind_the_separator_of_another_country(
    store: RoundStore, project: Path
) -> None:
    texts = [
        "spot;=1+1",
        'spot; "=1+1"',
        "a;'@x",
        "a\t-2",
        " =1",
        "a;b;\t;+1;",
        ";;=;'",
        "a - b; c",
    ]
    store.add(*(a_round(words=text) for text in texts))
    path = store.export_csv(project / "rounds.csv")
    begins = re.compile(r"[;\t][ \"]*[=+\-@\t]")
    cells = pd.read_csv(path, keep_default_na=False)["words"]
    assert not [cell for cell in cells if begins.search(cell) or begins.match(f";{cell}")]
    assert list(read_rounds(path)["words"]) == texts and cells[7] == texts[7]


def test_a_csv_that_is_none_of_ours(project: Path) -> None:
    path = project / "x.csv"
    with pytest.raises(SoftCAMError, match=r"x\.csv cannot be read"):
        read_rounds(path)
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(SoftCAMError, match="expected the columns round_id"):
        read_rounds(path)
    path.write_text(",".join(COLUMNS) + "\n1,2\n", encoding="utf-8")
    with pytest.raises(SoftCAMError, match="row 2"):
        read_rounds(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SoftCAMError, match="UTF-8"):
        read_rounds(path)


def test_what_is_shown_is_escaped_short_and_can_be_sent() -> None:
    for text in NASTY:
        html = shown(text)
        assert not set(html) & set("<>\"'\0") and html.encode("utf-8") is not None
    assert shown("x" * 300) == "x" * 200 + "..." and shown("a & b") == "a &amp; b"


def play(path: Path, process: int, players: int, rounds: int) -> None:
    """As many players at once, each with a store of its own, all in one process."""

    def one(player: int) -> None:
        store = RoundStore(path, patience=60)
        for number in range(rounds):
            store.add(a_round(session=f"{process}-{player}", image=str(number), words="w" * number))

    with ThreadPoolExecutor(players) as threads:
        list(threads.map(one, range(players)))


def played(path: Path, processes: int, players: int, rounds: int) -> None:
    context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "fork")
    tasks = [
        context.Process(target=play, args=(path, number, players, rounds))
        for number in range(processes)
    ]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    assert [task.exitcode for task in tasks] == [0] * processes, "a player got an error"
    found = RoundStore(path).rounds()
    expected = {
        (f"{process}-{player}", str(number))
        for process in range(processes)
        for player in range(players)
        for number in range(rounds)
    }
    assert set(zip(found.session, found.image, strict=True)) == expected
    assert len(found) == len(expected) and not RoundStore(path).unsaved


def test_several_processes_write_at_once(project: Path) -> None:
    played(project / "rounds.sqlite", 4, 3, 5)


@pytest.mark.slow
def test_fifty_players_of_twenty_rounds_write_at_once(project: Path) -> None:
    played(project / "rounds.sqlite", 5, 10, 20)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_store_goes_on_in_a_child_and_in_its_parent(store: RoundStore) -> None:
    store.add(a_round(session="parent"))
    child = multiprocessing.get_context("fork").Process(
        target=store.add, args=(a_round(session="child"),)
    )
    child.start()
    store.add(a_round(session="parent"))
    child.join()
    assert child.exitcode == 0 and sorted(store.rounds().session) == ["child", "parent", "parent"]


def test_the_file_is_in_wal_mode_and_others_read_it_while_one_writes(store: RoundStore) -> None:
    store.add(a_round())
    writer = sqlite3.connect(store.path, isolation_level=None)
    assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    writer.execute("BEGIN IMMEDIATE")
    try:
        assert len(store.rounds()) == 1
    finally:
        writer.close()


def test_a_row_becomes_its_round_again(store: RoundStore) -> None:
    one = a_round(guess="", resigned=True, reveal=5)
    store.add(one)
    (found,) = store.of_session("s")
    assert found == one and isinstance(found.resigned, bool)
    with pytest.raises(SoftCAMError, match="a round without session, player"):
        Round.of({"round_id": "x"})
