"""Two questions with a known answer: what a finding is worth, and whether the model matters.

On phantoms a lesion can be taken out of the image and nothing else, so the true change of the
logit is known (twins). And a map that stays the same when the network's weights are drawn anew,
or when it was trained on shuffled labels, does not explain the network (sanity).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from softcam.common import digest
from softcam.evaluation.maps import Source, method_code
from softcam.evaluation.question import Question, output_index
from softcam.evaluation.recorder import Recorder
from softcam.evaluation.subjects import Model, RunLike, Subject
from softcam.explainers import Explainer
from softcam.metrics import Measure, Ratios, bootstrap_statistic, evidence_on
from softcam.metrics.causal import MARGINS
from softcam.runs import TrainConfig
from softcam.sanity import cascade, is_label_twin, label_randomisation
from softcam.shards import Shards, kept
from softcam.twins import TwinEffects, twin_effects

PIECE = 64  # images a piece on disk
DRAWS = 3  # cascades an image; a single one hangs on the few weights of a random head

__all__ = [
    "Cases",
    "add_cascade",
    "add_label_randomisation",
    "add_twins",
    "label_twin",
    "twin_cases",
]


@dataclass(frozen=True)
class Cases:
    """The parts of images that were taken out one by one, and what they were worth.

    Attributes:
        effects: the change of every logit.
        others: (N,) by image, the class with the highest logit besides the target.
    """

    effects: TwinEffects
    others: np.ndarray


def twin_cases(
    subject: Subject, model: Model, question: Question, logits: np.ndarray, progress: bool
) -> Cases:
    """Ask the model about every twin of the twinned images; kept with the run."""
    key = subject.key(twinned=digest(question.twinned.tobytes()))

    def compute() -> dict[str, np.ndarray]:
        return twin_effects(model, subject.data, question.twinned, progress=progress).arrays()

    effects = TwinEffects.from_arrays(kept(subject.cache, "twins", key, compute))
    rest = logits.copy()
    columns = output_index(question.targets, subject.outputs).numpy()
    if rest.shape[1] > 1:
        rest[np.arange(len(rest)), columns] = -np.inf
    return Cases(effects, rest.argmax(1))


def add_twins(
    recorder: Recorder,
    subject: Subject,
    source: Source,
    question: Question,
    cases: Cases,
    measures: Sequence[Measure],
) -> None:
    """Evidence on each part against its true worth: one row a measure and kind of part."""
    effects = cases.effects
    images, rows = np.unique(effects.image, return_inverse=True)
    if not len(images):
        return
    maps = source.read(images, question.targets[images])
    targets = output_index(question.targets[effects.image], subject.outputs).numpy()
    gauge = source.gauges[0] if source.gauges != ("-",) else _default_gauge(subject)
    effect = effects.effect(gauge, targets, cases.others[effects.image])
    cell = max(1, round(subject.data.size[0] / maps.shape[1]))
    for margin in MARGINS:
        evidence = evidence_on(
            maps, rows, effects.masks, margin=margin * cell, width=subject.data.size[1]
        )
        for name, own in _selections(effects).items():
            for measure in measures:
                _add_twin(recorder, source, question, measure, name, margin, effects.image[own],
                          evidence[own], effect[own])  # fmt: skip


def _selections(effects: TwinEffects) -> dict[str, np.ndarray]:
    """Kinds of parts, never pooled: a marker and a lesion differ in worth and place at once.

    Two lesions of a kind back each other up: the network hardly misses one of them. So those
    without such company have a row of their own.
    """
    kinds, found = np.array(effects.part), {}
    for part in dict.fromkeys(effects.part):
        found[part] = kinds == part
        if (effects.n_alike[kinds == part] > 1).any():
            found[f"{part}, the only one"] = (kinds == part) & (effects.n_alike == 1)
    return found


def _add_twin(
    recorder: Recorder,
    source: Source,
    question: Question,
    measure: Measure,
    part: str,
    margin: int,
    images: np.ndarray,
    evidence: np.ndarray,
    effect: np.ndarray,
) -> None:
    """One statistic of one kind of part, its interval drawn over images."""
    kept = np.isfinite(evidence)
    interval = bootstrap_statistic(
        measure.function, evidence[kept], effect[kept], n_boot=recorder.n_boot,
        seed=recorder.seed, groups=images[kept], weighted=measure.weighted,
    )  # fmt: skip
    for gauge in source.gauges:
        keys = {
            **source.keys, "method": source.method, "gauge": gauge, "finding": part,
            "target": question.name, "step": str(margin),
        }  # fmt: skip
        recorder.add_statistic(keys, measure, interval, int(kept.sum()), int((~kept).sum()))


def _default_gauge(subject: Subject) -> str:
    return "contrast" if subject.outputs > 1 else "raw"


def add_cascade(
    recorder: Recorder,
    subject: Subject,
    model: Model,
    question: Question,
    measures: Sequence[Measure],
    seed: int,
    step: Callable[[int], object],
    methods: Mapping[Explainer, np.ndarray],
) -> None:
    """Maps of the trained network against those of the same network, drawn anew from the top.

    Args:
        methods: which methods, and for each the indices of the images.
    """
    for method, indices in methods.items():
        code = method_code(method)
        key = subject.key(method=method.name, function=code, seed=seed, target=question.name)
        root = None if code is None else subject.cache
        shards = Shards.open(root, f"cascade-{method.name}", key, PIECE)

        def compute(
            rows: np.ndarray, name: str = method.name, indices: np.ndarray = indices
        ) -> dict[str, np.ndarray]:
            asked = _asked(subject, question, indices[rows], model)
            return _arrays(cascade(model, *asked, [name], seed=seed, draws=DRAWS).ratios)

        shards.fill(indices, compute, step)
        _add(recorder, subject, question, measures, _ratios(shards.take(indices)), indices)


def label_twin(subject: Subject, runs: Iterable[RunLike]) -> Model | None:
    """The network of the same configuration that was trained on shuffled labels, if it is here."""
    own = subject.run.config
    for run in runs if isinstance(own, TrainConfig) else ():
        if isinstance(run.config, TrainConfig) and is_label_twin(own, run.config):
            other = run.converted() if subject.arm == "converted" else run.model()
            return other.to(next(subject.load().parameters()).device).eval()
    return None


def add_label_randomisation(
    recorder: Recorder,
    subject: Subject,
    models: tuple[Model, Model],
    question: Question,
    measures: Sequence[Measure],
    methods: Iterable[Explainer],
) -> None:
    """Maps of a network against those of one that was trained on shuffled labels."""
    indices = question.occluded
    names = [method.name for method in methods]
    parts = []
    for start in range(0, len(indices), PIECE):
        asked = _asked(subject, question, indices[start : start + PIECE], models[0])
        parts.append(label_randomisation(*models, *asked, names))
    found = {key: Ratios.concatenate(part[key] for part in parts) for key in parts[0]}
    _add(recorder, subject, question, measures, found, indices)


def _asked(
    subject: Subject, question: Question, indices: np.ndarray, model: Model
) -> tuple[Tensor, Tensor]:
    """Images (n, 3, H, W) and the logit that is explained in each, where the model is."""
    device = next(model.parameters()).device
    targets = output_index(question.targets[indices], subject.outputs)
    return subject.data.batch(indices).to(device), targets.to(device)


def _add(
    recorder: Recorder,
    subject: Subject,
    question: Question,
    measures: Sequence[Measure],
    found: dict[tuple[str, str], Ratios],
    indices: np.ndarray,
) -> None:
    for (method, gauge), ratios in found.items():
        keys = {
            **subject.keys, "method": method, "gauge": gauge, "target": question.name,
            "finding": "-",
        }  # fmt: skip
        for measure in measures:
            recorder.add_ratios(keys, measure, ratios, subject.data, indices)


def _arrays(by_key: dict[tuple[str, str], Ratios]) -> dict[str, np.ndarray]:
    out: dict[str, np.ndarray] = {}
    for (method, gauge), ratios in by_key.items():
        out[f"{method}|{gauge}|numerator"] = ratios.numerator
        out[f"{method}|{gauge}|denominator"] = ratios.denominator
    return out


def _ratios(arrays: dict[str, np.ndarray]) -> dict[tuple[str, str], Ratios]:
    names = dict.fromkeys(name.rsplit("|", 1)[0] for name in sorted(arrays))
    return {
        (each.split("|")[0], each.split("|")[1]): Ratios(
            arrays[f"{each}|numerator"], arrays[f"{each}|denominator"]
        )
        for each in names
    }
