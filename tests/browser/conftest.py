"""The tab explorer in Chromium: the built site, a page of it, and its modules one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.pages import browser, needs
from tests.tab.reading import built, shown
from tests.tab.serving import folder_served, watched
from tools.tab.runtime import PAGE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESK = {"viewport": {"width": 1280, "height": 900}}
# Calls a function of a module.
CALL = """async ([file, name, values]) => {
  const module = await import(`/${file}`);
  const plain = (found) => ArrayBuffer.isView(found) ? Array.from(found)
    : Array.isArray(found) ? found.map(plain)
    : found && typeof found === "object"
      ? Object.fromEntries(Object.entries(found).map(([key, each]) => [key, plain(each)])) : found;
  return plain(module[name](...values));
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, built."""
    return built(tmp_path_factory.mktemp("tab") / "site")


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    """Chromium, or a skip with the reason."""
    with browser(needs()) as opened:
        yield opened


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the built page is served."""
    with folder_served(site) as served:
        yield served


@pytest.fixture(scope="module")
def page(started: Browser, address: str) -> Iterator[Page]:
    """One page for all tests on a desk; it must end without an error or a foreign request."""
    with watched(started, address, **DESK) as opened:
        opened.goto(address)
        shown(opened)
        yield opened


@pytest.fixture(scope="module")
def beside(started: Browser) -> Iterator[Page]:
    """A page beside the modules that are not built, so that they can be imported."""
    with folder_served(PAGE) as address, watched(started, address) as opened:
        opened.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        opened.goto(f"{address}runtime-licence.txt")
        yield opened


@pytest.fixture(scope="module")
def call(beside: Page) -> Callable[..., Any]:
    """`call(file, function, *values)` in Chromium; typed arrays come back as lists."""
    return lambda file, name, *values: beside.evaluate(CALL, [file, name, list(values)])
