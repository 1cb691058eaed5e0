"""The evidence explorer in a real browser: on a Voila page, and in JupyterLab."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from softcam.layerwise.page import voila_options
from softcam.visualize.explorer import write_explorer
from softcam.visualize.explorer.pictures import deal_rows, open_pictures
from softcam.visualize.explorer.reading import read_explanation
from softcam.visualize.explorer.region import Region
from softcam.visualize.explorer.subjects import data_of, open_source
from tests.browser.haste import drop_files, two_in_haste, unseen_focus
from tests.browser.pages import LONG, ROOT, browser, needs, run_cell, served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow
MARKER = str(ROOT / "data" / "checkpoints" / "cxr-marker.safetensors")
SPARSE = str(ROOT / "data" / "checkpoints" / "cxr-sparse.safetensors")
BOX = str(ROOT / "data" / "checkpoints" / "cxr-black-box.safetensors")
FEW = {"n_train": 4, "n_val": 4, "n_test": 16}


class Explorer:
    """What a reader sees and does on a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.set_default_timeout(LONG)
        self.stage = page.locator(".softcam-stage")
        page.locator(".softcam-stage[data-frame]").wait_for(timeout=LONG)

    def after(self, act: Callable[[], Any]) -> None:
        """Do something, and wait until the picture has been drawn again."""
        before = int(self.stage.get_attribute("data-frame") or 0)
        act()
        self.page.wait_for_function(
            "f => Number(document.querySelector('.softcam-stage').dataset.frame) > f", arg=before
        )

    def choose(self, name: str, label: str) -> None:
        field = self.page.get_by_label(name, exact=True)
        self.after(lambda: field.select_option(label=label))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of an image of 96 px lies on the page."""
        box = self.page.locator(".softcam-stage canvas").bounding_box()
        assert box is not None
        return box["x"] + x / 96 * box["width"], box["y"] + y / 96 * box["height"]

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.stage.scroll_into_view_if_needed()
        self.page.mouse.move(*self.place(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.place(*end), steps=3)
        self.page.mouse.up()

    @property
    def readout(self) -> str:
        return self.page.locator(".softcam-readout").inner_text()

    @property
    def region(self) -> Region:
        names = ("x", "y", "width", "height")
        fields = [self.page.get_by_label(name, exact=True) for name in names]
        return Region(*(int(each.input_value()) for each in fields))

    def wait_region(self, check: Callable[[Region], bool]) -> Region:
        for _ in range(100):
            if check(self.region):
                return self.region
            self.page.wait_for_timeout(50)
        raise AssertionError(f"the fields say {self.region}")

    def pixel(self, x: float, y: float) -> list[int]:
        """Red, green and blue that are drawn at a pixel of an image of 96 px."""
        found = self.page.evaluate(
            "([x, y]) => { const c = document.querySelector('.softcam-stage canvas');"
            "return [...c.getContext('2d').getImageData(x * c.width, y * c.height, 1, 1).data]; }",
            [x / 96, y / 96],
        )
        return [int(each) for each in found[:3]]


def value_of(text: str) -> float:
    found = re.search(r"([+\u2212]?[\d.]+) logits", text)
    assert found, text
    return float(found[1].replace("\u2212", "-"))


def complaints(page: Page) -> list[str]:
    """What the page's console says of errors, from now on."""
    found: list[str] = []
    page.on("console", lambda m: found.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def turned_quarters() -> bytes:
    """Red, green, blue and white, stored on its side with a note that says so."""
    pixels = np.zeros((60, 60, 3), np.uint8)
    pixels[:30, :30], pixels[:30, 30:] = (255, 0, 0), (0, 255, 0)
    pixels[30:, :30], pixels[30:, 30:] = (0, 0, 255), (255, 255, 255)
    exif = Image.Exif()
    exif[274] = 6
    buffer = io.BytesIO()
    image = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
    image.save(buffer, "png", exif=exif)
    return buffer.getvalue()


COUNT = """
window.bitmaps = { made: 0, open: 0 };
const make = window.createImageBitmap.bind(window), close = ImageBitmap.prototype.close;
window.createImageBitmap = async (...given) => {
  const made = await make(...given);
  window.bitmaps.made += 1;
  window.bitmaps.open += 1;
  return made;
};
ImageBitmap.prototype.close = function () {
  if (this.width) window.bitmaps.open -= 1;  // a closed one has none
  return close.call(this);
};
"""


def bitmaps_made(page: Page) -> int:
    """How many so far; all but the three layers of the picture must have been let go."""
    made, kept = page.evaluate("[window.bitmaps.made, window.bitmaps.open]")
    assert kept <= 3, f"{kept} bitmaps are held for three layers"
    return int(made)


def touch(explorer: Explorer, cells: np.ndarray) -> None:
    """Point, click and go on with the keys; each cell says what Python says."""
    page = explorer.page
    page.mouse.move(*explorer.place(3.5 * 8, 7.5 * 8))
    assert explorer.readout.startswith("Row 8, column 4 of 12 \u00d7 12")
    assert value_of(explorer.readout) == pytest.approx(cells[7, 3], abs=6e-5)
    page.mouse.click(*explorer.place(6.5 * 8, 2.5 * 8))
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    page.mouse.move(5, 5)
    assert explorer.readout.startswith("Row 5, column 7")
    assert value_of(explorer.readout) == pytest.approx(cells[4, 6], abs=6e-5)
    assert page.locator(".softcam-board [role=status]").inner_text() == explorer.readout


def by_keys(explorer: Explorer) -> None:
    """A region without the mouse, from the cell in row 5, column 7 on."""
    page = explorer.page
    explorer.stage.focus()
    explorer.after(lambda: page.keyboard.press("Enter"))
    assert explorer.wait_region(lambda r: r.width == 8) == Region(48, 32, 8, 8)
    page.keyboard.press("Tab")
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    assert explorer.wait_region(lambda r: r.width == 16 and r.x == 48) == Region(48, 40, 16, 16)
    page.locator(".softcam-answers").wait_for()
    explorer.after(lambda: page.keyboard.press("Escape"))
    page.get_by_text("Drag a rectangle").wait_for()


def by_mouse(explorer: Explorer) -> None:
    """Drag a rectangle, then all of it, then its corner."""
    explorer.after(lambda: explorer.drag((24, 16), (64, 48)))
    first = explorer.wait_region(lambda r: r.width > 30)
    assert abs(first.x - 24) + abs(first.y - 16) + abs(first.width - 40) <= 3
    explorer.after(lambda: explorer.drag((44, 32), (60, 40)))
    moved = explorer.wait_region(lambda r: r.x > 30)
    assert (moved.width, moved.height) == (first.width, first.height)
    assert abs(moved.x - first.x - 16) <= 1 and abs(moved.y - first.y - 8) <= 1
    corner = moved.x + moved.width + 0.5, moved.y + moved.height + 0.5
    explorer.after(lambda: explorer.drag(corner, (95, 95)))
    grown = explorer.wait_region(lambda r: r.width > moved.width)
    assert (grown.x, grown.y) == (moved.x, moved.y) and grown.width > 50


def bring_files(explorer: Explorer) -> None:
    """Bad files get a sentence and the page lives on; a good one is shown upright."""
    page = explorer.page
    upload = page.get_by_label("Your own image")
    huge = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(huge, "png")
    for name, data, says in [
        ("words.txt", b"these are words " * 200_000, "not an image"),  # in several parts
        ("huge.png", huge.getvalue(), "pixels; make it smaller"),
        ("empty.jpg", b"", "empty"),
    ]:
        upload.set_input_files({"name": name, "mimeType": "image/png", "buffer": data})
        page.get_by_text(says).wait_for()
    file = {"name": "mine.png", "mimeType": "image/png", "buffer": turned_quarters()}
    explorer.after(lambda: upload.set_input_files(file))
    page.get_by_label("Strength of the colours").fill("0")
    corners = [explorer.pixel(x, y) for x, y in ((20, 20), (76, 20), (20, 76), (76, 76))]
    assert corners == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255] * 3], "not upright"
    page.get_by_label("Strength of the colours").fill("0.85")
    assert page.get_by_text("make it smaller").count() == 0
    assert not drop_files(page, "body", ("a.png", b"")), "the browser leaves the page for a file"
    assert not drop_files(page, ".softcam-stage", ("a.png", b"1"), ("b.png", b"2"))
    page.get_by_text("one image at a time: there were 2 files").wait_for()
    two_in_haste(page, "second.png")
    page.locator(".softcam-stage[aria-label^='Image second.png']").wait_for()
    page.get_by_label("Image", exact=True).focus()
    assert not unseen_focus(page), "the reader does not see where the keys go"
    assert page.locator(".softcam-bad").count() == 0, "a file in two halves"


