"""How long the explorer takes from an interaction to the new picture: `bench explorer`.

Measured inside Chromium, on a Voila page, with a ResNet-18 at 224 px: from the event to the first
frame after the picture, or after the table that answers a region, has changed. The bar is a median
of 200 ms on two cores. Chromium and the packages of the explorer have to be there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from softcam.common import write_json
from softcam.layerwise.page import voila_options
from tests.browser.pages import browser, needs, served

if TYPE_CHECKING:
    from playwright.sync_api import Page

TIMES = 30
CELL = """
import torch
from softcam import to_softcam
from softcam.backbones import build_net
from softcam.visualize.explorer import explore
from softcam.wrappers import BlackBox

torch.manual_seed(0)
model = to_softcam(BlackBox(build_net("resnet18", 10), ((0.5,) * 3, (0.25,) * 3)))
explore(model, torch.rand(40, 3, 224, 224), progress=False)
"""
# From an event to the first frame after an element has changed; the change has to come.
MEASURE = """
([watched, options, act, argument]) => new Promise((resolve, reject) => {
  const element = document.querySelector(watched);
  const begun = performance.now();
  const observer = new MutationObserver(() => {
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begun)));
  });
  observer.observe(element, options);
  setTimeout(() => reject(new Error('nothing was drawn for 30 s')), 30000);
  new Function('argument', act)(argument);
})
"""
PICTURE = (".softcam-stage", {"attributes": True, "attributeFilter": ["data-frame"]})
TABLE = (".widget-html-content:has(.softcam-answers)", {"childList": True})
SELECT = """
const label = [...document.querySelectorAll('.softcam-explorer label')]
  .find(each => each.textContent === argument);
const field = label.control ?? label.parentElement.querySelector('select');
field.selectedIndex = (field.selectedIndex + 1) % field.options.length;
field.dispatchEvent(new Event('change', { bubbles: true }));
"""
KEY = """
const event = new KeyboardEvent('keydown', { key: argument, bubbles: true });
document.querySelector('.softcam-box').dispatchEvent(event);
"""
SNAKE = [*["ArrowRight"] * 6, "ArrowDown", *["ArrowLeft"] * 6, "ArrowDown"] * 3  # 7 x 7 cells


def times(page: Page, what: tuple[str, dict], act: str, arguments: list[str]) -> list[float]:
    """Milliseconds of each interaction, one after the other."""
    found = []
    for argument in arguments:
        found.append(float(page.evaluate(MEASURE, [*what, act, argument])))
        page.wait_for_timeout(150)  # what else follows an interaction is over
    return found


def first_cell(page: Page) -> None:
    """Make the cell in the first row and column the region."""
    page.locator(".softcam-stage").focus()
    for key in (*["ArrowUp", "ArrowLeft"] * 7, "Enter"):
        page.keyboard.press(key)
    page.get_by_label("Region: 32 by 32 pixels from x 0, y 0").wait_for()
    page.locator(".softcam-answers").wait_for()
    page.wait_for_timeout(1000)


def measure(folder: Path) -> dict[str, list[float]]:
    """Milliseconds of each kind of interaction."""
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "source": CELL}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel},
                "cells": [{**cell, "execution_count": None}]}  # fmt: skip
    path = write_json(folder / "x.ipynb", notebook)
    options = [each.replace("{", "{{").replace("}", "}}") for each in voila_options("127.0.0.1", 0)]
    options = [each.replace("--port=0", "--port={port}") for each in options]
    with (
        served(folder / "home", "voila", [str(path), *options], "/voila/static/voila.js") as url,
        browser(needs("voila", "anywidget")) as started,
    ):
        page = started.new_page(viewport={"width": 1280, "height": 1500})
        page.set_default_timeout(180_000)
        page.goto(url, wait_until="commit")
        page.locator(".softcam-stage[data-frame]").wait_for()
        page.wait_for_timeout(2000)
        found = {
            "another class": times(page, PICTURE, SELECT, ["Class"] * TIMES),
            "another zero": times(page, PICTURE, SELECT, ["Read as"] * TIMES),
        }
        # The first images are known already: the shared colour scale comes from them.
        images = times(page, PICTURE, SELECT, ["Image"] * (TIMES + 8))
        found["an image not seen before"] = images[8:]
        for name, what in (("picture", PICTURE), ("answers", TABLE)):
            first_cell(page)  # then along the rows, so that no place comes twice
            found[f"a region moved, {name}"] = times(page, what, KEY, SNAKE[:TIMES])
            page.get_by_label("Painted over with").select_option(label="blur")
        return found


def main(arguments: list[str]) -> None:
    """Print the median and the quartiles of each kind of interaction, in milliseconds."""
    argparse.ArgumentParser(prog="bench explorer", description="Speed.").parse_args(arguments)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    sys.stdout.write(f"{'event to picture, ResNet-18 at 224 px':<45} median [quartiles], ms\n")
    for name, took in found.items():
        low, middle, high = statistics.quantiles(took, n=4)
        sys.stdout.write(f"{name:<45} {middle:6.0f} [{low:.0f}, {high:.0f}]  n = {len(took)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
