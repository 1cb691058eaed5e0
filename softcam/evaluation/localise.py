"""Does the map point at the finding? Every source of maps under every measure on maps.

One source at a time, a few images at a time: memory grows with neither.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softcam.common import SoftCAMError, digest
from softcam.data.records import ImageSet
from softcam.evaluation.maps import Source
from softcam.evaluation.question import Question, findings_of
from softcam.evaluation.recorder import Recorder
from softcam.metrics import (
    LabelledMaps,
    MapBatch,
    Measure,
    Ratios,
    pointing_chance,
    reference_ceiling,
)
from softcam.metrics.registry import PIXELS

__all__ = ["Findings", "add_localisation", "add_yardsticks", "coarsest"]

log = logging.getLogger(__name__)
HELD = 2**20  # numbers of single images held at a time
_HAVE_CHANCE = ("pointing-accuracy", "activation-precision")  # chance is the area of the finding


@dataclass(frozen=True)
class Findings:
    """What is marked in some images of a split, unpacked when it is read: `findings[a:b]`."""

    data: ImageSet
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: slice) -> Tensor:
        return findings_of(self.data, self.indices[rows])

    @property
    def chunk(self) -> int:
        """How many images make about four million pixels."""
        return max(1, PIXELS // (self.data.size[0] * self.data.size[1]))


def add_localisation(
    recorder: Recorder,
    source: Source,
    data: ImageSet,
    question: Question,
    measures: Sequence[Measure],
    predicted: np.ndarray,
) -> None:
    """The rows of one source.

    Args:
        measures: of kind `map` and `labelled`.
        predicted: (N,) bool, whether the target is the model's prediction.
    """
    keys = {**source.keys, "method": source.method, "target": question.name}
    located = source.among(question.located)
    for group in _groups(measures, len(located)):
        found = _measured(source, data, question.targets, located, group, predicted)
        for measure, ratios in zip(group, found, strict=True):
            for gauge in source.gauges:
                own = {**keys, "gauge": gauge}
                recorder.add_ratios(own, measure, ratios, data, located)
    for measure in measures if source.every_class and source.images is None else ():
        if measure.kind == "labelled":
            _add_labelled(recorder, source, data, measure)


def _groups(measures: Sequence[Measure], images: int) -> list[list[Measure]]:
    """The measures on maps, as many at a time as fit into `HELD` numbers.

    Each group reads every map once: one group for a few thousand images, several for many.
    """
    groups: list[list[Measure]] = []
    room = 0
    for measure in measures:
        if measure.kind == "map":
            needed = images * len(measure.steps or (0,))
            if needed > room or not groups:
                groups.append([])
                room = HELD
            groups[-1].append(measure)
            room -= needed
    return groups


def _add_labelled(recorder: Recorder, source: Source, data: ImageSet, measure: Measure) -> None:
    """A measure on the maps of the whole split: each of its image's class, or all of a disease."""
    keys = {**source.keys, "method": source.method, "target": "label", "finding": "-"}
    labels = np.asarray(data.labels)
    try:
        if measure.reads == "disease":
            ill = [c for c in range(1, len(data.classes)) if (labels == c).any()] or [1]
            indices, ratios = _pooled([measure(_of_class(source, labels, c)) for c in ill])
        else:
            indices, ratios = measure(_of_label(source, labels))
    except SoftCAMError as error:
        log.warning("%s, %s: no %s: %s", keys["run_id"], source.method, measure.name, error)
        return
    for gauge in source.gauges:
        recorder.add_ratios({**keys, "gauge": gauge}, measure, ratios, data, indices)


def _of_label(source: Source, labels: np.ndarray) -> LabelledMaps:
    return LabelledMaps(labels, lambda indices: source.read(indices, labels[indices]))


def _of_class(source: Source, labels: np.ndarray, c: int) -> LabelledMaps:
    return LabelledMaps(labels, lambda indices: source.read(indices, np.full(len(indices), c)), c)


def _pooled(parts: Sequence[tuple[np.ndarray, Ratios]]) -> tuple[np.ndarray, Ratios]:
    """Several diseases in one: an image that has a value for each has their weighted mean."""
    indices, place = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    every = Ratios.concatenate(part[1] for part in parts)
    sums = np.zeros((2, len(indices), every.numerator.shape[1]))
    np.add.at(sums[0], place, every.numerator)
    np.add.at(sums[1], place, every.denominator)
    return indices, Ratios(sums[0], sums[1])


def _measured(
    source: Source,
    data: ImageSet,
    targets: np.ndarray,
    located: np.ndarray,
    measures: Sequence[Measure],
    predicted: np.ndarray,
) -> list[Ratios]:
    """Each measure over the located images."""
    if not len(located) or not measures:
        empty = [np.zeros((0, len(each.steps or (0,)))) for each in measures]
        return [Ratios(each, each) for each in empty]
    findings = Findings(data, located)
    parts: list[list[Ratios]] = [[] for _ in measures]
    for start in range(0, len(located), findings.chunk):
        rows = slice(start, start + findings.chunk)
        maps = source.read(located[rows], targets[located[rows]])
        batch = MapBatch(maps, findings[rows], torch.as_tensor(predicted[located[rows]]))
        for part, measure in zip(parts, measures, strict=True):
            part.append(measure(batch))
    return [Ratios.concatenate(part) for part in parts]


def coarsest(sources: Sequence[Source], question: Question) -> tuple[int, int]:
    """(h, w) of the smallest of these maps, for a map of every pixel could be the finding itself.

    One of a single cell is what a method that left this image out returns.
    """
    one = question.located[:1]
    shapes = [tuple(each.read(one, question.targets[one]).shape[1:]) for each in sources]
    height, width = min((s for s in shapes if s != (1, 1)), key=np.prod, default=(1, 1))
    return int(height), int(width)


def add_yardsticks(
    recorder: Recorder,
    keys: Mapping[str, Any],
    data: ImageSet,
    question: Question,
    shape: tuple[int, int],
    measures: Sequence[Measure],
    known: dict[Any, tuple[Ratios, Ratios | None]],
) -> None:
    """Chance, and the reference ceiling for maps of this size.

    Args:
        shape: (h, w) of the maps.
        measures: of kind `map`.
        known: what was computed before, by everything it depends on.
    """
    findings = Findings(data, question.located)
    if not len(findings):
        return
    keys = {**keys, "target": question.name}
    for measure in measures:
        images = digest(question.located.tobytes())
        key = (data.fingerprint, data.split, data.finding_names, images, shape, measure)
        ceiling, chance = known.get(key, (None, None))
        if ceiling is None:
            ceiling = reference_ceiling(measure, findings, shape, chunk=findings.chunk)
            chance = _chance(findings) if measure.name in _HAVE_CHANCE else None
            if ceiling.numerator.size <= HELD // len(measures):  # else computed again: memory
                known[key] = ceiling, chance
        recorder.add_ratios(
            {**keys, "method": "reference-ceiling"}, measure, ceiling, data, question.located
        )
        if chance is not None:
            recorder.add_ratios(
                {**keys, "method": "chance"}, measure, chance, data, question.located
            )


def _chance(findings: Findings) -> Ratios:
    starts = range(0, len(findings), findings.chunk)
    return Ratios.concatenate(pointing_chance(findings[s : s + findings.chunk]) for s in starts)