def test_a_reader_explores_on_a_voila_page(project: Path) -> None:
    chromium = needs("voila", "anywidget")
    path = write_explorer(project / "explorer.ipynb", [MARKER, SPARSE, BOX], images=4, options=FEW)
    source = open_source(MARKER)
    data = data_of(source.config, "test", options=FEW)
    picture = open_pictures(data, 96, deal_rows(data, 4))[1]
    cells = read_explanation(source.model.explain(picture.image[None]), 0, "raw").cells  # type: ignore[union-attr]
    options = [each.replace("{", "{{").replace("}", "}}") for each in voila_options("127.0.0.1", 0)]
    options = [each.replace("--port=0", "--port={port}") for each in options]
    with (
        served(project / "home", "voila", [str(path), *options], "/voila/static/voila.js") as url,
        browser(chromium) as started,
    ):
        page = started.new_page(viewport={"width": 1280, "height": 1500})
        errors, elsewhere = complaints(page), []
        page.on(
            "response",
            lambda answer: (
                answer.url.startswith((url, "data:", "blob:")) or elsewhere.append(answer.url)
            ),
        )
        page.add_init_script(COUNT)
        page.goto(url, wait_until="commit")
        explorer = Explorer(page)
        explorer.choose("Image", f"{picture.name}: {picture.truth}")
        explorer.choose("Class", "normal")
        touch(explorer, cells)
        assert (made := bitmaps_made(page)) > 3
        by_keys(explorer)
        by_mouse(explorer)
        assert bitmaps_made(page) == made, "a region changes no layer"
        page.screenshot(path=project / "voila.png", full_page=True)
        explorer.choose("Read as", "contrast: rather than the runner-up")
        assert bitmaps_made(page) == made + 1, "only the overlay changed"
        page.get_by_text("logit of normal minus logit of opacity").first.wait_for()
        explorer.choose("Network", "cxr-black-box (lambda1 0)")
        page.get_by_text("This network is a black box").wait_for()
        page.get_by_text("nothing makes the cells of this map add up").wait_for()
        bring_files(explorer)
        page.wait_for_function("window.bitmaps.open <= 3")
        page.screenshot(path=project / "upload.png", full_page=True)
        assert not elsewhere, "the page asked a server elsewhere"
        assert not [each for each in errors if "Content Security Policy" not in each]


