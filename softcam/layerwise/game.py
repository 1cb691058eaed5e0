"""The labelling game as widgets: see a part of an image, guess its class, say what gave it away.

For JupyterLab and, on a page of its own, for Voila. What may be done is decided in
`softcam.layerwise.play`; here it is only drawn. Every control can be reached and used with the
keyboard; after each answer the focus goes where the next key is needed.

Source: the game "Deep Reveal" of Bianchi et al., "Interpretable Network Visualizations", IJCAI
2024.
"""

from __future__ import annotations

import base64
import io
import os
import secrets
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

import numpy as np

from softcam.layerwise.panels import STYLE, BoardPanel, DataPanel, box, notice
from softcam.layerwise.play import Item, Play
from softcam.layerwise.records import LAST, Round, shown
from softcam.layerwise.reveal import STEPS, revealed
from softcam.layerwise.rounds import RoundStore

__all__ = ["Game", "session_of_page"]


class Game:
    """The game of one player; show `widget` in a notebook.

    Args:
        items: what is to be guessed, each image, layer and cluster once.
        classes: the names to choose from.
        store: where finished rounds go.
        session: the same text goes on with the same session; None begins a new one, or goes on
            with the one that the address of a Voila page names.
        player: nickname, may be empty; it can be changed while playing.
        seed: of the order of the items, together with the session.
        manage: offer to export and to delete the rounds of all players, not only one's own.

    Attributes:
        play: the game without its widgets.
        widget: an ipywidgets box.
    """

    def __init__(
        self,
        items: Sequence[Item],
        classes: Sequence[str],
        store: RoundStore,
        *,
        session: str | None = None,
        player: str = "",
        seed: int = 0,
        manage: bool = True,
    ) -> None:
        import ipywidgets as widgets

        session = session_of_page() or secrets.token_hex(8) if session is None else session
        self.play = Play(items, classes, store, session=session, player=player, seed=seed)
        self._head = widgets.HTML()
        self._picture = widgets.HTML()
        self._message = widgets.HTML()
        self._make_controls(widgets)
        self._board = BoardPanel(self.play)
        self._data = DataPanel(self.play, manage, self._after_deletion)
        folds = widgets.Accordion(
            [self._board.widget, self._data.widget], titles=("Scoreboard", "My data")
        )
        last = widgets.HBox([self._answer, self._resign])
        last.add_class("softcam-answers")
        first = widgets.HBox([self._more, self._progress])
        self._asking = box(first, self._words, self._classes, last)
        parts = (self._head, self._player, self._picture, self._message, self._again)
        self.widget = box(widgets.HTML(STYLE), *parts, self._asking, self._next, folds)
        self.widget.add_class("softcam-game")
        self._draw()

    def _make_controls(self, widgets: Any) -> None:
        wide = {"description_width": "initial"}
        roomy = widgets.Layout(width="min(36rem, 98%)")
        self._player = widgets.Text(
            self.play.player,
            description="Nickname (may stay empty; not your real name)",
            style=wide,
            layout=roomy,
        )
        # A value on leaving the field, and not with every key: many play on one machine.
        self._words = widgets.Text(
            description="What gives it away?",
            placeholder="a few words: what do you see?",
            continuous_update=False,
            style=wide,
            layout=roomy,
        )
        self._classes = widgets.ToggleButtons(
            options=self.play.classes, value=None, description="Your guess", style=wide
        )
        self._more = _button(widgets, "Show more", self._on_more)
        self._answer = _button(widgets, "Answer", self._on_answer, "primary")
        self._resign = _button(widgets, "I give up", self._on_resign)
        self._next = _button(widgets, "Next image", self._on_next, "primary")
        self._again = _button(widgets, "Try to save again", self._on_again, "warning")
        self._progress = widgets.HTML()
        self._classes.observe(lambda change: self._allow(), "value")

    def _on_more(self) -> None:
        if self.play.answer is None and self.play.item is not None:
            self.play.more()
            self._draw()
            if self.play.step == LAST:  # the button goes grey, and would lose the focus
                self._words.focus()

    def _on_answer(self) -> None:
        if self._classes.value is not None:
            self._finish(lambda words: self.play.guess(self._classes.value, words))

    def _on_resign(self) -> None:
        self._finish(self.play.resign)

    def _finish(self, how: Callable[[str], Round]) -> None:
        if self.play.answer is not None or self.play.item is None:
            return  # a second click that came before the page had changed
        self.play.player = self._player.value
        how(self._words.value)
        self._draw()
        self._board.draw()
        self._next.focus()

    def _on_next(self) -> None:
        if self.play.answer is not None:
            self.play.next()
            self._words.value, self._classes.value = "", None
            self._draw()
            self._more.focus()

    def _on_again(self) -> None:
        self.play.retry()
        self._draw()
        self._board.draw()

    def _after_deletion(self) -> None:
        self.play.refresh()
        self._words.value, self._classes.value = "", None
        self._draw()
        self._board.draw()

    def _draw(self) -> None:
        """Everything as the state of the game says."""
        play = self.play
        asking = play.item is not None and play.answer is None
        number = min(play.done + asking, play.total)
        self._head.value = (
            "<h2>What does the network look at?</h2>"
            "<p>You see a part of an image. What is it? Say what gives it away, and choose.</p>"
            f"<p>Image {number} of {play.total}. Right so far: {play.correct}. "
            f"Points: {play.points}.</p>"
        )
        self._picture.value = _pictures(play)
        self._message.value = _said(play)
        self._progress.value = f"Step {play.step + 1} of {len(STEPS)}"
        _show(self._asking, asking)
        _show(self._next, play.answer is not None)
        _show(self._again, bool(play.problem))
        self._allow()

    def _allow(self) -> None:
        self._more.disabled = self.play.step == LAST
        self._answer.disabled = self._classes.value is None


