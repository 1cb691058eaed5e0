"""Every test, notebooks included, works in a project folder of its own and in profile `quick`.

The environment is set before any worker or kernel starts, so that the notebooks that nbval runs
and those that papermill runs share what they train, and leave nothing in the checkout.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder, once for all workers."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ["SOFTCAM_PROFILE"] = "quick"
    os.environ["SOFTCAM_UNATTENDED"] = "1"  # nobody answers the notebooks' questions
    os.environ.pop("SOFTCAM_DATA", None)
    if hasattr(config, "workerinput"):
        return  # a worker inherits the folder of its controller
    root = Path(tempfile.mkdtemp(prefix="softcam-test-"))
    shutil.copytree(CHECKOUT / "data" / "checkpoints", root / "data" / "checkpoints")
    os.environ["SOFTCAM_ROOT"] = str(root)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it again."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ["SOFTCAM_ROOT"], ignore_errors=True)
