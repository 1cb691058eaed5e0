"""The secret that the sealed solutions open with; without the right one, tests that need it skip.

`development.secret` is known to everybody. A fork that seals with a secret of its own names its
file in SOFTCAM_COURSE_SECRET.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from softcam.common import SoftCAMError
from softcam.course import open_sources, read_secret

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def secret() -> bytes:
    """What opens `notebooks/assignments/solutions.sealed`."""
    pytest.importorskip("cryptography")
    path = os.environ.get("SOFTCAM_COURSE_SECRET") or HERE / "development.secret"
    try:
        key = read_secret(path)
        open_sources(key)
    except SoftCAMError as error:
        pytest.skip(f"the solutions stay closed: {error}")
    return key


@pytest.fixture(scope="session")
def sources(secret: bytes) -> dict[str, str]:
    """The scripts of all assignments, with their solutions."""
    return open_sources(secret)
