"""Evidence on a part and the statistics over twins: by hand, against SciPy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.data.records import pack_masks
from softcam.metrics import (
    bootstrap_statistic,
    evidence_on,
    get_measure,
    measures,
    twin_concordance,
    twin_r2,
    twin_rank,
    twin_slope,
    twin_slope_error,
)

STATISTICS = (twin_slope, twin_slope_error, twin_concordance, twin_r2, twin_rank)


def parts(seed: int = 0, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    evidence = draw.normal(1, 2, n).round(1)  # rounded: with ties
    return evidence, 0.6 * evidence + draw.normal(0, 1, n).round(1) + 0.4


def share_by_hand(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Share of each cell covered, pixel by pixel and corner by corner."""
    (height, width), (h, w) = mask.shape, shape
    out = np.zeros(shape)
    for r in range(h):
        for c in range(w):
            for y, x in zip(*np.nonzero(mask), strict=True):
                down = min((r + 1) * height / h, y + 1) - max(r * height / h, y)
                across = min((c + 1) * width / w, x + 1) - max(c * width / w, x)
                out[r, c] += max(down, 0) * max(across, 0)
    return out / (height / h * width / w)


def grown_by_hand(mask: np.ndarray, margin: int) -> np.ndarray:
    out = np.zeros_like(mask)
    for y, x in zip(*np.nonzero(mask), strict=True):
        out[max(y - margin, 0) : y + margin + 1, max(x - margin, 0) : x + margin + 1] = True
    return out


@pytest.mark.parametrize("margin", [0, 1, 3])
def test_evidence_equals_the_definition(margin: int) -> None:
    draw = np.random.default_rng(0)
    maps, rows = draw.normal(size=(3, 4, 5)), np.array([2, 0, 0, 1])
    masks = draw.random((4, 18, 13)) < 0.05
    masks[3] = False
    expected = [
        (maps[k] * share_by_hand(grown_by_hand(mask, margin), (4, 5))).sum() / 20
        for k, mask in zip(rows, masks, strict=True)
    ]
    found = evidence_on(torch.from_numpy(maps), rows, masks, margin=margin)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)
    assert found[3] == 0
    packed = evidence_on(torch.from_numpy(maps), rows, pack_masks(masks), margin=margin, width=13)
    np.testing.assert_array_equal(packed, found)


def test_the_whole_image_holds_the_logit_and_halves_add_up() -> None:
    maps = torch.randn(2, 3, 3, dtype=torch.float64)
    left = np.zeros((2, 8, 8), bool)
    left[:, :, :4] = True
    rows = np.arange(2)
    whole = evidence_on(maps, rows, np.ones((2, 8, 8), bool))
    np.testing.assert_allclose(whole, maps.mean((1, 2)), atol=1e-12)
    halves = evidence_on(maps, rows, left) + evidence_on(maps, rows, pack_masks(~left))
    np.testing.assert_allclose(halves, whole, atol=1e-12)


def test_a_map_that_is_not_finite_has_no_evidence() -> None:
    maps = torch.ones(3, 2, 2)
    maps[0, 0, 0], maps[1, 1, 1] = torch.nan, torch.inf
    found = evidence_on(maps, np.array([0, 1, 2]), np.ones((3, 4, 4), bool))
    assert np.isnan(found).tolist() == [True, True, False]


def test_many_parts_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, rows = torch.randn(4, 2, 2), np.arange(11) % 4
    masks = np.random.default_rng(1).random((11, 6, 6)) < 0.4
    at_once = evidence_on(maps, rows, masks)
    monkeypatch.setattr("softcam.metrics.causal.CHUNK", 3)
    np.testing.assert_allclose(evidence_on(maps, rows, masks), at_once, atol=1e-15)


@pytest.mark.parametrize(
    ("maps", "rows", "masks", "message"),
    [
        (torch.zeros(2, 2), [0], np.ones((1, 4, 4), bool), "maps"),
        (torch.zeros(1, 2, 2, dtype=torch.long), [0], np.ones((1, 4, 4), bool), "int64"),
        (torch.zeros(1, 2, 2), [0], np.ones((1, 4, 4)), "float64"),
        (torch.zeros(1, 2, 2), [0], np.ones((4, 4), bool), "masks"),
        (torch.zeros(1, 2, 2), [0, 0], np.ones((1, 4, 4), bool), "each of 1 masks"),
        (torch.zeros(1, 2, 2), [0.0], np.ones((1, 4, 4), bool), "each of 1 masks"),
        (torch.zeros(1, 2, 2), [1], np.ones((1, 4, 4), bool), "there are 1 maps"),
        (torch.zeros(1, 2, 2), [-1], np.ones((1, 4, 4), bool), "there are 1 maps"),
    ],
)
def test_wrong_input_to_the_evidence(maps, rows, masks, message) -> None:
    with pytest.raises(SoftCAMError, match=message):
        evidence_on(maps, np.array(rows), masks)


