"""Links, loads and texts of finished pages, each wrong one in its own page."""

from __future__ import annotations

from pathlib import Path

import pytest

from softcam.common import write_text
from tools.site import links


def _site(folder: Path, **pages: str) -> list[links.Page]:
    (folder / "_static").mkdir(exist_ok=True)
    (folder / "_static" / "style.css").write_text("p { color: red }", encoding="utf-8")
    for name, body in pages.items():
        (folder / f"{name}.html").write_text(f"<html><body>{body}</body></html>", encoding="utf-8")
    return links.read_pages(folder)


def test_links_that_hold(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "index.html").write_text("<p id='a b'></p>", encoding="utf-8")
    pages = _site(
        tmp_path,
        index="<h1 id=top2></h1><a name=old></a><a href=#top2></a><a href='#old'></a>"
        "<a href='#'></a>"
        "<a href='b.html#here'></a><a href='more/#a%20b'></a><a href='/b.html'></a>"
        "<a href='https://example.org/gone'></a><a href='mailto:a@b.org'></a>",
        b="<p id=here></p><a href='index.html?q=1#top2'></a><link rel=stylesheet "
        "href='_static/style.css?v=1'>",
    )
    assert links.broken_links(pages, tmp_path) == []


def test_each_link_that_leads_nowhere_is_named_with_its_page(tmp_path: Path) -> None:
    pages = _site(
        tmp_path,
        index="<a href='gone.html'></a><a href='b.html#gone'></a><a href='#gone'></a>",
        b="<img src='_images/a.png' alt='a'><a href='../outside.html'></a>"
        "<a href='file:///etc/passwd'></a>",
    )
    assert links.broken_links(pages, tmp_path) == [
        "b.html: ../outside.html (outside of the site)",
        "b.html: _images/a.png (no such file)",
        "b.html: file:///etc/passwd (not a web address)",
        "index.html: #gone (no such place in it)",
        "index.html: b.html#gone (no such place in it)",
        "index.html: gone.html (no such file)",
    ]


def test_nothing_is_loaded_from_another_host(tmp_path: Path) -> None:
    pages = _site(
        tmp_path,
        a="<a href='https://a.org'></a><link rel=next href='https://a.org/2'>",
        b="<script src='https://cdn.org/x.js'></script>",
        c="<link rel=stylesheet href='//cdn.org/x.css'>",
        d="<p style='background:url(https://a.org/p.png)'></p>",
        e="<style>@import 'https://a.org/f.css';</style>",
        f="<img alt=x srcset='https://a.org/p.png 2x, q.png 1x' src=q.png>",
    )
    (tmp_path / "_static" / "font.css").write_text(
        "@font-face { src: url(https://fonts.org/a.woff2) }", encoding="utf-8"
    )
    assert links.loaded_from_elsewhere(pages, tmp_path) == [
        "_static/font.css: https://fonts.org/a.woff2",
        "b.html: https://cdn.org/x.js",
        "c.html: //cdn.org/x.css",
        "d.html: https://a.org/p.png",
        "e.html: https://a.org/f.css",
        "f.html: https://a.org/p.png",
    ]


SCRIPTS = {
    "import": 'import * as ort from "https://cdn.org/ort.mjs";',
    "later": "const ort = await import('//cdn.org/ort.mjs');",
    "fetch": 'await fetch(\n  "HTTP://a.org/model.onnx",\n);',
    "template": "fetch(`https://${host}/a.json`);",
    "socket": 'new WebSocket("wss://a.org/")',
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_of_ours_names_another_host(tmp_path: Path, name: str) -> None:
    script = tmp_path / "tab" / "main.js"
    write_text(script, f'import {{ a }} from "./a.js"; // as at https://a.org\n{SCRIPTS[name]}\n')
    (found,) = links.loaded_from_elsewhere([], tmp_path, [script])
    assert found.startswith("tab/main.js: "), found


def test_the_scripts_of_this_project_name_no_host_and_stay_within() -> None:
    root = Path(__file__).resolve().parents[2] / "docs"
    scripts = [*(root / "tab").glob("*.js"), *(root / "site" / "_static").glob("*.js")]
    assert len(scripts) > 2, "they lie elsewhere now"
    assert links.loaded_from_elsewhere([], root, scripts) == []


def test_every_picture_needs_a_text_and_a_file_name_is_none(tmp_path: Path) -> None:
    pages = _site(
        tmp_path,
        a="<img src='_images/x.png' alt='Six maps'>",
        b="<img src='_images/x.png'><img src='_images/y.png' alt=' '>",
        c="<img src='_images/x.png' alt='_images/x.png'><img src='x%20y.png' alt='x y.png'>",
    )
    assert links.missing_alt(pages, tmp_path) == [
        "b.html: _images/x.png",
        "b.html: _images/y.png",
        "c.html: _images/x.png",
        "c.html: x%20y.png",
    ]
