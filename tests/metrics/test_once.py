"""What a batch has worked out once is not worked out again, and goes with the batch."""

from __future__ import annotations

import gc

import pytest
import torch

import softcam.metrics.once as shared
from softcam.metrics import MapBatch
from softcam.metrics.once import once


def batch() -> MapBatch:
    return MapBatch(torch.zeros(1, 2, 2), torch.ones(1, 4, 4, dtype=torch.bool))


def test_once_a_batch_and_key() -> None:
    calls = []

    def compute() -> int:
        calls.append(1)
        return len(calls)

    first, second = batch(), batch()
    assert [once(first, "a", compute), once(first, "a", compute)] == [1, 1]
    assert once(first, "b", compute) == 2
    assert once(second, "a", compute) == 3


@pytest.mark.slow
def test_nothing_is_kept_after_the_batch() -> None:
    gc.collect()
    before = len(shared._KEPT)
    one = batch()
    once(one, "a", lambda: torch.zeros(3))
    assert len(shared._KEPT) == before + 1
    del one
    gc.collect()
    assert len(shared._KEPT) == before
