"""Is the map faithful to the model? Maps of any source ranked against one and the same model.

Occluding each method's own network compares networks as much as maps. Here the tiles of one
model's images are ranked by every source, by chance, and by the true finding: the crossed table.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from softcam.common import digest
from softcam.evaluation.maps import Source, sources_of
from softcam.evaluation.question import Question, findings_of, output_index, some_of
from softcam.evaluation.recorder import Recorder, patient_groups
from softcam.evaluation.subjects import Model, Subject
from softcam.explainers import get_explainer
from softcam.metrics import (
    Measure,
    OcclusionScores,
    Ratios,
    fill_agreement,
    fill_name,
    occlusion_scores,
    over_random,
    share_of_mask,
    true_mask_map,
)
from softcam.metrics.masking import tile_ranks
from softcam.shards import Shards

__all__ = ["Crossing", "references", "true_mask_source"]

log = logging.getLogger(__name__)
PIECE = 16  # images a piece on disk
CHUNK = 256  # images whose tiles are ranked at a time
Area = tuple[str, str]  # measure, fill
Place = tuple[str, str, str]  # run and arm, method, gauge


@dataclass
class Crossing:
    """One occluded model and every source of maps that ranks its tiles.

    Attributes:
        recorder: takes the rows.
        subject, model: what is occluded.
        question: which images.
        measures: of kind `occlusion`.
        fills: what hides a tile, by name or colour.
        limit: how many images the costly linear fill may have.
        seed: of that choice.
        step: called with the number of images that are done.
    """

    recorder: Recorder
    subject: Subject
    model: Model
    question: Question
    measures: Sequence[Measure]
    fills: Sequence[Any]
    limit: int
    seed: int
    step: Callable[[int], object]

    def __post_init__(self) -> None:
        self.areas: dict[Area, dict[Place, tuple[Source, Ratios]]] = {}
        self._stores: dict[tuple[str, str, str], Shards] = {}

    def add(self, sources: Sequence[Source]) -> None:
        """The rows of these sources; `true-mask` and `random` must be among them for the rest."""
        for source in sources:
            self._add_source(source)
        for (name, fill), by_place in self.areas.items():
            self._add_relative(self._measure(name), fill, by_place)
        for name in dict.fromkeys(name for name, _ in self.areas):
            self._add_agreement(self._measure(name))

    def _measure(self, name: str) -> Measure:
        return next(each for each in self.measures if each.name == name and not _is_paper(each))

    def _images(self, fill: Any) -> np.ndarray:
        occluded = self.question.occluded
        return some_of(occluded, self.limit, self.seed) if fill == "linear" else occluded

    def _add_source(self, source: Source) -> None:
        for reads, protocol in dict.fromkeys((m.reads, m.protocol) for m in self.measures):
            own = [m for m in self.measures if (m.reads, m.protocol) == (reads, protocol)]
            fills = ("mean-colour",) if protocol == "paper" or reads == "masked" else self.fills
            for fill in fills:
                scores = self._scores(source, reads, fill, protocol)
                shown = "-" if reads == "masked" else fill_name(fill)
                for measure in own:
                    self._add_rows(source, measure, measure(scores), shown, self._images(fill))

    def _add_rows(
        self, source: Source, measure: Measure, ratios: Ratios, fill: str, indices: np.ndarray
    ) -> None:
        for gauge in source.gauges:
            keys = self._keys(source, fill, gauge)
            self.recorder.add_ratios(keys, measure, ratios, self.subject.data, indices)
        if _is_area(measure):
            place = (
                f"{source.keys['run_id']} {source.keys['arm']}",
                source.method,
                source.gauges[0],
            )
            self.areas.setdefault((measure.name, fill), {})[place] = source, ratios

    def _keys(self, source: Source, fill: str, gauge: str) -> dict[str, Any]:
        return {
            **source.keys, "method": source.method, "gauge": gauge, "fill": fill, "finding": "-",
            "target": self.question.name, "occluded_run": self.subject.keys["run_id"],
        }  # fmt: skip

    def _scores(self, source: Source, reads: Any, fill: Any, protocol: Any) -> OcclusionScores:
        """What the model says, kept on disk with the occluded run.

        An answer depends on what is hidden, not on whose map hides it: Grad-CAM and the evidence
        map of the converted network rank alike, and so do the controls of every run.
        """
        data, question, images = self.subject.data, self.question, self._images(fill)
        rows = self._rows(source, reads, protocol, images)

        def compute(positions: np.ndarray) -> dict[str, np.ndarray]:
            indices = images[positions]
            classes = question.targets[indices]
            return occlusion_scores(
                self.model, data.batch(indices), source.read(indices, classes),
                output_index(classes, self.subject.outputs), question=reads, fill=fill,
                protocol=protocol, classes=np.asarray(data.labels)[indices],
                keys=indices.tolist(), seed=self.seed,
            ).arrays()  # fmt: skip

        store = self._store(reads, fill, protocol)
        store.fill(rows, compute, self.step)
        return OcclusionScores.from_arrays(store.take(rows))

    def _store(self, reads: str, fill: Any, protocol: str) -> Shards:
        asked = (reads, protocol, fill_name(fill))
        if asked not in self._stores:
            drawn = self.seed if fill == "linear" else None
            key = self.subject.key(asked=asked, target=self.question.name, seed=drawn)
            self._stores[asked] = Shards.open(self.subject.cache, f"occluded-{reads}", key, PIECE)
        return self._stores[asked]

    def _rows(self, source: Source, reads: str, protocol: str, images: np.ndarray) -> np.ndarray:
        """(n,) int64: a number for each image and what is hidden in it."""
        rows = []
        for start in range(0, len(images), CHUNK):
            indices = images[start : start + CHUNK]
            maps = source.read(indices, self.question.targets[indices]).cpu()
            finite = maps.isfinite().flatten(1).all(1)
            hidden = torch.where(finite[:, None, None], maps, 0)
            if protocol == "corrected" and reads != "masked":
                hidden = tile_ranks(hidden, self.subject.data.size)
            for index, known, each in zip(indices, finite, hidden, strict=True):
                parts = (int(index), bool(known), list(each.shape), each.numpy().tobytes())
                rows.append(int(digest(*parts, length=15), 16))
        return np.array(rows, np.int64)

    def _add_relative(
        self, measure: Measure, fill: str, by_place: Mapping[Place, tuple[Source, Ratios]]
    ) -> None:
        """Each area beside those of the random and of the true-mask ranking."""
        found = {method: ratios for (_, method, _), (_, ratios) in by_place.items()}
        chance, truth = self._own(by_place, "random"), found.get("true-mask")
        if chance is None:
            return
        indices = self._images(fill)
        groups = patient_groups(self.subject.data, indices)
        for (_, method, _), (source, area) in by_place.items():
            if method == "random":
                continue
            gained = over_random(area, chance, measure.direction)
            name = f"{measure.name}-over-random"
            spec = replace(measure, name=name, direction="higher", title=f"{measure.title}, gain")
            self._add_derived(source, spec, gained, fill, indices)
            if truth is None or method == "true-mask":
                continue
            share = share_of_mask(
                area, chance, truth, measure.direction, groups=groups,
                n_boot=self.recorder.n_boot, seed=self.recorder.seed,
            )  # fmt: skip
            name = f"{measure.name}-share-of-mask"
            spec = replace(measure, name=name, direction="higher")
            n = int(((gained.denominator > 0) & (truth.denominator > 0)).sum())
            for gauge in source.gauges:
                keys = self._keys(source, fill, gauge)
                self.recorder.add_statistic(keys, spec, share, n, len(indices) - n)

    def _own(self, by_place: Mapping[Place, tuple[Source, Ratios]], method: str) -> Ratios | None:
        """The area of a reference ranking of this model's own."""
        place = f"{self.subject.keys['run_id']} {self.subject.arm}"
        return next(
            (r for (p, m, _), (_, r) in by_place.items() if (p, m) == (place, method)), None
        )

    def _add_derived(
        self, source: Source, spec: Measure, ratios: Ratios, fill: str, indices: np.ndarray
    ) -> None:
        for gauge in source.gauges:
            keys = self._keys(source, fill, gauge)
            self.recorder.add_ratios(keys, spec, ratios, self.subject.data, indices)

    def _add_agreement(self, measure: Measure) -> None:
        """How alike two fills rank the sources of maps, image by image."""
        areas = {fill: each for (name, fill), each in self.areas.items() if name == measure.name}
        images = {fill: self._images(fill) for fill in areas}
        shared = min(images.values(), key=len) if images else np.zeros(0, int)
        if len(areas) < 2:
            return
        by_fill = {
            fill: {
                place: _rows(ratios, np.searchsorted(images[fill], shared))
                for place, (_, ratios) in each.items()
                if place[1] not in ("random", "true-mask")
            }
            for fill, each in areas.items()
        }
        if len(next(iter(by_fill.values()))) < 3:
            log.warning(
                "%s: no agreement between fills in %s: it takes three sources of maps besides "
                "the references", self.subject.name, measure.name,
            )  # fmt: skip
            return
        spec = replace(
            measure, name=f"{measure.name}-fill-agreement", direction="higher", unit="tau"
        )
        for (first, second), ratios in fill_agreement(by_fill).items():
            keys = {
                **self.subject.keys, "fill": f"{first}/{second}", "finding": "-",
                "target": self.question.name, "occluded_run": self.subject.keys["run_id"],
            }  # fmt: skip
            self.recorder.add_ratios(keys, spec, ratios, self.subject.data, shared)


def references(
    subject: Subject, model: Model, question: Question, ours: Sequence[Source]
) -> list[Source]:
    """The ranking of the true finding, and the random one where it is not among ours already."""
    found = [true_mask_source(subject)]
    own = (subject.run.id, subject.arm, "random")
    if all((s.keys["run_id"], s.keys["arm"], s.method) != own for s in ours):
        alone = subject.seen_as(methods=[get_explainer("random")])
        found += sources_of(alone, model, question, question.occluded, lambda _: None)
    return found


def true_mask_source(subject: Subject) -> Source:
    """The ranking that knows the finding; NaN, so excluded and counted, where none is marked."""
    data = subject.data

    def read(indices: np.ndarray, classes: np.ndarray) -> torch.Tensor:
        return true_mask_map(findings_of(data, indices))

    return Source(subject.keys, "true-mask", ("-",), read)


def _rows(ratios: Ratios, rows: np.ndarray) -> Ratios:
    return Ratios(ratios.numerator[rows], ratios.denominator[rows])


def _is_paper(measure: Measure) -> bool:
    return measure.protocol == "paper"


def _is_area(measure: Measure) -> bool:
    return measure.reads != "masked" and measure.steps is None and not _is_paper(measure)
