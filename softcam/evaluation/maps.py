"""Where maps come from: a method on a model, kept on disk, or a file from elsewhere.

Every map is computed once a run, method and image, and read again for each measure, so memory
does not grow with the split and a killed evaluation loses one piece.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.data.records import ImageSet
from softcam.evaluation.question import Question, output_index
from softcam.evaluation.subjects import Model, Subject
from softcam.explainers import Explainer, class_maps
from softcam.explainers.gauges import GAUGES, in_gauge
from softcam.outside import OutsideMaps
from softcam.shards import Shards

__all__ = [
    "BATCH",
    "Found",
    "MapStore",
    "Source",
    "method_code",
    "outside_sources",
    "predictions",
    "sources_of",
]

BATCH = 32  # images a forward pass, and a piece on disk
Read = Callable[[np.ndarray, np.ndarray], Tensor]  # image indices, classes -> maps (n, h, w)
Chosen = Callable[[Explainer], np.ndarray | None]


@dataclass(frozen=True)
class Source:
    """Maps under evaluation: one method on one model, in one gauge.

    Attributes:
        keys: the columns that say whose maps these are.
        method: its name in the table.
        gauges: under which names its values stand. With two classes the centred map is half the
            contrast, to which no measure on maps is sensitive: measured once, listed twice.
        read: image indices and classes (n,) to maps (n, h, w); NaN where there is none.
        every_class: whether `read` gives a map of any class.
        images: indices of the images that have a map, where they are a choice; None for all. The
            others are NaN.
    """

    keys: Mapping[str, Any]
    method: str
    gauges: tuple[str, ...]
    read: Read
    every_class: bool = True
    images: np.ndarray | None = None

    def among(self, indices: np.ndarray) -> np.ndarray:
        """Those of these images that have a map."""
        return indices if self.images is None else indices[np.isin(indices, self.images)]


class Found(NamedTuple):
    """Maps that were examined: of which images, and in answer to which question."""

    data: ImageSet
    question: str
    source: Source

    def answers(self, data: ImageSet, question: Question) -> bool:
        """Whether they are of these images and answer this question."""
        own, other = ((each.fingerprint, each.split) for each in (self.data, data))
        return own == other and self.question == question.name


@dataclass(frozen=True)
class MapStore:
    """The maps of one method on one model, by image of a split.

    Attributes:
        method: the explainer.
        shards: `logits` (n, C) and `maps` (n, C, h, w), or (n, 1, h, w) where the method has
            one map for all classes, or is asked for the target's alone.
        link: of the model.
    """

    method: Explainer
    shards: Shards
    link: str

    @classmethod
    def open(
        cls, subject: Subject, model: Model, method: Explainer, question: Question
    ) -> MapStore:
        """The store of this model and method; filled by `fill`."""
        code = method_code(method)
        root = None if code is None else subject.cache
        target = None if _every_class(method) else question.name
        key = subject.key(method=method.name, function=code, target=target)
        return cls(method, Shards.open(root, f"maps-{method.name}", key, BATCH), model.link)

    def fill(
        self, subject: Subject, model: Model, question: Question, images: np.ndarray,
        step: Callable[[int], object],
    ) -> None:  # fmt: skip
        """Compute what is missing for these images."""
        device = next(model.parameters()).device

        def compute(rows: np.ndarray) -> dict[str, np.ndarray]:
            indices = images[rows]
            pixels = subject.data.batch(indices).to(device)
            if self.every_class:
                logits, maps = class_maps(self.method.name, model, pixels)
                self._check(maps, 4, len(rows))
                return {"logits": _array(logits), "maps": _array(maps)}
            targets = output_index(question.targets[indices], subject.outputs).to(device)
            maps = self.method(model, pixels, targets)
            self._check(maps, 3, len(rows))
            return {"maps": _array(maps[:, None])}

        self.shards.fill(images, compute, step)

    def read(self, gauge: str, indices: np.ndarray, classes: np.ndarray) -> Tensor:
        """Maps (n, h, w) of these images and classes in one gauge."""
        found = {name: torch.from_numpy(each) for name, each in self.shards.take(indices).items()}
        if "logits" not in found:
            return found["maps"][:, 0]
        targets = output_index(classes, found["logits"].shape[1])
        return in_gauge(gauge, found["maps"], found["logits"], targets)

    @property
    def every_class(self) -> bool:
        """Whether the maps of all classes are computed, from which the gauges are read.

        A method without gauges, or one that is run anew for each class, explains the target.
        """
        return _every_class(self.method)

    def _check(self, maps: Tensor, axes: int, images: int) -> None:
        if maps.ndim != axes or len(maps) != images:
            raise SoftCAMError(
                f"the method {self.method.name!r} returned maps of shape {tuple(maps.shape)} for "
                f"{images} images: an explainer returns one map (h, w) an image and class."
            )


def sources_of(
    subject: Subject, model: Model, question: Question, images: np.ndarray,
    step: Callable[[int], object], chosen: Chosen = lambda _: None,
) -> list[Source]:  # fmt: skip
    """Every method of a subject in each of its gauges, with the maps of these images computed.

    Args:
        chosen: for a method the images it is asked about at most; None for all of them.
    """
    found = []
    for method in subject.methods:
        store = MapStore.open(subject, model, method, question)
        among = chosen(method)
        own = images if among is None else np.intersect1d(images, among)
        store.fill(subject, model, question, own, step)
        step(len(images) - len(own))
        for gauges in _gauges(method, store.link, subject.outputs):
            read = _reader(store, gauges[0], among)
            whole = store.every_class or gauges == ("-",)
            found.append(Source(subject.keys, method.name, gauges, read, whole, among))
    return found


def outside_sources(maps: OutsideMaps, keys: Mapping[str, Any]) -> list[Source]:
    """Maps from a file: raw, and in every gauge where the file holds the maps of all classes."""
    outputs = maps.logits.shape[1]
    if not maps.all_classes:

        def one(indices: np.ndarray, classes: np.ndarray) -> Tensor:
            return maps.target_maps(indices, output_index(classes, outputs).numpy())

        return [Source(keys, maps.name, ("raw",), one, every_class=False)]

    def reader(gauge: str) -> Read:
        def read(indices: np.ndarray, classes: np.ndarray) -> Tensor:
            every, logits = maps.every(indices), torch.from_numpy(maps.logits[indices])
            return in_gauge(
                gauge, every, logits.nan_to_num(), output_index(classes, every.shape[1])
            )

        return read

    names = _class_gauges(maps.link, outputs)
    return [Source(keys, maps.name, gauges, reader(gauges[0])) for gauges in names]


def predictions(subject: Subject, model: Model, step: Callable[[int], object]) -> np.ndarray:
    """Logits (N, C) of the whole split, kept with the run."""
    every = np.arange(len(subject.data))
    shards = Shards.open(subject.cache, "logits", subject.key(), BATCH)
    device = next(model.parameters()).device

    @torch.no_grad()
    def compute(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {"logits": _array(model(subject.data.batch(rows).to(device)).float())}

    shards.fill(every, compute, step)
    return shards.take(every)["logits"]


def method_code(method: Explainer) -> str | None:
    """The text of a method's functions; None where Python does not know it.

    What is kept of a method from outside the package is used again only with the same text.
    """
    functions = [each for each in (method.function, method.all_classes) if each is not None]
    try:
        return "\n".join(inspect.getsource(each) for each in functions)
    except (OSError, TypeError):
        return None


def _every_class(method: Explainer) -> bool:
    one_by_one = method.all_classes is None and method.gauges == ("raw",)
    return method.gauges != ("-",) and not one_by_one


def _gauges(method: Explainer, link: str, outputs: int) -> list[tuple[str, ...]]:
    if method.gauges == ("-",):
        return [("-",)]
    every = _class_gauges(link, outputs)
    own = [tuple(name for name in names if name in method.gauges) for names in every]
    return [names for names in own if names]


def _class_gauges(link: str, outputs: int) -> list[tuple[str, ...]]:
    if link == "sigmoid" or outputs == 1:  # the zero of a sigmoid is fixed
        return [("raw",)]
    if outputs == 2:
        return [("raw",), ("contrast", "centred")]
    return [(name,) for name in GAUGES]


def _reader(store: MapStore, gauge: str, among: np.ndarray | None) -> Read:
    if among is None:
        return lambda indices, classes: store.read(gauge, indices, classes)

    def read(indices: np.ndarray, classes: np.ndarray) -> Tensor:
        known = np.isin(indices, among)
        if not known.any():
            return torch.full((len(indices), 1, 1), torch.nan)
        some = store.read(gauge, indices[known], classes[known])
        maps = some.new_full((len(indices), *some.shape[1:]), torch.nan)
        maps[torch.from_numpy(known)] = some
        return maps

    return read


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
