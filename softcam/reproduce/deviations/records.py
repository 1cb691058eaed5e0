"""A difference, the effect it should have, and the effect it has."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass

__all__ = ["AGREES", "NOT_HERE", "Effect", "Measured", "Trap", "agreement"]

NOT_HERE = "not measured here"
AGREES = ("yes", "no", "undecided", NOT_HERE)


@dataclass(frozen=True)
class Effect:
    """A quantity and its prediction.

    Attributes:
        id: unique; `softcam.reproduce.deviations` measures it under this name.
        quantity: what is measured, with its unit.
        predicted: in words.
        least, most: the measured value is predicted to lie between them, bounds included.
        reason: why.
    """

    id: str
    quantity: str
    predicted: str
    least: float
    most: float
    reason: str


@dataclass(frozen=True)
class Trap:
    """A difference between the paper, its public code and this project.

    Attributes:
        id: unique.
        topic: one word, for tables.
        paper, code, ours: what each says or does.
        effects: what it should change.
        not_measured: why there are none; empty if there are.
        committed: when the predictions were written down.
    """

    id: str
    topic: str
    paper: str
    code: str
    ours: str
    effects: tuple[Effect, ...]
    not_measured: str
    committed: datetime.date


@dataclass(frozen=True)
class Measured:
    """A measured effect.

    Attributes:
        value: NaN where it is undefined; `data` then says why.
        low, high: its 95 % interval; NaN for what has none, such as a closed form.
        n: how many `unit` are behind it.
        unit: images, runs, batches; `-` for a closed form.
        data: on what.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    unit: str = "-"
    data: str = "closed form"


def agreement(effect: Effect, found: Measured) -> str:
    """Does a measurement agree with its prediction? One of `AGREES`.

    `yes`: the whole interval lies in the predicted range (the value, where there is no interval);
    `no`: none of it does; `undecided`: it crosses a bound of the range.
    """
    if math.isnan(found.value):
        return NOT_HERE
    known = not (math.isnan(found.low) or math.isnan(found.high))
    low, high = (found.low, found.high) if known else (found.value, found.value)
    if effect.least <= low and high <= effect.most:
        return "yes"
    return "no" if high < effect.least or low > effect.most else "undecided"
