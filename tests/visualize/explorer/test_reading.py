"""The sum spelled out, against the Explanation and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.evidence import Explanation
from softcam.explainers import get_explainer
from softcam.visualize.explorer.reading import number_of, read_explanation, read_method

BY_HAND = Explanation(
    torch.tensor([[[[4.0, 0.0], [-2.0, 6.0]], [[1.0, 1.0], [1.0, 9.0]], [[0.0] * 2] * 2]]),
    torch.tensor([1.0, -1.0, 0.0]),
)


@pytest.fixture
def explanation() -> Explanation:
    return Explanation(torch.randn(1, 4, 3, 5).double() * 3, torch.randn(4).double())


def test_by_hand() -> None:
    reading = read_explanation(BY_HAND, 0, "raw")
    assert reading.cells.tolist() == [[0.75, -0.25], [-0.75, 1.25]]
    assert (reading.positive, reading.negative, reading.rest) == (2.0, -1.0, 1.0)
    assert reading.value == 2.0 and reading.exact and reading.in_logits


@pytest.mark.parametrize("gauge", ["raw", "centred", "contrast"])
@pytest.mark.parametrize("target", range(4))
def test_cells_and_bias_are_the_number(explanation: Explanation, gauge: str, target: int) -> None:
    reading = read_explanation(explanation, target, gauge)
    logits = explanation.logits[0]
    best = max(float(logits[c]) for c in range(4) if c != target)
    expected = {
        "raw": float(logits[target]),
        "centred": float(logits[target] - logits.mean()),
        "contrast": float(logits[target]) - best,
    }[gauge]
    assert reading.value == pytest.approx(expected)
    assert reading.positive + reading.negative + reading.rest == pytest.approx(expected)
    other = int(np.flatnonzero(np.isclose(logits.numpy(), best))[0])
    bias = explanation.bias
    biases = {"raw": bias[target], "centred": bias[target] - bias.mean(),
              "contrast": bias[target] - bias[other]}  # fmt: skip
    assert reading.rest == pytest.approx(float(biases[gauge])), "the rest is the bias"


def test_with_its_share_of_the_bias_a_cell_is_the_contribution(explanation: Explanation) -> None:
    reading = read_explanation(explanation, 2, "raw")
    whole = reading.cells + reading.rest / reading.cells.size
    np.testing.assert_allclose(whole, explanation.contributions[0, 2].numpy(), atol=1e-12)


def test_erased_and_kept_are_the_whole() -> None:
    reading = read_explanation(BY_HAND, 0, "raw")
    shares = np.array([[1.0, 0.0], [0.5, 0.0]])
    assert reading.lost(shares) == 0.75 - 0.375
    assert reading.lost(shares, keep=True) == pytest.approx(-0.25 - 0.375 + 1.25)
    both = reading.lost(shares) + reading.lost(shares, keep=True)
    assert both == pytest.approx(reading.value - reading.rest), "only the bias is left"


def test_another_class_can_be_held_fixed_for_the_contrast() -> None:
    logits = torch.tensor([1.0, 5.0, 2.0])
    assert number_of(logits, 0, "contrast") == -4.0
    assert number_of(logits, 0, "contrast", other=2) == -1.0


def test_maps_of_other_methods_promise_nothing() -> None:
    map, logits = torch.tensor([[1.0, -3.0]]), torch.tensor([2.0, 0.0])
    grad = read_method(get_explainer("grad-cam"), map, logits, 0, "raw")
    assert not grad.exact and grad.in_logits and grad.rest == 4.0
    assert not read_method(get_explainer("rise"), map, logits, 0, "raw").in_logits
    cam = read_method(get_explainer("cam"), map, logits, 0, "raw")
    assert cam.cells.tolist() == [[0.5, -1.5]], "CAM's mean is the logit without the bias"
