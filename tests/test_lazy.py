"""Packages import what they offer when it is asked for, and say what they do not have."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PACKAGES = ("softcam", "softcam.data", "softcam.layerwise", "softcam.reproduce")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_listed_found_and_kept(package: str) -> None:
    module = importlib.import_module(package)
    assert set(module.__all__) <= set(dir(module)), "completion in a notebook asks dir()"
    for name in module.__all__:
        assert getattr(module, name) is getattr(module, name)
        assert name in vars(module), f"{name} is looked up again each time"
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nonsense'"):
        module.nonsense  # noqa: B018


@pytest.mark.slow
def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, softcam.reproduce as r\n"
        "assert 'softcam.reproduce.plan' not in sys.modules\n"
        "r.load_plan\n"
        "assert 'softcam.reproduce.plan' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