def test_a_reader_explores_in_jupyterlab(project: Path) -> None:
    chromium = needs("jupyterlab", "anywidget")
    code = (
        "from softcam.visualize.explorer import explore\n"
        "from softcam.visualize.explorer.subjects import data_of, open_source\n"
        f"sparse, marker = open_source({SPARSE!r}), open_source({MARKER!r})\n"
        f"data = data_of(marker.config, 'test', options={FEW})\n"
        "row = int(data.with_findings()[0])\n"
        "explore({0.0: sparse.model, 0.01: marker.model}, data, rows=[row], progress=False)"
    )
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel},
                "cells": [{**cell, "source": code}]}  # fmt: skip
    (project / "x.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    options = [
        "--no-browser", "--allow-root", f"--ServerApp.root_dir={project}",
        "--ServerApp.ip=127.0.0.1", "--ServerApp.port={port}", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
    ]  # fmt: skip
    with (
        served(project / "home", "jupyterlab", options, "/api") as url,
        browser(chromium) as started,
    ):
        page = started.new_page(viewport={"width": 1400, "height": 1300})
        page.goto(f"{url}/lab/tree/x.ipynb?reset", wait_until="commit")
        # The lab looks idle before it has a kernel at all, and forgets a cell that is run then.
        page.get_by_text(re.compile(r"Python.*\| Idle")).wait_for(timeout=LONG)
        run_cell(page)
        explorer = Explorer(page)
        errors = complaints(page)
        page.get_by_role("button", name="Around the marker").click()
        page.get_by_text("drawn without the marker").wait_for()
        slider = page.get_by_label("Lambda", exact=True)
        assert slider.get_attribute("aria-valuetext") == "SoftCAM (lambda1 0)"
        slider.focus()
        explorer.after(lambda: page.keyboard.press("ArrowRight"))
        assert slider.get_attribute("aria-valuetext") == "SoftCAM (lambda1 0.01)"
        zero = page.get_by_label("Read as", exact=True)
        zero.focus()
        explorer.after(lambda: page.keyboard.press("ArrowDown"))
        assert zero.input_value().startswith("centred")
        explorer.stage.focus()
        for key in ("ArrowDown", "ArrowDown", "d", "d"):  # of which the lab would delete the cell
            page.keyboard.press(key)
        assert explorer.readout.startswith("Row 8, column 7")
        page.screenshot(path=project / "lab.png")
        explorer.choose("Explainer", "Superpixel occlusion (costly)")
        page.get_by_text("65 forward passes").first.wait_for()
        compute = page.get_by_role("button", name="Compute this map")
        explorer.after(compute.click)
        page.locator(".softcam-stage[aria-label*=' cells ']").wait_for()
        assert not errors