def test_a_margin_is_not_negative() -> None:
    with pytest.raises(SoftCAMError, match="margin is -1"):
        evidence_on(torch.zeros(1, 2, 2), np.array([0]), np.ones((1, 4, 4), bool), margin=-1)


def test_no_part_no_evidence() -> None:
    found = evidence_on(torch.zeros(0, 2, 2), np.zeros(0, int), np.zeros((0, 4, 4), bool))
    assert found.shape == (0,)


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_scipy_and_scikit_learn(seed: int) -> None:
    from scipy import stats
    from sklearn.linear_model import LinearRegression
    from sklearn.metrics import r2_score

    x, y = parts(seed)
    line = stats.linregress(x, y)
    assert twin_slope(x, y) == pytest.approx(line.slope, abs=1e-12)
    assert twin_slope_error(x, y) == pytest.approx(abs(line.slope - 1), abs=1e-12)
    fitted = LinearRegression().fit(x[:, None], y).predict(x[:, None])
    assert twin_r2(x, y) == pytest.approx(r2_score(y, fitted), abs=1e-12)
    assert twin_r2(x, y) == pytest.approx(line.rvalue**2, abs=1e-12)
    assert twin_rank(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    bias = line.rvalue * 2 * x.std() * y.std()
    lin = bias / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert twin_concordance(x, y) == pytest.approx(lin, abs=1e-12)


def test_by_hand() -> None:
    x = np.array([0.0, 1.0, 2.0])
    assert [f(x, x) for f in STATISTICS] == pytest.approx([1, 0, 1, 1, 1])
    assert [f(x, 3 * x + 5) for f in STATISTICS] == pytest.approx([3, 2, 12 / 167, 1, 1])
    assert [f(x, -x) for f in STATISTICS] == pytest.approx([-1, 2, -0.25, 1, -1])
    assert [f(x, np.array([0.0, 3.0, 0.0])) for f in STATISTICS] == pytest.approx([0, 1, 0, 0, 0])
    assert twin_rank(x, np.array([1.0, 1.0, 9.0])) == pytest.approx(np.sqrt(3) / 2)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_nan_exactly_where_undefined(statistic) -> None:
    x, y = parts()
    for evidence, effect in (
        (x[:0], y[:0]), (x[:1], y[:1]), (np.full(9, 0.1), y[:9]), (x[:9], np.full(9, 0.1)),
        (np.full(4, np.nan), y[:4]),
    ):  # fmt: skip
        assert np.isnan(statistic(evidence, effect))
    spoilt, kept = x.copy(), np.ones(len(x), bool)
    spoilt[3], spoilt[7], kept[[3, 7]] = np.nan, np.inf, False
    assert statistic(spoilt, y) == pytest.approx(statistic(x[kept], y[kept]), abs=1e-12)
    with pytest.raises(SoftCAMError, match="one number a part"):
        statistic(x, y[1:])


def test_what_a_unit_changes() -> None:
    """Another unit: the rank and the share of variance stay, slope and concordance do not."""
    x, y = parts()
    assert twin_r2(100 * x, y) == pytest.approx(twin_r2(x, y))
    assert twin_rank(100 * x, y) == pytest.approx(twin_rank(x, y))
    assert twin_slope(100 * x, y) == pytest.approx(twin_slope(x, y) / 100)
    assert twin_concordance(100 * x, y) < twin_concordance(x, y) / 10


def test_they_are_in_the_list() -> None:
    for name, function in (
        ("twin-slope-error", twin_slope_error), ("twin-concordance", twin_concordance),
        ("twin-r2", twin_r2), ("twin-rank", twin_rank),
    ):  # fmt: skip
        assert get_measure(name).function is function
    assert {each.gauge for each in measures("twin")} == {"zero"}


def test_an_interval_draws_images_not_parts() -> None:
    """Every part ten times says no more than once: the interval over images does not narrow."""
    x, y = parts()
    image = np.arange(len(x))
    once = bootstrap_statistic(twin_r2, x, y, groups=image, n_boot=300)
    ten = bootstrap_statistic(
        twin_r2, np.repeat(x, 10), np.repeat(y, 10), groups=np.repeat(image, 10), n_boot=300
    )
    alone = bootstrap_statistic(twin_r2, np.repeat(x, 10), np.repeat(y, 10), n_boot=300)
    assert ten.high - ten.low == pytest.approx(once.high - once.low, rel=1e-9)
    assert alone.high - alone.low < 0.6 * (ten.high - ten.low)
