"""Statistics of many draws at once: against a loop over the draws, on the rows themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from softcam.common import SoftCAMError, rng
from softcam.metrics import bootstrap_statistic, measures, share_of_mask
from softcam.metrics.causal import (
    twin_concordance,
    twin_r2,
    twin_rank,
    twin_slope,
    twin_slope_error,
)
from softcam.metrics.intervals import STREAM
from softcam.metrics.records import Ratios

Plain = Callable[[np.ndarray, np.ndarray], float]


def ranks(values: np.ndarray) -> np.ndarray:
    """The mean rank of each value: half of those below and not above it."""
    return np.array([((values < v).sum() + (values <= v).sum() + 1) / 2 for v in values])


def moments(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Variances and covariance of the finite pairs; NaN unless both vary."""
    if not len(x) or x.min() == x.max() or y.min() == y.max():
        return np.nan, np.nan, np.nan
    return float(x.var()), float(y.var()), float(((x - x.mean()) * (y - y.mean())).mean())


def finite(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = np.isfinite(x) & np.isfinite(y)
    return x[both], y[both]


def plain_slope(x: np.ndarray, y: np.ndarray) -> float:
    var_x, _, cov = moments(*finite(x, y))
    return cov / var_x


def plain_concordance(x: np.ndarray, y: np.ndarray) -> float:
    x, y = finite(x, y)
    var_x, var_y, cov = moments(x, y)
    return np.nan if np.isnan(cov) else 2 * cov / (var_x + var_y + (x.mean() - y.mean()) ** 2)


def plain_r2(x: np.ndarray, y: np.ndarray) -> float:
    var_x, var_y, cov = moments(*finite(x, y))
    return cov**2 / (var_x * var_y)


def plain_rank(x: np.ndarray, y: np.ndarray) -> float:
    var_x, var_y, cov = moments(*(ranks(each) for each in finite(x, y)))
    return cov / np.sqrt(var_x * var_y)


STATISTICS: dict[Any, Plain] = {
    twin_slope: plain_slope,
    twin_slope_error: lambda x, y: abs(plain_slope(x, y) - 1),
    twin_concordance: plain_concordance,
    twin_r2: plain_r2,
    twin_rank: plain_rank,
}


def drawn_rows(groups: np.ndarray, n_boot: int, seed: int) -> list[np.ndarray]:
    """The rows of each draw of groups, as they always were drawn."""
    members = [np.flatnonzero(groups == each) for each in np.unique(groups)]
    drawing = rng(seed, STREAM)
    chosen = [drawing.integers(len(members), size=len(members)) for _ in range(n_boot)]
    return [np.concatenate([members[i] for i in each]) for each in chosen]


def cases() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Evidence, effect and groups."""
    draw = np.random.default_rng(0)
    x = draw.normal(1, 2, 40).round(1)  # rounded: with ties
    y = (0.6 * x + draw.normal(size=40)).round(1)
    grouped = draw.integers(0, 15, 40)
    spoilt = x.copy()
    spoilt[[3, 7, 8]] = np.nan, np.inf, -np.inf
    apart = np.where(np.arange(40) == 5, 1e6, 0.1 * x)  # a draw without it is close together
    flat = np.where(np.arange(6) == 2, 1.0, 0.1)  # many draws hold one value alone
    return {
        "ties": (x, y, np.arange(40)),
        "groups": (x, y, grouped),
        "not finite": (spoilt, y, grouped),
        "an outlier": (apart, y, grouped),
        "constant draws": (flat, y[:6], np.arange(6)),
        "two": (x[:2], y[:2], np.arange(2)),
        "far from zero": (1e5 + x, y - 1e5, grouped),
    }


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("case", cases())
def test_each_draw_has_the_value_of_its_rows(case: str, statistic: Any) -> None:
    x, y, groups = cases()[case]
    rows = drawn_rows(groups, 60, seed=3)
    weights = np.array([np.bincount(each, minlength=len(x)) for each in rows], float)
    found = statistic(x, y, weights=weights)
    expected = np.array([STATISTICS[statistic](x[each], y[each]) for each in rows])
    # Far from zero the pairs themselves are rounded; 1e-12 of what is left of their digits.
    np.testing.assert_allclose(found, expected, rtol=1e-12 if case != "far from zero" else 1e-9,
                               atol=1e-12)  # fmt: skip
    if case == "constant draws":
        assert 0 < np.isnan(found).sum() < len(found)
    assert type(statistic(x, y)) is float
    np.testing.assert_allclose(statistic(x, y), statistic(x, y, weights=np.ones((1, len(x))))[0])


@pytest.mark.slow
@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("case", ["ties", "groups", "not finite", "constant draws", "two"])
@pytest.mark.parametrize("single", [True, False], ids=["images", "groups"])
def test_the_interval_is_that_of_the_loop(
    case: str, statistic: Any, single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, groups = cases()[case]
    monkeypatch.setattr("softcam.metrics.intervals.HELD", 7 * len(x))  # in several blocks
    options: dict[str, Any] = {"n_boot": 50, "seed": 4, "groups": None if single else groups}
    loop = bootstrap_statistic(statistic, x, y, **options)
    at_once = bootstrap_statistic(statistic, x, y, **options, weighted=True)
    np.testing.assert_allclose(list(at_once), list(loop), rtol=0, atol=1e-12)
    assert (at_once.kind, at_once.reason) == (loop.kind, loop.reason)
    draws = [
        STATISTICS[statistic](x[rows], y[rows])
        for rows in drawn_rows(np.arange(len(x)) if single else groups, 50, seed=4)
    ]
    known = np.array(draws)[~np.isnan(draws)]
    bounds = np.percentile(known, [2.5, 97.5]) if len(known) else [np.nan, np.nan]
    np.testing.assert_allclose([at_once.low, at_once.high], bounds, rtol=0, atol=1e-12)


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("n", [0, 1])
def test_without_two_pairs_there_is_nothing(statistic: Any, n: int) -> None:
    x = np.arange(float(n))
    assert np.isnan(statistic(x, x, weights=np.ones((3, n)))).tolist() == [True] * 3
    loop, at_once = (
        bootstrap_statistic(statistic, x, x, n_boot=5, weighted=each) for each in (False, True)
    )
    assert np.isnan(list(at_once)).all() and at_once.reason == loop.reason


def test_a_draw_of_nothing_is_undefined() -> None:
    x = np.array([1.0, 2, 4])
    weights = np.array([[0.0, 0, 0], [2, 0, 0], [0, 1, 3]])
    assert np.isnan(twin_slope(x, x, weights=weights)).tolist() == [True, True, False]


def test_weights_have_a_row_a_draw() -> None:
    x = np.arange(3.0)
    for wrong in (np.ones(3), np.ones((2, 4))):
        with pytest.raises(SoftCAMError, match="one a draw and part"):
            twin_r2(x, x, weights=wrong)


def test_every_twin_measure_of_ours_takes_draws_at_once() -> None:
    for each in measures("twin"):
        assert each.weighted, each.name
        assert list(inspect.signature(each.function).parameters) == [
            "evidence", "effect", "weights",
        ]  # fmt: skip
    assert not any(each.weighted for each in measures("classification"))


def test_a_statistic_without_weights_is_asked_draw_by_draw() -> None:
    asked: list[int] = []

    def count(values: np.ndarray) -> float:
        asked.append(len(values))
        return float(values.mean())

    bootstrap_statistic(count, np.arange(5.0), n_boot=9)
    assert asked == [5] * 10


def test_the_share_of_the_mask_is_that_of_the_loop() -> None:
    draw = np.random.default_rng(1)
    own, chance, truth = (draw.normal(m, 0.2, 30) for m in (0.6, 0.8, 0.3))
    groups = draw.integers(0, 12, 30)

    def area(values: Sequence[float] | np.ndarray) -> Ratios:
        return Ratios(np.asarray(values), np.ones(len(values)))

    found = share_of_mask(area(own), area(chance), area(truth), "lower", groups, 70, 2)
    rows = drawn_rows(groups, 70, seed=2)
    shares = [(chance - own)[each].mean() / (chance - truth)[each].mean() for each in rows]
    expected = [
        (chance - own).mean() / (chance - truth).mean(),
        *np.percentile(shares, [2.5, 97.5]),
    ]
    np.testing.assert_allclose(list(found), expected, rtol=0, atol=1e-12)
