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
