"""The widgets do what the rules say, show text as text, and can be found by their names."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from softcam.layerwise.game import Game, session_of_page
from softcam.layerwise.rounds import RoundStore
from softcam.layerwise.tables import read_rounds
from tests.layerwise.players import CLASSES, NASTY, items


@pytest.fixture
def store(project: Path) -> RoundStore:
    return RoundStore(project / "rounds.sqlite", patience=0.05)


def begin(store: RoundStore, count: int = 3, **given: Any) -> Game:
    return Game(items(count), CLASSES, store, **({"session": "s"} | given))


def parts(widget: Any) -> list[Any]:
    return [widget, *(each for child in getattr(widget, "children", ()) for each in parts(child))]


def visible(widget: Any) -> list[Any]:
    children = getattr(widget, "children", ())
    found = [each for child in children for each in visible(child)]
    return [] if widget.layout.display == "none" else [widget, *found]


def named(game: Game, name: str) -> Any:
    (found,) = [w for w in visible(game.widget) if getattr(w, "description", "") == name]
    return found


def click(game: Game, name: str) -> None:
    button = named(game, name)
    assert not button.disabled, f"{name} cannot be clicked"
    button.click()


def text(game: Game) -> str:
    return "\n".join(w.value for w in visible(game.widget) if type(w).__name__ == "HTML")


def answer(game: Game, words: str, guess: str = "ill") -> None:
    named(game, "What gives it away?").value = words
    named(game, "Your guess").value = guess
    click(game, "Answer")


def test_a_round_with_the_widgets(store: RoundStore) -> None:
    game = begin(store)
    assert "Image 1 of 3" in text(game) and 'alt="2 % of the image"' in text(game)
    assert named(game, "Answer").disabled, "nothing is chosen yet"
    click(game, "Show more")
    assert 'alt="4.5 % of the image"' in text(game) and "Step 2 of 6" in text(game)
    named(game, "Nickname (may stay empty; not your real name)").value = "Ann"
    answer(game, "a bright square")
    assert 'alt="the whole image"' in text(game) and "a bright square" in text(game)
    assert "Image 1 of 3" in text(game) and "Ann (you)" in text(game)
    click(game, "Next image")
    assert "Image 2 of 3" in text(game) and "Step 1 of 6" in text(game)
    assert named(game, "What gives it away?").value == ""
    assert named(game, "Your guess").value is None and named(game, "Answer").disabled
    row = store.rounds().iloc[0]
    assert (row.player, row.words, row.reveal, row.guess) == ("Ann", "a bright square", 1, "ill")


def test_to_the_last_step_and_to_the_end(store: RoundStore) -> None:
    game = begin(store, 2)
    for _ in range(5):
        click(game, "Show more")
    assert named(game, "Show more").disabled
    click(game, "I give up")
    click(game, "Next image")
    answer(game, "")
    click(game, "Next image")
    assert "Thank you for playing" in text(game) and "<img" not in text(game)
    assert not [w for w in visible(game.widget) if getattr(w, "description", "") == "Answer"]


def test_a_second_click_on_the_way_changes_nothing(store: RoundStore) -> None:
    game = begin(store)
    button = named(game, "I give up")
    for _ in range(3):
        button.click()
    click(game, "Next image")
    assert len(store.rounds()) == 1 and game.play.done == 1


@pytest.mark.slow
@pytest.mark.parametrize("words", NASTY)
def test_words_are_stored_as_they_came_and_shown_as_text(store: RoundStore, words: str) -> None:
    game = begin(store)
    named(game, "Nickname (may stay empty; not your real name)").value = words
    answer(game, words)
    assert list(store.rounds().words) == [words] and list(store.rounds().player) == [words]
    said = text(game)
    said.encode("utf-8")
    tags = set(re.findall(r"<\s*/?\s*([a-z0-9]+)", said, re.IGNORECASE))
    assert "script" not in tags and said.count("<img") == 2, tags


def test_not_saved_is_said_and_offered_again(store: RoundStore) -> None:
    game = begin(store)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer(game, "kept")
    assert "Not saved yet" in text(game) and "is locked" in text(game)
    click(game, "Try to save again")
    assert "Not saved yet" in text(game)
    other.close()
    click(game, "Try to save again")
    assert "Not saved yet" not in text(game) and list(store.rounds().words) == ["kept"]


def test_deleting_asks_first_and_takes_only_ones_own(store: RoundStore) -> None:
    answer(begin(store, session="other"), "theirs")
    game = begin(store)
    answer(game, "mine")
    click(game, "Delete my rounds")
    assert "Really delete all your rounds?" in text(game)
    click(game, "No, keep")
    assert "Nothing was deleted" in text(game) and len(store.rounds()) == 2
    click(game, "Delete my rounds")
    click(game, "Yes, delete")
    assert list(store.rounds().words) == ["theirs"] and "Image 1 of 3" in text(game)
    click(game, "Delete everyone's rounds")
    click(game, "Yes, delete")
    assert store.rounds().empty and "Nobody has finished a round yet" in text(game)


def test_a_player_who_may_not_manage_has_only_ones_own(store: RoundStore) -> None:
    names = {getattr(w, "description", "") for w in parts(begin(store, manage=False).widget)}
    assert "Delete my rounds" in names
    assert not names & {"Delete everyone's rounds", "Save all as CSV"}


def test_export_says_where(store: RoundStore) -> None:
    game = begin(store)
    answer(game, "=1+1")
    click(game, "Save all as CSV")
    path = store.path.with_suffix(".csv")
    assert str(path) in text(game) and list(read_rounds(path).words) == ["=1+1"]


def test_a_damaged_store_is_said_in_every_panel(store: RoundStore) -> None:
    game = begin(store)
    answer(game, "kept")
    store.path.write_bytes(b"damaged" * 1000)
    click(game, "Next image")
    answer(game, "kept too")
    click(game, "Refresh")
    click(game, "Save all as CSV")
    assert text(game).count("is damaged") >= 3
    click(game, "Next image")
    assert "Image 3 of 3" in text(game), "the game goes on"
    store.path.unlink()
    click(game, "Try to save again")
    assert list(store.rounds().words) == ["kept too"]


def test_the_session_of_a_page(store: RoundStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert session_of_page() is None
    names = {begin(store, session=None).play.session for _ in range(3)}
    assert len(names) == 3 and all(len(name) == 16 for name in names)
    monkeypatch.setenv("QUERY_STRING", "a=b&session=x%26y+z")
    assert begin(store, session=None).play.session == "x&y z"
    monkeypatch.setenv("QUERY_STRING", "session=")
    assert session_of_page() is None


def test_every_control_has_words_on_it(store: RoundStore) -> None:
    for widget in parts(begin(store).widget):
        if type(widget).__name__ in ("Button", "Text", "ToggleButtons"):
            assert widget.description, widget
