"""Integrated Gradients against its axioms, a NumPy quadrature and captum; its chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from softcam.explainers import explain_with, features
from softcam.wrappers import BlackBox
from tests.explainers.sixteen import NORMALIZE, Linear16, black_box, near, pictures
from tests.explainers.test_explainers import TinyNet, by_hand, randomised

TARGETS = torch.tensor([0, 3, 1])


def test_of_a_linear_network_is_weight_times_normalised_colour() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    model, images = BlackBox(net, NORMALIZE), pictures(3, 8, 8)
    weight = net[1].weight.detach()[TARGETS].view(3, 3, 8, 8)
    expected = (weight * model.normalize(images)).sum(1)
    found = explain_with("integrated-gradients", model, images, TARGETS)
    assert near(found, expected.double().numpy()) and (found < 0).any()


@pytest.mark.parametrize("kind", ["black box", "softcam"])
def test_sums_to_the_logit_beside_the_mean_colour(kind: str) -> None:
    net = randomised(TinyNet(4))
    model = BlackBox(net, NORMALIZE) if kind == "black box" else by_hand(net)
    images = pictures()
    found = explain_with("integrated-gradients", model.eval(), images, TARGETS)
    baseline = torch.zeros_like(images[:1])
    if kind == "black box":
        baseline += torch.tensor(NORMALIZE[0]).view(1, 3, 1, 1)
    gain = (model(images) - model(baseline))[torch.arange(3), TARGETS].detach()
    assert torch.allclose(found.sum((1, 2)), gain, atol=0.02 * float(gain.abs().max()))


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
def test_equals_the_quadrature_whatever_the_chunk(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 Gauss-Legendre points on the line, one image and one point at a time."""
    model, images = black_box(Linear16), pictures()
    pixels = 2 * images.shape[2] * images.shape[3]
    monkeypatch.setattr(features, "CHUNK_PIXELS", chunk * pixels)
    x = model.normalize(images)
    points, weights = np.polynomial.legendre.leggauss(50)
    expected = torch.zeros(3, *x.shape[2:], dtype=torch.float64)
    for i, target in enumerate(TARGETS.tolist()):
        for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
            at = (float(point) * x[i : i + 1]).requires_grad_(True)
            gradient = torch.autograd.grad(model.net(at)[0, target], at)[0]
            expected[i] += float(weight) * (gradient * x[i]).sum(1)[0].double()
    found = explain_with("integrated-gradients", model, images, TARGETS)
    assert near(found, expected.numpy())


@pytest.mark.parametrize("images", [1, 5, 9])
def test_no_pass_holds_more_than_a_chunk(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = black_box(), pictures(images)
    monkeypatch.setattr(features, "CHUNK_PIXELS", 2 * 4 * x.shape[2] * x.shape[3])
    seen: list[int] = []
    model.net.fc.register_forward_hook(lambda m, i, out: seen.append(len(out)))
    explain_with("integrated-gradients", model, x, torch.zeros(images, dtype=torch.long))
    assert max(seen) <= 4 and sum(seen[1:]) == 50 * images
