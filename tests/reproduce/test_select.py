"""The rule that chooses a weight, by cases worked out by hand; and that it reads no test image."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from softcam.evidence import SoftCAM
from softcam.metrics.classification import auc
from softcam.reproduce.select import Candidate, choose_weight, oracle_weight, validated
from softcam.runs import TrainConfig, build_model
from tests.tiny import TINY

nan = math.nan


def grid(*values: tuple[float, float, float]) -> list[Candidate]:
    """Weight, AUC and its standard error."""
    return [Candidate(w, auc, se) for w, auc, se in values]


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        # best .95 at .01, one SE .02: the floor is .93, which .03 reaches and .1 does not
        (grid((3e-3, 0.94, 0.02), (0.01, 0.95, 0.02), (0.03, 0.935, 0.05), (0.1, 0.92, 0.9)), 0.03),
        # the floor itself counts
        (grid((0.01, 0.75, 0.25), (0.1, 0.5, 0.01)), 0.1),
        # the SE is that of the best, not of the candidate
        (grid((0.01, 0.95, 0.01), (0.1, 0.93, 0.05)), 0.01),
        # a tie for the best: the larger one counts, with its SE
        (grid((0.01, 0.9, 0.1), (0.03, 0.9, 0.01), (0.1, 0.85, 0.1)), 0.03),
        # saturated everywhere
        (grid((0.01, 1.0, 0.0), (0.1, 1.0, 0.0), (1.0, 1.0, 0.0)), 1.0),
        # the order of the rows says nothing
        (grid((0.1, 0.92, 0.9), (0.03, 0.935, 0.05), (0.01, 0.95, 0.02)), 0.03),
        # a training that failed is neither best nor chosen
        (grid((0.01, 0.9, 0.02), (0.03, 0.89, 0.02), (0.1, nan, nan)), 0.03),
        # an undefined SE allows nothing below the best
        (grid((0.01, 0.9, nan), (0.1, 0.8999, 0.5)), 0.01),
        (grid((0.01, nan, nan), (0.1, nan, nan)), None),
    ],
)  # fmt: skip
def test_the_largest_weight_within_one_standard_error(
    candidates: list[Candidate], chosen: float | None
) -> None:
    assert choose_weight(candidates) == chosen


def test_masks_never_take_part_and_the_oracle_takes_the_smallest_of_equals() -> None:
    rows = grid((0.01, 0.95, 0.01), (0.03, 0.945, 0.01), (0.1, 0.80, 0.01))
    masked = [replace(c, mask_value=v) for c, v in zip(rows, (0.5, 0.7, 0.7), strict=True)]
    assert choose_weight(masked) == choose_weight(rows) == 0.03
    assert oracle_weight(masked) == 0.03
    assert oracle_weight([replace(masked[0], mask_value=nan), masked[2]]) == 0.1
    assert oracle_weight(rows) is None


@dataclass
class Blind:
    """A run whose test split cannot be looked at."""

    config: TrainConfig
    network: SoftCAM
    id: str = "run"
    arm: str = "sparse"
    seed: int = 0
    lambdas: tuple[float, float] = (0.1, 0.0)

    def data(self, split: str) -> Any:
        from softcam.data import open_data

        assert split == "val", f"the split {split} was read"
        splits = open_data(self.config.data, self.config.size, **self.config.data_options)
        return splits[split]

    def model(self) -> SoftCAM:
        return self.network

    def converted(self) -> SoftCAM:
        return self.network


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multi"])
def test_values_of_the_validation_split_alone(task: str) -> None:
    options = {**TINY.data_options, "task": task}
    config = replace(TINY, data_options=options)
    classes = len(Blind(config, None).data("val").classes)  # type: ignore[arg-type]
    model = build_model(config, classes, ((0.5,) * 3, (0.5,) * 3)).eval()
    assert isinstance(model, SoftCAM)
    run = Blind(config, model)
    found = validated(run, 0.1, draws=300, images=8, seed=0)
    again = validated(run, 0.1, draws=300, images=8, seed=0)
    assert found == again, "the same seed gave other numbers"

    data = run.data("val")
    logits = model(data.batch(range(len(data)))).detach().numpy().astype(float)
    assert found.val_auc == pytest.approx(auc(data.labels, logits))
    drawing, draws = np.random.default_rng(1), []
    for _ in range(300):  # another bootstrap, by the definition
        rows = drawing.integers(len(data), size=len(data))
        draws.append(auc(data.labels[rows], logits[rows]))
    assert found.val_auc_se == pytest.approx(np.nanstd(draws, ddof=1), rel=0.2)
    assert found.val_accuracy == pytest.approx((logits.argmax(1) == data.labels).mean())
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    mean = -log_p[np.arange(len(data)), data.labels].mean()
    assert found.val_loss == pytest.approx(mean, rel=1e-5)
    assert 0 <= found.mask_value <= 1
