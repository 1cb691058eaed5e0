"""Three rounds in a real browser, in JupyterLab and on a Voila page, are in the database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from softcam.layerwise.page import voila_options, write_game
from softcam.layerwise.rounds import RoundStore
from tests.browser.pages import LONG, browser, needs, run_cell, served
from tests.layerwise.players import CLASSES, items

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow
WORDS = "bright <script>document.title = 'broken'</script> square"


def by_mouse(page: Page, guess: str, words: str) -> None:
    page.get_by_label("What gives it away?").fill(words)
    page.get_by_role("button", name=guess, exact=True).click()
    page.get_by_role("button", name="Answer").click()
    page.get_by_text("the whole image").wait_for()


def has_focus(page: Page, name: str) -> None:
    """Wait until the game has put the focus on a button."""
    page.wait_for_function("n => document.activeElement.textContent.trim() == n", arg=name)


def reach(page: Page, name: str) -> None:
    """Press Tab until the button or field has the focus."""
    for _ in range(12):
        focused = page.evaluate(
            "(e => e.labels?.[0]?.textContent || e.textContent)(document.activeElement)"
        )
        if focused.strip() == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name} cannot be reached with the Tab key")


def by_keyboard(page: Page, guess: str, words: str) -> None:
    """A round without the mouse, from where the focus was left."""
    has_focus(page, "Show more")
    page.keyboard.press("Enter")
    page.get_by_text("Step 2 of 6").wait_for()
    reach(page, "What gives it away?")
    page.keyboard.type(words)
    for name in (guess, "Answer"):
        reach(page, name)
        page.keyboard.press("Enter")
        if name == guess:
            page.wait_for_function(
                "[...document.querySelectorAll('button')]"
                ".some(b => b.textContent == 'Answer' && !b.disabled)"
            )
    page.get_by_text("the whole image").wait_for()


def three_rounds(page: Page) -> None:
    page.get_by_text("Image 1 of 4").wait_for(timeout=LONG)
    page.get_by_label("Nickname (may stay empty; not your real name)").fill("Ann")
    by_mouse(page, "ill", WORDS)
    assert page.get_by_text(WORDS).is_visible() and page.title() != "broken"
    page.get_by_role("button", name="Next image").click()
    page.get_by_text("Image 2 of 4").wait_for()
    by_keyboard(page, "healthy", "by keys")
    has_focus(page, "Next image")
    page.keyboard.press("Enter")
    page.get_by_text("Image 3 of 4").wait_for()
    page.get_by_role("button", name="I give up").click()
    page.get_by_text("the whole image").wait_for()


def check(folder: Path) -> None:
    found = RoundStore(folder / "rounds.sqlite").rounds()
    assert list(found.words) == [WORDS, "by keys", ""] and set(found.player) == {"Ann"}
    assert list(found.guess) == ["ill", "healthy", ""] and list(found.resigned) == [0, 0, 1]
    assert list(found.reveal) == [0, 1, 5] and found.session.nunique() == 1


def test_a_class_plays_on_a_voila_page(project: Path) -> None:
    chromium = needs("voila")
    game = project / "game"
    path = write_game(game, items(4), CLASSES)
    options = [each.replace("{", "{{").replace("}", "}}") for each in voila_options("127.0.0.1", 0)]
    options = [each.replace("--port=0", "--port={port}") for each in options]
    with (
        served(project / "home", "voila", [str(path), *options], "/voila/static/voila.js") as url,
        browser(chromium) as started,
    ):
        page = started.new_page()
        elsewhere: list[str | None] = []
        page.on("requestfailed", lambda request: elsewhere.append(request.failure))
        page.on(
            "response",
            lambda answer: answer.url.startswith((url, "data:")) or elsewhere.append(answer.url),
        )
        page.goto(url, wait_until="commit")
        three_rounds(page)
        check(game)
        assert set(elsewhere) <= {"csp"}, "the page asked a server elsewhere"
        page.reload(wait_until="commit")
        page.get_by_text("Image 4 of 4").wait_for(timeout=LONG)
        page.screenshot(path=project / "voila.png", full_page=True)
        page.get_by_text("My data").click()
        page.get_by_role("button", name="Delete my rounds").click()
        page.get_by_role("button", name="Yes, delete").click()
        page.get_by_text("Deleted: 3 rounds.").wait_for()
        assert RoundStore(game / "rounds.sqlite").rounds().empty


def test_a_reader_plays_in_jupyterlab(project: Path) -> None:
    chromium = needs("jupyterlab")
    game = project / "game"
    path = write_game(game, items(4), CLASSES, manage=True)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cell = notebook["cells"][0]
    cell["source"] = cell["source"].replace("manage=", "session='reader', manage=")
    path.write_text(json.dumps(notebook), encoding="utf-8")
    options = [
        "--no-browser", "--allow-root", f"--ServerApp.root_dir={game}", "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
    ]  # fmt: skip
    with (
        served(project / "home", "jupyterlab", options, "/api") as url,
        browser(chromium) as started,
    ):
        page = started.new_page(viewport={"width": 1200, "height": 1100})
        page.goto(f"{url}/lab/tree/game.ipynb?reset", wait_until="commit")
        run_cell(page)
        three_rounds(page)
        check(game)
        run_cell(page)
        page.get_by_text("Image 4 of 4").wait_for(timeout=LONG)
        page.screenshot(path=project / "lab.png", full_page=True)
