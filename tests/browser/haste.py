"""What careless readers do to the explorer on a page: files dropped, two at once, keys only."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["drop_files", "two_in_haste", "unseen_focus"]

_DROP = """([place, files]) => {
  const carried = new DataTransfer();
  for (const [name, text] of files) {
    carried.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
  }
  const event = new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true });
  return document.querySelector(place).dispatchEvent(event); // false: the page takes it itself
}"""
_FOCUS = """() => {
  const own = document.activeElement, style = getComputedStyle(own);
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return seen || !own.closest(".softcam-explorer") ? "" : own.outerHTML.slice(0, 80);
}"""


def drop_files(page: Page, place: str, *files: tuple[str, bytes]) -> bool:
    """Let files fall on an element; whether the browser would leave the page for them."""
    texts = [(name, base64.b64encode(data).decode()) for name, data in files]
    return bool(page.evaluate(_DROP, [place, texts]))


def two_in_haste(page: Page, name: str) -> None:
    """Choose a file that goes in several parts, and at once a small one of this name."""
    noise = np.random.default_rng(0).integers(0, 256, (1100, 1100, 3), np.uint8)
    upload = page.get_by_label("Your own image")
    for each, pixels in (("slow.png", noise), (name, noise[:40, :40])):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "png")
        file = {"name": each, "mimeType": "image/png", "buffer": buffer.getvalue()}
        upload.set_input_files(file)  # type: ignore[arg-type]


def unseen_focus(page: Page, steps: int = 20) -> set[str]:
    """What the Tab key reaches without showing it."""
    found = set()
    for _ in range(steps):
        page.keyboard.press("Tab")
        found.add(page.evaluate(_FOCUS))
    return found - {""}
