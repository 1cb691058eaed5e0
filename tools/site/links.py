"""Every link of the finished pages: does its file exist, and the place in it?

Read from the HTML itself, whoever wrote it. Links to other hosts are not followed; but nothing may
be *loaded* from one: no script, style, font, picture or frame. Of scripts in files, those of this
project are read, and not what the theme or the explorer's runtime brings.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["Page", "broken_links", "loaded_from_elsewhere", "missing_alt", "read_pages"]

ELSEWHERE = re.compile(r"(?:https?:)?//", re.IGNORECASE)
IN_STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", re.IGNORECASE)
# A text of a script that begins with a host: what is done with it cannot be seen from outside.
IN_SCRIPT = re.compile(r"[\"'`]\s*((?:(?:https?|wss?):)?//[^\s\"'`/][^\s\"'`]*)", re.IGNORECASE)
# What a browser fetches by itself. `<a href>` waits for a click, and these links do not load.
LOADING = {("script", "src"), ("img", "src"), ("source", "src"), ("iframe", "src"),
           ("video", "src"), ("audio", "src"), ("embed", "src"), ("object", "data"),
           ("link", "href"), ("image", "href"), ("use", "href")}  # fmt: skip
WAITING = {"next", "prev", "index", "search", "author", "copyright", "canonical", "license"}


@dataclass
class Page:
    """What a page names.

    Attributes:
        path: the file.
        ids: places that a link can lead to.
        links: (tag, attribute, address), as written.
        pictures: (address, alternative text or None) of every `<img>`.
    """

    path: Path
    ids: set[str] = field(default_factory=set)
    links: list[tuple[str, str, str]] = field(default_factory=list)
    pictures: list[tuple[str, str | None]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__(convert_charrefs=True)
        self.page = page
        self.in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.in_style = tag == "style"
        if name := said.get("id") or (said.get("name") if tag == "a" else ""):
            self.page.ids.add(name)
        waits = tag == "link" and WAITING & set(said.get("rel", "").lower().split())
        for attribute in ("href", "src", "data", "xlink:href"):
            if attribute in said and not (tag == "object" and attribute == "src"):
                kind = "a" if waits else tag
                self.page.links.append((kind, attribute.split(":")[-1], said[attribute]))
        for part in said.get("srcset", "").split(","):
            if part.strip():
                self.page.links.append(("img", "src", part.split()[0]))
        self._styles(said.get("style", ""))
        if tag == "img":
            self.page.pictures.append((said.get("src", ""), said.get("alt")))

    def handle_data(self, data: str) -> None:
        if self.in_style:
            self._styles(data)

    def _styles(self, text: str) -> None:
        for found in IN_STYLE.finditer(text):
            self.page.links.append(("img", "src", found.group(1) or found.group(2)))


def read_pages(out: Path) -> list[Page]:
    """Every HTML file below a folder."""
    pages = []
    for path in sorted(out.rglob("*.html")):
        page = Page(path)
        _Reader(page).feed(path.read_text(encoding="utf-8"))
        pages.append(page)
    return pages


def broken_links(pages: list[Page], out: Path) -> list[str]:
    """`page: address (what is missing)` of each link within the site that leads nowhere."""
    ids = {page.path.resolve(): page.ids for page in pages}
    _file.cache_clear()  # files come and go between two builds
    found = []
    for page in pages:
        for _, _, address in page.links:
            if reason := _missing(address, page, out, ids):
                found.append(f"{page.path.relative_to(out)}: {address} ({reason})")
    return sorted(set(found))


def _missing(address: str, page: Page, out: Path, ids: dict[Path, set[str]]) -> str:
    parts = urlsplit(address)
    if parts.scheme or ELSEWHERE.match(address):
        return "" if parts.scheme in ("http", "https", "mailto", "data") else "not a web address"
    base = out if parts.path.startswith("/") else page.path.parent
    path = _file(base, unquote(parts.path).lstrip("/")) if parts.path else page.path.resolve()
    if out.resolve() not in path.parents:
        return "outside of the site"
    if not path.is_file():
        return "no such file"
    place = unquote(parts.fragment)
    if place and path in ids and place not in ids[path] and place != "top":
        return "no such place in it"
    return ""


@functools.cache  # every page of a folder names the same two hundred others
def _file(base: Path, name: str) -> Path:
    path = (base / name).resolve()
    return path / "index.html" if path.is_dir() else path


def loaded_from_elsewhere(pages: list[Page], out: Path, scripts: Iterable[Path] = ()) -> list[str]:
    """`file: address` of everything that a page or a style would fetch from another host.

    Args:
        pages: the pages of the site.
        out: the site; every style below it is read.
        scripts: those of its scripts that may not name another host at all, not even for a link.
    """
    found = []
    for page in pages:
        for tag, attribute, address in page.links:
            if (tag, attribute) in LOADING and ELSEWHERE.match(address):
                found.append(f"{page.path.relative_to(out)}: {address}")
    for path in sorted(out.rglob("*.css")):
        for match in IN_STYLE.finditer(path.read_text(encoding="utf-8")):
            address = match.group(1) or match.group(2)
            if ELSEWHERE.match(address):
                found.append(f"{path.relative_to(out)}: {address}")
    for path in scripts:
        for match in IN_SCRIPT.finditer(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(out)}: {match.group(1)}")
    return sorted(set(found))


def missing_alt(pages: list[Page], out: Path) -> list[str]:
    """`page: picture` of each picture without a text that says what it shows.

    The name of its file says nothing, so Sphinx's stand-in is refused as well.
    """
    found = []
    for page in pages:
        for address, text in page.pictures:
            name = Path(unquote(urlsplit(address).path)).name
            if text is None or not text.strip() or Path(text.strip()).name == name:
                found.append(f"{page.path.relative_to(out)}: {address[:80]}")
    return sorted(set(found))
