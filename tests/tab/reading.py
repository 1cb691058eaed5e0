"""Choosing on the page and reading from it; and the same phantoms and models in Python."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from softcam.data.phantoms import PhantomOptions, draw_scene, render
from softcam.evidence import SoftCAM
from softcam.explain import open_model
from tests.browser.pages import needs
from tests.tab.serving import LONG
from tools.tab import NoRuntime, build, fetch_runtime, find_runtime

if TYPE_CHECKING:
    from playwright.sync_api import Page


_BUILT: list[Path] = []


def built(folder: Path) -> Path:
    """The page, built once a process; skips the test where something that it takes is missing.

    Only where a whole machine is set up for the tests (`CI`) npm may fetch the runtime.

    Args:
        folder: where it is put, unless it is elsewhere already.
    """
    if _BUILT and _BUILT[0].is_dir():
        return _BUILT[0]
    needs("onnx", "onnxscript", "onnxruntime")
    try:
        if find_runtime() is None and not (os.environ.get("CI") and fetch_runtime()):
            pytest.skip("the page's runtime is not here: python -m tools.tab --fetch (needs npm)")
    except NoRuntime as error:
        pytest.skip(f"the page's runtime is not here: {error}")
    _BUILT[:] = [build(folder)]
    return _BUILT[0]


def shown(page: Page, name: str = "") -> None:
    """Wait until the page has answered in full, to the question of that name if given."""
    place = f'body[data-shown="{name}"]' if name else 'body[data-shown]:not([data-shown=""])'
    page.locator(place).wait_for(timeout=LONG)


def choose(page: Page, model: str, picture: str, twin: str = "") -> None:
    """Start from a known state: this phantom, nothing moved, no rectangle."""
    page.locator("#g-zero").click()
    page.locator("#clear").click()
    for name, value in (("model", model), ("picture", picture), ("twin", twin), ("view", "raw")):
        page.locator(f'input[name={name}][value="{value}"]').check(force=True)
    page.locator('input[name=target][value="1"]').check()
    shown(page, f"{model} {picture} {twin}".strip())


def with_parts(about: dict[str, Any]) -> dict[str, Any]:
    """A phantom that has opacity and marker."""
    return next(each for each in about["pictures"] if len(each["parts"]) == 2)


def numbers(text: str) -> list[float]:
    """The numbers with a sign or a point in a text."""
    plain = text.replace("\u2212", "-")
    return [float(each) for each in re.findall(r"[+-]?\d+\.\d+", plain)]


def table(page: Page, place: str) -> list[list[float]]:
    rows = page.locator(f"{place} tr:has(th)").all()
    return [[numbers(cell)[0] for cell in row.locator("td").all_inner_texts()] for row in rows]


def pixels(name: str, size: int = 96) -> torch.Tensor:
    """A shipped phantom, drawn again here: (1, 3, H, W) in [0, 1]."""
    index = int(name.removeprefix("phantom-"))
    image = render(draw_scene(PhantomOptions("cxr", size=size), index)).image
    return torch.from_numpy(image).float().div(255).expand(1, 3, -1, -1)


def model_of(name: str) -> SoftCAM:
    return open_model(name).model


def as_opened(page: Page, path: Path) -> np.ndarray:
    """What the page makes of a file: (96, 96, 3) uint8."""
    code = """async ([name, text]) => {
      const [{ opened }, { bytesOf }] = [await import("./picture.js"), await import("./draw.js")];
      return btoa(String.fromCharCode(...await opened(new File([bytesOf(text)], name), 96)));
    }"""
    text = base64.b64encode(path.read_bytes()).decode("ascii")
    answer = base64.b64decode(page.evaluate(code, [path.name, text]))
    return np.frombuffer(answer, np.uint8).reshape(96, 96, 3)
