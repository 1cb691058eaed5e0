"""The explorer in a browser tab: time to the first map, and for each picture after it.

    python -m tests.benchmarks.tab

Chromium loads the page from a local server, each time with an empty cache. The first map counts
from the navigation to the map on the canvas; a picture from the reader's choice to the map,
decoding and drawing included. Times are those of this machine, and of nothing else.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from tests.browser.pages import browser, needs
from tests.tab.reading import shown
from tests.tab.serving import folder_served
from tools.tab import build

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


def main() -> None:
    """Build the page, measure, print."""
    with tempfile.TemporaryDirectory() as folder:
        first, after = measure(build(Path(folder) / "site"))
    for name, found in (("first map", first), ("a picture after it", after)):
        sys.stdout.write(
            f"{name:<20} median {statistics.median(found):6.0f} ms, "
            f"longest {max(found):6.0f} ms, n = {len(found)}\n"
        )


if __name__ == "__main__":
    main()