def session_of_page() -> str | None:
    """The session that the address of a Voila page names, `?session=...`; None elsewhere."""
    found = parse_qs(os.environ.get("QUERY_STRING", "")).get("session", [""])[0].strip()
    return found or None


def _button(widgets: Any, text: str, act: Callable[[], None], style: str = "") -> Any:
    button = widgets.Button(description=text, button_style=style)
    button.on_click(lambda _: act())
    return button


def _show(widget: Any, visible: bool) -> None:
    widget.layout.display = None if visible else "none"


def _part(step: int) -> str:
    return f"{100 * STEPS[step]:g} % of the image"


def _pictures(play: Play) -> str:
    """The image as far as it is shown; after the answer all of it beside what was shown."""
    if play.item is None:
        return ""
    now = revealed(play.item.image, play.item.cluster, STEPS[play.step])
    views = [(now, _part(play.step))]
    if play.answer is not None:
        views.append((play.picture(), "the whole image"))
    figures = (
        f'<figure><img alt="{text}" src="{_png(pixels)}"><figcaption>{text}</figcaption></figure>'
        for pixels, text in views
    )
    return f'<div class="softcam-views">{"".join(figures)}</div>'


def _png(pixels: np.ndarray) -> str:
    """(H, W, 3) uint8 as an address that holds the picture itself."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _said(play: Play) -> str:
    """What the last answer was worth, that all is done, or why rounds are not stored."""
    parts = []
    if play.answer is not None:
        truth = f"It is <b>{shown(play.answer.class_name)}</b>."
        if play.answer.resigned:
            parts.append(notice(truth))
        elif play.answer.correct:
            parts.append(notice(f"Right! {truth} Points: {play.answer.points}.", "good"))
        else:
            parts.append(notice(f"Not {shown(play.answer.guess)}. {truth}"))
        if play.answer.words:
            parts.append(notice(f"Your words: {shown(play.answer.words)}"))
    elif play.item is None:
        parts.append(notice("That was the last image. Thank you for playing!", "good"))
    if play.problem:
        parts.append(notice(f"<b>Not saved yet.</b> {shown(play.problem, 1000)}", "bad"))
    return "".join(parts)
