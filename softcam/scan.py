"""One pass over a split: logits of every image, and every map measured while it is there.

Maps are read in batches and forgotten, except for the few images of the deletion curve, so that
memory does not grow with the split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from softcam.common import SoftCAMError, choose, hides_bar, rng
from softcam.data.records import ImageSet
from softcam.evidence import SoftCAM
from softcam.explainers import Explainer, class_maps
from softcam.metrics import MapBatch, Measure, Ratios, deletion_scores
from softcam.wrappers import BlackBox

__all__ = ["Question", "Scan", "ask", "deletion", "findings_of", "in_gauge", "scan"]

Key = tuple[str, str]  # method, gauge
V = TypeVar("V")
_DELETION = 0x44454C45  # stream of random numbers: which images are occluded


@dataclass(frozen=True)
class Question:
    """Which class is explained in which image.

    Attributes:
        targets: (N,) index of the logit to explain.
        name: as in the table, `class:1` or `label`.
        located: indices of the images in which the maps are held against the finding.
        occluded: indices of the images of the deletion curve.
    """

    targets: np.ndarray
    name: str
    located: np.ndarray
    occluded: np.ndarray


def ask(data: ImageSet, limit: int | None, seed: int) -> Question:
    """Two classes: the evidence for class 1, wherever a finding is marked. More: for the label.

    Class 0 is the healthy one: with more than two classes, its images are not asked where their
    finding is, and the deletion curve is over images that are labelled diseased. The same images
    are asked for every run on these data.

    Args:
        data: the split.
        limit: how many images the deletion curve may have, drawn with `seed`; None takes all.
    """
    labels, located = np.asarray(data.labels), data.with_findings()
    diseased = np.flatnonzero(labels > 0)
    if len(data.classes) > 2:
        located = located[labels[located] > 0]
    if limit is not None and limit < len(diseased):
        diseased = np.sort(rng(seed, _DELETION).permutation(diseased)[:limit])
    if len(data.classes) > 2:
        return Question(labels, "label", located, diseased)
    return Question(np.ones(len(labels), np.int64), "class:1", located, diseased)


@dataclass
class Scan:
    """What one pass over a split found.

    Attributes:
        logits: (N, C).
        ratios: method and gauge to measure name to `Ratios` over the located images.
        maps: method and gauge to the maps (L, h, w) of the occluded images.
        map_size: method to (h, w).
    """

    logits: np.ndarray
    ratios: dict[Key, dict[str, Ratios]] = field(default_factory=dict)
    maps: dict[Key, Tensor] = field(default_factory=dict)
    map_size: dict[str, tuple[int, int]] = field(default_factory=dict)


def scan(
    model: BlackBox | SoftCAM,
    data: ImageSet,
    question: Question,
    methods: Sequence[Explainer],
    measures: Sequence[Measure],
    *,
    batch_size: int = 32,
    progress: bool = True,
    title: str = "",
) -> Scan:
    """Run the model once over the split and measure the maps of all methods on the way.

    Args:
        measures: measures on maps (kind `map`).
        title: of the progress bar.
    """
    tally = _Tally(data, question, measures)
    device = next(model.parameters()).device
    with torch.no_grad():
        outputs = model(data.batch([0]).to(device)).shape[1]
    starts = range(0, len(data), batch_size)
    for start in tqdm(starts, desc=title, disable=hides_bar(progress), leave=False):
        indices = np.arange(start, min(start + batch_size, len(data)))
        images = data.batch(indices).to(device)
        targets = output_index(question.targets[indices], outputs).to(device)
        tally.add(indices, *_all_maps(model, images, targets, methods))
    return tally.scan()


@dataclass
class _Tally:
    """What is kept of each batch."""

    data: ImageSet
    question: Question
    measures: Sequence[Measure]
    logits: list[Tensor] = field(default_factory=list)
    ratios: dict[Key, dict[str, list[Ratios]]] = field(default_factory=dict)
    maps: dict[Key, list[Tensor]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, indices: np.ndarray, logits: Tensor, maps: dict[Key, Tensor]) -> None:
        """Measure the maps of one batch and forget them, but for those of the deletion curve."""
        self.logits.append(logits.cpu().float())
        located = np.isin(indices, self.question.located)
        occluded = np.isin(indices, self.question.occluded)
        findings = findings_of(self.data, indices[located])
        for key, each in maps.items():
            self.sizes[key[0]] = (int(each.shape[1]), int(each.shape[2]))
            self.maps.setdefault(key, []).append(each[occluded].cpu())
            if not located.any():
                continue
            batch, by_name = (
                MapBatch(each[located].cpu(), findings),
                self.ratios.setdefault(key, {}),
            )
            for measure in self.measures:
                by_name.setdefault(measure.name, []).append(measure(batch))

    def scan(self) -> Scan:
        logits = torch.cat(self.logits).numpy()
        ratios = {
            key: {name: Ratios.concatenate(parts) for name, parts in by_name.items()}
            for key, by_name in self.ratios.items()
        }
        maps = {key: torch.cat(parts) for key, parts in self.maps.items()}
        if logits.shape[1] == 2:
            ratios, maps = _with_centred(ratios), _with_centred(maps)
        return Scan(logits, ratios, maps, self.sizes)


def _with_centred(by_key: dict[Key, V]) -> dict[Key, V]:
    """Two classes: the centred map is half the contrast, to which no measure on maps is sensitive.

    A_1 - (A_0 + A_1) / 2 = (A_1 - A_0) / 2. So the same value stands under both names, and is
    measured once.
    """
    out: dict[Key, V] = {}
    for (method, gauge), value in by_key.items():
        if gauge == "contrast":
            out[method, "centred"] = value
        out[method, gauge] = value
    return out


def output_index(targets: np.ndarray, outputs: int) -> Tensor:
    """Class to logit: a single sigmoid logit is that of class 1."""
    chosen = torch.as_tensor(np.array(targets), dtype=torch.long)
    return torch.zeros_like(chosen) if outputs == 1 else chosen


def _all_maps(
    model: BlackBox | SoftCAM, images: Tensor, targets: Tensor, methods: Sequence[Explainer]
) -> tuple[Tensor, dict[Key, Tensor]]:
    """Logits (B, C), and the map of the target (B, h, w) by method and gauge."""
    logits: Tensor | None = None
    maps: dict[Key, Tensor] = {}
    for method in methods:
        if method.gauges == ("-",):
            maps[method.name, "-"] = method(model, images, targets).detach()
            continue
        logits, every = class_maps(method.name, model, images)
        for gauge in method.gauges:
            if gauge == "centred" and every.shape[1] == 2:
                continue  # half the contrast, see `_with_centred`
            if gauge == "raw" or model.link == "softmax":  # a sigmoid's zero is fixed
                maps[method.name, gauge] = in_gauge(gauge, every, logits, targets)
    if logits is None:
        with torch.no_grad():
            logits = model(images)
    return logits, maps


def in_gauge(gauge: str, maps: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
    """The map of each image's target, read from one of three zeros.

    Args:
        gauge: `raw`; `centred`, minus the mean over classes at each cell; or `contrast`, minus
            the map of the class with the highest other logit.
        maps: (B, C, h, w), of any method that is linear in the logits.
        logits: (B, C).
        targets: (B,).

    Returns:
        (B, h, w).
    """
    choose("gauge", gauge, ("raw", "centred", "contrast"))
    if gauge != "raw" and maps.shape[1] < 2:
        raise SoftCAMError(f"one map has no other class: gauge {gauge!r} needs two at least.")
    rows = torch.arange(len(maps), device=maps.device)
    own = maps[rows, targets]
    if gauge == "raw":
        return own
    if gauge == "centred":
        return own - maps.mean(1)
    rest = logits.clone()
    rest[rows, targets] = -torch.inf
    return own - maps[rows, rest.argmax(1)]


def findings_of(data: ImageSet, indices: np.ndarray) -> Tensor:
    """What is marked in these images, (B, H, W) bool."""
    masks = [data.finding(int(i)) for i in indices]
    return torch.from_numpy(np.stack(masks) if masks else np.zeros((0, *data.size), bool))


def deletion(
    model: BlackBox | SoftCAM,
    data: ImageSet,
    question: Question,
    maps: Tensor,
    outputs: int,
    fill: Sequence[float] | None,
    chunk: int = 32,
) -> dict[str, Ratios]:
    """Deletion curves of one method's maps (L, h, w), by measure name.

    Args:
        outputs: number of logits.
        fill: colour that hides a patch; None takes the model's mean colour.
    """
    prediction, probability = [], []
    for start in range(0, len(question.occluded), chunk):
        indices = question.occluded[start : start + chunk]
        targets = output_index(question.targets[indices], outputs)
        part = maps[start : start + chunk]
        scores = deletion_scores(model, data.batch(indices), part, targets, fill=fill)
        prediction.append(scores.ratios("prediction"))
        probability.append(scores.ratios("probability"))
    return {
        "deletion-prediction": Ratios.concatenate(prediction),
        "deletion-probability": Ratios.concatenate(probability),
    }
