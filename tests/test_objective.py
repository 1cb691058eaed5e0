"""Loss, class weights and schedule against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from softcam.objective import Objective, class_weights, cross_entropy, learning_rate
from softcam.penalties import hoyer_spread, paper_lambdas
from softcam.runs import TrainConfig, build_model
from tests.tiny import TINY


def test_the_papers_schedule_is_a_cosine_an_epoch_frozen_at_a_tenth() -> None:
    config = TrainConfig(optimizer="sgd-paper", lr=1e-3, epochs=50)
    found = [learning_rate(config, epoch, 5, 10) for epoch in range(50)]
    cosine = [1e-3 * 0.5 * (1 + np.cos(np.pi * epoch / 50)) for epoch in range(50)]
    np.testing.assert_allclose(found, np.maximum(cosine, 1e-4))


def test_the_public_codes_cosine_has_a_period_of_its_own_and_stays_at_the_floor() -> None:
    config = TrainConfig(optimizer="sgd-paper", lr=1e-3, epochs=70, cosine_epochs=50)
    found, lr = [], 1e-3
    parameter = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(parameter, T_max=50)
    for _ in range(70):
        found.append(lr)
        if lr > 1e-4:
            parameter.step()
            cosine.step()
            lr = max(cosine.get_last_lr()[0], 1e-4)
    rates = [learning_rate(config, epoch, 0, 10) for epoch in range(70)]
    np.testing.assert_allclose(rates, found, rtol=1e-9)
    assert rates.index(1e-4) == 40


def test_a_one_logit_sigmoid_has_the_loss_of_the_two_logit_softmax() -> None:
    logit, labels = torch.randn(6, 1), torch.tensor([0, 1, 1, 0, 1, 1])
    two = torch.cat([torch.zeros(6, 1), logit], 1)
    for weights_ in (None, class_weights(labels.numpy(), 2)):
        one_loss = cross_entropy(logit, labels, "sigmoid", weights_)
        assert one_loss.item() == pytest.approx(
            cross_entropy(two, labels, "softmax", weights_).item(), rel=1e-5
        )


def test_class_weights_are_inverse_frequencies() -> None:
    found = class_weights(np.array([0, 0, 0, 1]), 2)
    assert found.tolist() == pytest.approx([4 / (2 * 3), 4 / (2 * 1)])


def test_several_findings_have_the_mean_loss_of_each_by_itself() -> None:
    logits, labels = torch.randn(6, 3), torch.randint(0, 2, (6, 3))
    found = cross_entropy(logits, labels, "sigmoid", None)
    each = [cross_entropy(logits[:, [c]], labels[:, c], "sigmoid", None) for c in range(3)]
    assert found.item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-6)
    p = logits.sigmoid()
    chances = torch.where(labels == 1, p, 1 - p)
    assert found.item() == pytest.approx(-chances.log().mean().item(), rel=1e-5)


def test_each_finding_has_class_weights_of_its_own() -> None:
    labels = np.array([[1, 0], [0, 0], [0, 0], [0, 1], [1, 0], [0, 1]])
    found = class_weights(labels, 2)
    assert found.shape == (2, 2)  # without and with, of each finding
    for c in (0, 1):
        assert found[:, c].tolist() == class_weights(labels[:, c], 2).tolist()
    logits = torch.randn(6, 2)
    loss = cross_entropy(logits, torch.tensor(labels), "sigmoid", found)
    weight = found.numpy()[labels, [[0, 1]] * 6]
    p = logits.sigmoid().numpy()
    each = -np.log(np.where(labels == 1, p, 1 - p))
    assert loss.item() == pytest.approx((each * weight).sum() / weight.sum(), rel=1e-5)


def objective(config: TrainConfig, lambda1: float, lambda2: float = 0.0) -> Objective:
    return Objective(build_model(config, 2, None), config, lambda1, lambda2).double().eval()


def test_the_hoyer_arm_weighs_the_mean_spread_by_its_weight_per_cell() -> None:
    config = TINY.with_arm("hoyer", 0.3)
    arm = objective(config, *paper_lambdas(0.3, 0.0, 2, 4, 4))
    images = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    ce, penalty = arm(images, torch.tensor([0, 1, 0]))
    maps = arm.model.evidence_maps(images)  # type: ignore[operator]
    assert penalty.item() == pytest.approx(0.3 * hoyer_spread(maps).mean().item(), rel=1e-12)
    expected = cross_entropy(maps.mean((2, 3)), torch.tensor([0, 1, 0]), "softmax", None)
    assert ce.item() == pytest.approx(expected.item())


def test_the_first_images_penalty_has_the_same_mean_gradient_and_more_noise() -> None:
    """The public code's: `torch.norm(activations[0], 1)` and the same with 2."""
    whole = objective(TINY.with_arm("elastic", 1.0, 1.0), 0.01, 0.02)
    first = objective(replace(whole.config, penalty_on="first"), 0.01, 0.02)
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(6, 3, 32, 32, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 1, 1, 0])

    def gradient(arm: Objective, order: list[int]) -> np.ndarray:
        _, penalty = arm(images[order], labels[order])
        weight = arm.model.get_classifier().weight
        return torch.autograd.grad(penalty, weight)[0].flatten().numpy()  # type: ignore[arg-type]

    def by_hand(order: list[int]) -> float:
        activations = first.model.evidence_maps(images[order])  # type: ignore[operator]
        l1, l2 = torch.norm(activations[0], 1), torch.norm(activations[0], 2)
        return (0.01 * l1 + 0.02 * l2).item()

    # Which image comes first is all that counts: each of the six in turn is every shuffle.
    orders = [[k, *(i for i in range(6) if i != k)] for k in range(6)]
    of_first = np.stack([gradient(first, order) for order in orders])
    of_all = np.stack([gradient(whole, order) for order in orders])
    np.testing.assert_allclose(of_first.mean(0), of_all[0], rtol=1e-10, atol=1e-12)
    assert np.ptp(of_all, 0).max() < 1e-10 < 1e-3 * np.abs(of_all).max() < of_first.std(0).max()
    for order in orders:
        assert first(images[order], labels[order])[1].item() == pytest.approx(by_hand(order))
