"""The maps of a finished run, from the cache of its evaluation; networks run only for gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.data.records import ImageSet
from softcam.evaluation.maps import MapStore
from softcam.evaluation.question import Question, ask, findings_of, output_index, some_of
from softcam.evaluation.subjects import RunLike, subjects
from softcam.explainers import get_explainer
from softcam.explainers.gauges import GAUGES, in_gauge

__all__ = ["KeptMaps", "NothingMarked", "kept_maps"]


class NothingMarked(SoftCAMError):
    """The data have no image with a finding, so that there is nothing to hold a map against."""


@dataclass(frozen=True)
class KeptMaps:
    """The maps of every class of one method on one network, for images with a finding.

    Attributes:
        data: the split.
        indices: (n,) which of its images.
        targets: (n,) the class that an evaluation explains in each.
        logits: (n, C).
        maps: (n, C, h, w), raw and signed.
        link: `softmax` or `sigmoid`.
    """

    data: ImageSet
    indices: np.ndarray
    targets: np.ndarray
    logits: Tensor
    maps: Tensor
    link: str

    @property
    def gauges(self) -> tuple[str, ...]:
        """The zeros worth asking for: one with a sigmoid; with two classes, centred is half the
        contrast, and says the same."""
        if self.link == "sigmoid" or self.logits.shape[1] == 1:
            return ("raw",)
        return ("raw", "contrast") if self.logits.shape[1] == 2 else GAUGES

    @property
    def predicted(self) -> np.ndarray:
        """(n,) the class with the highest logit; with one logit, whose map is the same for both
        answers, the target."""
        if self.logits.shape[1] == 1 or self.link == "sigmoid":
            return self.targets
        return self.logits.argmax(1).numpy()

    def read(self, gauge: str, classes: np.ndarray, rows: Sequence[int]) -> Tensor:
        """Maps (m, h, w) of one class an image, for some rows."""
        rows = list(rows)
        targets = output_index(classes[rows], self.logits.shape[1])
        return in_gauge(gauge, self.maps[rows], self.logits[rows], targets)

    def findings_of(self, rows: np.ndarray) -> Tensor:
        """(m, H, W) bool: what is marked in the images of these rows."""
        return findings_of(self.data, self.indices[rows])


def kept_maps(
    run: RunLike,
    method: str,
    *,
    split: str = "test",
    limit: int | None = None,
    seed: int = 0,
    cache: bool = True,
) -> KeptMaps:
    """The maps that an evaluation of this run kept; what is missing is computed and kept, too.

    Args:
        run: a finished run.
        method: `softcam` for a SoftCAM; for a black box a method with maps of every class, such
            as `grad-cam`.
        split: `train`, `val` or `test`.
        limit: how many of the images with a finding, a seeded choice; None takes all.
        seed: of the choice.
        cache: read and write the run's cache; else everything is computed and nothing kept.

    Raises:
        NothingMarked: no image with a finding.
        SoftCAMError: a method that does not apply to the run, or has one map for all classes; a
            multi-label set.
    """
    found = subjects(run, [get_explainer(method)], split, "-", cache)
    own = [each for each in found if each.arm == run.arm and each.methods]
    if not own:
        raise SoftCAMError(f"{method} does not apply to the run {run.id} of the arm {run.arm}.")
    subject, data = own[0], own[0].data
    if data.multi_label:
        raise SoftCAMError(f"{data.name} has several findings an image: expected one class each.")
    model, question = subject.load(), _question(data)
    store = MapStore.open(subject, model, subject.methods[0], question)
    if not store.every_class:
        raise SoftCAMError(f"{method} has one map for all classes: expected one a class.")
    chosen = some_of(question.located, limit, seed)
    store.fill(subject, model, question, chosen, lambda _: None)
    kept = {name: torch.from_numpy(each) for name, each in store.shards.take(chosen).items()}
    targets = np.asarray(question.targets)[chosen]
    return KeptMaps(data, chosen, targets, kept["logits"], kept["maps"], model.link)


def _question(data: ImageSet) -> Question:
    question = ask(data, None, 0)
    if not len(question.located):
        raise NothingMarked(f"{data.name}/{data.split} has no image with a finding.")
    return question
