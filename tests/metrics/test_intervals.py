"""Intervals: against closed forms, the plain bootstrap, and scipy; odd cases never crash."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.common import SoftCAMError
from softcam.metrics import (
    Ratios,
    bootstrap_ratio,
    bootstrap_statistic,
    paired_difference,
    paired_statistic,
)
from softcam.metrics.classification import auc


def hits(n: int = 400, share: float = 0.3, seed: int = 0) -> Ratios:
    return Ratios((np.random.default_rng(seed).random(n) < share).astype(float), np.ones(n))


def test_a_share_has_the_binomial_interval() -> None:
    ratios = hits()
    value, low, high = bootstrap_ratio(ratios, n_boot=4000)
    half = 1.96 * np.sqrt(value * (1 - value) / 400)
    assert value == ratios.numerator.mean()
    np.testing.assert_allclose([value - low, high - value], [half, half], rtol=0.1)


def test_pooled_ratios_equal_the_plain_bootstrap() -> None:
    """Numerators and denominators are drawn together, image by image."""
    draw = np.random.default_rng(1)
    denominator = draw.integers(0, 6, (60, 3)).astype(float)
    numerator = draw.binomial(denominator.astype(int), 0.4).astype(float)
    interval = bootstrap_ratio(Ratios(numerator, denominator), n_boot=4000)
    plain = []
    for _ in range(4000):
        rows = draw.integers(0, 60, 60)
        plain.append(numerator[rows].sum(0) / denominator[rows].sum(0))
    expected = np.percentile(plain, [2.5, 97.5], axis=0)
    np.testing.assert_allclose([interval.low, interval.high], expected, atol=0.015)
    np.testing.assert_allclose(interval.value, numerator.sum(0) / denominator.sum(0))


def test_same_seed_same_interval() -> None:
    first, again, other = (bootstrap_ratio(hits(), seed=s) for s in (3, 3, 4))
    assert (first.low, first.high) == (again.low, again.high)
    assert (first.low, first.high) != (other.low, other.high)


def test_patients_that_repeat_widen_the_interval() -> None:
    """Each image 4 times: by image the interval would be half as wide as it should."""
    once = hits(100)
    four = Ratios(np.repeat(once.numerator, 4), np.ones(400))
    groups = np.repeat(np.arange(100), 4)
    by_patient = bootstrap_ratio(four, n_boot=4000, groups=groups)
    alone = bootstrap_ratio(once, n_boot=4000)
    np.testing.assert_allclose(
        by_patient.high - by_patient.low, alone.high - alone.low, rtol=1e-9
    )  # the same draws of groups
    by_image = bootstrap_ratio(four, n_boot=4000)
    ratio = (by_patient.high - by_patient.low) / (by_image.high - by_image.low)
    assert float(ratio[0]) == pytest.approx(2, rel=0.15)
    assert by_patient.kind == "bootstrap over groups"


def test_excluded_images_change_nothing() -> None:
    some = hits(50)
    more = Ratios(
        np.vstack([some.numerator, np.zeros((30, 1))]),
        np.vstack([some.denominator, np.zeros((30, 1))]),
    )
    a, b = bootstrap_ratio(some), bootstrap_ratio(more)
    assert (a.value, a.low, a.high) == (b.value, b.low, b.high)


def test_blocks_do_not_change_the_kind_of_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap_ratio(hits())
    monkeypatch.setattr("softcam.metrics.intervals.BLOCK", 3000)
    assert bootstrap_ratio(hits()).low == whole.low


@pytest.mark.parametrize(
    ("ratios", "says"),
    [
        (Ratios(np.zeros(3), np.zeros(3)), "no image has a value"),
        (Ratios(np.ones(1), np.ones(1)), "single image"),
        (Ratios(np.zeros((0, 1)), np.zeros((0, 1))), "no image has a value"),
    ],
)
def test_without_enough_images_there_is_a_reason(ratios: Ratios, says: str) -> None:
    interval = bootstrap_ratio(ratios)
    assert np.isnan(interval.low).all() and np.isnan(interval.high).all()
    assert says in interval.reason


def test_each_step_stands_alone() -> None:
    """Step 0 has no image, step 1 one, step 2 enough."""
    denominator = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 1]], float)
    numerator = np.array([[0, 1, 1], [0, 0, 0], [0, 0, 1]], float)
    interval = bootstrap_ratio(Ratios(numerator, denominator))
    np.testing.assert_array_equal(np.isnan(interval.low), [True, True, False])
    np.testing.assert_array_equal(interval.value, [np.nan, 1, 2 / 3])
    assert "no image" in interval.reason and "single image" in interval.reason


def test_an_interval_without_width_is_said() -> None:
    interval = bootstrap_ratio(Ratios(np.ones(20), np.ones(20)))
    assert interval.low == interval.high == 1
    assert "no width" in interval.reason


def test_a_paired_difference_uses_the_pairs() -> None:
    """Two methods that differ in few images: the paired interval is far narrower."""
    a = hits(500, 0.5)
    b = Ratios(a.numerator.copy(), a.denominator)
    b.numerator[:20] = 0
    paired = paired_difference(a, b, n_boot=3000)
    difference = (a.numerator - b.numerator).ravel()
    half = 1.96 * difference.std() / np.sqrt(500)
    assert paired.value == pytest.approx(difference.mean())
    assert float(paired.high[0] - paired.low[0]) == pytest.approx(2 * half, rel=0.12)
    alone = [bootstrap_ratio(each) for each in (a, b)]
    assert paired.high - paired.low < 0.5 * min(i.high - i.low for i in alone)


def test_a_paired_difference_is_over_images_that_both_have() -> None:
    a = Ratios(np.array([1.0, 0, 1, 0]), np.array([1.0, 1, 1, 0]))
    b = Ratios(np.array([0.0, 0, 0, 1]), np.array([1.0, 1, 0, 1]))
    assert paired_difference(a, b).value == pytest.approx(0.5)
    with pytest.raises(SoftCAMError, match="same images"):
        paired_difference(a, hits(5))


def test_auc_interval_equals_hanley_and_mcneil() -> None:
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1], 150)
    logits = np.stack([np.zeros(300), draw.normal(size=300) + 1.2 * labels], 1)
    interval = bootstrap_statistic(auc, labels, logits)
    a = float(interval.value)
    assert a == pytest.approx(auc(labels, logits))
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    error = np.sqrt((a * (1 - a) + 149 * (q1 - a * a) + 149 * (q2 - a * a)) / 150**2)
    assert float(interval.high - interval.low) == pytest.approx(3.92 * error, rel=0.15)


def test_paired_auc_of_a_model_with_itself_is_zero() -> None:
    labels = np.arange(40) % 2
    logits = np.random.default_rng(0).normal(size=(40, 2))
    same = paired_statistic(auc, (labels, logits), (labels, logits), n_boot=50)
    assert same.value == same.low == same.high == 0
    reverse = paired_statistic(auc, (labels, logits), (labels, -logits), n_boot=50)
    assert float(reverse.value) == pytest.approx(2 * auc(labels, logits) - 1)


def test_statistics_follow_groups() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=50), 4)
    groups = np.repeat(np.arange(50), 4)

    def mean(x: np.ndarray) -> float:
        return float(x.mean())

    interval = bootstrap_statistic(mean, values, groups=groups)
    expected = 3.92 * values.std() / np.sqrt(50)
    assert float(interval.high - interval.low) == pytest.approx(expected, rel=0.15)
    alone = bootstrap_statistic(mean, values, groups=np.zeros(200))
    assert np.isnan(alone.low) and "single image or group" in alone.reason


def test_undefined_draws_are_counted() -> None:
    labels = np.array([1, 0, 0, 0, 0, 0])
    logits = np.random.default_rng(0).normal(size=(6, 2))
    interval = bootstrap_statistic(auc, labels, logits, n_boot=200)
    assert "draws undefined" in interval.reason and np.isfinite(interval.low)
    never = bootstrap_statistic(auc, np.zeros(6, int), logits, n_boot=20)
    assert np.isnan(never.value) and "itself is undefined" in never.reason


def test_rows_and_groups_must_match() -> None:
    with pytest.raises(SoftCAMError, match="one row an image"):
        bootstrap_statistic(auc, np.zeros(3, int), np.zeros((4, 2)))
    with pytest.raises(SoftCAMError, match="one group an image"):
        bootstrap_ratio(hits(5), groups=[1, 2])
