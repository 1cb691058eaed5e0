"""What every room leans on: folders, random numbers, names, files that are whole or not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import softcam.common as common
from softcam.common import SoftCAMError, UnknownNameError


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    file = common.write_json(tmp_path / "deep" / "file.json", {"b": 1, "a": "ü"})
    before = file.read_bytes()
    assert before.decode("utf-8") == '{\n  "a": "\\u00fc",\n  "b": 1\n}\n'
    with pytest.raises(RuntimeError), common.atomic_path(file) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["file.json"]
    with common.atomic_path(file) as temporary:
        assert temporary.parent == file.parent, "a rename across file systems is not atomic"
        temporary.write_text("whole")
    assert file.read_text() == "whole"


@pytest.mark.slow
def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    """A living process keeps its file, and so does one of another machine."""
    script = (
        "import os, sys; from softcam.common import atomic_path\n"
        "with atomic_path(sys.argv[1]): os._exit(9)"
    )
    file = tmp_path / "table.parquet"
    assert subprocess.run([sys.executable, "-c", script, str(file)]).returncode == 9
    (left,) = tmp_path.iterdir()
    machine, pid, _ = left.name.removeprefix(".table.parquet.").split("-")
    elsewhere = tmp_path / left.name.replace(machine, "abcdefgh")
    elsewhere.touch()
    with common.atomic_path(tmp_path / "other.parquet"):
        assert left.exists(), "of another target"
    with common.atomic_path(file) as first:
        with common.atomic_path(file) as second:
            assert first.exists() and first != second
            second.write_text("second")
        first.write_text("first")
    assert sorted(tmp_path.iterdir()) == sorted([elsewhere, file, tmp_path / "other.parquet"])
    assert file.read_text() == "first" and pid.isdecimal()


def test_an_item_is_the_same_whatever_else_is_drawn() -> None:
    alone = common.rng(3, 7, 1).random(4)
    common.rng(3, 6, 1).random(100)
    np.testing.assert_array_equal(common.rng(3, 7, 1).random(4), alone)
    others = [common.rng(*key).random(4) for key in ((3, 7, 2), (3, 8, 1), (4, 7, 1), (3, 7))]
    assert not any(np.array_equal(alone, other) for other in others)


def test_one_seed_for_all() -> None:
    def draw() -> list[float]:
        common.seed_everything(5)
        return [float(torch.rand(())), float(np.random.rand())]

    assert draw() == draw()


def test_a_digest_frames_its_parts() -> None:
    assert common.digest("ab", "c") != common.digest("a", "bc")
    assert common.digest({"x": 1, "y": 2}) == common.digest({"y": 2, "x": 1})
    assert len(common.digest("a", length=8)) == 8


def test_names_come_with_the_closest_ones() -> None:
    assert common.choose("arm", "sparse", ["sparse", "ridge"]) == "sparse"
    with pytest.raises(UnknownNameError) as caught:
        common.choose("arm", "spars", ["sparse", "ridge"])
    assert "unknown arm 'spars': did you mean 'sparse'? Known: ridge, sparse" in str(caught.value)


def test_the_roots_follow_their_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))
    for name in ("SOFTCAM_DATA", "SOFTCAM_OUT"):
        monkeypatch.delenv(name, raising=False)
    assert common.project_root() == tmp_path.resolve()
    assert common.data_root() == tmp_path.resolve() / "data"
    assert common.output_root() == tmp_path.resolve() / "runs" / "notebooks"
    monkeypatch.setenv("SOFTCAM_DATA", str(tmp_path / "elsewhere"))
    assert common.data_root() == (tmp_path / "elsewhere").resolve()
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path / "missing"))
    with pytest.raises(SoftCAMError, match="SOFTCAM_ROOT names .*missing"):
        common.project_root()
    monkeypatch.delenv("SOFTCAM_ROOT")
    assert (common.project_root() / "pyproject.toml").is_file()
    monkeypatch.setattr(common, "__file__", str(tmp_path / "site" / "softcam" / "common.py"))
    with pytest.raises(SoftCAMError, match="set the environment variable SOFTCAM_ROOT"):
        common.project_root()


@pytest.mark.parametrize("text", ["", "[1]", "{half"])
def test_a_damaged_file_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "meta.json"
    file.write_text(text)
    with pytest.raises(SoftCAMError, match=r"meta\.json is missing or damaged"):
        common.read_json(file)


def test_numbers_that_are_none_are_refused() -> None:
    assert common.as_integer("seed", 3, 0, 5) == 3
    assert common.as_number("lr", 0.1) == 0.1
    for wrong in (-1, 6, 2.0, True, "3"):
        with pytest.raises(SoftCAMError, match="seed is"):
            common.as_integer("seed", wrong, 0, 5)
    for wrong in (-0.1, float("nan"), float("inf"), "0.1", True):
        with pytest.raises(SoftCAMError, match="lr is"):
            common.as_number("lr", wrong)


def test_bars_are_hidden_on_request_and_in_log_files(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen:
        def __init__(self, real: bool) -> None:
            self.isatty = lambda: real

    monkeypatch.setattr("sys.stderr", Screen(True))
    assert not common.hides_bar(True) and common.hides_bar(False)
    monkeypatch.setattr("sys.stderr", Screen(False))
    assert common.hides_bar(True)
