"""`python -m tools.tab OUT`; `--fetch` only lets npm fetch the runtime, for tests and the site."""

from __future__ import annotations

import argparse
from pathlib import Path

from softcam.common import SoftCAMError
from tools.tab import build, fetch_runtime, find_runtime


def main() -> None:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(description="Build the explorer in a browser tab.")
    parser.add_argument("out", type=Path, nargs="?", help="the folder for the page")
    parser.add_argument("--fetch", action="store_true", help="only fetch the runtime")
    chosen = parser.parse_args()
    try:
        if chosen.fetch:
            find_runtime() or fetch_runtime()
        elif chosen.out is None:
            parser.error("name a folder for the page")
        else:
            build(chosen.out)
    except SoftCAMError as error:
        raise SystemExit(f"tab: {error}") from error


if __name__ == "__main__":
    main()
