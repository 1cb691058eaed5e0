"""`start.py bench` knows the measurements that need a browser or nbgrader, and lives without."""

from __future__ import annotations

import importlib.util
import shutil
from typing import Any

import pytest

from tests.benchmarks.__main__ import PARTS, main


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Take programs and packages away."""
    which, find = shutil.which, importlib.util.find_spec

    def take(*names: str) -> None:
        def no_program(name: str, *rest: Any) -> str | None:
            return None if any(each in name for each in names) else which(name, *rest)

        def no_package(name: str, *rest: Any) -> Any:
            return None if name in names else find(name, *rest)

        monkeypatch.setattr(shutil, "which", no_program)
        monkeypatch.setattr(importlib.util, "find_spec", no_package)

    return take


@pytest.mark.slow
@pytest.mark.parametrize(
    "part, missing, says",
    [
        ("tab", "chrom", "no Chromium on PATH"),
        ("explorer", "chrom", "no Chromium on PATH"),
        ("explorer", "anywidget", "the package anywidget is not installed"),
        ("course", "nbgrader", "the package nbgrader is not installed"),
    ],
)
def test_what_is_missing_is_said(
    capsys: pytest.CaptureFixture[str], without: Any, part: str, missing: str, says: str
) -> None:
    if missing == "chrom":
        for package in ("playwright", "onnx", "onnxscript", "onnxruntime", "voila"):
            pytest.importorskip(package)
    without(missing)
    main([part])
    assert capsys.readouterr().out.startswith(f"{part} is not measured: {says}")


def test_without_npm_the_page_is_not_measured(
    capsys: pytest.CaptureFixture[str], without: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.benchmarks import tab

    monkeypatch.setattr(tab, "needs", lambda *packages: "chromium")
    monkeypatch.setattr("tools.tab.building.find_runtime", lambda cache: None)
    without("npm")
    main(["tab"])
    assert "npm is not installed" in capsys.readouterr().out


def test_every_part_takes_arguments() -> None:
    assert {"tab", "explorer", "course"} <= set(PARTS)
    for name in ("tab", "explorer", "course"):
        with pytest.raises(SystemExit) as stopped:
            main([name, "--help"])
        assert stopped.value.code == 0
