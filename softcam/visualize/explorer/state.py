"""The explorer without its widgets: what is chosen, and every number that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor

from softcam.common import SoftCAMError, as_integer, choose
from softcam.evidence import SoftCAM
from softcam.explainers import Explainer, explainers
from softcam.explainers.registry import check_needs
from softcam.visualize.explorer.asking import Part, fills_of
from softcam.visualize.explorer.computing import Computing
from softcam.visualize.explorer.pictures import Picture, renamed
from softcam.visualize.explorer.reading import (
    Reading,
    highest_other,
    number_of,
    read_explanation,
    read_method,
)
from softcam.visualize.explorer.region import Region
from softcam.visualize.explorer.subjects import Model, Subject

__all__ = ["COSTLY", "MOST_UPLOADS", "Answers", "State"]

COSTLY = 20  # forward passes; a map that costs more is computed when it is asked for, not before
MOST_UPLOADS = 8
_CHOICES = ("subject", "picture", "method", "target", "gauge", "region", "keep", "fill")
_FIRST = ("softcam", "grad-cam")
_AFTER = {"images": 1, "nothing": 2}  # by what a method needs: controls come last


@dataclass(frozen=True)
class Answers:
    """What happens to the number shown when a region is erased, or all but it.

    Attributes:
        value: the number as it is: a logit, a centred logit or a difference of two.
        by_map: what the map leaves of it; None where the map is not in logits.
        by_network: what the network says of the image that was painted over.
        painted: that image, (3, H, W).
        twins: of each part of a phantom of which at least half lies in the region: its name, the
            share that does, and what the network says of the twin without it.
    """

    value: float
    by_map: float | None
    by_network: float
    painted: Tensor
    twins: tuple[tuple[str, float, float], ...] = ()


class State:
    """What an explorer shows.

    Args:
        subjects: networks for the same classes.
        pictures: one or more images.

    Attributes:
        subject, picture: indices of what is shown.
        method: name of the explainer.
        target: the class, counted from 0.
        gauge: `raw`, `centred`, `contrast`, or `-` where all classes share the map.
        region: what is erased or, with `keep`, what is kept; None for nothing.
        fill: what the network is shown in place of what is gone.
    """

    def __init__(self, subjects: Sequence[Subject], pictures: Sequence[Picture]) -> None:
        self.subjects, self.pictures = tuple(subjects), list(pictures)
        self.computing = Computing()
        self.subject = self.picture = 0
        self.region: Region | None = None
        self.keep = False
        self.target = int(self.logits.argmax())
        self.method, self.gauge, self.fill = "", "raw", ""
        self._limit: float | None = None
        self._asked: set[tuple[Any, ...]] = set()  # costly maps that were asked for
        self._settle()

    @property
    def model(self) -> Model:
        return self.subjects[self.subject].model

    @property
    def shown(self) -> Picture:
        return self.pictures[self.picture]

    @property
    def logits(self) -> Tensor:
        """(C,) of the picture shown."""
        return self.computing.logits(self.model, self.shown)

    @property
    def probabilities(self) -> Tensor:
        """(C,) of the picture shown."""
        return self.model.probabilities(self.logits[None])[0]

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each logit; of a single one that of the class it speaks for."""
        count, classes = len(self.logits), self.subjects[self.subject].classes
        return classes[-count:] if classes else tuple(f"class {c}" for c in range(count))

    @property
    def methods(self) -> list[Explainer]:
        """The explainers that this network can be asked for, SoftCAM's own first."""
        found = []
        for each in explainers().values():
            try:
                check_needs(each, self.model)
            except SoftCAMError:
                continue
            if not each.experimental and (each.needs != "features" or self._channels is not None):
                found.append(each)
        return sorted(found, key=lambda e: (e.name not in _FIRST, _AFTER.get(e.needs, 0),
                                            e.needs != "evidence", e.title))  # fmt: skip

    @property
    def gauges(self) -> tuple[str, ...]:
        """The zeros in which the map can be read; a sigmoid's zero is fixed."""
        own = tuple(explainers()[self.method].gauges)
        if own == ("-",) or (self.model.link == "softmax" and len(self.logits) > 1):
            return own
        return ("raw",)

    @property
    def other(self) -> int | None:
        """The class that a contrast is against; None in another gauge."""
        return highest_other(self.logits, self.target) if self.gauge == "contrast" else None

    def choose(self, **given: Any) -> None:
        """Set some of the attributes; of the others what no longer fits is put right.

        Raises:
            SoftCAMError: a value that there is not; nothing has changed then.
        """
        for name in given:
            choose("choice", name, _CHOICES)
        before = self.snapshot()
        try:
            for name in _CHOICES:  # in this order, for the methods depend on the subject
                if name in given:
                    self._check(name, given[name])
                    setattr(self, name, given[name])
            self._settle()
        except SoftCAMError:
            self.restore(before)
            raise

    def snapshot(self) -> dict[str, Any]:
        """All that was chosen, brought and asked for; `restore` goes back to it."""
        return {name: copy(getattr(self, name)) for name in (*_CHOICES, "pictures", "_asked")}

    def restore(self, before: dict[str, Any]) -> None:
        """Go back to a `snapshot`."""
        for name, value in before.items():
            setattr(self, name, copy(value))

    def _check(self, name: str, value: Any) -> None:
        counts = {"subject": len(self.subjects), "picture": len(self.pictures)}
        counts["target"] = len(self.logits)
        if name in counts:
            as_integer(name, value, 0, counts[name] - 1)
        elif name == "method":
            choose("explainer", value, [each.name for each in self.methods])
        elif name == "gauge":
            choose("gauge", value, self.gauges)
        elif name == "fill":
            choose("fill", value, fills_of(self.model))

    def _settle(self) -> None:
        names = [each.name for each in self.methods]
        self.method = self.method if self.method in names else names[0]
        self.gauge = self.gauge if self.gauge in self.gauges else self.gauges[0]
        fills = fills_of(self.model)
        self.fill = self.fill if self.fill in fills else fills[0]
        if self.region is not None:
            self.region = Region.inside(astuple(self.region), self.shown.size)

    def add(self, picture: Picture) -> None:
        """Show a picture that a reader brought; of too many the oldest goes.

        Raises:
            SoftCAMError: the network cannot take it; it is not added then.
        """
        picture = renamed(picture, (each.name for each in self.pictures))
        self.computing.logits(self.model, picture)  # before it is among the others
        own = [each for each in self.pictures if each.uploaded]
        if len(own) >= MOST_UPLOADS:
            self.pictures.remove(own[0])
            self.computing.forget(own[0])
        self.pictures.append(picture)
        self.choose(picture=len(self.pictures) - 1, region=None)

    @property
    def passes(self) -> int:
        """About how many forward passes the chosen map will cost; 0 if it is there."""
        there = self.computing.has_map(self.model, self.shown, self.method, self.target)
        there = there or self.method == "softcam"
        return 0 if there else self.passes_of(explainers()[self.method])

    def passes_of(self, method: Explainer) -> int:
        """About how many forward passes a map of a method costs."""
        return (self._channels or 0) + 1 if method.forwards == "channels" else method.forwards

    @property
    def _channels(self) -> int | None:
        return self.computing.channels(self.model, self.shown)

    @property
    def waits(self) -> bool:
        """Whether the chosen map costs so much that it has to be asked for, by `compute`."""
        return self.passes > COSTLY and self._costly not in self._asked

    def compute(self) -> None:
        """Ask for the costly map."""
        self._asked.add(self._costly)

    @property
    def _costly(self) -> tuple[Any, ...]:
        return self.subject, self.shown.name, self.method, self.target

    def reading(self) -> Reading | None:
        """The map chosen and its number; None while a costly one has not been asked for."""
        if self.method == "softcam":
            assert isinstance(self.model, SoftCAM)  # the only kind that offers it
            explanation = self.computing.explanation(self.model, self.shown)
            return read_explanation(explanation, self.target, self.gauge)
        if self.waits:
            return None
        maps = self.computing.maps(self.model, self.shown, self.method, self.target)
        method = explainers()[self.method]
        return read_method(method, maps[self.gauge], self.logits, self.target, self.gauge)

    @property
    def bias(self) -> float | None:
        """The bias behind the number shown; None of a black box, which may have any head."""
        if not isinstance(self.model, SoftCAM):
            return None
        bias = self.computing.explanation(self.model, self.shown).bias
        return self._number(bias)

    def limit(self, progress: Callable[[Sequence[Any]], Iterable[Any]] = iter) -> float:
        """The value at full colour, in logits a cell: once for all images and networks.

        Args:
            progress: wraps the list of what has to be computed the first time, as tqdm does.
        """
        if self._limit is None:
            models = [each.model for each in self.subjects]
            self._limit = self.computing.limit(models, self.pictures, progress)
        return self._limit

    def answers(self) -> Answers | None:
        """What the map, the network and the twins say of the region; None without one."""
        if self.region is None:
            return None
        reading = self.reading()
        value = self._number(self.logits)
        by_map = None
        if reading is not None and reading.in_logits:
            rows, columns = reading.cells.shape
            shares = self.region.shares((rows, columns), self.shown.size)
            by_map = value - reading.lost(shares, self.keep)
        painted, logits = self.computing.painted(
            self.model, self.shown, self.region, self.keep, self.fill
        )
        return Answers(value, by_map, self._number(logits), painted, self._twins(value))

    def parts(self) -> list[Part]:
        """The parts of the phantom shown; none of another image."""
        return self.computing.parts(self.model, self.shown)

    def _number(self, logits: Tensor) -> float:
        return number_of(logits, self.target, self.gauge, self.other)

    def _twins(self, value: float) -> tuple[tuple[str, float, float], ...]:
        if self.region is None or self.keep:  # a twin lacks one part: it cannot keep only one
            return ()
        found = []
        for part in self.parts():
            share = part.share_in(self.region)
            if share >= 0.5:
                lost = self._number(torch.from_numpy(part.change))
                found.append((part.name, share, value - lost))
        return tuple(found)
