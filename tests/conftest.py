"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.common import seed_everything


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test begins with the same random numbers, whichever ran before it."""
    seed_everything(0)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder of its own, so that a test neither reads nor leaves anything."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.setenv("SOFTCAM_ROOT", str(root))
    return root
