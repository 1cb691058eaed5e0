"""Loss, class weights and schedule against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.objective import class_weights, cross_entropy, learning_rate
from softcam.runs import TrainConfig


def test_the_papers_schedule_is_a_cosine_an_epoch_frozen_at_a_tenth() -> None:
    config = TrainConfig(optimizer="sgd-paper", lr=1e-3, epochs=50)
    found = [learning_rate(config, epoch, 5, 10) for epoch in range(50)]
    cosine = [1e-3 * 0.5 * (1 + np.cos(np.pi * epoch / 50)) for epoch in range(50)]
    np.testing.assert_allclose(found, np.maximum(cosine, 1e-4))


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
