"""A site of three pages, one of them a notebook, is built in seconds; a browser reads it."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from softcam.common import SoftCAMError, write_text
from tests.browser import pages as chromium
from tests.site.books_for_tests import notebook, png
from tools.site import books, build, pictures, showing
from tools.site.render import render

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("sphinx", "myst_nb", "furo")
GONE = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(GONE), reason=f"not installed (extra docs): {GONE}")

INDEX = """# A small site

The mean $\\frac{1}{hw} \\sum_{ij} A^{ij}$ is the logit. See
[the notebook](notebooks/00_small.ipynb) and {py:obj}`softcam.penalties.elastic_net`.

```{toctree}

notebooks/00_small
api
```
"""
API = """Names
=====

.. autofunction:: softcam.penalties::elastic_net
"""


def laid_out(folder: Path) -> pictures.Allowed:
    """The pages of the small site; returns the pictures that may be in it."""
    shutil.copytree(ROOT / "docs" / "site" / "_static", folder / "_static")
    shutil.copytree(ROOT / "docs" / "site" / "_templates", folder / "_templates")
    shutil.copyfile(ROOT / "docs" / "site" / "conf.py", folder / "conf.py")
    write_text(folder / "project.toml", 'version = "0"\n')
    write_text(folder / "index.md", INDEX)
    write_text(folder / "api.rst", API)
    made = notebook(folder.parent / "runs" / "all" / "00_small.ipynb")
    shown = folder / "notebooks" / "00_small.ipynb"
    assert not showing.show(books.Book("00_small", made, True, "quick"), shown)
    return pictures.allowed_in_notebooks([shown])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pictures.Allowed]:
    folder = tmp_path_factory.mktemp("site")
    allowed = laid_out(folder / "pages")
    render(folder / "pages", folder / "out", folder / "work")
    return folder / "out", allowed


@pytest.fixture
def copy(site: tuple[Path, pictures.Allowed], tmp_path: Path) -> tuple[Path, pictures.Allowed]:
    """The finished site, to be spoilt."""
    return Path(shutil.copytree(site[0], tmp_path / "out")), site[1]


@pytest.mark.slow
def test_it_is_whole(site: tuple[Path, pictures.Allowed]) -> None:
    out, allowed = site
    assert build.checked(out, allowed) >= 3
    page = (out / "notebooks" / "00_small.html").read_text(encoding="utf-8")
    assert 'alt="Four squares."' in page and "not for clinical use" in page
    assert "<math" in (out / "index.html").read_text(encoding="utf-8")
    api = (out / "api.html").read_text(encoding="utf-8")
    assert "lambda1 * sum |A|" in api and "_modules/softcam/penalties.html" in api


def test_a_smuggled_picture_stops_the_build(copy: tuple[Path, pictures.Allowed]) -> None:
    out, allowed = copy
    (out / "_images" / "patient.png").write_bytes(png(250))
    with pytest.raises(SoftCAMError, match=r"_images/patient\.png: nothing says whose images"):
        build.checked(out, allowed)


def test_what_is_wrong_is_listed_together(copy: tuple[Path, pictures.Allowed]) -> None:
    out, allowed = copy
    text = "<a href='gone.html'>x</a><script src='https://cdn.org/a.js'></script><img src='a.svg'>"
    (out / "new.html").write_text(text, encoding="utf-8")
    with pytest.raises(SoftCAMError) as error:
        build.checked(out, allowed)
    for part in ("new.html: gone.html (no such file)", "new.html: https://cdn.org/a.js",
                 "for those who cannot see them:\n  new.html: a.svg"):  # fmt: skip
        assert part in str(error.value)


@pytest.mark.parametrize("line, said", [
    ("See [more](no_such_page.md).", "no_such_page.md"),
    ("See {term}`no such word`.", "no such word"),
    ("And $\\nosuch{x}$.", "nosuch"),
])  # fmt: skip
def test_sphinx_stops_at_its_first_doubt(tmp_path: Path, line: str, said: str) -> None:
    laid_out(tmp_path / "pages")
    write_text(tmp_path / "pages" / "api.rst", "Names\n=====\n")
    text = INDEX.replace("{py:obj}`softcam.penalties.elastic_net`", "more")
    write_text(tmp_path / "pages" / "index.md", f"{text}\n{line}\n")
    with pytest.raises(SoftCAMError, match=said):
        render(tmp_path / "pages", tmp_path / "out", tmp_path / "work")


@pytest.fixture(scope="module")
def served(site: tuple[Path, pictures.Allowed]) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(site[0]))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_a_browser_asks_nobody_else_and_finds_words(
    site: tuple[Path, pictures.Allowed], served: str
) -> None:
    executable = chromium.needs()
    asked: list[str] = []
    wrong: list[str] = []
    with chromium.browser(executable) as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        for address in ("index.html", "notebooks/00_small.html", "api.html"):
            page.goto(served + address, timeout=chromium.LONG)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 390, f"{address} is {wide} px wide on a phone of 390"
            assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.goto(f"{served}search.html?q=notebook", timeout=chromium.LONG)
        found = page.locator("#search-results ul.search li a").first
        found.wait_for(timeout=chromium.LONG)
        assert "small notebook" in found.inner_text()
        # A folder on a disk is a site as well.
        page.goto((site[0] / "index.html").as_uri(), timeout=chromium.LONG)
        assert page.locator("math").count() == 1
    assert sum(int(part) for part in dark.strip("rgb()").split(",")[:3]) < 150, dark
    assert not wrong, wrong
    assert {url.split(":")[0] for url in asked} <= {"http", "file", "data"}
    assert all(url.startswith((served, "file:", "data:")) for url in asked), asked
