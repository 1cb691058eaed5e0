"""Cluster maps against the definition and blobs whose clusters are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from softcam.common import SoftCAMError
from softcam.layerwise import LayerExplanation, cluster_maps
from softcam.layerwise.grouping import group_maps, min_max
from tests.layerwise.oracle import cluster_weights, kept_channels, merged_map, strong

SIDE = 14
CENTRES = ((3.0, 3.0), (3.0, 10.0), (10.0, 3.0), (10.0, 10.0), (6.5, 6.5))


def blobs(groups: int, each: int, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Maps (groups * each, SIDE, SIDE) with a bump at one of some places, and which place."""
    generator = np.random.default_rng(3)
    y, x = np.mgrid[:SIDE, :SIDE]
    maps, truth = [], []
    for group in range(groups):
        for _ in range(each):
            row, column = np.array(CENTRES[group]) + generator.normal(0, 0.2, 2)
            bump = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 5)
            maps.append(bump + noise * generator.random((SIDE, SIDE)))
            truth.append(group)
    return np.array(maps), np.array(truth)


def labels_of(explanation: LayerExplanation) -> np.ndarray:
    """The cluster of each channel; -1 for those in none."""
    labels = np.full(explanation.channels, -1)
    for cluster in explanation.clusters:
        labels[list(cluster.channels)] = cluster.index
    return labels


@pytest.mark.parametrize("groups", [3, 4, 5])
def test_blobs_fall_into_their_clusters(groups: int) -> None:
    from sklearn.metrics import adjusted_rand_score

    maps, truth = blobs(groups, 12)
    found = cluster_maps(maps, np.ones(len(maps)), layer="blobs")
    assert found.kept == len(maps) and len(found.clusters) == groups
    assert adjusted_rand_score(truth, labels_of(found)) == 1
    assert found.silhouette is not None and found.silhouette > 0.5
    for cluster in found.clusters:
        centre = CENTRES[truth[cluster.channels[0]]]
        peak = np.unravel_index(cluster.map.argmax(), cluster.map.shape)
        assert np.abs(np.array(peak) - centre).max() <= 1
        assert cluster.share == pytest.approx(100 / groups)


def test_shares_and_maps_are_those_of_the_definition() -> None:
    maps, truth = blobs(4, 9)
    maps = maps * np.random.default_rng(5).uniform(0.1, 4, len(maps))[:, None, None] - 0.3
    heavy = np.array([1.5, 1.7, 2.2, 0.1])[truth]
    weights = np.random.default_rng(4).uniform(0.5, 1.5, len(maps)) * heavy
    found = cluster_maps(maps, weights)
    kept = kept_channels(weights)
    assert found.kept == len(kept) < len(maps), "the test needs maps that are left out"
    members = [[k for k in kept if truth[k] == group] for group in range(4)]
    members = [group for group in members if group]
    totals = cluster_weights(weights, members)
    expected = sorted(
        ((w, g) for w, g, ok in zip(totals, members, strong(totals), strict=True) if ok),
        reverse=True,
    )
    assert len(found.clusters) == len(expected)
    for cluster, (share, group) in zip(found.clusters, expected, strict=True):
        assert cluster.channels == tuple(group)
        assert cluster.share == pytest.approx(share)
        assert cluster.map.dtype == np.float32
        np.testing.assert_allclose(cluster.map, merged_map(maps, weights, group), atol=1e-6)


@pytest.mark.parametrize(
    ("channels", "published"), [(512, 0.175), (256, 0.35), (128, 0.7), (64, 1.4)]
)
def test_the_threshold_of_a_map_is_the_published_one(channels: int, published: float) -> None:
    threshold = 0.9 * 100 / channels
    assert threshold == pytest.approx(published, rel=0.006)
    weights = np.full(channels, 0.0)
    # In per cent of the whole: two maps about the threshold, the rest on two heavy ones.
    weights[:4] = threshold * 0.999, threshold * 1.001, 30, 70 - 2 * threshold
    maps = np.random.default_rng(0).random((channels, 3, 4))
    found = cluster_maps(maps, weights)
    assert found.kept == 3 == len(kept_channels(weights))
    assert not any(0 in cluster.channels for cluster in found.clusters)


