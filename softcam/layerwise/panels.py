"""The folded parts below the game: the scoreboard, and what is stored with the way to delete it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from softcam.common import SoftCAMError
from softcam.layerwise.play import Play
from softcam.layerwise.records import shown

__all__ = ["STYLE", "BoardPanel", "DataPanel", "box", "notice"]

STYLE = """<style>
.softcam-game { max-width: 64rem; padding: 0 .5rem; }
.softcam-game h2, .softcam-game p { margin: .3rem 0; }
.softcam-views { display: flex; flex-wrap: wrap; gap: 1rem; }
.softcam-views figure { margin: 0; }
.softcam-views img { width: min(22rem, 90vw); height: auto; display: block; }
.softcam-notice { padding: .4rem .7rem; margin: .2rem 0; border-left: .3rem solid #767676;
  background: #f2f2f2; color: #1a1a1a; overflow-wrap: anywhere; max-width: 46rem; }
.softcam-good { border-color: #009e73; }
.softcam-bad { border-color: #d55e00; }
.softcam-board td, .softcam-board th { padding: .1rem .8rem; text-align: right; }
.softcam-board td:first-child, .softcam-board th:first-child { text-align: left;
  overflow-wrap: anywhere; }
.softcam-answers { margin-top: .6rem; }
.softcam-game button:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
.softcam-game .widget-toggle-buttons, .softcam-game .widget-text { height: auto; }
</style>"""
_STORED = """<p>Stored for each image you answer: its name and what was shown of it, your guess,
your words, the time, and your nickname if you typed one. Nothing else about you. It stays in this
file, and is sent nowhere:</p><p><code>{path}</code></p>"""


def box(*children: Any) -> Any:
    """Widgets one below the other."""
    import ipywidgets as widgets

    return widgets.VBox(children)


def notice(text: str, kind: str = "plain") -> str:
    """HTML that a screen reader reads out when it appears; `text` is escaped by the caller."""
    return f'<div role="status" class="softcam-notice softcam-{kind}">{text}</div>'


class BoardPanel:
    """The best sessions, and one's own."""

    def __init__(self, play: Play, rows: int = 20) -> None:
        import ipywidgets as widgets

        self.play, self.rows = play, rows
        self._table = widgets.HTML()
        refresh = widgets.Button(description="Refresh")
        refresh.on_click(lambda _: self.draw())
        self.widget = box(self._table, refresh)
        self.draw()

    def draw(self) -> None:
        """The board as the store has it now."""
        try:
            board = self.play.store.scoreboard().to_dict("records")
        except SoftCAMError as error:
            self._table.value = notice(shown(str(error), 1000), "bad")
            return
        head = "".join(f"<th>{name}</th>" for name in ("player", "points", "right", "rounds"))
        lines = []
        for place, row in enumerate(board, 1):
            own = row["session"] == self.play.session
            if place <= self.rows or own:
                player = shown(row["player"], 40) or "(no name)"
                name = f"{place}. {player}{' (you)' if own else ''}"
                cells = (name, row["points"], row["correct"], row["rounds"])
                lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
        table = f'<table class="softcam-board"><tr>{head}</tr>{"".join(lines)}</table>'
        self._table.value = table if lines else "<p>Nobody has finished a round yet.</p>"


class DataPanel:
    """What is stored and where; delete one's own rounds, and with `manage` those of all."""

    def __init__(self, play: Play, manage: bool, deleted: Callable[[], None]) -> None:
        import ipywidgets as widgets

        self.play, self._deleted = play, deleted
        self._everyone = False  # whose rounds are to be deleted
        self._said = widgets.HTML()
        own = self._button("Delete my rounds", lambda: self._ask(False))
        buttons = [own]
        if manage:
            buttons.append(self._button("Delete everyone's rounds", lambda: self._ask(True)))
            buttons.append(self._button("Save all as CSV", self._export))
        self._yes = self._button("Yes, delete", self._delete, "danger")
        self._no = self._button("No, keep", self._keep)
        self._sure = widgets.HBox([self._yes, self._no])
        self._sure.layout.display = "none"
        text = widgets.HTML(_STORED.format(path=shown(str(play.store.path), 1000)))
        self.widget = box(text, widgets.HBox(buttons), self._said, self._sure)

    def _button(self, text: str, act: Callable[[], None], style: str = "") -> Any:
        import ipywidgets as widgets

        button = widgets.Button(description=text, button_style=style)
        button.layout.width = "auto"
        button.on_click(lambda _: act())
        return button

    def _ask(self, everyone: bool) -> None:
        self._everyone = everyone
        whose = "the rounds of all players" if everyone else "all your rounds"
        self._said.value = notice(f"Really delete {whose}? They cannot be brought back.", "bad")
        self._sure.layout.display = None
        self._no.focus()

    def _keep(self) -> None:
        self._sure.layout.display = "none"
        self._said.value = notice("Nothing was deleted.")

    def _delete(self) -> None:
        self._sure.layout.display = "none"
        try:
            count = self.play.store.delete(None if self._everyone else self.play.session)
            self._deleted()
        except SoftCAMError as error:
            self._said.value = notice(shown(str(error), 1000), "bad")
        else:
            self._said.value = notice(f"Deleted: {count} rounds.", "good")

    def _export(self) -> None:
        try:
            path = self.play.store.export_csv(self.play.store.path.with_suffix(".csv"))
        except (SoftCAMError, OSError) as error:
            self._said.value = notice(shown(str(error), 1000), "bad")
        else:
            self._said.value = notice(f"Saved: <code>{shown(str(path), 1000)}</code>", "good")
