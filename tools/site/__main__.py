"""`python -m tools.site`: build the site into runs/site."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from softcam.common import SoftCAMError
from tools.site.build import build


def main(arguments: list[str] | None = None) -> int:
    """Build, say what came of it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python start.py site", description=__doc__)
    parser.add_argument("--out", type=Path, help="the folder (default: runs/site)")
    parser.add_argument("--profile", help="for notebooks that have to be executed first")
    parser.add_argument(
        "--no-execute", action="store_true", help="show those without outputs instead"
    )
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        made = build(chosen.out, profile=chosen.profile, execute=not chosen.no_execute)
    except SoftCAMError as error:
        print(f"site: {error}", file=sys.stderr)
        return 1
    for note in made.notes:
        print(note)
    print(
        f"{made.pages} pages, {made.names} public names, in {made.seconds:.0f} s; "
        f"every link and picture was checked. Open {made.out / 'index.html'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
