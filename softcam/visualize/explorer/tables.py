"""The tables of an explorer, as HTML: logits with bars, the answers about a region, top cells.

What a picture shows stands here as text as well, for readers who do not see it.
"""

from __future__ import annotations

import base64
from html import escape

import numpy as np

from softcam.evidence import SoftCAM
from softcam.visualize.explorer.drawing import as_pixels, png, sign_colour
from softcam.visualize.explorer.reading import Reading, read_explanation
from softcam.visualize.explorer.state import Answers, State
from softcam.visualize.explorer.words import number, percent, quantity
from softcam.visualize.style import COLOURS

__all__ = ["logit_table", "region_table", "top_cells"]

_MOST_CLASSES = 6
_TOP = 5  # cells of each sign
_IMAGE_SHARE = (
    '<p class="softcam-small">The image share of a cell is what the image adds to the number '
    "there, without the bias: (A &minus; bias) / number of cells. Its contribution, as the "
    "glossary has it, is its image share + bias / number of cells.</p>"
)
_WIDTH, _HEIGHT = 120, 22  # of a bar, in pixels


def logit_table(state: State) -> str:
    """A row a class: cells for it, against it, bias, logit, probability, and bars of these."""
    logits, chances = state.logits.tolist(), state.probabilities.tolist()
    order = sorted(range(len(logits)), key=lambda c: (c != state.target, -logits[c]))
    shown = sorted(order[:_MOST_CLASSES])
    heads = ["class", "logit", "probability"]
    numbers = {c: [logits[c]] for c in shown}
    bars = dict.fromkeys(shown, "")
    if isinstance(state.model, SoftCAM):
        centred = state.gauge == "centred"
        heads[1:2] = ["for", "against", "bias", "centred logit" if centred else "logit"]
        explanation = state.computing.explanation(state.model, state.shown)
        gauge = "centred" if centred else "raw"
        readings = {c: read_explanation(explanation, c, gauge) for c in shown}
        numbers = {c: [r.positive, r.negative, r.rest, r.value] for c, r in readings.items()}
        most = max(abs(each) for row in numbers.values() for each in row) or 1.0
        bars = {c: f"<td>{_bars(row, most)}</td>" for c, row in numbers.items()}
        heads.append("red for, blue against, orange bias, &#9670; logit")
    rows = []
    for c in shown:
        name = escape(state.names[c])
        texts = [*map(number, numbers[c]), percent(chances[c])]
        chosen = ' class="softcam-chosen"' if c == state.target else ""
        cells = "".join(f"<td>{text}</td>" for text in texts)
        rows.append(f'<tr{chosen}><th scope="row">{name}</th>{cells}{bars[c]}</tr>')
    caption = "What each logit is made of"
    if len(shown) < len(logits):
        caption += f" (the {len(shown)} highest of {len(logits)} classes)"
    return _table(caption, heads, rows)


def region_table(state: State, answers: Answers | None) -> str:
    """The number as it is, and what map, network and twins leave of it."""
    if answers is None:
        return (
            "<p>Drag a rectangle over the picture, or press Enter on a cell, to see what the map "
            "and the network say without it.</p>"
        )
    what = "outside" if state.keep else "in"
    hidden = escape(state.fill.replace("-", " "))
    rows = [("as it is", answers.value)]
    if answers.by_map is not None:
        rows.append((f"<b>the map</b> without the cells {what} the region", answers.by_map))
    text = f"<b>the network</b> shown {hidden} {'outside' if state.keep else 'inside'} it"
    rows.append((text, answers.by_network))
    for name, share, value in answers.twins:
        where = "" if share > 0.995 else f" ({share:.0%} of it inside)"
        rows.append((f"<b>the twin</b>, drawn without the {escape(name)}{where}", value))
    lines = []
    for place, (text, value) in enumerate(rows):
        lost = number(answers.value - value) if place else ""
        lines.append(f'<tr><th scope="row">{text}</th><td>{number(value)}</td><td>{lost}</td></tr>')
    table = _table(
        "What is left without it" if not state.keep else "What is left of it",
        ["who says so", escape(quantity(state)), "it loses"],
        lines,
    )
    return f'<div class="softcam-answers">{table}{_seen(answers)}</div>{_caution(state, answers)}'


def top_cells(state: State, reading: Reading | None) -> str:
    """The cells that speak most for and against, where they lie and their values."""
    if reading is None:
        return ""
    cells = reading.cells
    order = np.argsort(cells, axis=None, kind="stable")
    chosen = [i for i in order[::-1][:_TOP] if cells.flat[i] > 0]
    chosen += [i for i in order[:_TOP][::-1] if cells.flat[i] < 0]
    height, width = state.shown.size
    rows = []
    for i in chosen:
        row, column = divmod(int(i), cells.shape[1])
        x, y = column * width / cells.shape[1], row * height / cells.shape[0]
        texts = (row + 1, column + 1, f"{x:.0f}, {y:.0f}", number(float(cells.flat[i])))
        rows.append("<tr>" + "".join(f"<td>{text}</td>" for text in texts) + "</tr>")
    value = "image share" if reading.exact else "logits" if reading.in_logits else "value"
    heads = ["row", "column", "x, y in pixels", value]
    table = _table(
        f"Highest and lowest cells of {cells.shape[0]} &times; {cells.shape[1]}", heads, rows
    )
    return table + (_IMAGE_SHARE if reading.exact else "")


def _seen(answers: Answers) -> str:
    """What the network was shown."""
    data = base64.b64encode(png(as_pixels(answers.painted))).decode()
    return (
        '<figure><img alt="the image as it was put to the network, painted over" '
        f'src="data:image/png;base64,{data}"><figcaption>shown to the network</figcaption></figure>'
    )


def _caution(state: State, answers: Answers) -> str:
    text = (
        "The map's number is exact about the map, and only a guess about pixels: a cell sees "
        "more of the image than its own square."
    )
    if answers.by_map is None:
        text = "This map is not in logits, so it does not say how much of the logit is lost."
    if state.waits:
        text = "The map says nothing before it is computed."
    text += " The network sees what is painted, too: try another fill."
    if state.shown.data is not None:
        text += (
            " A twin takes a part out whole, so there is none for what is kept."
            if state.keep
            else " The twin needs no paint: it is the image drawn again without one part."
        )
        if len(answers.twins) > 1:
            text += " What several parts add need not sum to what they add together."
    return f'<p class="softcam-small">{text}</p>'


def _bars(row: list[float], most: float) -> str:
    """For and against from the middle line, the bias below them, the logit as a diamond."""
    positive, negative, bias, value = (each / most * (_WIDTH / 2 - 6) for each in row)
    middle = _WIDTH / 2
    blue, red = sign_colour(-1), sign_colour(1)

    def bar(length: float, top: int, colour: str) -> str:
        left = middle + min(length, 0)
        return (
            f'<rect x="{left:.1f}" y="{top}" width="{abs(length):.1f}" height="8" fill="{colour}"/>'
        )

    x = middle + value
    diamond = f"M{x:.1f} 4 l5 7 l-5 7 l-5 -7 z"
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" aria-hidden="true">'
        f"{bar(positive, 2, red)}{bar(negative, 2, blue)}{bar(bias, 12, COLOURS[4])}"
        f'<path d="M{middle} 0 v{_HEIGHT}" stroke="currentColor"/>'
        f'<path d="{diamond}" fill="currentColor" stroke="#fff" stroke-width="1"/></svg>'
    )


def _table(caption: str, heads: list[str], rows: list[str]) -> str:
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    return (
        f'<table class="softcam-table"><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
