"""Where maps come from: a method on a model, kept on disk, or a file from elsewhere.

Every map is computed once a run, method and image, and read again for each measure, so memory
does not grow with the split and a killed evaluation loses one piece.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softcam.common import digest
from softcam.evaluate.question import Question, output_index
from softcam.evaluate.subjects import Model, Subject
from softcam.explainers import Explainer, class_maps
from softcam.explainers.gauges import GAUGES, in_gauge
from softcam.outside import OutsideMaps
from softcam.shards import Shards, code_digest

__all__ = ["BATCH", "MapStore", "Source", "outside_sources", "predictions", "sources_of"]

BATCH = 32  # images a forward pass, and a piece on disk
Read = Callable[[np.ndarray, np.ndarray], Tensor]  # image indices, classes -> maps (n, h, w)


@dataclass(frozen=True)
class Source:
    """Maps under evaluation: one method on one model, in one gauge.

    Attributes:
        keys: the columns that say whose maps these are.
        method: its name in the table.
        gauges: under which names its values stand. With two classes the centred map is half the
            contrast, to which no measure on maps is sensitive: measured once, listed twice.
        read: image indices and classes (n,) to maps (n, h, w); NaN where there is none.
        digest: of everything the maps depend on.
        every_class: whether `read` gives a map of any class.
    """

    keys: Mapping[str, Any]
    method: str
    gauges: tuple[str, ...]
    read: Read
    digest: str
    every_class: bool = True


@dataclass(frozen=True)
class MapStore:
    """The maps of one method on one model, for some images of a split.

    Attributes:
        method: the explainer.
        images: indices into the split, sorted.
        shards: `logits` (n, C) and `maps` (n, C, h, w), or (n, 1, h, w) where the method has
            one map for all classes.
        link: of the model.
        digest: of everything the maps depend on.
    """

    method: Explainer
    images: np.ndarray
    shards: Shards
    link: str
    digest: str

    @classmethod
    def open(
        cls, subject: Subject, model: Model, method: Explainer, images: np.ndarray
    ) -> MapStore:
        """The store of this model, method and images; filled by `fill`."""
        key = _key(subject, images, method=method.name, function=_source_code(method))
        shards = Shards.open(subject.cache, f"maps-{method.name}", key, len(images), BATCH)
        return cls(method, images, shards, model.link, digest(key))

    def fill(
        self, subject: Subject, model: Model, question: Question, step: Callable[[int], object]
    ) -> None:
        """Compute what is missing."""
        device = next(model.parameters()).device

        def compute(rows: np.ndarray) -> dict[str, np.ndarray]:
            indices = self.images[rows]
            images = subject.data.batch(indices).to(device)
            if self.method.gauges != ("-",):
                logits, maps = class_maps(self.method.name, model, images)
                return {"logits": _array(logits), "maps": _array(maps)}
            targets = output_index(question.targets[indices], subject.outputs).to(device)
            maps = self.method(model, images, targets)[:, None]
            return {"maps": _array(maps)}

        self.shards.fill(compute, step)

    def read(self, gauge: str, indices: np.ndarray, classes: np.ndarray) -> Tensor:
        """Maps (n, h, w) of these images and classes in one gauge."""
        rows = np.searchsorted(self.images, indices)
        maps = torch.from_numpy(self.shards.take("maps", rows))
        if gauge == "-":
            return maps[:, 0]
        logits = torch.from_numpy(self.shards.take("logits", rows))
        return in_gauge(gauge, maps, logits, output_index(classes, logits.shape[1]))


def sources_of(
    subject: Subject, model: Model, question: Question, images: np.ndarray,
    step: Callable[[int], object],
) -> list[Source]:  # fmt: skip
    """Every method of a subject in each of its gauges, with all maps of these images computed."""
    found = []
    for method in subject.methods:
        store = MapStore.open(subject, model, method, images)
        store.fill(subject, model, question, step)
        for gauges in _gauges(method, store.link, subject.outputs):
            read = _reader(store, gauges[0])
            found.append(Source(subject.keys, method.name, gauges, read, store.digest))
    return found


def outside_sources(maps: OutsideMaps, keys: Mapping[str, Any]) -> list[Source]:
    """Maps from a file: raw, and in every gauge where the file holds the maps of all classes."""
    own = _file_digest(maps)
    outputs = maps.logits.shape[1]
    if not maps.all_classes:

        def one(indices: np.ndarray, classes: np.ndarray) -> Tensor:
            return maps.target_maps(indices, output_index(classes, outputs).numpy())

        return [Source(keys, maps.name, ("raw",), one, own, every_class=False)]

    def reader(gauge: str) -> Read:
        def read(indices: np.ndarray, classes: np.ndarray) -> Tensor:
            every, logits = maps.every(indices), torch.from_numpy(maps.logits[indices])
            return in_gauge(
                gauge, every, logits.nan_to_num(), output_index(classes, every.shape[1])
            )

        return read

    names = _class_gauges(maps.link, outputs)
    return [Source(keys, maps.name, gauges, reader(gauges[0]), own) for gauges in names]


def _file_digest(maps: OutsideMaps) -> str:
    blocks = (maps.maps[i : i + BATCH].tobytes() for i in range(0, len(maps.maps), BATCH))
    return digest(maps.name, maps.rows.tobytes(), maps.logits.tobytes(), *blocks)


def predictions(subject: Subject, model: Model, step: Callable[[int], object]) -> np.ndarray:
    """Logits (N, C) of the whole split, kept with the run."""
    every = np.arange(len(subject.data))
    shards = Shards.open(subject.cache, "logits", _key(subject, every), len(every), BATCH)
    device = next(model.parameters()).device

    @torch.no_grad()
    def compute(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {"logits": _array(model(subject.data.batch(rows).to(device)).float())}

    shards.fill(compute, step)
    return shards.all()["logits"]


def _key(subject: Subject, images: np.ndarray, **more: Any) -> dict[str, Any]:
    """What a prediction or a map depends on."""
    data = subject.data
    return {
        "model": subject.digest,
        "data": [data.fingerprint, data.split, *data.size],
        "ids": digest(*(data.ids[int(i)] for i in images)),
        "code": code_digest(),
        **more,
    }


def _source_code(method: Explainer) -> str:
    """The text of a method that was registered from outside the package, else its name."""
    try:
        return inspect.getsource(method.function)
    except (OSError, TypeError):
        return method.function.__qualname__


def _gauges(method: Explainer, link: str, outputs: int) -> list[tuple[str, ...]]:
    if method.gauges == ("-",):
        return [("-",)]
    allowed = [names for names in _class_gauges(link, outputs) if names[0] in method.gauges]
    return allowed


def _class_gauges(link: str, outputs: int) -> list[tuple[str, ...]]:
    if link == "sigmoid" or outputs == 1:  # the zero of a sigmoid is fixed
        return [("raw",)]
    if outputs == 2:
        return [("raw",), ("contrast", "centred")]
    return [(name,) for name in GAUGES]


def _reader(store: MapStore, gauge: str) -> Read:
    return lambda indices, classes: store.read(gauge, indices, classes)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
