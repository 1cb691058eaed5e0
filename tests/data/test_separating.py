"""The small logistic model and its AUC agree with scikit-learn's, and with a count of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from softcam.data.separating import encode, fit_logistic, separation, weighted_auc
from softcam.data.trivial_features import Column


def numbers(values: np.ndarray, name: str = "x", known: np.ndarray | None = None) -> Column:
    there = np.ones(len(values), bool) if known is None else known
    return Column(name, "pixels", values.reshape(len(values), -1), (), there)


@pytest.mark.parametrize("strength", [0.0, 1.0, 50.0])
def test_the_weights_are_those_of_scikit_learn(strength: float) -> None:
    """Also where the classes are separable, which Newton's method alone does not survive."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((200, 4))
    y = (strength * x[:, 0] + rng.standard_normal(200) > 0.3).astype(int)
    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(x, y)
    weights = fit_logistic(x, y)
    np.testing.assert_allclose(weights[:-1], model.coef_[0], atol=1e-4)
    np.testing.assert_allclose(weights[-1], model.intercept_[0], atol=1e-4)


def test_the_auc_is_that_of_scikit_learn_with_ties_and_weights() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 6, 80).astype(float), rng.integers(0, 2, 80)
    weights = rng.integers(0, 4, (5, 80)).astype(float)
    for row, found in zip(weights, weighted_auc(scores, labels, weights), strict=True):
        assert found == pytest.approx(roc_auc_score(labels, scores, sample_weight=row))
    lacking = np.where(labels == 1, 0.0, 1.0)[None]
    assert np.isnan(weighted_auc(scores, labels, lacking)).all()


def ask(columns: list[Column], targets: np.ndarray, **options: object) -> object:
    n = len(targets)
    splits = np.array(["train"] * (n // 2) + ["test"] * (n - n // 2))
    given = {"patients": np.arange(n).astype(str), "n_boot": 200, "seed": 0, **options}
    return separation(columns, targets, splits, **given)  # type: ignore[arg-type]


def test_the_test_split_is_only_measured_on() -> None:
    """What is fitted and scaled comes from train alone: the AUC is that of scikit-learn."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((300, 1)) * 3 + 5
    y = (np.abs(x[:, 0] - 5) + rng.standard_normal(300) > 2).astype(int)
    found = ask([numbers(x)], y[:, None])
    train, test = np.arange(150), np.arange(150, 300)
    table = encode([numbers(x)], train, np.arange(300))
    np.testing.assert_allclose(table[train].mean(0), 0, atol=0.1)
    model = LogisticRegression(tol=1e-10, max_iter=10_000).fit(table[train], y[train])
    expected = roc_auc_score(y[test], model.decision_function(table[test]))
    assert found.value == pytest.approx(expected)  # type: ignore[attr-defined]
    assert found.value > 0.8, "the square finds what lies in the middle"  # type: ignore[attr-defined]


def test_several_questions_are_averaged() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((400, 2))
    targets = np.stack([x[:, 0] > 0, rng.integers(0, 2, 400)], 1).astype(int)
    both = ask([numbers(x)], targets)
    alone = [ask([numbers(x)], targets[:, [t]]) for t in (0, 1)]
    mean = sum(each.value for each in alone) / 2  # type: ignore[attr-defined]
    assert both.value == pytest.approx(mean)  # type: ignore[attr-defined]


def test_patients_are_drawn_together() -> None:
    """Ten copies of each image make the interval no narrower when they are of one patient."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal(60), rng.integers(0, 2, 60)
    x += y
    ten = np.repeat(np.arange(60), 10)
    widths = []
    for patients in (ten.astype(str), np.arange(600).astype(str)):
        found = ask([numbers(x[ten])], y[ten][:, None], patients=patients)
        widths.append(found.high - found.low)  # type: ignore[attr-defined]
    assert widths[0] > 2 * widths[1]


def test_what_cannot_be_asked_has_a_reason() -> None:
    y = np.tile([0, 1], 20)[:, None]
    constant = numbers(np.ones(40))
    assert ask([constant], y).reason == "all training images are the same"  # type: ignore[attr-defined]
    names = Column("id", "table", None, tuple(map(str, range(40))), np.ones(40, bool))
    assert ask([names], y).reason == "every image differs"  # type: ignore[attr-defined]
    half = numbers(np.arange(40.0), known=y[:, 0] == 1)
    assert "one class only" in ask([half], y).reason  # type: ignore[attr-defined]
    never = numbers(np.arange(40.0), known=np.zeros(40, bool))
    assert ask([never], y).reason == "no image has a value"  # type: ignore[attr-defined]


def test_categories_get_a_column_each() -> None:
    words = Column("view", "table", None, ("PA", "AP", "PA", "AP", "LL"), np.ones(5, bool))
    found = encode([words], np.arange(4), np.arange(5))
    assert found.shape == (5, 2)
    np.testing.assert_allclose(found[:4].mean(0), 0)
    assert (found[4] < 0).all(), "a category that train does not have is none of them"
