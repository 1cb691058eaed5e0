"""Heads that are affine are folded, those that are not are told; so is another pooling."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from softcam.flat import is_affine
from tests.test_heads import (
    CLASSES,
    AverageAndMax,
    D,
    GeneralisedMean,
    MaxPooled,
    Net,
    Twins,
    converted,
    randomised,
)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    "head",
    [
        nn.Sequential(nn.BatchNorm1d(D), nn.Linear(D, CLASSES)),
        nn.Sequential(nn.Linear(D, 5), nn.Linear(5, CLASSES, bias=False)),
        Twins(),
    ],
    ids=["batch norm", "two layers", "averaged twins"],
)
def test_an_affine_head_is_folded_into_one_convolution(head: nn.Module) -> None:
    net = randomised(Net(head))
    model, conversion, x = converted(net)
    assert conversion.kind == "exact" and "folded" in " ".join(conversion.notes)
    assert conversion.max_logit_difference is not None and conversion.max_logit_difference <= 1e-5
    assert isinstance(model.evidence, nn.Conv2d)
    torch.testing.assert_close(model(x), net(x), rtol=1e-4, atol=1e-5)


def test_the_folded_weights_are_the_products_by_hand() -> None:
    head = nn.Sequential(nn.BatchNorm1d(D, eps=0.01), nn.Linear(D, CLASSES))
    model, _, _ = converted(randomised(Net(head)))
    norm, fc = head
    with torch.no_grad():
        gain = norm.weight / (norm.running_var + 0.01).sqrt()
        weight = fc.weight * gain
        bias = fc.bias + fc.weight @ (norm.bias - gain * norm.running_mean)
    layer = model.get_classifier()
    torch.testing.assert_close(layer.weight[:, :, 0, 0], weight)
    torch.testing.assert_close(layer.bias, bias)
    assert layer.weight.requires_grad


@pytest.mark.parametrize(
    "bend",
    [lambda v: v.clamp(-10, 10), lambda v: torch.relu(v + 20) - 20],
    ids=["clamp", "relu far out"],
)
def test_a_head_that_bends_far_out_only_is_not_affine(bend: Callable[[Tensor], Tensor]) -> None:
    class Bent(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(bend(self.pool(self.body(x))))

    _, conversion, _ = converted(Bent(nn.Linear(D, CLASSES)))
    assert conversion.kind == "pointwise"


@pytest.mark.parametrize(
    ("net", "named"),
    [(MaxPooled, "amax"), (AverageAndMax, "mean, amax"), (GeneralisedMean, "pow")],
)
def test_no_other_pooling_than_the_mean_is_exact(net: type[Net], named: str) -> None:
    model, conversion, x = converted(net(nn.Linear(D, CLASSES)).eval())
    assert conversion.kind == "pointwise" and named in " ".join(conversion.notes)
    torch.testing.assert_close(model.evidence_maps(x).mean((2, 3)), model(x))


def test_affine_is_asked_of_small_numbers_and_of_large_ones() -> None:
    z = torch.randn(3, D, 2, 2, dtype=torch.float64)
    weight = torch.randn(CLASSES, D, dtype=torch.float64)
    assert is_affine(lambda v: v @ weight.T + 1, z)
    assert not is_affine(lambda v: (v @ weight.T).clamp(-1e5, 1e5), z)
    assert not is_affine(lambda v: v @ weight.T + 1e-3 * v[:, :CLASSES] ** 2, z)
