"""What can go wrong in a child of the survey; a child imports these by name."""

from __future__ import annotations

import os
import sys
import time

from softcam.coverage import Row


def fate(library: str, name: str, max_parameters: float, timed: bool) -> Row:
    """End as `name` says."""
    if name == "aborts":
        sys.stderr.write("terminate called: a bad assertion\n")
        sys.stderr.flush()
        os.abort()
    if name == "exits":
        os._exit(3)
    if name == "raises":
        raise ValueError("no such layer")
    if name == "hangs":
        sys.stdout.write(str(os.getpid()))
        sys.stdout.flush()
    while name == "hangs":
        time.sleep(0.01)
    return Row(library, "1", name, "exact", 0.0, 8, parameters=int(max_parameters))
