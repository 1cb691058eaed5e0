"""The command: every option is a keyword of the function behind it, every refusal one message."""

from __future__ import annotations

import errno
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

import softcam.cli as cli
from softcam.backbones import build_net
from softcam.cli.evaluation import _find_runs as find_named
from softcam.cli.options import parse_normalize, parse_options, parse_targets
from softcam.common import SoftCAMError, read_json
from softcam.coverage import read_table
from softcam.evaluation import evaluate
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
    describing_data = {"size", "label_column", "finding_classes", "on_error", "data_option"}
    assert options(cli.evaluate) - {"out", *describing_data} <= options(evaluate)


@pytest.mark.slow
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

    monkeypatch.chdir(project)  # a data set by its relative path: all its runs
    assert [r.id for r in find_named(["runs/phantoms-cxr"])] == [run.id]

    Image.new("L", (40, 60), 99).save(project / "film.png")
    for model in (str(run.path), str(export)):
        out = project / "out"
        result = runner.invoke(
            cli.app, ["explain", model, str(project / "film.png"), "--out", str(out)]
        )
        assert result.exit_code == 0, result.output
        assert (out / "film.png").stat().st_size > 1000
        assert read_json(out / "film.json")["targets"] == [0, 1]  # auto: every class
    words = ["explain", str(export), str(project / "film.png"), "--out", str(out)]
    assert runner.invoke(cli.app, [*words, "--target", "1"]).exit_code == 0
    assert read_json(out / "film.json")["targets"] == [1]


@pytest.mark.parametrize("text", ["", "second", "1;2"])
def test_a_target_is_a_number_of_a_class(text: str) -> None:
    assert parse_targets(" auto ") is None and parse_targets("0,2") == [0, 2]
    with pytest.raises(SoftCAMError, match="wants numbers of classes such as 1 or 0,2, or auto"):
        parse_targets(text)


def test_help_gives_the_defaults_of_training() -> None:
    """They are written in words, where no default is seen: a profile may come in between."""
    said = {
        name: re.findall(r"\(default ([^)]*)\)", hint.__metadata__[0].help)
        for name, hint in get_type_hints(cli.train, include_extras=True).items()
        if name in {field.name for field in fields(TrainConfig)} - {"data"}
    }
    default = TrainConfig()
    assert all(words == [str(getattr(default, name))] for name, words in said.items() if words)
    assert {"size", "model", "lr", "weight_decay", "link", "freeze_bn", "select"} <= {
        name for name, words in said.items() if words
    }


def test_every_option_of_every_command_is_explained() -> None:
    def commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
        for word, command in group.commands.items():
            yield from (
                commands(command, f"{name} {word}")
                if hasattr(command, "commands")
                else [(f"{name} {word}", command)]
            )

    silent = [
        f"{name} {parameter.name}"
        for name, command in commands(typer.main.get_command(cli.app), "softcam")
        for parameter in command.params
        if parameter.name != "help" and not getattr(parameter, "help", None)
    ]
    assert not silent


def test_an_unfinished_run_of_a_data_set_is_named_and_left_out(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = project / "runs" / "phantoms-cxr"
    for name, files in (
        ("whole", ["config.json", "done.json"]), ("half", ["config.json"]), ("evaluation", []),
    ):  # fmt: skip
        (folder / name).mkdir(parents=True)
        for file in files:
            (folder / name / file).write_text("{}")
    assert [run.id for run in find_named(["phantoms-cxr"])] == ["whole"]
    (said,) = caplog.messages
    assert "phantoms-cxr: left out what is not finished: half;" in said
    with pytest.raises(SoftCAMError, match=r"evaluation is not a run \(no config.json\)"):
        find_named([str(folder / "evaluation")])
    with pytest.raises(SoftCAMError, match="unknown run or data set .*mean 'phantoms-cxr'"):
        find_named(["phantoms-crx"])
    with pytest.raises(SoftCAMError, match="did you mean 'phantoms-cxr/whole'"):
        find_named(["phantoms-cxr/whol"])


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
    words = ["convert", "bagnet17t-w8", "--num-classes", "3", "--size", "64"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "bagnet17t-w8: exact"
    assert float(lines[1].rpartition(" ")[2]) < 1e-5
    net = build_net("bagnet17t-w8", 3)
    assert lines[2:] == [
        "one cell of the map: 8 px of the image",
        "an image of 64x64 px: a map of 8x8 cells",
        "a cell can see: 17 px",
        f"parameters: {sum(parameter.numel() for parameter in net.parameters()):,}",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], "one network or --all"),
        (["resnet18", "--all"], "one network or --all"),
        (["resnet18", "--pattern", "vgg*"], "--pattern chooses among --all"),
        (["--all", "--pretrained"], "--all converts random weights"),
        (["--all", "--size", "64"], "--all converts random weights"),
        (["--all", "--pattern", "nonesuch"], "no architecture"),
        (["test_vit"], "cannot become a SoftCAM"),
    ],
)
def test_what_convert_refuses(words: list[str], found: str, project: Path) -> None:
    result = CliRunner().invoke(cli.app, ["convert", *words])
    assert isinstance(result.exception, SoftCAMError)
    assert found in str(result.exception)


