"""Measures of several findings against scikit-learn, one finding at a time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from softcam.common import SoftCAMError
from softcam.metrics import (
    auprc,
    macro_mean,
    measures,
    multi_label_measures,
    multi_label_ratios,
)
from softcam.metrics.classification import auc, class_probabilities
from tests.metrics.test_classification import predictions


def findings(n: int = 200, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    labels = (draw.random((n, classes)) < (0.5, 0.2, 0.1)[:classes]).astype(np.int64)
    return labels, np.round(draw.normal(size=(n, classes)) + 2 * labels - 1, 1)  # with ties


def test_the_mean_over_findings_is_scikit_learns() -> None:
    labels, logits = findings()
    found = multi_label_measures(labels, logits)
    p = 1 / (1 + np.exp(-logits))
    assert found["auc"] == pytest.approx(roc_auc_score(labels, logits, average="macro"))
    expected = average_precision_score(labels, logits, average="macro")
    assert found["auprc"] == pytest.approx(expected)
    assert found["accuracy"] == pytest.approx(((logits > 0) == labels).mean())
    columns = zip(labels.T, p.T, strict=True)
    assert found["brier"] == pytest.approx(np.mean([brier_score_loss(y, q) for y, q in columns]))
    assert found["logit-size"] == pytest.approx(np.abs(logits).mean())
    assert set(found) == {m.name for m in measures("classification")} - {"quadratic-kappa"}


def test_a_finding_that_all_or_none_show_has_no_auc_and_does_not_count() -> None:
    labels, logits = findings()
    labels[:, 1], labels[:, 2] = 0, 1
    alone = roc_auc_score(labels[:, 0], logits[:, 0])
    assert multi_label_measures(labels, logits)["auc"] == pytest.approx(alone)
    assert np.isnan(macro_mean(auc)(labels[:, 1:], logits[:, 1:]))
    assert multi_label_measures(labels, logits)["auprc"] == pytest.approx(
        average_precision_score(labels[:, 0], logits[:, 0])
    )


def test_image_by_image_they_have_the_same_mean() -> None:
    labels, logits = findings()
    values, ratios = multi_label_measures(labels, logits), multi_label_ratios(labels, logits)
    assert set(ratios) == {"accuracy", "brier", "logit-size", "logit-contrast"}
    for name, each in ratios.items():
        assert len(each) == 200 and each.value[0] == pytest.approx(values[name]), name
    hits = ((logits[5] > 0) == labels[5]).mean()
    assert ratios["accuracy"].per_image[5, 0] == pytest.approx(hits)


def test_one_finding_is_the_question_of_two_classes() -> None:
    labels, logits = findings()
    alone = multi_label_measures(labels[:, :1], logits[:, :1])
    assert alone["auc"] == auc(labels[:, 0], logits[:, :1], "sigmoid")


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_average_precision_of_one_class_an_image_is_scikit_learns(classes: int) -> None:
    labels, logits = predictions(classes)
    logits = np.round(logits)
    if classes == 2:
        expected = average_precision_score(labels, logits[:, 1] - logits[:, 0])
    else:
        one_hot = np.eye(classes, dtype=int)[labels]
        expected = average_precision_score(one_hot, class_probabilities(logits))
    assert auprc(labels, logits) == pytest.approx(expected)
    assert np.isnan(auprc(np.ones(4, int), np.zeros((4, 1)), "sigmoid"))


@pytest.mark.parametrize(
    ("labels", "logits", "says"),
    [
        ([0, 1], [[0.0], [1.0]], "one shape"),
        ([[0, 1]], [[0.0]], "one shape"),
        ([[0, 2]], [[0.0, 1.0]], "0 and 1, found int64 from 0 to 2"),
        ([[0.0, 1.0]], [[0.0, 1.0]], "float64"),
        ([[0, 1]], [[0.0, np.inf]], "1 images are NaN or infinite, first 0"),
        (np.zeros((0, 2), int), np.zeros((0, 2)), "N >= 1"),
    ],
)
def test_what_cannot_be_measured(labels: object, logits: object, says: str) -> None:
    for function in (multi_label_measures, multi_label_ratios):
        with pytest.raises(SoftCAMError, match=says):
            function(np.array(labels), np.array(logits))
