"""The weight of a penalty: the largest within one standard error of the best.

For each weight of a grid the trained network is asked about the validation split alone. The rule:
take the largest weight whose AUC (of several classes the mean of one against the rest) is at least
the best AUC minus one standard error of that best AUC. The standard error is the standard
deviation over a seeded bootstrap of the validation patients (of the images, where no patient has
several). No mark of a finding takes part, and no image of the test split is read.

Beside it stands what the validation masks would have chosen, the oracle: the weight with the best
pointing accuracy of the contrast map, the smallest of equal ones. It is shown and never used.

The one-standard-error rule: Breiman et al., Classification and regression trees, 1984, ch. 3.4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from softcam.common import rng
from softcam.data.records import ImageSet
from softcam.evaluation.subjects import RunLike

__all__ = ["MASK_METRIC", "Candidate", "choose_weight", "oracle_weight", "validated"]

STREAM = 0x53454C45  # keeps these draws apart from others with the same seed
MASK_METRIC = "pointing-accuracy"
TOLERANCE = 1e-12  # two ways to add up the same AUC


@dataclass(frozen=True)
class Candidate:
    """One weight of a grid on the validation split; NaN where a value is undefined.

    Attributes:
        weight: on the plan's scale, only compared.
        val_auc, val_auc_se: AUC and its standard error; NaN for a training that failed.
        val_accuracy: share of images.
        val_loss: cross-entropy in nats, without the penalty.
        mask_value: of the oracle's measure; NaN where nothing is marked.
    """

    weight: float
    val_auc: float = math.nan
    val_auc_se: float = math.nan
    val_accuracy: float = math.nan
    val_loss: float = math.nan
    mask_value: float = math.nan


def choose_weight(candidates: Sequence[Candidate]) -> float | None:
    """The largest weight within one standard error of the best AUC; None where none has one.

    Among equally good weights the largest is the best, and its standard error counts.
    """
    known = [each for each in candidates if not math.isnan(each.val_auc)]
    if not known:
        return None
    best = max(known, key=lambda each: (each.val_auc, each.weight))
    error = 0.0 if math.isnan(best.val_auc_se) else best.val_auc_se
    floor = best.val_auc - error - TOLERANCE
    return max(each.weight for each in known if each.val_auc >= floor)


def oracle_weight(candidates: Sequence[Candidate]) -> float | None:
    """What the masks would choose: the best `mask_value`, the smallest weight of equal ones."""
    known = [each for each in candidates if not math.isnan(each.mask_value)]
    if not known:
        return None
    return min(known, key=lambda each: (-each.mask_value, each.weight)).weight


def validated(run: RunLike, weight: float, *, draws: int, images: int, seed: int) -> Candidate:
    """A trained network on its validation split.

    Args:
        run: of the grid.
        weight: what it was trained with, on the plan's scale.
        draws: of the bootstrap.
        images: how many validation images with a finding the oracle looks at, a seeded choice.
        seed: of the draws and of the choice.
    """
    import torch

    from softcam.metrics import classification_measures, multi_label_measures
    from softcam.objective import cross_entropy
    from softcam.validation import predict

    device = "cuda" if torch.cuda.is_available() else "cpu"
    data, model = run.data("val"), run.model().to(device)
    labels = np.asarray(data.labels)
    logits = predict(model, data, device=device)
    scores = logits.double().numpy()
    if data.multi_label:
        found = multi_label_measures(labels, scores)
    else:
        found = classification_measures(labels, scores, model.link)
    loss = cross_entropy(logits, torch.from_numpy(labels), model.link, None)
    return Candidate(
        weight,
        val_auc=found["auc"],
        val_auc_se=_standard_error(data, labels, scores, model.link, draws, seed),
        val_accuracy=found["accuracy"],
        val_loss=float(loss),
        mask_value=_pointing(model, data, images, seed),
    )


def _standard_error(
    data: ImageSet, labels: np.ndarray, scores: np.ndarray, link: str, draws: int, seed: int
) -> float:
    """Standard deviation of the AUC over draws of patients; NaN where no draw has one."""
    from softcam.metrics import get_measure, macro_mean

    auc = get_measure("auc").function
    function = macro_mean(auc) if data.multi_label else auc
    _, patient = np.unique(np.asarray(data.patients), return_inverse=True)
    order = np.argsort(patient, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(patient))[:-1])
    drawing, values = rng(seed, STREAM), []
    for _ in range(draws):
        chosen = drawing.integers(len(members), size=len(members))
        rows = np.concatenate([members[i] for i in chosen])
        values.append(function(labels[rows], scores[rows], link=link))
    defined = np.array([each for each in values if not np.isnan(each)])
    return float(defined.std(ddof=1)) if len(defined) > 1 else math.nan


def _pointing(model: Any, data: ImageSet, images: int, seed: int) -> float:
    """Pointing accuracy of the evidence for the finding, in the gauge `contrast` where it exists.

    Of two classes the map of class 1 against class 0; of several that of the label against the
    highest other logit. A multi-label set has a question a finding, and no single one.
    """
    import torch

    from softcam.evaluation.question import ask, findings_of, output_index, some_of
    from softcam.explainers import class_maps
    from softcam.explainers.gauges import in_gauge
    from softcam.metrics import measure_maps

    if data.multi_label:
        return math.nan
    question = ask(data, 1, seed)
    chosen = some_of(question.located, images, seed)
    if not len(chosen):
        return math.nan
    device, parts = next(model.parameters()).device, []
    for start in range(0, len(chosen), 32):
        rows = chosen[start : start + 32]
        logits, maps = (
            each.detach().cpu()
            for each in class_maps("softcam", model, data.batch(rows).to(device))
        )
        gauge = "contrast" if model.link == "softmax" else "raw"
        targets = output_index(question.targets[rows], logits.shape[1])
        parts.append(in_gauge(gauge, maps, logits, targets))
    found = measure_maps(torch.cat(parts), findings_of(data, chosen), [MASK_METRIC])[MASK_METRIC]
    total = float(found.denominator.sum())
    return float(found.numerator.sum()) / total if total else math.nan


def selection_rows(
    candidates: Mapping[str, Candidate], common: Mapping[str, Any], per_cell: Mapping[str, float],
    run_ids: Mapping[str, str], lambdas: Mapping[str, float],
) -> list[dict[str, Any]]:  # fmt: skip
    """One row of `selection.csv` for each weight of a grid, by the id of its training."""
    chosen = choose_weight(list(candidates.values()))
    oracle = oracle_weight(list(candidates.values()))
    rows = []
    for id, each in candidates.items():
        values = {k: v for k, v in asdict(each).items() if k != "weight"}
        rows.append({
            **common, "per_cell": per_cell[id], "lambda": lambdas[id], **values,
            "mask_metric": MASK_METRIC, "run_id": run_ids[id],
            "chosen": each.weight == chosen, "oracle": each.weight == oracle,
        })  # fmt: skip
    return rows
