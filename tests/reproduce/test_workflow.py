"""The Snakefile's own dry run, the command's stages, and the word of start.py."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import start
from softcam.cli import app
from softcam.reproduce import Space, load_plan
from tests.reproduce.small import MODEL, write_plan

ROOT = Path(__file__).resolve().parents[2]
SNAKEMAKE = importlib.util.find_spec("snakemake") is None


@pytest.mark.slow
@pytest.mark.skipif(SNAKEMAKE, reason="snakemake is not installed: pip install softcam[reproduce]")
def test_snakemake_plans_the_same_cells_with_their_resources(project: Path, tmp_path: Path) -> None:
    path = write_plan(tmp_path, resources={"train": {"mem_mb": 1234, "runtime": 7, "gpu": 1}})
    snakefile = ROOT / "workflow" / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "2"]
    places = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    found = subprocess.run(
        [*command, "--config", f"name={path}", "--dry-run"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": places, "HOME": str(tmp_path)},
    )  # fmt: skip
    text = found.stdout + found.stderr
    assert found.returncode == 0, text
    counts = dict(re.findall(r"^(\w+) +(\d+)$", text, flags=re.MULTILINE))
    assert counts == {"prepare": "1", "train": "8", "select": "1", "evaluate": "3",
                      "collect": "1", "figures": "1", "all": "1", "total": "16"}  # fmt: skip
    space = Space.of(load_plan(path))
    for cell in space.cells.values():
        assert str(space.path(cell)) in text, cell.id
    assert text.count("mem_mb=1234") == 8 and text.count("gpu=1") == 8


def test_the_profile_of_slurm_names_stages_that_exist() -> None:
    file = ROOT / "workflow" / "profiles" / "slurm" / "config.yaml"
    profile = yaml.safe_load(file.read_text(encoding="utf-8"))
    rules = (ROOT / "workflow" / "Snakefile").read_text(encoding="utf-8")
    assert profile["executor"] == "slurm"
    assert all(f'"{stage}"' in rules for stage in profile["set-resources"])


@pytest.mark.slow
def test_stages_as_commands(project: Path, tmp_path: Path) -> None:
    path, runner = write_plan(tmp_path), CliRunner()

    def softcam(*words: str) -> str:
        result = runner.invoke(app, ["reproduce", *words, "--config", path])
        assert result.exit_code == 0, result.output
        return result.output

    name = f"train-cxr-{MODEL}-black-box-s0"
    softcam("prepare", "--no-progress")
    softcam("train", "--cell", name, "--no-progress")
    states = dict(reversed(line.rsplit(" ", 1)) for line in softcam("cells").splitlines())
    assert states[name].startswith("done") and states["collect"].startswith("to do")
    result = runner.invoke(app, ["reproduce", "select", "--cell", name, "--config", path])
    assert "is a cell of the stage 'train'" in str(result.exception)


def test_the_word_of_start(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(start, "prepare", lambda: None)
    monkeypatch.setattr(start, "call", lambda *words: calls.append(tuple(map(str, words))) or 5)
    assert start.main(["reproduce", "--profile", "quick"]) == 5
    assert calls[0][1:] == ("reproduce", "all", "--profile", "quick")
