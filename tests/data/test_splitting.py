"""The drawn split keeps patients together and classes in proportion."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.data.splitting import FRACTIONS, grouped_split


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
