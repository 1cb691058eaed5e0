"""Labels of cluster maps from rounds, against tables worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from softcam.common import DataError, rng
from softcam.layerwise import ClusterMap, LayerExplanation, label_clusters
from softcam.layerwise.scores import LabelledMap, merge, worth
from softcam.layerwise.words import merge_maps, shares_of
from tests.layerwise.fakes import by_group

GROUPS = by_group("rib ribs bone", "lung", "heart", "patch")
CLASSES = ["normal", "opacity"]
SHARES = {("a", "l1", 0): 40.0, ("a", "l1", 1): 20.0, ("a", "l2", 0): 50.0, ("b", "l1", 0): 30.0}


def played(*rows: tuple) -> pd.DataFrame:
    """Rounds from (image, layer, cluster, correct, reveal, words[, resigned])."""
    table = [(*row[:6], row[6] if len(row) > 6 else 0) for row in rows]
    columns = ["image", "layer", "cluster", "correct", "reveal", "words", "resigned"]
    return pd.DataFrame(table, columns=columns, dtype=object).assign(class_name="opacity")


def labelled(rounds: pd.DataFrame, shares=SHARES, embed=GROUPS) -> pd.DataFrame:
    return label_clusters(rounds, shares, class_names=CLASSES, embed=embed)


def scores(table: pd.DataFrame) -> dict:
    return {(r.image, r.layer, r.cluster, r.label): (r.score, r.votes) for r in table.itertuples()}


def test_share_of_rounds_times_what_the_mean_step_leaves() -> None:
    found = labelled(
        played(
            ("a", "l1", 0, 1, 0, "rib"),
            ("a", "l1", 0, 1, 3, "Rib!"),
            ("a", "l1", 0, 1, 5, "the lung"),
            ("a", "l1", 0, 1, 1, "heart"),
        )
    )
    expected = {
        ("a", "l1", 0, "rib"): (2 / 4 * (1 - 0.1 * 1.5), 2),
        ("a", "l1", 0, "heart"): (1 / 4 * 0.9, 1),
        ("a", "l1", 0, "lung"): (1 / 4 * 0.5, 1),
    }
    assert list(scores(found)) == list(expected), "best first"
    for key, (score, votes) in expected.items():
        assert scores(found)[key] == (pytest.approx(score), votes)
    assert set(found["share"]) == {40.0} and set(found["class_name"]) == {"opacity"}
    columns = ["image", "class_name", "layer", "cluster", "share", "label", "score", "votes"]
    assert list(found.columns) == columns


def test_wrong_guesses_count_a_quarter_and_resigning_is_wrong_at_the_last_step() -> None:
    assert worth(True, False, 2) == pytest.approx(0.8)
    assert worth(False, False, 2) == pytest.approx(0.2)
    assert worth(False, True, 0) == pytest.approx(0.5 / 4) == worth(True, True, 5)
    found = labelled(
        played(
            ("a", "l1", 0, 1, 0, "rib"),
            ("a", "l1", 0, 1, 2, "rib"),
            ("a", "l1", 0, 0, 4, "rib"),
            ("a", "l1", 0, 0, 0, "rib", 1),
            ("a", "l1", 0, 0, 3, "lung"),
        )
    )
    right, wrong = 2 / 5 * (1 - 0.1 * 1), 2 / 5 * (1 - 0.1 * 4.5) / 4
    assert scores(found)["a", "l1", 0, "rib"] == (pytest.approx(right + wrong), 4)
    assert scores(found)["a", "l1", 0, "lung"] == (pytest.approx(1 / 5 * 0.7 / 4), 1)


def test_an_early_right_guess_beats_many_wrong_ones() -> None:
    rounds = [("a", "l1", 0, 0, 0, "lung")] * 3 + [("a", "l1", 0, 1, 0, "rib")]
    assert labelled(played(*rounds))["label"].tolist() == ["rib", "lung"]


def test_clusters_that_share_their_top_label_become_one() -> None:
    found = labelled(
        played(
            ("a", "l1", 0, 1, 0, "rib"),
            ("a", "l1", 0, 1, 2, "rib"),
            ("a", "l1", 0, 1, 5, "lung"),
            ("a", "l1", 1, 1, 1, "rib"),
            ("a", "l1", 1, 1, 5, "heart"),
            ("a", "l2", 0, 1, 0, "rib"),
            ("b", "l1", 0, 1, 0, "rib"),
        )
    )
    expected = {
        # weights 40 and 20 of 60; a label that one map lacks is 0 there
        ("a", "l1", 0, "rib"): ((40 * 1.8 / 3 + 20 * 0.9 / 2) / 60, 3),
        ("a", "l1", 0, "lung"): ((40 * 0.5 / 3) / 60, 1),
        ("a", "l1", 0, "heart"): ((20 * 0.5 / 2) / 60, 1),
        ("a", "l2", 0, "rib"): (1.0, 1),
        ("b", "l1", 0, "rib"): (1.0, 1),
    }
    assert scores(found).keys() == expected.keys()
    for key, (score, votes) in expected.items():
        assert scores(found)[key] == (pytest.approx(score), votes)
    assert found.loc[found["layer"].eq("l1") & found["image"].eq("a"), "share"].eq(60.0).all()
    merged = [{"image": "a", "layer": "l1", "cluster": 0, "members": [0, 1]}]
    assert found.attrs["merged"] == merged


def test_maps_are_merged_as_their_labels_with_the_shares_as_weights() -> None:
    found = labelled(played(("a", "l1", 0, 1, 0, "rib"), ("a", "l1", 1, 1, 0, "rib"),
                            ("b", "l1", 0, 1, 0, "rib")))  # fmt: skip
    maps = {
        key: np.full((2, 3), value) for key, value in zip(SHARES, (0.3, 0.9, 0, 0.7), strict=True)
    }
    out = merge_maps(found, maps, SHARES)
    assert set(out) == {("a", "l1", 0), ("b", "l1", 0)}
    assert np.allclose(out["a", "l1", 0], 0.5) and out["a", "l1", 0].dtype == np.float32
    assert np.allclose(out["b", "l1", 0], 0.7)
    with pytest.raises(DataError, match=r"no map for \('a', 'l1', 1\)"):
        merge_maps(found, {key: m for key, m in maps.items() if key != ("a", "l1", 1)}, SHARES)
    with pytest.raises(DataError, match="does not say which maps were merged"):
        merge_maps(pd.DataFrame(found.to_dict("list")), maps, SHARES)


def test_shares_that_are_all_zero_weigh_the_same() -> None:
    parts = [
        LabelledMap("a", "opacity", "l1", (k,), 0.0, {"rib": (score, 1)})
        for k, score in enumerate((0.2, 0.6))
    ]
    (one,) = merge(parts)
    assert one.labels["rib"] == (pytest.approx(0.4), 2) and one.members == (0, 1)


def test_ties_go_to_more_votes_and_then_to_the_alphabet() -> None:
    tied = LabelledMap("a", "c", "l", (0,), 1.0, {"rib": (0.3, 1), "arch": (0.3, 1),
                                                  "lung": (0.1 + 0.2, 2)})  # fmt: skip
    assert [label for label, _, _ in tied.ranked()] == ["lung", "arch", "rib"]


def test_words_mean_the_same_in_all_maps_of_a_table() -> None:
    found = labelled(
        played(
            ("a", "l1", 0, 1, 0, "rib"),
            ("b", "l1", 0, 1, 0, "ribs"),
            ("b", "l1", 0, 1, 0, "ribs"),
            ("a", "l2", 0, 1, 0, "bone"),
            ("a", "l2", 0, 1, 0, "lung"),
        )
    )
    assert found[["image", "layer", "label"]].to_numpy().tolist() == [
        ["a", "l1", "ribs"],
        ["a", "l2", "lung"],
        ["a", "l2", "ribs"],  # typed as bone
        ["b", "l1", "ribs"],
    ]


def test_texts_without_words_are_left_out_and_counted() -> None:
    found = labelled(
        played(
            ("a", "l1", 0, 1, 0, "rib"),
            ("a", "l1", 0, 1, 0, ""),
            ("a", "l1", 0, 1, 0, "Opacities!"),
            ("a", "l1", 0, 1, 0, None),
            ("a", "l1", 0, 1, 0, float("nan")),
            ("b", "l1", 0, 1, 0, "I don't know"),
        )
    )
    assert scores(found) == {("a", "l1", 0, "rib"): (1.0, 1)}
    assert any("5 of 6 rounds" in note for note in found.attrs["notes"])


def test_nothing_said_at_all_is_an_empty_table_with_its_columns() -> None:
    for rounds in (played(), played(("a", "l1", 0, 1, 0, "..."))):
        found = labelled(rounds)
        assert len(found) == 0 and "score" in found and found.attrs["merged"] == []


def test_nasty_texts_are_words_like_others() -> None:
    nasty = [
        "<b>rib</b>",
        "'; DROP TABLE rounds; --",
        "🔥",
        "x" * 10_000,
        "lung " * 2_000,
        "\ud800rib",
    ]
    rounds = played(*[("a", "l1", 0, 1, 0, text) for text in nasty])
    found = label_clusters(
        rounds, SHARES, class_names=CLASSES,
        embed=lambda texts: np.eye(len(texts), 400, dtype=np.float32),
    )  # fmt: skip
    assert found["votes"].sum() == len(nasty)
    assert found["score"].sum() == pytest.approx(1)
    assert not set("".join(found["label"])) & set("<>;'\ud800")
    assert found["label"].str.len().max() <= 40
    assert any("2 of 6 texts are longer" in note for note in found.attrs["notes"])


def test_the_order_of_rows_and_shares_changes_no_digit() -> None:
    draw = rng(3, 1)
    words = np.array(["rib", "ribs", "lung", "heart", "patch", "bone rib", ""])
    keys = list(SHARES)
    rows = [
        (
            *keys[draw.integers(4)],
            int(draw.integers(2)),
            int(draw.integers(6)),
            words[draw.integers(7)],
        )
        for _ in range(200)
    ]
    rounds = played(*rows)
    found = labelled(rounds)
    for seed in range(3):
        mixed = rounds.iloc[rng(seed).permutation(len(rounds))]
        again = labelled(mixed, shares=dict(reversed(SHARES.items())))
        pd.testing.assert_frame_equal(again, found, check_exact=True)


def test_shares_come_from_explanations() -> None:
    maps = tuple(ClusterMap("l1", k, np.ones((2, 2)), s, (k,)) for k, s in enumerate((60.0, 30.0)))
    layer = LayerExplanation("l1", (2, 2), 4, 4, maps, None)
    assert shares_of({"a": [layer]}) == {("a", "l1", 0): 60.0, ("a", "l1", 1): 30.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns=["reveal", "words"]), "no column reveal, words"),
        (lambda t: t.assign(reveal=6), "column reveal of the rounds holds 6"),
        (lambda t: t.assign(reveal=1.5), "whole number from 0 to 5"),
        (lambda t: t.assign(correct=math.nan), "column correct of the rounds holds nan"),
        (lambda t: t.assign(cluster=7), r"\('a', 'l1', 7\) was played and its share is None"),
        (lambda t: t.assign(class_name=["opacity", "normal"]), "one class an image"),
    ],
)
def test_bad_rounds_are_named(change, message: str) -> None:
    rounds = played(("a", "l1", 0, 1, 0, "rib"), ("a", "l1", 0, 1, 0, "lung"))
    with pytest.raises(DataError, match=message):
        labelled(change(rounds))
    with pytest.raises(DataError, match="its share is nan"):
        labelled(rounds, shares={("a", "l1", 0): math.nan})


def test_class_names_are_a_list_that_may_be_read_once() -> None:
    rounds = played(("a", "l1", 0, 1, 0, "opacity rib"), ("a", "l1", 0, 1, 0, "opacity lung"))
    once = label_clusters(rounds, SHARES, class_names=iter(CLASSES), embed=GROUPS)
    pd.testing.assert_frame_equal(once, labelled(rounds))
    with pytest.raises(DataError, match=r"expected a list, \['opacity'\]"):
        label_clusters(rounds, SHARES, class_names="opacity", embed=GROUPS)