@pytest.mark.slow
def test_convert_all_writes_the_table(project: Path) -> None:
    words = ["convert", "--all", "--pattern", "test_resnet", "--no-progress", "--time"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert "| both | 1 | 1 | 0 | 0 | 0 | 0 |" in result.output
    (row,) = read_table(project / "runs" / "coverage" / "coverage.csv")
    assert (row.architecture, row.kind, row.map_224) == ("test_resnet", "exact", "7x7")
    assert row.forward_ratio is not None and row.forward_ratio > 0
    assert (project / "runs" / "coverage" / "coverage.md").is_file()


def test_data_info_counts(project: Path) -> None:
    words = ["data", "info", "phantoms:oct", "--size", "32", *DATA, "--data-option", "task=multi"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    assert "train: 32 images" in result.output
    assert "drusen" in result.output


def test_key_value_words() -> None:
    found = parse_options(["n=3", "difficulty=hard", "marker=true", 'x=["a","b"]'])
    assert found == {"n": 3, "difficulty": "hard", "marker": True, "x": ["a", "b"]}
    with pytest.raises(SoftCAMError, match="KEY=VALUE"):
        parse_options(["n"])


def test_normalize_words() -> None:
    assert parse_normalize("0.5,0.5,0.5/0.1,0.2,0.3") == [
        [0.5, 0.5, 0.5],
        [0.1, 0.2, 0.3],
    ]
    for wrong in ("0.5", "0.5,0.5,0.5", "a,b,c/1,1,1"):
        with pytest.raises(SoftCAMError, match="three means"):
            parse_normalize(wrong)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("data info phantoms:cxr --data-option size=64", "'size' is no option of the data"),
        ("data info phantom", "expected phantoms:NAME or folder:PATH"),
        ("train phantoms:cxr --lr nan", "lr is nan"),
        ("train phantoms:cxr --seed -1", "seed is -1"),
        ("train phantoms:cxr --arm sparse", "a profile (--profile tutorial)"),
        ("train phantoms:cxr --model ../../evil", "unknown timm model"),
        ("train phantoms:cxr --weights nowhere.safetensors", "no weights file"),
    ],
)
def test_a_slip_is_refused_before_anything_is_made(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    said: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["softcam", *words.split()])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(project.iterdir()), "a refused command left something behind"


def test_a_full_disk_is_one_message_with_its_mend(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("softcam.data.open_data", full)
    monkeypatch.setattr(sys, "argv", ["softcam", "data", "info", "phantoms:cxr"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    error = capsys.readouterr().err
    assert stop.value.code == 1
    assert "No space left" in error and "Free some space" in error and "Errno" not in error


def test_no_progress_silences_the_drawing_too(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from softcam.data import open_data

    options: dict[str, Any] = {"n_train": 2, "n_val": 2, "n_test": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        open_data("phantoms:cxr", size=32, progress=False, **options)
        assert "phantoms train" not in capsys.readouterr().err
        open_data("phantoms:cxr", size=32, seed=1, **options)
        assert "phantoms train" in capsys.readouterr().err, "a terminal sees the bar"
    open_data("phantoms:cxr", size=32, seed=2, **options)
    assert "phantoms train" not in capsys.readouterr().err, "a log file does not"
