"""Labels over layers, against means and slopes by hand and by NumPy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from softcam.common import DataError, rng
from softcam.layerwise import global_labels
from softcam.layerwise.overall import layer_order, least_squares_slope

COLUMNS = ["image", "class_name", "layer", "cluster", "label", "score"]


def table(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS).assign(share=10.0, votes=1)


BY_HAND = table(
    ("a", "opacity", "l1", 0, "rib", 0.6),
    ("a", "opacity", "l1", 0, "lung", 0.3),
    ("a", "opacity", "l1", 1, "lung", 0.2),
    ("b", "opacity", "l1", 0, "rib", 0.3),
    ("a", "opacity", "l2", 0, "rib", 0.2),
    ("b", "opacity", "l2", 0, "patch", 0.5),
    ("a", "opacity", "l3", 0, "patch", 0.9),
    ("c", "normal", "l1", 0, "rib", 0.4),
    ("c", "normal", "l3", 0, "rib", 0.8),
)


def test_means_slopes_and_ranks_by_hand() -> None:
    found = global_labels(BY_HAND)
    assert list(found.columns) == ["class_name", "label", "layer", "score", "slope"]
    expected = [
        ("normal", "rib", [("l1", 0.4), ("l3", 0.8)], 0.2),  # l2 is unknown; l3 is two further
        ("opacity", "patch", [("l1", 0.0), ("l2", 0.25), ("l3", 0.9)], 0.45),
        ("opacity", "lung", [("l1", 0.5 / 3), ("l2", 0.0), ("l3", 0.0)], -0.25 / 3),
        ("opacity", "rib", [("l1", 0.9 / 3), ("l2", 0.1), ("l3", 0.0)], -0.15),
    ]
    rows = [
        (c, label, layer, score, slope)
        for c, label, line, slope in expected
        for layer, score in line
    ]
    assert found[["class_name", "label", "layer"]].to_numpy().tolist() == [
        list(r[:3]) for r in rows
    ]
    assert found["score"].tolist() == pytest.approx([row[3] for row in rows])
    assert found["slope"].tolist() == pytest.approx([row[4] for row in rows])
    assert found.attrs["layers"] == ["l1", "l2", "l3"]


def test_the_slope_is_that_of_least_squares() -> None:
    draw = rng(0, 7)
    for n in (2, 3, 9):
        x, y = np.sort(draw.choice(20, n, replace=False)), draw.random(n)
        assert least_squares_slope(x.tolist(), y.tolist()) == pytest.approx(np.polyfit(x, y, 1)[0])
    assert least_squares_slope([2], [0.7]) == 0


def test_equal_slopes_are_ranked_by_score_and_then_by_alphabet() -> None:
    rows = [("a", "c", layer, 0, label, score) for label, score in
            (("b", 0.1), ("a", 0.1), ("z", 0.4)) for layer in ("l1", "l2")]  # fmt: skip
    assert list(dict.fromkeys(global_labels(table(*rows))["label"])) == ["z", "a", "b"]


def test_a_map_without_labels_counts_where_it_has_a_row() -> None:
    alone = table(("a", "c", "l1", 0, "rib", 0.6))
    with_empty = pd.concat(
        [alone, table(("a", "c", "l1", 1, "", 0.0), ("b", "c", "l2", 0, None, 0.0))]
    )
    assert global_labels(alone)["score"].tolist() == [0.6]
    found = global_labels(with_empty)
    assert found["label"].unique().tolist() == ["rib"]
    assert found["score"].tolist() == [0.3, 0.0]


def test_layers_stand_in_the_order_of_their_numbers_or_as_given() -> None:
    assert layer_order(["layer10", "layer2", "layer2", "b.3.c", "b.12.c"]) == [
        "b.3.c", "b.12.c", "layer2", "layer10",
    ]  # fmt: skip
    rows = table(("a", "c", "stem", 0, "rib", 0.1), ("a", "c", "blocks.1", 0, "rib", 0.5))
    assert global_labels(rows)["slope"].iloc[0] == pytest.approx(-0.4), "by name the stem is last"
    given = global_labels(rows, layers=["stem", "blocks.0", "blocks.1"])
    assert given["layer"].tolist() == ["stem", "blocks.1"]
    assert given["slope"].iloc[0] == pytest.approx(0.2)
    with pytest.raises(DataError, match=r"'blocks\.1' of the labels is not in `layers`"):
        global_labels(rows, layers=["stem"])


def test_the_order_of_rows_changes_no_digit() -> None:
    draw = rng(2, 2)
    rows = [
        (f"i{i}", f"c{i % 2}", f"l{layer}", k, label, float(draw.random()))
        for i in range(8)
        for layer in range(4)
        for k in range(2)
        for label in ("rib", "lung", "heart")
    ]
    whole = table(*rows)
    found = global_labels(whole)
    for seed in range(3):
        mixed = whole.iloc[rng(seed).permutation(len(whole))]
        pd.testing.assert_frame_equal(global_labels(mixed), found, check_exact=True)


def test_an_empty_table_stays_empty() -> None:
    found = global_labels(table())
    assert len(found) == 0 and list(found.columns)[:2] == ["class_name", "label"]


def test_bad_tables_are_named() -> None:
    with pytest.raises(DataError, match="no column cluster, score"):
        global_labels(BY_HAND.drop(columns=["cluster", "score"]))
    with pytest.raises(DataError, match="score of the labels is nan"):
        global_labels(BY_HAND.assign(score=np.nan))
    with pytest.raises(DataError, match=r"\['a', 'opacity', 'l1', 0, 'rib'\] twice"):
        global_labels(pd.concat([BY_HAND, BY_HAND]))
