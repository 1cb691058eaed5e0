"""A picture that may not be shown does not get into the site, by whatever way it tries."""

from __future__ import annotations

import html
from pathlib import Path

import pytest

from softcam.common import SoftCAMError, read_json, write_json
from softcam.data import SOURCES
from softcam.visualize import write_record
from tests.site.books_for_tests import notebook, png
from tools.site import links, pictures


def _page(folder: Path, name: str = "figures/a.png", raw: bytes | None = None) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw or png())
    return path


def test_a_picture_with_a_record_is_let_in(tmp_path: Path) -> None:
    write_record(_page(tmp_path), SOURCES["phantoms"])
    assert pictures.allowed_on_pages(tmp_path) == {pictures._digest(png()): ()}


@pytest.mark.parametrize("place", ["figures/a.png", "a.png", "docs/a.jpg", "notebooks/a.svg",
                                   "_static/a.png", "data/a.png", "workflow/b/a.webp"])  # fmt: skip
def test_a_picture_without_a_record_is_refused_wherever_it_lies(tmp_path: Path, place: str) -> None:
    _page(tmp_path, place)
    with pytest.raises(SoftCAMError, match="must not be published") as error:
        pictures.allowed_on_pages(tmp_path)
    assert place in str(error.value)


def test_a_record_of_real_images_and_an_exchanged_picture_are_refused(tmp_path: Path) -> None:
    write_record(_page(tmp_path, "figures/real.png"), SOURCES["rsna"])
    with pytest.raises(SoftCAMError, match="images of rsna may not be passed on"):
        pictures.allowed_on_pages(tmp_path)
    write_record(_page(tmp_path, "figures/real.png"), SOURCES["phantoms"])
    _page(tmp_path, "figures/real.png", png(200))
    with pytest.raises(SoftCAMError, match="it is not the picture that"):
        pictures.allowed_on_pages(tmp_path)


def test_a_credited_picture_needs_its_credit_on_the_page(tmp_path: Path) -> None:
    source = SOURCES["idrid"]
    write_record(_page(tmp_path / "laid", "figures/eye.png"), source)
    allowed = pictures.allowed_on_pages(tmp_path / "laid")
    assert allowed == {pictures._digest(png()): (source.credit,)}
    _page(tmp_path / "out", "_images/eye.png")
    text = '<img src="_images/eye.png" alt="an eye"><p>{}</p>'
    page = tmp_path / "out" / "eyes.html"
    page.write_text(text.format("An eye."), encoding="utf-8")
    (missing,) = pictures.not_credited(links.read_pages(tmp_path / "out"), allowed)
    assert missing.startswith("eyes.html: _images/eye.png (") and source.credit in missing
    said = html.escape(source.credit).replace(" ", "\n", 1)
    page.write_text(text.format(f"<em>{said}</em>"), encoding="utf-8")
    assert pictures.not_credited(links.read_pages(tmp_path / "out"), allowed) == []


def test_no_phantom_and_nobody_to_credit_is_refused(tmp_path: Path) -> None:
    record = write_record(_page(tmp_path), SOURCES["idrid"])
    write_json(record, {**read_json(record), "credit": ""})
    with pytest.raises(SoftCAMError, match="a.png: it is no phantom, and its record names nobody"):
        pictures.allowed_on_pages(tmp_path)


def test_a_figure_of_the_manifest_owes_what_its_images_owe(tmp_path: Path) -> None:
    path = _page(tmp_path)
    images = [{"data": "phantoms:oct", "credit": "Phantom"}, {"data": "idrid:x", "credit": "IDRiD"}]
    entry = {"share": True, "files": {path.name: pictures._digest(png())}, "images": images}
    write_json(path.with_name("manifest.json"), {path.stem: entry})
    assert pictures.allowed_on_pages(tmp_path) == {pictures._digest(png()): ("IDRiD",)}


def test_a_notebook_brings_its_pictures_but_none_that_says_no(tmp_path: Path) -> None:
    kept = notebook(tmp_path / "a.ipynb")
    assert pictures.allowed_in_notebooks([kept]) == {pictures._digest(png()): ()}
    smuggled = notebook(tmp_path / "b.ipynb", picture=png(softcam_share="no"))
    with pytest.raises(SoftCAMError, match="may not be passed on"):
        pictures.allowed_in_notebooks([kept, smuggled])


@pytest.mark.parametrize("kind, value", [
    ("text/html", "<img src='data:image/png;base64,AAAA'>"),
    ("text/html", "<p style='background: url(data:image/png;base64,AAAA)'>"),
    ("text/html", "<svg><image href='a.png'/></svg>"),
    ("image/jpeg", "AAAA"),
    ("image/svg+xml", "<svg/>"),
])  # fmt: skip
def test_a_picture_that_cannot_be_looked_at_is_refused(
    tmp_path: Path, kind: str, value: str
) -> None:
    smuggled = notebook(tmp_path / "b.ipynb", **{kind: value})
    with pytest.raises(SoftCAMError, match=r"b\.ipynb"):
        pictures.allowed_in_notebooks([smuggled])


def test_a_finished_site_holds_no_picture_that_nobody_let_in(tmp_path: Path) -> None:
    out, theme = tmp_path / "site", tmp_path / "theme"
    _page(out, "_images/a.png")
    _page(out, "_static/plus.png", png(1))
    _page(theme, "plus.png", png(1))
    (out / "index.html").write_text("<img src='_images/a.png' alt='a'>", encoding="utf-8")
    allowed = {pictures._digest(png()): ()}
    assert pictures.strangers(out, allowed, [theme]) == []
    assert [line.split(":")[0] for line in pictures.strangers(out, {}, [theme])] == [
        "_images/a.png"
    ]
    (out / "b.html").write_text('<img alt="x" src="data:image/png;base64,AA">', encoding="utf-8")
    assert "inside the page" in pictures.strangers(out, allowed, [theme])[0]
