"""The game's rules, without a browser."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from softcam.common import SoftCAMError, UnknownNameError
from softcam.layerwise.play import Item, Play
from softcam.layerwise.reveal import STEPS, revealed
from softcam.layerwise.rounds import RoundStore
from tests.layerwise.players import CLASSES, NASTY, items


@pytest.fixture
def store(project: Path) -> RoundStore:
    return RoundStore(project / "rounds.sqlite", patience=0.05)


def begin(store: RoundStore, count: int = 4, session: str = "s", **given: str) -> Play:
    return Play(items(count), CLASSES, store, session=session, **given)


def current(play: Play) -> Item:
    assert play.item is not None
    return play.item


def test_a_game_from_beginning_to_end(store: RoundStore) -> None:
    play = begin(store, 3, player="Ann")
    first = current(play)
    assert (play.done, play.total, play.step) == (0, 3, 0)
    assert play.more() and play.step == 1
    assert play.guess(first.truth, "bright").points == 5
    assert (play.picture() == first.image).all(), "after the answer all of it is shown"
    second = play.next()
    assert second is not None and second.key != first.key and play.step == 0
    wrong = next(name for name in CLASSES if name != second.truth)
    assert play.guess(wrong).points == 0
    play.next()
    assert [play.more() for _ in STEPS] == [True] * 5 + [False]
    assert play.resign("no idea").reveal == 5
    assert play.next() is None and (play.done, play.correct, play.points) == (3, 1, 5)
    found = store.rounds()
    assert list(found.player) == ["Ann"] * 3 and list(found.words) == ["bright", "", "no idea"]
    assert list(found.correct) == [1, 0, 0] and list(found.resigned) == [0, 0, 1]
    assert list(found.reveal) == [1, 0, 5] and list(found.guess) == [first.truth, wrong, ""]
    with pytest.raises(SoftCAMError, match="all rounds of this session are finished"):
        play.more()


def test_the_picture_grows_with_the_steps(store: RoundStore) -> None:
    play = begin(store)
    item = current(play)
    for share in STEPS:
        assert (play.picture() == revealed(item.image, item.cluster, share)).all()
        play.more()


def test_a_finished_round_takes_no_second_answer(store: RoundStore) -> None:
    play = begin(store)
    with pytest.raises(SoftCAMError, match="guess or resign first"):
        play.next()
    play.resign()
    for act in (play.more, play.resign, lambda: play.guess("ill")):
        with pytest.raises(SoftCAMError, match="go on with `next`"):
            act()
    assert len(store.rounds()) == 1


def test_opened_again_it_goes_on_where_it_was(store: RoundStore) -> None:
    play = begin(store, 6, player="\ud83d<b>")
    order = []
    for _ in range(2):
        order.append(current(play).key)
        play.guess(current(play).truth)
        play.next()
    again = begin(RoundStore(store.path), 6)  # type: ignore[arg-type]
    assert (again.done, again.correct, again.player) == (2, 2, "\ud83d<b>")
    assert current(again).key == current(play).key and current(again).key not in order
    other = begin(store, 6, session="another")
    assert other.done == 0 and other.player == ""


def test_each_session_has_an_order_of_its_own_that_stays(store: RoundStore) -> None:
    orders = {
        tuple(item.image_id for item in begin(store, 12, session=name).items) for name in "abc"
    }
    assert len(orders) == 3
    assert tuple(i.image_id for i in begin(store, 12, session="a").items) in orders


def test_rounds_of_other_items_do_not_count(store: RoundStore) -> None:
    play = begin(store, 6)
    while play.item is not None:
        play.resign()
        play.next()
    assert begin(store, 2).done == 2 and begin(store, 8).done == 6


def test_a_locked_store_delays_and_loses_nothing(store: RoundStore) -> None:
    play = begin(store, 4)
    play.guess(current(play).truth)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    play.next()
    play.guess(current(play).truth, NASTY[5])
    assert "is locked" in play.problem and play.done == 2
    assert not play.retry() and "is locked" in play.problem
    other.close()
    assert begin(RoundStore(store.path), 4).done == 2, "a page that is loaded again knows it"
    assert play.retry() and not play.problem
    assert sorted(store.rounds().words) == ["", NASTY[5]]


def test_after_deletion_it_begins_anew(store: RoundStore) -> None:
    play = begin(store, 3)
    play.resign()
    store.delete("s")
    play.refresh()
    assert play.done == 0 and play.answer is None and play.item == play.items[0]


def test_what_is_no_game(store: RoundStore) -> None:
    some = items(2)
    with pytest.raises(SoftCAMError, match="no items"):
        Play([], CLASSES, store, session="s")
    with pytest.raises(SoftCAMError, match="comes twice"):
        Play([*some, some[0]], CLASSES, store, session="s")
    with pytest.raises(UnknownNameError, match="unknown class of image 'im0' 'healthy'"):
        Play(some, ("well", "ill"), store, session="s")
    with pytest.raises(SoftCAMError, match="the image is"):
        Play([replace(some[0], image=np.zeros(3))], CLASSES, store, session="s")
    for classes in (("ill",), ("ill", "ill"), ("ill", " "), "ill"):
        with pytest.raises(SoftCAMError, match="two or more different names"):
            Play(some, classes, store, session="s")
    with pytest.raises(SoftCAMError, match="session is ' '"):
        Play(some, CLASSES, store, session=" ")
    with pytest.raises(UnknownNameError, match="unknown class 'il'"):
        begin(store).guess("il")
    assert not store.unsaved and store.rounds().empty
