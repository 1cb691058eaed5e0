"""Classification measures against scikit-learn and by hand."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, cohen_kappa_score, roc_auc_score

from softcam.common import SoftCAMError
from softcam.metrics import classification_measures, classification_ratios, measures
from softcam.metrics.classification import (
    auc,
    class_probabilities,
    expected_calibration_error,
    quadratic_kappa,
)


def predictions(classes: int, n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, n)
    logits = draw.normal(size=(n, classes)) * 2
    logits[np.arange(n), labels] += 1.5
    return labels, logits


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_equals_scikit_learn(classes: int) -> None:
    labels, logits = predictions(classes)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = classification_measures(labels, logits)
    assert found["accuracy"] == pytest.approx((logits.argmax(1) == labels).mean())
    if classes == 2:
        assert found["auc"] == pytest.approx(roc_auc_score(labels, logits[:, 1] - logits[:, 0]))
        assert found["brier"] == pytest.approx(brier_score_loss(labels, p[:, 1]))
    else:
        assert found["auc"] == pytest.approx(roc_auc_score(labels, p, multi_class="ovr"))
        assert found["brier"] == pytest.approx(((p - np.eye(classes)[labels]) ** 2).sum(1).mean())
    kappa = cohen_kappa_score(labels, logits.argmax(1), weights="quadratic")
    assert found["quadratic-kappa"] == pytest.approx(kappa)


def test_auc_counts_pairs() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    z = np.array([0.0, 2.0, 2.0, 3.0, -1.0])
    logits = np.stack([np.zeros(5), z], 1)
    pairs = [(b > a) + 0.5 * (b == a) for a in z[labels == 0] for b in z[labels == 1]]
    assert auc(labels, logits) == pytest.approx(np.mean(pairs))


def test_auc_with_many_ties_equals_scikit_learn() -> None:
    labels, logits = predictions(2)
    coarse = np.round(logits[:, 1:])
    assert auc(labels, coarse, "sigmoid") == pytest.approx(roc_auc_score(labels, coarse[:, 0]))


def test_auc_ranks_where_probabilities_saturate() -> None:
    labels = np.array([0, 0, 1, 1])
    logits = np.stack([np.zeros(4), [50.0, 60.0, 70.0, 80.0]], 1)  # all p = 1 in float64
    assert auc(labels, logits) == 1


def test_calibration_by_hand() -> None:
    """Two bins are filled: confidence 0.9 with accuracy 1/2, and 0.6 with accuracy 1."""
    p = np.array([0.9, 0.9, 0.6, 0.6])
    logits = np.stack([np.zeros(4), np.log(p / (1 - p))], 1)
    ece = expected_calibration_error(np.array([1, 0, 1, 1]), logits)
    assert ece == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)


def test_calibration_equals_its_definition() -> None:
    labels, logits = predictions(3)
    p = class_probabilities(logits)
    expected = 0.0
    for b in range(15):
        inside = (p.max(1) > b / 15) & (p.max(1) <= (b + 1) / 15)
        if inside.any():
            gap = (p.argmax(1) == labels)[inside].mean() - p.max(1)[inside].mean()
            expected += inside.mean() * abs(gap)
    assert expected_calibration_error(labels, logits) == pytest.approx(expected)


def test_logits_by_hand() -> None:
    labels, logits = np.array([0, 1]), np.array([[1.0, -2.0, 3.0], [0.0, 0.0, -6.0]])
    found = classification_measures(labels, logits)
    assert found["logit-size"] == pytest.approx(2)
    assert found["logit-contrast"] == pytest.approx((2 + 0) / 2)
    sigmoid = classification_measures(labels, np.array([[1.0], [-3.0]]), "sigmoid")
    assert sigmoid["logit-size"] == sigmoid["logit-contrast"] == 2


def test_one_sigmoid_logit_is_a_softmax_with_a_zero_beside_it() -> None:
    labels, logits = predictions(2)
    one = logits[:, 1:] - logits[:, :1]
    two = np.hstack([np.zeros_like(one), one])
    a = classification_measures(labels, torch.from_numpy(one), "sigmoid")
    b = classification_measures(labels, torch.from_numpy(two), "softmax")
    for name in ("accuracy", "auc", "quadratic-kappa", "ece", "brier", "logit-contrast"):
        assert a[name] == pytest.approx(b[name]), name


def test_the_declared_gauge_holds() -> None:
    """One number added to all logits of an image: invariant measures stay, the others move."""
    labels, logits = predictions(3)
    before = classification_measures(labels, logits)
    shift = np.random.default_rng(1).normal(size=(300, 1)) * 5
    after = classification_measures(labels, logits + shift)
    for each in measures("classification"):
        same = after[each.name] == pytest.approx(before[each.name], abs=1e-9)
        assert same == (each.gauge == "invariant"), each.name


def test_image_by_image_gives_the_same_means() -> None:
    for classes in (2, 4):
        labels, logits = predictions(classes)
        found = classification_measures(labels, logits)
        for name, ratios in classification_ratios(labels, logits).items():
            assert ratios.value[0] == pytest.approx(found[name]), name


def test_one_class_only_is_undefined_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = classification_measures(np.zeros(4, int), np.array([[1.0, 0.0]] * 4))
    assert np.isnan(found["auc"]) and np.isnan(found["quadratic-kappa"])
    assert found["accuracy"] == 1
    assert "auc, quadratic-kappa, auprc undefined" in caplog.text


def test_auc_skips_a_class_that_is_absent() -> None:
    labels, logits = predictions(3)
    labels[labels == 2] = 1
    each = [roc_auc_score(labels == c, class_probabilities(logits)[:, c]) for c in (0, 1)]
    assert auc(labels, logits) == pytest.approx(np.mean(each))


def test_kappa_of_opposite_answers_is_negative() -> None:
    logits = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert quadratic_kappa(np.array([1, 0]), logits) == pytest.approx(-1)


def test_large_logits_do_not_overflow() -> None:
    p = class_probabilities(np.array([[-2000.0], [2000.0]]), "sigmoid")
    np.testing.assert_array_equal(p, [[1, 0], [0, 1]])
    np.testing.assert_array_equal(class_probabilities(np.array([[-2000.0, 2000.0]])), [[0, 1]])


@pytest.mark.parametrize(
    ("labels", "logits", "link", "says"),
    [
        ([0, 1], [[0.0, 1.0]], "softmax", "N >= 1"),
        ([], np.zeros((0, 2)), "softmax", "N >= 1"),
        ([0, 2], [[0.0, 1.0]] * 2, "softmax", "from 0 to 1"),
        ([0.5, 1], [[0.0, 1.0]] * 2, "softmax", "integer labels"),
        ([0, 1], [[0.0], [1.0]], "softmax", "link='sigmoid'"),
        ([0, 1], [[0.0, np.nan], [0.0, 1.0]], "softmax", "1 images are NaN or infinite, first 0"),
        ([0, 1], [[0.0, 1.0]] * 2, "softmin", "softmax"),
    ],
)
def test_what_cannot_be_measured_is_said(
    labels: object, logits: object, link: str, says: str
) -> None:
    with pytest.raises(SoftCAMError, match=says):
        classification_measures(labels, logits, link)
