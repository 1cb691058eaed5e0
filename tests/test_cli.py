"""The command: every option is a keyword of the function behind it, every refusal one message."""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

import softcam.cli as cli
from softcam.common import SoftCAMError
from softcam.evaluate import evaluate
from softcam.notebooks import run_notebooks
from softcam.runs import TrainConfig, find_runs

TINY = "--size 32 --model resnet10t-w8-os8 --epochs 1 --batch-size 16 --no-progress".split()
DATA = [
    part for option in ("n_train=32", "n_val=24", "n_test=24") for part in ("--data-option", option)
]


def options(function: object) -> set[str]:
    return set(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_options_are_keywords_of_the_functions_behind_them() -> None:
    config = {field.name for field in fields(TrainConfig)} - {"data_options"}
    assert config <= options(cli.train), "a training option has no switch"
    assert options(cli.run) - {"notebooks", "parameter"} <= options(run_notebooks)
    assert options(cli.evaluate) - {"out"} <= options(evaluate)


def test_train_evaluate_and_explain_from_the_command_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    runner = CliRunner()
    export = project / "small.safetensors"
    words = ["train", "phantoms:cxr", "--arm", "sparse", "--l1-per-cell", "0.1", *TINY, *DATA]
    result = runner.invoke(cli.app, [*words, "--export", str(export)])
    assert result.exit_code == 0, result.output
    run = find_runs()[0]
    assert run.config.l1_per_cell == 0.1
    assert run.config.data_options == {"n_train": 32, "n_val": 24, "n_test": 24}

    words = ["evaluate", "phantoms-cxr", "--metrics", "auc,pointing-accuracy", "--n-boot", "20"]
    result = runner.invoke(cli.app, [*words, "--no-progress", "--methods", "softcam,random"])
    assert result.exit_code == 0, result.output
    folder = project / "runs" / "phantoms-cxr" / "evaluation"
    assert (folder / "results.csv").is_file()
    assert (folder / "report.html").is_file()

    Image.new("L", (40, 60), 99).save(project / "film.png")
    for model in (str(run.path), str(export)):
        out = project / "out"
        result = runner.invoke(
            cli.app, ["explain", model, str(project / "film.png"), "--out", str(out)]
        )
        assert result.exit_code == 0, result.output
        assert (out / "film.png").stat().st_size > 1000


def test_a_refusal_is_one_message_and_exit_code_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["softcam", "train", "phantoms:cxr", "--arm", "spars"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "did you mean 'sparse'" in error
    assert "Traceback" not in error


def test_convert_says_what_was_proven() -> None:
    result = CliRunner().invoke(cli.app, ["convert", "resnet10t-w8-os8"])
    assert result.exit_code == 0, result.output
    assert "exact" in result.output
    assert "8 px" in result.output


def test_data_info_counts(project: Path) -> None:
    words = ["data", "info", "phantoms:oct", "--size", "32", *DATA, "--data-option", "task=multi"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert "train: 32 images" in result.output
    assert "drusen" in result.output


def test_key_value_words() -> None:
    found = cli.parse_options(["n=3", "difficulty=hard", "marker=true", 'x=["a","b"]'])
    assert found == {"n": 3, "difficulty": "hard", "marker": True, "x": ["a", "b"]}
    with pytest.raises(SoftCAMError, match="KEY=VALUE"):
        cli.parse_options(["n"])


def test_normalize_words() -> None:
    assert cli.parse_normalize("0.5,0.5,0.5/0.1,0.2,0.3") == [[0.5, 0.5, 0.5], [0.1, 0.2, 0.3]]
    for wrong in ("0.5", "0.5,0.5,0.5", "a,b,c/1,1,1"):
        with pytest.raises(SoftCAMError, match="three means"):
            cli.parse_normalize(wrong)