def test_weak_clusters_go_by_a_third_of_the_heaviest_and_half_of_the_mean() -> None:
    maps = np.zeros((3, 2, 2))
    maps[range(3), [0, 0, 1], [0, 1, 0]] = 1  # three maps, each its own cluster
    weights = np.array([60.0, 21.0, 19.0])  # a third of 60 is 20
    found = cluster_maps(maps, weights, min_share=0)
    assert [cluster.channels for cluster in found.clusters] == [(0,), (1,)]
    assert [cluster.index for cluster in found.clusters] == [0, 1]
    assert any("1 of 3 clusters left out, with 19.0 %" in note for note in found.notes)


def test_half_of_the_mean_decides_where_most_clusters_are_heavy() -> None:
    maps, truth = blobs(5, 8)
    totals = [10.0, 9.0, 9.0, 9.0, 3.4]  # a third of the heaviest is 3.33, half of the mean 4.04
    assert strong(totals) == [True, True, True, True, False]
    found = cluster_maps(maps, np.array(totals)[truth], min_share=0)
    assert sorted(truth[list(cluster.channels)][0] for cluster in found.clusters) == [0, 1, 2, 3]
    assert "1 of 5 clusters left out" in found.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_numbering_the_channels_otherwise_changes_nothing(seed: int) -> None:
    from sklearn.metrics import adjusted_rand_score

    generator = np.random.default_rng(seed)
    maps = generator.random((48, 7, 7)) ** 3  # without clear clusters, where order would tell
    maps[7], maps[30] = maps[3], maps[3]  # equal maps, of different weights
    weights = generator.random(48)
    order = generator.permutation(48)
    found = cluster_maps(maps, weights, seed=seed, min_share=0.3)
    again = cluster_maps(maps[order], weights[order], seed=seed, min_share=0.3)
    assert adjusted_rand_score(labels_of(found)[order], labels_of(again)) == 1
    assert found.silhouette == again.silhouette and found.notes == again.notes
    for a, b in zip(found.clusters, again.clusters, strict=True):
        assert a.share == b.share and np.array_equal(a.map, b.map)
        assert a.channels == tuple(sorted(order[list(b.channels)]))


def test_zeros_with_a_minus_are_zeros() -> None:
    generator = np.random.default_rng(0)
    maps = np.where(generator.random((20, 6, 6)) > 0.5, generator.random((20, 6, 6)), 0.0)
    twins = np.concatenate([maps, maps])
    twins[(twins == 0) & (generator.random(twins.shape) > 0.5)] = -0.0
    found, plain = (cluster_maps(each, np.ones(40)) for each in (twins, twins + 0.0))
    assert [c.channels for c in found.clusters] == [c.channels for c in plain.clusters]
    np.testing.assert_array_equal(labels_of(found)[:20], labels_of(found)[20:])


def test_maps_that_differ_by_their_scale_alone_are_summed_in_one_order() -> None:
    grid = np.random.default_rng(0).integers(0, 9, (4, 4)) / 8
    maps = grid + np.array([0.0, 2.0**49, -(2.0**49)])[:, None, None]  # exact
    assert len({min_max(each).tobytes() for each in maps}) == 1
    found = [
        cluster_maps(maps[list(order)], np.ones(3)).clusters[0].map.tobytes()
        for order in itertools.permutations(range(3))
    ]
    assert len(set(found)) == 1


def test_very_large_weights_have_shares() -> None:
    maps, _ = blobs(3, 8)
    found = cluster_maps(maps, np.full(len(maps), 1.7e308))
    assert sum(cluster.share for cluster in found.clusters) == pytest.approx(100)


def test_the_same_seed_gives_the_same_clusters_whatever_was_drawn_before() -> None:
    maps, _ = blobs(4, 10, noise=0.5)
    weights = np.ones(len(maps))
    first = cluster_maps(maps, weights, seed=7)
    np.random.seed(99)
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    second = cluster_maps(maps, weights, seed=7)
    assert np.array_equal(np.random.get_state()[1], before), "the global random state has moved"
    for a, b in zip(first.clusters, second.clusters, strict=True):
        assert a.channels == b.channels and np.array_equal(a.map, b.map)


def test_the_unit_of_weights_and_of_maps_is_of_no_account() -> None:
    maps, _ = blobs(3, 8)
    weights = np.linspace(1, 2, len(maps))
    found, scaled = cluster_maps(maps, weights), cluster_maps(maps * 2.0**20, weights * 1e-300)
    for a, b in zip(found.clusters, scaled.clusters, strict=True):
        assert a.channels == b.channels and a.share == pytest.approx(b.share)


def test_a_weight_below_zero_speaks_against_and_counts_as_zero() -> None:
    maps, _ = blobs(3, 8)
    weights = np.ones(len(maps))
    weights[5] = -50
    found = cluster_maps(maps, weights)
    weights[5] = 0
    assert found.kept == len(maps) - 1
    assert found.clusters[0].share == cluster_maps(maps, weights).clusters[0].share


