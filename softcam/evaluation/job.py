"""One evaluation from beginning to end: model after model, question after question."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from softcam.common import SoftCAMError, hides_bar
from softcam.data.records import ImageSet
from softcam.evaluation.classify import add_classification, predicted_targets
from softcam.evaluation.costs import affordable, examined, first_networks, sampled
from softcam.evaluation.elsewhere import examine_outside, open_outside, outside_keys
from softcam.evaluation.findings import about_findings, by_finding, one_kind_of_set
from softcam.evaluation.localise import add_localisation, add_yardsticks, coarsest
from softcam.evaluation.maps import Found, Source, predictions, sources_of
from softcam.evaluation.occlude import Crossing, references
from softcam.evaluation.options import check_paper
from softcam.evaluation.question import Question, ask
from softcam.evaluation.recorder import Recorder
from softcam.evaluation.subjects import Model, RunLike, Subject, subjects
from softcam.evaluation.truth import (
    add_cascade,
    add_label_randomisation,
    add_twins,
    label_twin,
    twin_cases,
)
from softcam.explainers import Explainer
from softcam.metrics import Measure
from softcam.outside import OutsideMaps
from softcam.twins import is_phantom

__all__ = ["Job"]

log = logging.getLogger(__name__)


@dataclass
class Job:
    """An evaluation; the attributes are the options of `evaluate_to`, checked."""

    recorder: Recorder
    runs: Sequence[RunLike]
    methods: Sequence[Explainer]
    measures: Sequence[Measure]
    every_measure: bool
    split: str
    limit: int | None
    fills: Sequence[Any]
    linear_limit: int
    twin_limit: int | None
    occlude: str | Sequence[str]
    only: str
    post_hoc: Sequence[str]
    costly: str
    maps: Sequence[Path]
    data: ImageSet | None
    seed: int
    progress: bool
    profile: str
    cache: bool
    _ceilings: dict[Any, Any] = field(default_factory=dict, init=False)
    _logits: dict[str, np.ndarray] = field(default_factory=dict, init=False)
    _first: set[str] = field(default_factory=set, init=False)

    def run(self) -> None:
        """Ask every question of every model, then every question about occluded images."""
        models = [
            subject
            for run in self.runs
            for subject in subjects(
                run, self.methods, self.split, self.profile, self.cache, self.post_hoc
            )
        ]
        self._first = first_networks(models)
        sets = [subject.data for subject in models] + [each for each in (self.data,) if each]
        check_paper(self.measures, sets)
        if one_kind_of_set(sets):
            self.measures = about_findings(
                self.measures, sets, only=self.only, outside=bool(self.maps)
            )
        of_files, files = open_outside(self.maps, sets, [run.id for run in self.runs])
        self._check_colours(models)
        only = self._correct(models) if self.only == "correct" else None
        sources: list[Found] = []
        for subject in models:
            sources += self._examine(subject, only)
        sources += self._examine_outside(files, of_files, only)
        if any(each.kind == "occlusion" for each in self.measures):
            for subject in models:
                for seen, question in self._questions(subject, only):
                    self._occlude(seen, question, sources)

    def _ask(self, data: ImageSet, only: np.ndarray | None) -> Question:
        return ask(data, self.limit, self.seed, only, self.twin_limit)

    def _questions(
        self, subject: Subject, only: np.ndarray | None
    ) -> list[tuple[Subject, Question]]:
        """What a model is asked about maps; of a multi-label set one question a finding."""
        if subject.data.multi_label:
            return by_finding(subject, lambda data: self._ask(data, only))
        return [(subject, self._ask(subject.data, only))]

    def _kind(self, *kinds: str) -> list[Measure]:
        return [each for each in self.measures if each.kind in kinds]

    def _check_colours(self, models: Sequence[Subject]) -> None:
        """A model without a mean colour is an error now, not after an hour."""
        occluding = [each for each in self._kind("occlusion") if each.reads != "masked"]
        named = any(isinstance(each, str) and each == "mean-colour" for each in self.fills)
        if named and occluding or any(each.protocol == "paper" for each in occluding):
            for subject in models:
                if subject.methods or self.maps:
                    _ = subject.load().mean_colour

    def _correct(self, models: Sequence[Subject]) -> np.ndarray:
        """Indices of the images that every model predicts correctly."""
        if not models:
            raise SoftCAMError("only='correct' asks what runs predict: name at least one run.")
        if len({(each.data.fingerprint, each.data.split) for each in models}) > 1:
            raise SoftCAMError("only='correct' needs runs on the same images.")
        right = np.ones(len(models[0].data), bool)
        for subject in models:
            labels = np.asarray(subject.data.labels)
            right &= predicted_targets(self._predict(subject, subject.load()), labels)
        return np.flatnonzero(right)

    def _predict(self, subject: Subject, model: Model) -> np.ndarray:
        if subject.name not in self._logits:
            with self._bar(f"{subject.name}: predictions", len(subject.data)) as bar:
                self._logits[subject.name] = predictions(subject, model, bar.update)
        return self._logits[subject.name]

    @contextmanager
    def _bar(self, title: str, total: int) -> Iterator[tqdm]:
        with tqdm(
            total=total, desc=title, disable=hides_bar(self.progress), leave=False, unit="image"
        ) as bar:
            yield bar

    def _examine(self, subject: Subject, only: np.ndarray | None) -> list[Found]:
        """Everything that is asked of one model without hiding anything; returns its maps."""
        model, data = subject.load(), subject.data
        if self.costly == "sample":
            subject.methods = affordable(subject, model, self._first)
        logits = self._predict(subject, model)
        every = np.arange(len(data))
        add_classification(
            self.recorder, subject.keys, data, every, logits, model.link, self._classifying(data)
        )
        return [
            Found(seen.data, question.name, source)
            for seen, question in self._questions(subject, only)
            for source in self._examine_maps(seen, model, question, logits)
        ]

    def _examine_maps(
        self, subject: Subject, model: Model, question: Question, logits: np.ndarray
    ) -> list[Source]:
        """The same about its maps alone."""
        images = self._asked(question)
        if images is None:
            sources = []
        else:
            with self._bar(f"{subject.name}: maps", len(images) * len(subject.methods)) as bar:
                sources = sources_of(
                    subject, model, question, images, bar.update,
                    lambda method: self._chosen(method, model, question),
                )  # fmt: skip
        predicted = predicted_targets(logits, question.targets, model.link)
        about_maps = self._kind("map", "labelled")
        for source in sources:
            add_localisation(self.recorder, source, subject.data, question, about_maps, predicted)
        self._yardsticks(subject, question, sources)
        self._twins(subject, model, question, logits, sources)
        self._sanity(subject, model, question)
        return sources

    def _chosen(self, method: Explainer, model: Model, question: Question) -> np.ndarray | None:
        return sampled(method, model, question, self.seed) if self.costly == "sample" else None

    def _classifying(self, data: ImageSet) -> list[Measure]:
        """Kappa and precision-recall where asked for, or where they say more than the others."""
        found = self._kind("classification")
        if not self.every_measure:
            return found
        unasked = {"quadratic-kappa"} if len(data.classes) <= 2 else set[str]()
        unasked |= set() if data.multi_label else {"auprc"}
        return [each for each in found if each.name not in unasked]

    def _asked(self, question: Question) -> np.ndarray | None:
        """The images whose maps the measures read; None where no measure reads any."""
        if self._kind("labelled"):
            return np.arange(len(question.targets))
        reading = {
            "map": question.located, "occlusion": question.occluded, "twin": question.twinned,
        }  # fmt: skip
        asked = [images for kind, images in reading.items() if self._kind(kind)]
        return np.unique(np.concatenate(asked)) if asked else None

    def _yardsticks(self, subject: Subject, question: Question, sources: list[Source]) -> None:
        measures = self._kind("map")
        if not measures or not sources or not len(question.located) or subject.arm == "converted":
            return  # the floors and ceilings of `converted` are the black box's
        shape = coarsest(sources, question)
        add_yardsticks(
            self.recorder, subject.keys, subject.data, question, shape, measures, self._ceilings
        )

    def _twins(
        self,
        subject: Subject,
        model: Model,
        question: Question,
        logits: np.ndarray,
        sources: list[Source],
    ) -> None:
        measures = self._kind("twin")
        if not measures or not sources:
            return
        if not is_phantom(subject.data):
            if not self.every_measure:
                log.warning("%s: no twins: only phantoms have them", subject.data.name)
            return
        cases = twin_cases(subject, model, question, logits, self.progress)
        for source in sources:
            add_twins(self.recorder, subject, source, question, cases, measures)

    def _sanity(self, subject: Subject, model: Model, question: Question) -> None:
        if not subject.methods or not len(question.occluded):
            return
        images = question.occluded
        methods = dict.fromkeys(subject.methods, images)
        if self.costly == "sample":
            methods = examined(subject, model, self._first, images, self.seed)
        redrawn = [m for m in self._kind("sanity") if m.steps is not None]
        if redrawn:
            with self._bar(f"{subject.name}: sanity", sum(map(len, methods.values()))) as bar:
                add_cascade(
                    self.recorder, subject, model, question, redrawn, self.seed, bar.update, methods
                )
        shuffled = [m for m in self._kind("sanity") if m.steps is None]
        other = label_twin(subject, self.runs) if shuffled else None
        if other is not None:
            models = (model, other)
            add_label_randomisation(self.recorder, subject, models, question, shuffled, methods)

    def _examine_outside(
        self, files: Sequence[OutsideMaps], data: ImageSet | None, only: np.ndarray | None
    ) -> list[Found]:
        """The same of maps from files."""
        if data is None:
            return []
        question = self._ask(data, only)
        measures = self._classifying(data) + self._kind("map", "labelled")
        found: list[Found] = []
        for maps in files:
            keys = outside_keys(maps, data, self.profile)
            sources = examine_outside(self.recorder, maps, keys, data, question, measures)
            if len(question.located) and sources:
                add_yardsticks(
                    self.recorder, keys, data, question, maps.map_size, self._kind("map"),
                    self._ceilings,
                )  # fmt: skip
            found += [Found(data, question.name, each) for each in sources]
        return found

    def _occlude(self, subject: Subject, question: Question, sources: list[Found]) -> None:
        """Rank the tiles of one model's images by every source that is asked for."""
        if subject.arm == "converted" or not len(question.occluded):
            return  # it is the same function as its black box
        if not isinstance(self.occlude, str) and subject.run.id not in self.occlude:
            return
        ours = [each.source for each in sources if each.answers(subject.data, question)]
        if self.occlude == "own":
            at_home = (subject.run.id,)
            ours = [s for s in ours if s.keys["run_id"] in at_home or s.keys["arm"] == "outside"]
        if not ours:
            return
        model = subject.load()
        ours += references(subject, model, question, ours)
        measures = self._kind("occlusion")
        total = len(ours) * len(question.occluded) * len({(m.reads, m.protocol) for m in measures})
        with self._bar(f"{subject.name}: occlusion", total * len(self.fills)) as bar:
            Crossing(
                self.recorder, subject, model, question, measures, self.fills, self.linear_limit,
                self.seed, bar.update,
            ).add(ours)  # fmt: skip
