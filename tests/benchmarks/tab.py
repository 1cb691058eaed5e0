"""The explorer in a browser tab: time to the first map, and for each picture after it.

    python start.py bench tab

Chromium loads the page from a local server, each time with an empty cache. The first map counts
from the navigation to the map on the canvas; a picture from the reader's choice to the map,
decoding and drawing included. The size is that of all its files. Times are those of this machine,
and of nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import pytest

from tests.browser.pages import browser, needs
from tests.tab.reading import shown
from tests.tab.serving import folder_served
from tools.tab import NoRuntime, build

LOADS, ROUNDS = 5, 3
TIMES = "performance.getEntriesByName('map').map(e => [e.startTime, e.duration])"


def measure(site: Path) -> tuple[list[float], list[float]]:
    """Milliseconds to the first map, one a load; and for each picture chosen after it."""
    first, after = [], []
    with folder_served(site) as address, browser(needs()) as started:
        for load in range(LOADS):
            page = started.new_context().new_page()
            page.goto(address)
            shown(page)
            pictures = page.locator("input[name=picture]")
            for number in range(pictures.count() * (ROUNDS if load == 0 else 0)):
                choice = pictures.nth(number % pictures.count())
                if choice.is_checked():
                    continue
                choice.check(force=True)
                shown(page, f"cxr-sparse {choice.input_value()}")
            (start, duration), *others = page.evaluate(TIMES)
            first.append(start + duration)
            after += [duration for _, duration in others]
            page.context.close()
    return first, after


def page(folder: Path) -> Path:
    """The page in a folder; skips where Chromium, npm or a package is missing."""
    needs("onnx", "onnxscript", "onnxruntime")
    try:
        return build(folder)
    except NoRuntime as error:
        pytest.skip(f"the page's runtime is not here: {error}")


def main(arguments: list[str]) -> None:
    """Build the page, measure, print."""
    argparse.ArgumentParser(prog="bench tab", description="Speed of the page.").parse_args(
        arguments
    )
    with tempfile.TemporaryDirectory() as folder:
        site = page(Path(folder) / "site")
        size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
        first, after = measure(site)
    sys.stdout.write(f"{'the whole page':<20} {size / 1e6:.1f} MB\n")
    for name, found in (("first map", first), ("a picture after it", after)):
        sys.stdout.write(
            f"{name:<20} median {statistics.median(found):6.0f} ms, "
            f"longest {max(found):6.0f} ms, n = {len(found)}\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
