"""Areas beside chance, beside the truth, and under another fill: by hand and against SciPy."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.common import SoftCAMError, UnknownNameError
from softcam.metrics import Ratios, fill_agreement, over_random, share_of_mask


def areas(values: object) -> Ratios:
    """One area an image; NaN is undefined."""
    row = np.array(values, float)
    return Ratios(np.nan_to_num(row), ~np.isnan(row))


def test_the_advantage_is_positive_where_the_map_is_better() -> None:
    own, chance = areas([0.2, 0.9, np.nan, 0.4]), areas([0.5, 0.5, 0.5, np.nan])
    lower, higher = (over_random(own, chance, way).per_image[:, 0] for way in ("lower", "higher"))
    np.testing.assert_allclose(lower, [0.3, -0.4, np.nan, np.nan])
    np.testing.assert_allclose(higher, -lower)
    assert over_random(own, chance, "lower").n_excluded == 2


def test_an_area_weighted_by_its_denominator_counts_as_its_value() -> None:
    own = Ratios(np.array([1.0, 1.0]), np.array([4.0, 2.0]))
    np.testing.assert_allclose(
        over_random(own, areas([1, 1]), "lower").per_image[:, 0], [0.75, 0.5]
    )


def test_the_share_is_a_ratio_of_means_over_the_images_that_have_all_three() -> None:
    own, chance = areas([0.4, 0.3, 0.1, np.nan, 0]), areas([0.5, 0.5, 0.7, 0.5, 1])
    truth = areas([0.1, 0.2, 0.3, 0.1, np.nan])
    found = share_of_mask(own, chance, truth, "lower", n_boot=400)
    expected = (0.1 + 0.2 + 0.6) / (0.4 + 0.3 + 0.4)
    assert found.value == pytest.approx(expected)
    # Every draw of 3 images lies between the single images' shares.
    assert 0.25 <= found.low + 1e-9 and found.low < expected < found.high <= 1.5 + 1e-9
    draws = np.random.default_rng(0).integers(3, size=(20000, 3))
    gained, possible = np.array([0.1, 0.2, 0.6]), np.array([0.4, 0.3, 0.4])
    shares = gained[draws].sum(1) / possible[draws].sum(1)
    assert (shares < found.low).mean() < 0.06 and (shares > found.high).mean() < 0.06


def test_the_share_by_patients() -> None:
    own, chance, truth = areas([0.4, 0.3, 0.1]), areas([0.5] * 3), areas([0.1, 0.2, 0.0])
    found = share_of_mask(own, chance, truth, "lower", groups=["a", "a", "b"], n_boot=300)
    assert found.kind == "bootstrap over groups"
    assert found.low == pytest.approx(0.3 / 0.7) and found.high == pytest.approx(0.4 / 0.5)
    with pytest.raises(SoftCAMError, match="one group an image"):
        share_of_mask(own, chance, truth, "lower", groups=["a"])


@pytest.mark.parametrize("truth", [[0.5, 0.5], [0.6, 0.9]])
def test_without_a_true_advantage_there_is_no_share(truth: list[float]) -> None:
    found = share_of_mask(areas([0.1, 0.2]), areas([0.5, 0.5]), areas(truth), "lower")
    assert np.isnan([found.value, found.low, found.high]).all()
    assert "no better than chance" in found.reason


def test_one_image_and_no_image_say_why_there_is_no_interval() -> None:
    one = share_of_mask(areas([0.2]), areas([0.5]), areas([0.1]), "lower")
    assert one.value == pytest.approx(0.75) and np.isnan(one.low) and "single image" in one.reason
    none = share_of_mask(areas([np.nan]), areas([0.5]), areas([0.1]), "lower")
    assert np.isnan(none.value) and none.reason == "no image has a value"


def test_agreement_is_tau_b() -> None:
    scipy = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(0)
    tables = {fill: draw.integers(0, 5, (30, 4)) / 4 for fill in ("a", "b", "c")}
    tables["a"][0] = 0.5  # all equal: undefined
    tables["b"][1, 2] = np.nan
    by_fill = {
        fill: {f"map {k}": areas(table[:, k]) for k in range(4)} for fill, table in tables.items()
    }
    by_fill["b"] = dict(reversed(by_fill["b"].items()))  # sources are matched by name
    found = fill_agreement(by_fill)
    assert list(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    for (first, second), ratios in found.items():
        for i in range(30):
            one, other = tables[first][i], tables[second][i]
            expected = scipy.kendalltau(one, other, variant="b").statistic
            np.testing.assert_allclose(ratios.per_image[i, 0], expected, atol=1e-12)
    assert np.isnan(found["a", "b"].per_image[:2, 0]).all() and found["b", "c"].n_excluded >= 1


def test_bad_input_is_named() -> None:
    three = {name: areas([0.1, 0.2]) for name in "xyz"}
    with pytest.raises(SoftCAMError, match="at least 3 sources"):
        fill_agreement({"a": {"x": areas([1])}, "b": {"x": areas([1])}})
    with pytest.raises(SoftCAMError, match="same sources and images"):
        fill_agreement({"a": three, "b": {name: areas([0.1]) for name in "xyz"}})
    with pytest.raises(SoftCAMError, match="other names"):
        fill_agreement({"a": three, "b": {name: areas([0.1, 0.2]) for name in "uvw"}})
    with pytest.raises(SoftCAMError, match="one area an image"):
        fill_agreement({"a": {name: Ratios(np.ones((2, 2)), np.ones((2, 2))) for name in "xyz"}})
    with pytest.raises(SoftCAMError, match="same images"):
        over_random(areas([1, 2]), areas([1]), "lower")
    with pytest.raises(UnknownNameError, match="did you mean 'lower'"):
        over_random(areas([1]), areas([1]), "lowr")  # type: ignore[arg-type]
    with pytest.raises(SoftCAMError, match="areas of one step"):
        curve = Ratios(np.ones((2, 3)), np.ones((2, 3)))
        share_of_mask(curve, curve, curve, "lower")
