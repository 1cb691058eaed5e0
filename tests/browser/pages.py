"""A real browser, and notebook servers for it, each in a home of its own.

Chromium is the system's own, driven by Playwright; neither downloads anything. Where one of them
is missing, a test is skipped and says which.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LONG = 60_000  # milliseconds until a kernel has started on a busy machine
ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Chromium asks for its own updates otherwise; as root it has no sandbox.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip


def needs(*packages: str) -> str:
    """The path of Chromium; skips the test where it, Playwright or a package is missing."""
    for package in ("playwright", *packages):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no Chromium on PATH (looked for {', '.join(NAMES)})")
    return found


@contextlib.contextmanager
def browser(executable: str) -> Iterator[Browser]:
    """A headless Chromium with an empty profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            yield started
        finally:
            started.close()


@contextlib.contextmanager
def served(home: Path, module: str, options: Sequence[str], path: str = "/") -> Iterator[str]:
    """The address `http://127.0.0.1:PORT` of `python -m MODULE OPTIONS --port=PORT`.

    Args:
        home: an empty folder for configuration, log (`server.log`) and runtime files.
        module, options: what is served; `{port}` in an option is replaced.
        path: below the address, cheap to ask for; once it answers, the server is ready.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home.mkdir(parents=True, exist_ok=True)
    folders = (
        "HOME",
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "IPYTHONDIR",
    )
    environment = {**os.environ, **{name: str(home / name.lower()) for name in folders}}
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    command = [sys.executable, "-m", module, *(each.format(port=port) for each in options)]
    log = home / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            command, cwd=home, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        _wait(server, f"http://127.0.0.1:{port}{path}", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()  # it ends its kernels
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def run_cell(page: Page, number: int = 0) -> None:
    """Run a cell of the notebook that JupyterLab shows, once its kernel is ready.

    JupyterLab takes keys a moment later than it looks ready, so that they may have to come again.
    """
    from playwright.sync_api import TimeoutError

    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=LONG)
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    prompt = cell.locator(".jp-InputPrompt")
    before = prompt.inner_text()
    for _ in range(20):
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        try:
            prompt.filter(has_not_text=before).wait_for(timeout=2000)
            return
        except TimeoutError:
            continue
    raise AssertionError(f"cell {number} does not run")


def _wait(server: subprocess.Popen[bytes], address: str, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=seconds):
                return
        except urllib.error.HTTPError:  # an answer all the same
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{address} does not answer: {log.read_text(errors='replace')[-2000:]}")
