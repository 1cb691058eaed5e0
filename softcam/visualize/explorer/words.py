"""What an explorer says in sentences: the sum spelled out, what a map costs, which zero is read."""

from __future__ import annotations

from html import escape

import numpy as np

from softcam.evidence import SoftCAM
from softcam.explainers import explainers
from softcam.visualize.explorer.drawing import colour_stops, sign_colour
from softcam.visualize.explorer.reading import Reading
from softcam.visualize.explorer.state import State

__all__ = [
    "GAUGE_NAMES",
    "colour_bar",
    "cost",
    "describe_picture",
    "no_maps",
    "number",
    "percent",
    "quantity",
    "spelled_out",
    "swatch",
]

GAUGE_NAMES = {
    "raw": "raw: evidence for the class",
    "centred": "centred: minus the mean of all classes",
    "contrast": "contrast: rather than the runner-up",
    "-": "one map for all classes",
}


def number(value: float) -> str:
    """A signed number with three digits after the point, and a true minus sign."""
    text = f"{value:+.3f}" if abs(value) < 1e4 else f"{value:+.3g}"
    return ("0.000" if float(text) == 0 else text).replace("-", "\u2212")


def percent(share: float) -> str:
    """A probability in percent; one that is not sure is never called so."""
    if share > 0.99999 or share < 0.00001:
        return "over 99.999%" if share > 0.5 else "under 0.001%"
    return f"{share:.3%}" if share > 0.9995 or share < 0.0005 else f"{share:.1%}"


def quantity(state: State) -> str:
    """What the map is about, in words: `logit of opacity`, or what its gauge makes of it."""
    name = state.names[state.target]
    if state.gauge == "centred":
        return f"logit of {name} minus the mean of all logits"
    if state.other is not None:
        return f"logit of {name} minus logit of {state.names[state.other]}"
    return f"logit of {name}"


def spelled_out(state: State, reading: Reading | None) -> str:
    """HTML: cells for it, cells against it and bias, and what they add up to."""
    title = escape(explainers()[state.method].title)
    if reading is None:
        return f"The map of {title} is not computed yet."
    name, value = escape(quantity(state)), f"<b>{number(reading.value)}</b>"
    if not reading.in_logits:
        return (
            f"The values of {title} are no logits: they only say which place counts more. They do "
            f"not add up to the {name}, {value}."
        )
    cells = reading.cells
    both = (
        f"{swatch(1)}{number(reading.positive)} from {_count(cells > 0)} for it, "
        f"{swatch(-1)}{number(reading.negative)} from {_count(cells < 0)} against it"
    )
    if reading.exact:
        return f"{value}, the {name}, is exactly {both}, and {number(reading.rest)} bias."
    rest, bias = number(reading.rest), state.bias
    if bias is not None and abs(reading.rest - bias) < 1e-3 * max(1, abs(reading.value)):
        left = f"{rest} is left, which here is the bias."
    else:
        left = f"{rest} is in no cell: nothing makes the cells of this map add up to the logit."
    return (
        f"{both} = {number(reading.positive + reading.negative)}, but the {name} is {value}: "
        f"{left} {title} was computed after the prediction."
    )


def _count(chosen: np.ndarray) -> str:
    count = int(chosen.sum())
    return f"{count} cell" if count == 1 else f"{count} cells"


def cost(state: State) -> str:
    """What the chosen map would take on this machine."""
    seconds = state.passes * state.computing.seconds_a_pass
    took = "less than a second" if seconds < 1 else f"about {seconds:.0f} s"
    title = explainers()[state.method].title
    return f"{title} costs about {state.passes} forward passes: {took} here."


def colour_bar(limit: float, reading: Reading, shared: bool) -> str:
    """HTML: the colours from one end to the other with their unit; read out as one sentence."""
    scale = "the same for all images and networks" if shared else "this map alone"
    middle = reading.middle
    low, high = (f"{middle + each * limit:+.2g}".replace("-", "\u2212") for each in (-1, 1))
    if reading.in_logits:
        unit = "image share of a cell, in logits" if reading.exact else "logits a cell"
        ends, centre = ("against", "for"), "0"
    else:
        unit, ends, centre = "value of the map, in no unit", ("less", "more"), "0"
    if middle:
        centre = f"{middle:+.2g} (its mean)".replace("-", "\u2212")
    spoken = (
        f"Colours: blue is {low}, {ends[0]}; grey is {centre}; red is {high}, {ends[1]}. "
        f"Unit: {unit}. Scale: {scale}."
    )
    return (
        f'<div class="softcam-bar" role="img" aria-label="{spoken}">'
        f'<div style="background:linear-gradient(to right, {", ".join(colour_stops())})"></div>'
        f"<p><span>{low} {ends[0]}</span><span>{centre}</span><span>{high} {ends[1]}</span></p>"
        f"<p><span>{unit}; scale: {scale}</span></p></div>"
    )


def describe_picture(state: State, reading: Reading | None) -> str:
    """One sentence for readers who cannot see the picture."""
    picture = state.shown
    truth = f", in truth {picture.truth}" if picture.truth else ""
    height, width = picture.size
    image = f"Image {picture.name}{truth}, {width} by {height} pixels"
    if reading is None:
        return f"{image}, without a map."
    rows, columns = reading.cells.shape
    title = explainers()[state.method].title
    return f"{image}, under the {title} map of {rows} by {columns} cells for {quantity(state)}."


def swatch(sign: int) -> str:
    """A small square in the colour of a sign."""
    style = f"background:{sign_colour(sign)}"
    return f'<span class="softcam-swatch" aria-hidden="true" style="{style}"></span>'


def no_maps(state: State) -> str:
    """What to say of a network without evidence maps; empty for a SoftCAM."""
    if isinstance(state.model, SoftCAM):
        return ""
    return (
        "<p>This network is a black box: it has no evidence maps. The maps on offer are computed "
        "after the prediction. <code>to_softcam</code> makes a SoftCAM of it.</p>"
    )
