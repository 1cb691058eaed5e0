"""Batches prepared ahead are the batches prepared one after the other, to the last bit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from softcam.common import UnknownNameError
from softcam.data.loader import AHEAD, batches
from softcam.data.records import ImageSet
from softcam.data.transforms import AUGMENTATIONS, augment


def images(n: int = 20, side: int = 40, folder: Path | None = None) -> ImageSet:
    """A small colour set; memory-mapped where a folder is given."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    if folder is not None:
        np.save(folder / "images.npy", pixels)
        pixels = np.load(folder / "images.npy", mmap_mode="r")
    ids = tuple(f"i{k}" for k in range(n))
    masks = np.zeros((n, 0, side, -(-side // 8)), np.uint8)
    labels = np.zeros(n, np.int64)
    return ImageSet(
        "x", "train", ("a", "b"), pixels, labels, ids, ids, masks, annotated=np.zeros(n, bool)
    )


def seeded(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(1000 + step)


ORDER = [np.random.default_rng(k).permutation(20)[:4] for k in range(7)]


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("policy", sorted(AUGMENTATIONS))
def test_the_very_same_batches(tmp_path: Path, policy: str, workers: int) -> None:
    data = images(folder=tmp_path)
    before = torch.random.get_rng_state()
    found = list(batches(data, ORDER, policy, seeded, workers=workers))
    assert len(found) == len(ORDER)
    for step, batch in enumerate(found):
        assert torch.equal(batch, augment(data.batch(ORDER[step]), policy, seeded(step)))
    assert torch.equal(before, torch.random.get_rng_state()), "the global generator is left alone"


def test_channels_last() -> None:
    form = torch.channels_last
    for workers in (0, 2):
        batch = next(batches(images(), ORDER, "light", seeded, workers=workers, memory_format=form))
        assert batch.is_contiguous(memory_format=form)
        assert torch.equal(batch, augment(images().batch(ORDER[0]), "light", seeded(0)))


def test_nothing_to_do() -> None:
    assert list(batches(images(), [], "light", seeded)) == []


def test_an_error_comes_in_its_turn() -> None:
    wrong = [ORDER[0], np.array([99]), ORDER[1]]
    found = batches(images(), wrong, "none", seeded)
    assert next(found).shape[0] == 4
    with pytest.raises(IndexError):
        next(found)
    with pytest.raises(UnknownNameError):
        next(batches(images(), ORDER, "no-such", seeded))


def test_it_runs_ahead_but_not_away_and_stops_when_asked() -> None:
    taken: list[int] = []

    def endless() -> Iterator[np.ndarray]:
        for k in range(10_000):
            taken.append(k)
            yield ORDER[k % 7]

    found = batches(images(), endless(), "light", seeded, workers=2)
    for _ in range(3):
        next(found)
    assert len(taken) == 2 * AHEAD + 3, "so many are ready or on their way, and no more"
    found.close()  # type: ignore[attr-defined]
    assert len(taken) == 2 * AHEAD + 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


def test_workers_work_while_the_caller_does() -> None:
    """The batches that wait ready are begun though nobody asks for the next one."""
    begun, ahead = set[int](), threading.Event()

    def generator(step: int) -> torch.Generator:
        begun.add(step)
        if begun >= set(range(1, 2 * AHEAD + 1)):
            ahead.set()
        return seeded(step)

    found = batches(images(), ORDER, "light", generator, workers=2)
    next(found)
    assert ahead.wait(60), f"only {sorted(begun)} were begun"
    assert len(list(found)) == len(ORDER) - 1 and begun == set(range(len(ORDER)))


def test_threads_of_torch_are_left_as_they_were() -> None:
    mine, seen, later = torch.get_num_threads(), set[int](), list[int]()
    torch.set_num_threads(3)
    try:

        def generator(step: int) -> torch.Generator:
            seen.add(torch.get_num_threads())
            return seeded(step)

        for _ in batches(images(), ORDER, "none", generator, workers=2):
            assert torch.get_num_threads() == 3
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert seen == {1} and later == [3]
    finally:
        torch.set_num_threads(mine)


@pytest.mark.parametrize("policy", ["light", "fundus", "paper-fundus", "paper-cxr"])
def test_the_number_of_threads_changes_no_bit(policy: str) -> None:
    """Large enough for torch to divide the work, so sums could be taken in another order."""
    data, mine = images(4, 200), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(augment(data.batch(range(4)), policy, seeded(5)))
    finally:
        torch.set_num_threads(mine)
    assert torch.equal(*found)
