"""Nothing in softcam does a student's homework while it is graded, and the rest goes on working."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.course.homework import GOES_ON, HOLES

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).with_name("homework.py")


@pytest.mark.parametrize("number", HOLES)
def test_no_other_way_leads_to_what_an_assignment_asks_for(number: int) -> None:
    paths = os.pathsep.join([str(SCRIPT.parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(number)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    left_open = [line for line in HOLES[number] if not found[line].startswith("Masked: ")]
    assert not left_open, found
    assert {line: found[line] for line in GOES_ON[number]} == dict.fromkeys(GOES_ON[number], "done")
