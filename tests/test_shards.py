"""Pieces on disk: what is there is not computed again, and what is damaged is."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from softcam.common import SoftCAMError
from softcam.shards import Shards, kept

KEY = {"what": "squares"}
TEN = np.arange(10)


def squares(asked: list[int], rows: np.ndarray = TEN):
    def compute(positions: np.ndarray) -> dict[str, np.ndarray]:
        own = rows[positions]
        asked.extend(own.tolist())
        return {"square": own.astype(np.float64) ** 2, "even": own % 2 == 0}

    return compute


def opened(tmp_path: Path, key=None) -> Shards:
    return Shards.open(tmp_path, "squares", key or KEY, 4)


def test_every_row_comes_back_in_the_order_asked_for(tmp_path):
    for root in (tmp_path, None):
        shards = Shards.open(root, "squares", KEY, 4)
        shards.fill(TEN, squares([]))
        assert shards.take(TEN)["square"].tolist() == [float(i * i) for i in range(10)]
        found = shards.take(np.array([9, 0, 4, 4]))
        assert found["square"].tolist() == [81.0, 0.0, 16.0, 16.0]
        assert found["even"].tolist() == [False, True, True, True]
        assert shards.take(np.array([], int))["even"].shape == (0,)


def test_a_killed_job_computes_only_what_is_missing(tmp_path):
    def dies(rows: np.ndarray) -> dict[str, np.ndarray]:
        if rows[0] == 8:
            raise KeyboardInterrupt
        return squares([])(rows)

    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path).fill(TEN, dies)
    asked: list[int] = []
    opened(tmp_path).fill(TEN, squares(asked))
    assert asked == [8, 9]
    assert not list(tmp_path.rglob("*.tmp*")), "a half-written piece stayed behind"


def test_other_rows_of_the_same_key_are_added_to_those_that_are_there(tmp_path):
    some, asked = np.array([7, 2, 5, 11, 7]), list[int]()
    opened(tmp_path).fill(some, squares(asked, some))
    assert asked == [7, 2, 5, 11]
    opened(tmp_path).fill(TEN, squares(asked))
    assert asked[4:] == [0, 1, 3, 4, 6, 8, 9]
    assert opened(tmp_path).take(np.array([11, 8]))["square"].tolist() == [121.0, 64.0]


def test_a_half_written_piece_of_a_killed_job_is_no_piece(tmp_path):
    opened(tmp_path).fill(TEN, squares([]))
    path = next(tmp_path.rglob("*.safetensors"))
    (path.parent / f".{path.name}.abc.tmp.safetensors").write_bytes(path.read_bytes())
    assert len(opened(tmp_path)._pieces) == 3


def test_progress_counts_what_was_there_already(tmp_path):
    opened(tmp_path).fill(TEN[:4], squares([]))
    steps: list[int] = []
    opened(tmp_path).fill(TEN, squares([]), steps.append)
    assert steps == [4, 4, 2]


@pytest.mark.parametrize("damage", [b"", b"not a safetensors file", None])
def test_a_damaged_piece_is_computed_again(tmp_path, caplog, damage):
    shards = opened(tmp_path)
    shards.fill(TEN, squares([]))
    path = next(p for p in tmp_path.rglob("*.safetensors") if p.stat().st_size and 4 in _rows(p))
    path.write_bytes(path.read_bytes()[:-8] if damage is None else damage)
    asked: list[int] = []
    with caplog.at_level(logging.WARNING):
        opened(tmp_path).fill(TEN, squares(asked))
    assert asked == [4, 5, 6, 7]
    assert "computed again" in caplog.text
    asked.clear()
    opened(tmp_path).fill(TEN, squares(asked))
    assert asked == []


def _rows(path: Path) -> list[int]:
    from safetensors.numpy import load_file

    return load_file(path)["row"].tolist()


def test_a_piece_that_vanishes_meanwhile_is_an_error_with_the_mend(tmp_path):
    shards = opened(tmp_path)
    shards.fill(TEN, squares([]))
    for path in tmp_path.rglob("*.safetensors"):
        path.unlink()
    with pytest.raises(SoftCAMError, match="evaluate again"):
        shards.take(TEN)


def test_what_cannot_be_written_any_more_stays_in_memory(tmp_path, caplog, monkeypatch):
    shards = opened(tmp_path)

    def full(path: Path):
        raise OSError("No space left on device")

    monkeypatch.setattr("softcam.shards.atomic_path", full)
    with caplog.at_level(logging.WARNING):
        shards.fill(TEN, squares([]))
    assert "No space left" in caplog.text
    assert shards.take(np.array([3]))["square"].tolist() == [9.0]


def test_another_key_is_another_folder(tmp_path):
    opened(tmp_path).fill(TEN, squares([]))
    asked: list[int] = []
    opened(tmp_path, {"what": "cubes"}).fill(TEN, squares(asked))
    assert asked == TEN.tolist()


def test_a_folder_that_cannot_be_written_is_said_and_memory_serves(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with caplog.at_level(logging.WARNING):
        shards = opened(blocked)
    assert "nothing is kept" in caplog.text
    shards.fill(TEN, squares([]))
    assert shards.take(np.array([4]))["square"].tolist() == [16.0]


def test_what_makes_no_sense():
    with pytest.raises(SoftCAMError, match="pieces of >= 1"):
        Shards.open(None, "squares", KEY, 0)
    shards = Shards.open(None, "squares", KEY, 4)
    with pytest.raises(SoftCAMError, match="never computed"):
        shards.take(TEN)
    with pytest.raises(SoftCAMError, match="expected 4 rows"):
        shards.fill(TEN, lambda rows: {"a": np.zeros(3)})


def test_kept_arrays_are_computed_once_and_again_when_damaged(tmp_path, caplog):
    calls: list[int] = []

    def compute() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"a": np.arange(3), "b": np.ones((2, 2))}

    for _ in range(2):
        assert kept(tmp_path, "pair", KEY, compute)["a"].tolist() == [0, 1, 2]
    assert len(calls) == 1
    next(tmp_path.glob("pair-*")).write_bytes(b"?")
    with caplog.at_level(logging.WARNING):
        kept(tmp_path, "pair", KEY, compute)
    assert len(calls) == 2 and "computed again" in caplog.text
    kept(None, "pair", KEY, compute)
    assert len(calls) == 3