def test_no_weight_at_all() -> None:
    found = cluster_maps(np.ones((5, 3, 3)), np.array([0, 0, -1, 0, 0]), layer="net.layer1")
    assert found.clusters == () and found.kept == 0 and found.silhouette is None
    assert "all weights are zero" in found.notes[0]
    assert (found.layer, found.size, found.channels) == ("net.layer1", (3, 3), 5)


def test_no_map_above_the_least_share() -> None:
    found = cluster_maps(np.random.default_rng(0).random((4, 3, 3)), np.ones(4), min_share=1)
    assert found.clusters == () and "no map has more than 25 %" in found.notes[0]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_three_maps_or_fewer_stay_by_themselves(channels: int) -> None:
    maps = np.random.default_rng(0).random((channels, 3, 3))
    found = cluster_maps(maps, np.ones(channels))
    assert [c.channels for c in found.clusters] == [(k,) for k in labels_of(found).argsort()]
    assert sum(c.share for c in found.clusters) == pytest.approx(100)
    assert found.silhouette is None and "too few to be clustered" in found.notes[0]


def test_four_maps_can_only_be_three_clusters() -> None:
    maps = np.random.default_rng(0).random((4, 3, 3))
    maps[3] = maps[2] + 1e-3
    maps[3, 0, 0] += 1e-2
    found = cluster_maps(maps, np.ones(4))
    assert sorted(len(c.channels) for c in found.clusters) == [1, 1, 2]
    assert found.silhouette is not None


def test_equal_maps_are_one_cluster() -> None:
    maps = np.tile(np.random.default_rng(0).random((1, 4, 4)), (20, 1, 1))
    found = cluster_maps(maps, np.linspace(1, 1.1, 20))
    assert [c.channels for c in found.clusters] == [tuple(range(20))]
    assert found.clusters[0].share == pytest.approx(100)


def test_constant_maps_are_zero_and_alike() -> None:
    maps = np.arange(1.0, 7.0)[:, None, None] * np.ones((6, 4, 4))
    found = cluster_maps(maps, np.ones(6))
    assert [c.channels for c in found.clusters] == [tuple(range(6))]
    assert not found.clusters[0].map.any()
    assert not min_max(maps).any()


def test_clusters_are_never_more_than_allowed() -> None:
    rows = np.random.default_rng(0).random((40, 30)).astype(np.float32)
    for most in (3, 4, 8):
        labels, _ = group_maps(rows, most, 0)
        assert 3 <= len(set(labels)) <= most


@pytest.mark.parametrize(("n", "perplexity"), [(4, 1.0), (10, 3.0), (91, 30.0), (120, 30.0)])
def test_perplexity_fits_the_number_of_maps(
    n: int, perplexity: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sklearn.manifold

    told = []

    class Stub:
        def __init__(self, _components: int, **options: object) -> None:
            told.append(options["perplexity"])

        def fit_transform(self, x: np.ndarray) -> np.ndarray:
            return x[:, :2]

    monkeypatch.setattr(sklearn.manifold, "TSNE", Stub)
    group_maps(np.random.default_rng(0).random((n, 9)).astype(np.float32), 8, 0)
    assert told == [pytest.approx(perplexity)]


BAD = np.ones((2, 3, 3))
BAD[1, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("maps", "weights", "options", "says"),
    [
        (np.ones((2, 9)), np.ones(2), {}, r"expected maps \(D, h, w\)"),
        (np.ones((2, 3, 3)), np.ones(3), {}, "one weight a map"),
        (np.ones((0, 3, 3)), np.ones(0), {}, "expected maps"),
        (BAD, np.ones(2), {}, "NaN or infinite"),
        (np.ones((2, 3, 3)), np.array([1, np.inf]), {}, "NaN or infinite"),
        (np.ones((2, 3, 3)), np.ones(2), {"max_clusters": 2}, "max_clusters"),
        (np.ones((2, 3, 3)), np.ones(2), {"min_share": -1}, "min_share"),
        (np.ones((2, 3, 3)), np.ones(2), {"seed": -1}, "seed"),
    ],
)
def test_bad_input(
    maps: np.ndarray, weights: np.ndarray, options: dict[str, float], says: str
) -> None:
    with pytest.raises(SoftCAMError, match=says):
        cluster_maps(maps, weights, **options)  # type: ignore[arg-type]
