"""Pieces on disk: what is there is not computed again, and what is damaged is."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from softcam.common import SoftCAMError
from softcam.shards import Shards, kept

KEY = {"what": "squares"}


def squares(asked: list[int]):
    def compute(rows: np.ndarray) -> dict[str, np.ndarray]:
        asked.extend(rows.tolist())
        return {"square": rows.astype(np.float64) ** 2, "even": rows % 2 == 0}

    return compute


def opened(tmp_path, n: int = 10, key=None) -> Shards:
    return Shards.open(tmp_path, "squares", key or KEY, n, 4)


def test_every_row_comes_back_in_the_order_asked_for(tmp_path):
    shards = opened(tmp_path)
    shards.fill(squares([]))
    assert shards.all()["square"].tolist() == [float(i * i) for i in range(10)]
    assert shards.take("square", np.array([9, 0, 4, 4])).tolist() == [81.0, 0.0, 16.0, 16.0]
    assert shards.take("even", np.array([], int)).shape == (0,)


def test_a_killed_job_computes_only_what_is_missing(tmp_path):
    def dies(rows: np.ndarray) -> dict[str, np.ndarray]:
        if rows[0] == 8:
            raise KeyboardInterrupt
        return squares([])(rows)

    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path).fill(dies)
    asked: list[int] = []
    opened(tmp_path).fill(squares(asked))
    assert asked == [8, 9]
    assert not list(tmp_path.rglob("*.tmp*")), "a half-written piece stayed behind"


def test_progress_counts_what_was_there_already(tmp_path):
    opened(tmp_path).fill(squares([]))
    steps: list[int] = []
    opened(tmp_path).fill(squares([]), steps.append)
    assert steps == [4, 4, 2]


@pytest.mark.parametrize("damage", [b"", b"not a safetensors file", None])
def test_a_damaged_piece_is_computed_again(tmp_path, caplog, damage):
    shards = opened(tmp_path)
    shards.fill(squares([]))
    path = sorted(tmp_path.rglob("*.safetensors"))[1]
    path.write_bytes(path.read_bytes()[:-8] if damage is None else damage)
    asked: list[int] = []
    with caplog.at_level(logging.WARNING):
        opened(tmp_path).fill(squares(asked))
    assert asked == [4, 5, 6, 7]
    assert "computed again" in caplog.text


def test_another_key_or_number_of_rows_is_another_folder(tmp_path):
    opened(tmp_path).fill(squares([]))
    for n, key in ((11, KEY), (10, {"what": "cubes"})):
        asked: list[int] = []
        opened(tmp_path, n, key).fill(squares(asked))
        assert len(asked) == n


def test_a_folder_that_cannot_be_written_is_said_and_memory_serves(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with caplog.at_level(logging.WARNING):
        shards = Shards.open(blocked, "squares", KEY, 5, 2)
    assert "nothing is kept" in caplog.text
    shards.fill(squares([]))
    assert shards.take("square", np.array([4])).tolist() == [16.0]


def test_sizes_that_make_no_sense():
    with pytest.raises(SoftCAMError, match="pieces of >= 1"):
        Shards.open(None, "squares", KEY, 5, 0)


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
