"""The mean over seeds: its interval draws seeds and images, crossed where the images are shared."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.compare import PerImage
from softcam.metrics import Ratios, hierarchical_ratio
from softcam.seeds import SeedValue, same_images, with_seed_intervals
from tests.results_tables import Tables

N = 40


def study(shared: bool) -> tuple[Tables, list[np.ndarray]]:
    """Three seeds of one arm; with other labels where the images are not the same."""
    tables, values = Tables(), []
    for seed in range(3):
        draw = np.random.default_rng(seed)
        labels = np.arange(N) % 2 if shared else draw.permutation(np.arange(N) % 2)
        who = {"run_id": f"r{seed}", "arm": "sparse", "seed": seed}
        tables.predict(labels, labels + draw.normal(size=N), **who)
        values.append(draw.random(N))
        own = {"method": "softcam", "gauge": "contrast", "metric": "pointing-accuracy"}
        tables.add(values[-1], **who, **own)
    return tables, values


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_bounds_are_those_of_the_hierarchical_bootstrap(shared: bool) -> None:
    tables, values = study(shared)
    images = PerImage(tables.per_image(), [])
    assert same_images(images, [("r0", "sparse"), ("r1", "sparse"), ("r2", "sparse")]) == shared
    table = with_seed_intervals(tables.table(), tables.per_image(), ["pointing-accuracy", "auc"])
    own = table[table["metric"] == "pointing-accuracy"]
    # Image ids sort as words, and so do the rows that are drawn.
    order = np.argsort([f"i{k}" for k in range(N)])
    by_seed = [Ratios(each[order], np.ones(N)) for each in values]
    expected = hierarchical_ratio(by_seed, crossed=shared)
    np.testing.assert_allclose(own["seeds_low"], expected.low[0])
    np.testing.assert_allclose(own["seeds_high"], expected.high[0])
    auc = table[table["metric"] == "auc"]
    low, high = auc["seeds_low"].iloc[0], auc["seeds_high"].iloc[0]
    assert low < auc["value"].mean() < high and auc["seeds_low"].nunique() == 1


def test_several_findings_are_the_same_images_and_have_a_mean() -> None:
    tables = Tables()
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, (N, 2))
    for seed in range(2):
        logits = labels * (4 - 3 * seed) + draw.normal(size=(N, 2))
        tables.predict_findings(labels, logits, run_id=f"r{seed}", arm="sparse", seed=seed)
    other = np.concatenate([labels[:, :1], 1 - labels[:, 1:]], 1)  # the first finding agrees
    tables.predict_findings(other, labels * 1.0, run_id="r2", arm="other")
    images = PerImage(tables.per_image(), [])
    assert same_images(images, [("r0", "sparse"), ("r1", "sparse")])
    assert not same_images(images, [("r0", "sparse"), ("r2", "other")])
    table = with_seed_intervals(tables.table(), tables.per_image(), ["auc"], n_boot=300)
    own = table[table["arm"] == "sparse"]
    assert len(own) == 6 and own["seeds_low"].notna().all()
    for _, rows in own.groupby("target"):
        assert (rows["seeds_low"] < rows["value"].mean()).all()
        assert (rows["seeds_high"] > rows["value"].mean()).all()
    assert own.groupby("target")["seeds_low"].nunique().eq(1).all()
    assert own["seeds_low"].nunique() == 3, "the mean is no finding's value"


def test_one_seed_and_runs_that_cannot_be_told_apart_have_none() -> None:
    tables, _ = study(True)
    table, images = tables.table(), tables.per_image()
    metrics = ["pointing-accuracy"]
    alone = with_seed_intervals(table[table["seed"] == 0], images, metrics)
    mixed = with_seed_intervals(table.assign(seed=0), images, metrics)
    gone = with_seed_intervals(table, images[images["run_id"] != "r1"], metrics)
    for each in (alone, mixed, gone):
        assert each["seeds_low"].isna().all()


def test_a_value_without_an_interval_says_so() -> None:
    def value(*by_seed: tuple[float, float, float]) -> SeedValue:
        return SeedValue("a", "sparse", "-", ("0", "0"), dict(zip("01", by_seed, strict=False)))

    nan = float("nan")
    alone = value((1.0, nan, nan))
    assert str(alone) == "1.000 [no interval]" and not alone.has_interval
    both = value((0.5, nan, nan), (0.7, 0.6, 0.8))
    assert str(both) == "0.60 [no interval; seeds 0.50 to 0.70]"
    assert value((0.7, 0.6, 0.8)).has_interval


def test_bounds_belong_to_all_seeds() -> None:
    by_seed = {"0": (0.5, 0.4, 0.6), "1": (0.7, 0.6, 0.8)}
    value = SeedValue("a", "sparse", "-", ("0", "0"), by_seed, (0.3, 0.9))
    assert (value.value, value.low, value.high) == (pytest.approx(0.6), 0.3, 0.9)
    fewer = value.over(SeedValue("b", "ridge", "-", ("0", "0"), {"1": (0.5, 0.4, 0.6)}))
    assert (fewer.low, fewer.high) == (0.6, 0.8)
    assert value.over(value).low == 0.3
