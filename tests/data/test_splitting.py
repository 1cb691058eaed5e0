"""The drawn split keeps patients together and classes in proportion."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.data.splitting import FRACTIONS, check_splits, crossings, grouped_split


def example(n: int, patients: int, seed: int = 0) -> tuple[list[int], list[str]]:
    draw = np.random.default_rng(seed)
    labels = draw.choice(3, n, p=(0.6, 0.3, 0.1)).tolist()
    return labels, [f"p{i}" for i in draw.integers(0, patients, n)]


@pytest.mark.parametrize(("n", "patients"), [(600, 600), (600, 150)])
def test_patients_stay_together_and_classes_in_proportion(n: int, patients: int) -> None:
    labels, groups = example(n, patients)
    splits = grouped_split(labels, groups, seed=3)
    assert len({*zip(groups, splits, strict=True)}) == len(set(groups)), "a patient in two splits"
    for label in range(3):
        where = [s for s, other in zip(splits, labels, strict=True) if other == label]
        for split, fraction in zip(("train", "val", "test"), FRACTIONS, strict=True):
            share = where.count(split) / len(where)
            assert abs(share - fraction) < 0.04, (label, split, share)


def test_row_order_does_not_matter_and_the_seed_does() -> None:
    labels, groups = example(200, 80)
    first = dict(zip(groups, grouped_split(labels, groups, seed=1), strict=True))
    order = np.random.default_rng(5).permutation(200)
    mixed_groups = [groups[i] for i in order]
    mixed = grouped_split([labels[i] for i in order], mixed_groups, seed=1)
    assert first == dict(zip(mixed_groups, mixed, strict=True))
    assert first != dict(zip(groups, grouped_split(labels, groups, seed=2), strict=True))


def test_a_small_set_still_fills_every_split() -> None:
    splits = grouped_split([0, 1] * 5, [str(i) for i in range(10)], seed=0)
    assert set(splits) == {"train", "val", "test"}


def test_several_findings_are_spread_like_classes() -> None:
    draw = np.random.default_rng(2)
    groups = [f"p{i // 2}" for i in range(400)]
    labels = [tuple(row) for row in (draw.random((400, 3)) < (0.5, 0.2, 0.1)).astype(int).tolist()]
    splits = np.array(grouped_split(labels, groups, seed=4))
    assert not crossings(groups, splits.tolist())
    table = np.array(labels)
    for column in (*table.T, table.sum(1) == 0):
        share = [column[splits == split].sum() / column.sum() for split in ("train", "val", "test")]
        np.testing.assert_allclose(share, FRACTIONS, atol=0.03)


def test_crossing_patients_are_found() -> None:
    assert crossings(["a", "b", "a", "b", "a"], ["test", "val", "train", "val", "val"]) == {
        "a": ("train", "val", "test")
    }


def test_what_a_split_lacks() -> None:
    splits = ["train", "train", "val", "test", "test"]
    findings = [(1, 0), (0, 1), (1, 1), (0, 0), (0, 1)]
    assert check_splits("x", splits, findings, ["a", "b"]) == [
        "split 'val' has no image without a, b.",
        "split 'test' has no image of class a.",
    ]
    assert check_splits("x", splits, [0, 1, 0, 0, 1], ["a", "b"]) == [
        "split 'val' has no image of class b."
    ]
