"""Intervals over seeds: against a plain bootstrap with the same draws, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.common import SoftCAMError, rng
from softcam.metrics import (
    Ratios,
    bootstrap_ratio,
    hierarchical_difference,
    hierarchical_ratio,
    hierarchical_statistic,
)
from softcam.metrics.hierarchical import STREAM


def pooled(n: int, seed: int) -> Ratios:
    draw = np.random.default_rng(seed)
    denominator = draw.integers(0, 4, n).astype(float)
    return Ratios(
        draw.binomial(denominator.astype(int), 0.2 + 0.2 * seed).astype(float), denominator
    )


def means(values: np.ndarray) -> Ratios:
    return Ratios(values, np.ones_like(values))


def plain(by_seed: list[Ratios], n_boot: int, seed: int, crossed: bool) -> list[float]:
    """Image after image; only the random numbers come from the same generator."""
    kept = []
    for each in by_seed:
        rows = [i for i in range(len(each)) if crossed or each.denominator[i, 0] > 0]
        kept.append([(each.numerator[i, 0], each.denominator[i, 0]) for i in rows])
    if crossed:
        known = [i for i in range(len(kept[0])) if any(seed[i][1] > 0 for seed in kept)]
        kept = [[seed[i] for i in known] for seed in kept]
    drawing = rng(seed, STREAM)
    chosen = drawing.integers(len(kept), size=(n_boot, len(kept)))

    def value(images: list[tuple[float, float]], counts: np.ndarray) -> float:
        drawn = [image for image, count in zip(images, counts, strict=True) for _ in range(count)]
        return sum(a for a, _ in drawn) / sum(b for _, b in drawn)

    def counts(n: int) -> np.ndarray:
        return drawing.multinomial(n, np.full(n, 1 / n))

    found = [[0.0] * len(kept) for _ in range(n_boot)]
    if crossed:
        for r in range(n_boot):
            own = counts(len(kept[0]))
            found[r] = [value(kept[s], own) for s in chosen[r]]
    else:
        for s, images in enumerate(kept):
            for r, slot in np.argwhere(chosen == s):
                found[r][slot] = value(images, counts(len(images)))
    return [sum(each) / len(each) for each in found]


@pytest.mark.parametrize("crossed", [False, True])
def test_equal_to_a_plain_bootstrap_with_the_same_draws(crossed: bool) -> None:
    by_seed = [pooled(30 if crossed else 20 + 5 * s, s) for s in range(3)]
    interval = hierarchical_ratio(by_seed, n_boot=200, seed=4, crossed=crossed)
    expected = np.percentile(plain(by_seed, 200, 4, crossed), [2.5, 97.5])
    np.testing.assert_allclose([interval.low[0], interval.high[0]], expected, rtol=1e-12)
    assert interval.value[0] == pytest.approx(np.mean([each.value[0] for each in by_seed]))
    assert "3 seeds and images" in interval.kind and "understated" in interval.kind
    assert ("the same in every seed" in interval.kind) == crossed


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    by_seed = [pooled(30, s) for s in range(3)]
    whole = [hierarchical_ratio(by_seed, crossed=c).low for c in (False, True)]
    monkeypatch.setattr("softcam.metrics.intervals.BLOCK", 100)
    assert [hierarchical_ratio(by_seed, crossed=c).low for c in (False, True)] == whole


def normal(seeds: int, n: int, seed: int = 0) -> np.ndarray:
    """Seed effect + image effect + noise, (seeds, n)."""
    draw = np.random.default_rng(seed)
    a, b = draw.normal(0, 0.5, (seeds, 1)), draw.normal(0, 2, (1, n))
    return a + b + draw.normal(0, 1, (seeds, n))


@pytest.mark.parametrize("crossed", [False, True])
def test_variance_has_its_closed_form(crossed: bool) -> None:
    """Nested: (var_s(mean) + mean_s(var_i)/n)/S. Crossed: the product bootstrap (Owen 2007)."""
    y = normal(12, 80)
    seeds, n = y.shape
    if crossed:
        d = y - y.mean(0)
        variance = y.mean(0).var() / n + (d.mean(1) ** 2 + d.var(1) / n).mean() / seeds
    else:
        variance = (y.mean(1).var() + (y.var(1) / n).mean()) / seeds
    interval = hierarchical_ratio([means(each) for each in y], n_boot=6000, crossed=crossed)
    width = float(interval.high[0] - interval.low[0])
    assert width == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.04)
    assert "understated" not in interval.kind


@pytest.mark.slow
def test_coverage_with_many_seeds() -> None:
    """The truth, 0, lies in about 95 % of the intervals; 200 small studies."""
    hits = 0
    for study in range(200):
        draw = np.random.default_rng(study)
        y = draw.normal(0, 1, (15, 1)) + draw.normal(0, 1, (15, 20))
        _, low, high = hierarchical_ratio([means(each) for each in y], n_boot=300, seed=study)
        hits += bool(low[0] <= 0 <= high[0])
    assert 0.88 <= hits / 200 <= 0.99


def test_one_seed_is_the_bootstrap_over_images_and_says_so() -> None:
    one = means(normal(1, 100)[0])
    interval = hierarchical_ratio([one], n_boot=4000)
    alone = bootstrap_ratio(one, n_boot=4000)
    assert float((interval.high - interval.low)[0]) == pytest.approx(
        float((alone.high - alone.low)[0]), rel=0.06
    )
    assert interval.kind == "bootstrap over images of 1 seed"
    assert "chance in training is not in the interval" in interval.reason


def test_a_difference_is_paired_by_seed_and_image() -> None:
    """Seed and image effects cancel: what is left is a constant, without width."""
    a = [means(each) for each in normal(3, 50)]
    b = [means(each.numerator[:, 0] - 0.25) for each in a]
    for crossed in (False, True):
        value, low, high = hierarchical_difference(a, b, n_boot=100, crossed=crossed)
        np.testing.assert_allclose([value[0], low[0], high[0]], 0.25, atol=1e-12)


def test_a_difference_leaves_out_what_one_side_lacks() -> None:
    a = [Ratios(np.array([1.0, 0, 1]), np.array([1.0, 1, 0])), means(np.array([1.0, 1, 0]))]
    b = [means(np.zeros(3)), means(np.array([0.0, 0, 0]))]
    assert hierarchical_difference(a, b).value[0] == pytest.approx((0.5 + 2 / 3) / 2)


def test_patients_stay_together() -> None:
    """Each image four times: by image the interval would be about half as wide."""
    y = normal(12, 40)
    four = [means(np.repeat(each, 4)) for each in y]
    own = np.repeat(np.arange(40), 4)
    once = hierarchical_ratio([means(each) for each in y], crossed=True)
    patients = hierarchical_ratio(four, crossed=True, groups=own)
    np.testing.assert_allclose([patients.low, patients.high], [once.low, once.high], rtol=1e-9)
    nested = hierarchical_ratio(four, groups=[own] * 12)
    alone = hierarchical_ratio([means(each) for each in y])
    np.testing.assert_allclose([nested.low, nested.high], [alone.low, alone.high], rtol=1e-9)
    assert "groups" in nested.kind


@pytest.mark.parametrize("crossed", [False, True])
def test_a_statistic_agrees_with_the_ratio(crossed: bool) -> None:
    y = normal(6, 60)
    found = hierarchical_statistic(
        lambda x: float(x.mean()), [(each,) for each in y], n_boot=3000, crossed=crossed
    )
    ratio = hierarchical_ratio([means(each) for each in y], n_boot=3000, crossed=crossed)
    assert float(found.value) == pytest.approx(ratio.value[0])
    width = float((ratio.high - ratio.low)[0])
    assert float(found.high - found.low) == pytest.approx(width, rel=0.08)
    same = [(each,) for each in y]
    zero = hierarchical_statistic(lambda x: float(x.mean()), same, same, n_boot=20, crossed=crossed)
    assert zero.value == zero.low == zero.high == 0


def test_a_seed_without_images_makes_the_value_undefined() -> None:
    none = Ratios(np.zeros(3), np.zeros(3))
    interval = hierarchical_ratio([means(np.ones(3)), none])
    assert np.isnan(interval.value).all() and "no image has a value" in interval.reason


def test_seeds_that_do_not_fit() -> None:
    with pytest.raises(SoftCAMError, match="crossed seeds have the same images"):
        hierarchical_ratio([means(np.ones(3)), means(np.ones(4))], crossed=True)
    with pytest.raises(SoftCAMError, match="same seeds, images and steps"):
        hierarchical_difference([means(np.ones(3))], [means(np.ones(4))])
    with pytest.raises(SoftCAMError, match="at least one seed"):
        hierarchical_ratio([])
    with pytest.raises(SoftCAMError, match="groups of every seed"):
        hierarchical_ratio([means(np.ones(3))] * 2, groups=[[1, 2, 3]])
