"""Notebooks made by hand, as papermill would leave them, with pictures of a few pixels."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image, PngImagePlugin

CODE = 'fig = draw()\nsave_figure(fig, "00-squares", "Four squares.")\nfig'


def png(colour: int = 90, **texts: str) -> bytes:
    """A picture of 8 x 8 pixels with texts inside."""
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key.replace("_", "-"), value)
    held = io.BytesIO()
    Image.new("RGB", (8, 8), (colour, 60, 30)).save(held, "png", pnginfo=info)
    return held.getvalue()


def notebook(
    path: Path, code: str = CODE, picture: bytes | None = None, *, run: bool = True,
    alt: str = "Four squares.", **data: str,
) -> Path:  # fmt: skip
    """A notebook of a title and one cell; run, it shows the picture and further outputs."""
    cell = new_code_cell(code)
    book = new_notebook(
        cells=[new_markdown_cell("# A small notebook\n\nThe mean is $\\frac{1}{hw}$."), cell]
    )
    for number, each in enumerate(book.cells):
        each.id = f"cell-{number}"
    book.metadata["language_info"] = {"name": "python"}
    if run:
        cell.execution_count = 1
        said = {"image/png": {"alt": alt}} if alt else {}
        shown = {"image/png": base64.b64encode(picture or png()).decode(), **data}
        cell.outputs = [
            new_output("stream", name="stdout", text="wrote /home/me/softcam/runs/all/x.csv\n"),
            new_output("stream", name="stderr", text="a warning\n"),
            new_output(
                "display_data",
                {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "0%| | 0/3"},
            ),
            new_output("execute_result", shown, execution_count=1, metadata=said),
        ]
        book.metadata["papermill"] = {
            "parameters": {"profile": "quick"},
            "end_time": "2026-11-22T01:08:21",
            "output_path": "/home/me/softcam/runs/all/00_small.running.ipynb",
        }
        book.cells.insert(1, new_code_cell('profile = "quick"', execution_count=1))
        book.cells[1].metadata["tags"] = ["injected-parameters"]
        book.cells[1].id = "injected"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    return path
