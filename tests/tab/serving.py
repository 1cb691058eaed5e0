"""A folder behind a plain local web server, and a page that notes what it asked for and said."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LONG = 120_000  # milliseconds for the first map on a busy machine


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def folder_served(folder: Path) -> Iterator[str]:
    """The address, ending in a slash, of a folder; the server ends with the block."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


@contextlib.contextmanager
def watched(browser: Browser, address: str, **context: Any) -> Iterator[Page]:
    """A page of its own; fails afterwards on an error, a warning or a request to elsewhere."""
    wrong: list[str] = []

    def asked(request: Any) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            wrong.append(f"asked for {request.url}")

    def said(message: Any) -> None:
        if message.type in ("error", "warning"):
            wrong.append(f"the console says: {message.text}")

    opened = browser.new_context(**context)
    page = opened.new_page()
    page.set_default_timeout(LONG)
    page.on("request", asked)
    page.on("console", said)
    page.on("pageerror", lambda error: wrong.append(f"the page failed: {error}"))
    try:
        yield page
    finally:
        opened.close()
    assert not wrong, "\n".join(wrong)
