"""Clusters of texts against scikit-learn, labels against hand-made angles."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.common import rng
from softcam.layerwise.vocabulary import cluster_texts, common_forms, label_texts
from tests.layerwise.fakes import by_angle


def random_distances(d: int, seed: int) -> np.ndarray:
    points = rng(seed, d).normal(size=(d, 5))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    distances = np.clip(1 - points @ points.T, 0, 2)
    np.fill_diagonal(distances, 0)
    return (distances + distances.T) / 2


@pytest.mark.parametrize(("d", "seed"), [(3, 0), (4, 1), (9, 2), (20, 3), (41, 4)])
def test_clusters_and_their_number_are_scikit_learns(d: int, seed: int) -> None:
    cluster = pytest.importorskip("sklearn.cluster", reason="scikit-learn is not installed")
    metrics = pytest.importorskip("sklearn.metrics")
    distances = random_distances(d, seed)
    scored = []
    for k in range(2, d):
        way = cluster.AgglomerativeClustering(k, metric="precomputed", linkage="complete")
        labels = way.fit_predict(distances)
        scored.append((metrics.silhouette_score(distances, labels, metric="precomputed"), labels))
    best = max(scored, key=lambda pair: pair[0])[1]
    found = cluster_texts(distances)
    assert metrics.adjusted_rand_score(best, found) == 1
    assert sorted(set(found)) == list(range(len(set(best))))


def test_two_tight_groups_are_two_clusters() -> None:
    angles = np.deg2rad([0, 2, 4, 90, 93])
    distances = 1 - np.cos(angles[:, None] - angles)
    assert cluster_texts(distances).tolist() == [0, 0, 0, 1, 1]


def test_with_nothing_to_try_each_text_is_its_own_cluster() -> None:
    assert cluster_texts(np.zeros((0, 0))).tolist() == []
    assert cluster_texts(np.zeros((1, 1))).tolist() == [0]
    assert cluster_texts(np.array([[0, 0.1], [0.1, 0]])).tolist() == [0, 1]


def test_what_no_clustering_brings_together_stays_apart_and_what_is_one_is_one() -> None:
    assert cluster_texts(1 - np.eye(4)).tolist() == [0, 1, 2, 3], "all silhouettes are 0"
    for d in (1, 2, 5):
        assert cluster_texts(np.zeros((d, d))).tolist() == [0] * d, "all at one place"


def test_of_equal_silhouettes_the_fewest_clusters() -> None:
    # On a line: two pairs far apart, all four distances within pairs alike but one text alone.
    pairs = np.kron(np.eye(2), np.ones((2, 2)))
    assert cluster_texts(1 - pairs).tolist() == [0, 0, 1, 1]


def test_the_representative_is_nearest_to_the_sum_of_all_texts() -> None:
    # Cluster of 0, 10 and 16 degrees: the sum of "a" x 3, "b", "c" points to about 5 degrees.
    embed = by_angle({"aa": 0, "bb": 10, "cc": 16, "zz": 90, "yy": 94})
    few = ["aa", "bb", "cc", "zz", "yy"]
    assert label_texts(few, embed)["aa"] == "bb"
    assert label_texts([*few, "aa", "aa", "aa", "aa"], embed)["bb"] == "aa"


def test_a_slip_names_no_cluster_that_has_a_word_typed_twice() -> None:
    embed = by_angle({"lung": 0, "lungs": 10, "lugn": 5, "rib": 90, "bone": 92})
    once = ["lung", "lungs", "lugn", "rib", "bone"]
    assert label_texts(once, embed)["lung"] == "lugn", "the nearest to all"
    assert label_texts([*once, "lungs"], embed)["lung"] == "lungs"


def test_a_text_of_several_words_is_called_by_one_of_them() -> None:
    embed = by_angle({"white": 60, "rib": 0, "rib cage": 2, "cage": 40, "ribs": 1, "fluid": 170,
                      "water": 172})  # fmt: skip
    found = label_texts(["rib", "ribs", "rib cage", "fluid", "water"], embed)
    assert found == {"rib": "rib", "ribs": "rib", "rib cage": "rib",
                     "fluid": "fluid", "water": "fluid"}  # fmt: skip


def test_ties_go_to_the_more_frequent_word_and_then_to_the_alphabet() -> None:
    level = by_angle({"bone": 0, "arch": 0, "fluid": 90, "liquid": 90, "water": 90})
    once = ["bone", "arch", "fluid", "water"]
    assert set(label_texts(once, level).values()) == {"arch", "fluid"}
    assert label_texts([*once, "bone"], level)["arch"] == "bone"
    assert label_texts([*once, "bone", "arch"], level)["bone"] == "arch"


def test_a_label_takes_the_form_that_most_players_typed() -> None:
    apart = by_angle({"rib": 0, "ribs": 90})
    assert label_texts(["rib", "ribs"], apart) == {"rib": "rib", "ribs": "rib"}
    assert label_texts(["rib", "ribs", "ribs"], apart) == {"rib": "ribs", "ribs": "ribs"}
    forms = common_forms(["lens", "opacities here", "opacity", "opacities", "gas"])
    assert forms["lens"] == "lens", "no one typed len"
    assert forms["opacity"] == forms["opacities"] == "opacities"


@pytest.mark.parametrize("texts", [[], ["rib"], ["rib"] * 7, ["rib", "rib", "lung"]])
def test_few_texts(texts: list[str]) -> None:
    embed = by_angle({"rib": 0, "lung": 5})
    assert label_texts(texts, embed) == {text: text for text in texts}


def test_the_order_of_texts_changes_nothing() -> None:
    words = [f"w{chr(97 + i)}" for i in range(20)]
    angles = {
        word: float(angle) for word, angle in zip(words, rng(5).uniform(0, 180, 20), strict=True)
    }
    texts = [words[i] for i in rng(6).integers(0, 20, 60)]
    found = label_texts(texts, by_angle(angles))
    for seed in range(3):
        mixed = [texts[i] for i in rng(seed).permutation(len(texts))]
        assert label_texts(mixed, by_angle(angles)) == found


def test_a_text_that_many_typed_forms_no_cluster_by_that_alone() -> None:
    embed = by_angle({"heart": 0, "hart": 3, "rib": 90, "ribbs": 93})
    found = label_texts(["heart"] * 9 + ["hart"] * 4 + ["rib"] * 5 + ["ribbs"] * 2, embed)
    assert found == {"heart": "heart", "hart": "heart", "rib": "rib", "ribbs": "rib"}
