"""Permutation tests: against all swaps written out, scipy, and Holm's definition by hand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from softcam.common import SoftCAMError
from softcam.metrics import (
    Ratios,
    holm,
    paired_permutation,
    paired_permutation_statistic,
)
from softcam.metrics.classification import auc


def pooled(n: int, seed: int) -> Ratios:
    draw = np.random.default_rng(seed)
    denominator = draw.integers(0, 4, n).astype(float)
    return Ratios(
        draw.binomial(denominator.astype(int), 0.3 + 0.1 * seed).astype(float), denominator
    )


def means(values: Sequence[float] | np.ndarray) -> Ratios:
    return Ratios(np.asarray(values, float), np.ones(len(values)))


def enumerate_swaps(a: Ratios, b: Ratios, groups: Sequence[int]) -> float:
    """The definition, one image at a time."""
    rows = [i for i in range(len(a)) if a.denominator[i, 0] > 0 and b.denominator[i, 0] > 0]
    names = sorted({groups[i] for i in rows})
    found = []
    for swaps in itertools.product([False, True], repeat=len(names)):
        swapped = dict(zip(names, swaps, strict=True))
        total = [0.0] * 4
        for i in rows:
            one, other = (b, a) if swapped[groups[i]] else (a, b)
            total[0] += one.numerator[i, 0]
            total[1] += one.denominator[i, 0]
            total[2] += other.numerator[i, 0]
            total[3] += other.denominator[i, 0]
        found.append(abs(total[0] / total[1] - total[2] / total[3]))
    return float(np.mean([each >= found[0] - 1e-12 for each in found]))


@pytest.mark.parametrize("grouped", [False, True])
def test_few_images_are_enumerated(grouped: bool) -> None:
    a, b = pooled(12, 0), pooled(12, 3)
    groups = [i // 2 for i in range(12)] if grouped else list(range(12))
    test = paired_permutation(a, b, groups=groups if grouped else None)
    assert test.p[0] == pytest.approx(enumerate_swaps(a, b, groups), abs=1e-12)
    assert "all" in test.kind


def test_a_mean_difference_is_scipys() -> None:
    from scipy.stats import permutation_test, wilcoxon

    draw = np.random.default_rng(1)
    x = draw.normal(size=60)
    y = x + draw.normal(0.15, 0.5, 60)
    test = paired_permutation(means(x), means(y), n_draws=20000)
    scipy = permutation_test(
        (x, y), lambda u, v, axis: np.mean(u - v, axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=20000, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert test.p[0] == pytest.approx(scipy.pvalue, abs=0.012)
    assert (test.p[0] < 0.05) == (wilcoxon(x, y).pvalue < 0.05)


def test_p_is_uniform_when_nothing_differs() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(2, 25, 400))  # 400 experiments as steps
    ones = np.ones((25, 400))
    p = paired_permutation(Ratios(values[0], ones), Ratios(values[1], ones), n_draws=999).p
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert (p <= 0.5).mean() == pytest.approx(0.5, abs=0.08)


def test_p_is_never_zero_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = means(np.ones(50)), means(np.zeros(50))
    test = paired_permutation(a, b, n_draws=499)
    assert test.p[0] == 1 / 500 and test.n[0] == 50 and "499 draws" in test.kind
    first, second = pooled(50, 0), pooled(50, 1)
    whole = paired_permutation(first, second, n_draws=300).p
    monkeypatch.setattr("softcam.metrics.intervals.BLOCK", 500)
    assert paired_permutation(first, second, n_draws=300).p == pytest.approx(whole)


def test_no_difference_gives_one() -> None:
    a = pooled(40, 1)
    assert paired_permutation(a, a, n_draws=200).p[0] == 1


def test_without_shared_images_there_is_a_reason() -> None:
    a = Ratios(np.array([1.0, 0]), np.array([1.0, 0]))
    b = Ratios(np.array([0.0, 1]), np.array([0.0, 1]))
    test = paired_permutation(a, b)
    assert np.isnan(test.p[0]) and test.n[0] == 0 and "no image" in test.reason
    empty = Ratios(np.zeros((0, 1)), np.zeros((0, 1)))
    assert np.isnan(paired_permutation(empty, empty).p[0])


def test_over_seeds_the_swaps_are_each_seeds_own_or_shared() -> None:
    """Crossed and identical in every seed: as with one seed. Nested: all images count."""
    a, b = means([1, 1, 1, 0, 1, 1]), means([0, 0, 1, 0, 0, 0])
    one = paired_permutation(a, b).p[0]
    assert one == pytest.approx(2 / 2**4)  # four pairs differ
    crossed = paired_permutation([a, a], [b, b], crossed=True)
    assert crossed.p[0] == pytest.approx(one) and crossed.n[0] == 6
    nested = paired_permutation([a, a], [b, b])
    assert nested.p[0] == pytest.approx(2 / 2**8) and nested.n[0] == 12


def test_auc_by_all_swaps() -> None:
    draw = np.random.default_rng(2)
    labels = np.arange(8) % 2
    first, second = draw.random((8, 1)) + labels[:, None], draw.random((8, 1))

    def value(x: np.ndarray) -> float:
        return auc(labels, x, "sigmoid")

    found = []
    for swaps in itertools.product([False, True], repeat=8):
        which = np.array(swaps)[:, None]
        found.append(
            abs(value(np.where(which, second, first)) - value(np.where(which, first, second)))
        )
    expected = np.mean(np.array(found) >= found[0] - 1e-12)
    test = paired_permutation_statistic(
        lambda y, z: auc(y, z, "sigmoid"), (labels, first), (labels, second)
    )
    assert float(test.p) == pytest.approx(expected) and test.n == 8
    drawn = paired_permutation_statistic(
        lambda y, z: auc(y, z, "sigmoid"), (labels, first), (labels, second), n_draws=200
    )
    assert float(drawn.p) == pytest.approx(expected, abs=0.1)


def test_a_statistic_follows_groups_and_says_when_undefined() -> None:
    x, y = np.array([1.0, 1, 1, 1]), np.zeros(4)
    test = paired_permutation_statistic(np.mean, (x,), (y,), groups=[0, 0, 1, 1])
    assert float(test.p) == 0.5 and test.n == 2  # 2 of 4 swaps are as large
    same = np.zeros(4, int)
    none = paired_permutation_statistic(auc, (same, x[:, None]), (same, y[:, None]))
    assert np.isnan(none.p) and "undefined" in none.reason
    with pytest.raises(SoftCAMError, match="one row an image"):
        paired_permutation_statistic(np.mean, (x,), (y[:2],))


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.01, np.nan, 0.02]), [0.02, np.nan, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.9]), [1, 1])
    assert holm([]).shape == (0,) and np.isnan(holm([np.nan])).all()
    with pytest.raises(SoftCAMError, match="p-values"):
        holm([1.2])


def test_holm_rejects_what_the_steps_reject() -> None:
    """Holm's procedure itself: go up from the smallest, stop at the first that is too large."""
    draw = np.random.default_rng(0)
    for _ in range(50):
        p = draw.random(8) ** 3
        rejected, m = np.zeros(8, bool), 8
        for rank, i in enumerate(np.argsort(p)):
            if p[i] > 0.05 / (m - rank):
                break
            rejected[i] = True
        np.testing.assert_array_equal(holm(p) <= 0.05, rejected)
