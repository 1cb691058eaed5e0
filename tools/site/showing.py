"""An executed notebook made ready to be read on a page: every picture has its text, nothing moves.

Progress bars, error streams and papermill's marks are left out, and so is where on the disk it ran.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from softcam.common import SoftCAMError, write_text
from softcam.visualize.save import read_caption
from tools.site.books import INJECTED, Book, read_notebook

__all__ = ["pictures_of", "read_texts", "show"]

SAVED = re.compile(r"""save_figure\(\s*[^,()]+,\s*["']([a-z0-9-]+)["']""")
HIDDEN = re.compile(r"<(?:img|image|svg|canvas|script|iframe)\b|data:image", re.IGNORECASE)
WIDGET = "application/vnd.jupyter.widget-view+json"
KINDS = ("image/png", "text/html", "text/latex", "text/markdown", "text/plain")
REMOTE_PICTURE = re.compile(r"!\[([^\]]*)\]\(\s*(?:https?:)?//[^)]*\)")


def read_texts(path: Path) -> dict[str, dict[str, str]]:
    """`pictures.toml`: for each notebook a line of a cell, and the text of the picture it draws."""
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def show(book: Book, target: Path, texts: Mapping[str, str]) -> list[str]:
    """Write a notebook as it is shown; returns the cells whose picture has no text.

    Args:
        book: which one.
        target: the file to write; links to notebooks beside it hold.
        texts: a line of code to the text of the picture that its cell draws.
    """
    notebook = read_notebook(book.path)
    told = notebook.metadata.get("papermill", {})
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    root = _root(str(told.get("output_path") or ""))
    notebook.cells = [c for c in notebook.cells if INJECTED not in c.metadata.get("tags", [])]
    missing = []
    for cell in notebook.cells:
        cell.pop("attachments", None)
        if cell.cell_type == "markdown":
            cell.source = REMOTE_PICTURE.sub(lambda match: match.group(1), cell.source)
        elif cell.cell_type == "code":
            cell.outputs = [_clean(out, root) for out in cell.outputs if _is_shown(out)]
            if not book.executed:
                cell.outputs, cell.execution_count = [], None
            missing += _tell(cell, book, texts)
    notebook.cells.insert(1, _note(book))
    write_text(target, nbformat.writes(notebook))  # type: ignore[no-untyped-call]
    return missing


def _root(output_path: str) -> str:
    """The project's folder on the machine that ran it: `ROOT/runs/WORD/NAME.ipynb`."""
    return f"{Path(output_path).parents[2]}/" if len(Path(output_path).parents) > 3 else ""


def _is_shown(out: Any) -> bool:
    if out.output_type == "stream":
        return bool(out.name == "stdout")
    data = out.get("data", {})  # all widgets of the notebooks are progress bars
    return WIDGET not in data and any(kind in KINDS for kind in data)


def _clean(out: Any, root: str) -> Any:
    """The output without the folder that it was made in, and without scripts."""
    if "data" in out:
        out.data = {kind: value for kind, value in out.data.items() if kind in KINDS}
    if root and out.output_type == "stream":
        out.text = out.text.replace(root, "")
    for kind in ("text/plain", "text/html"):
        if root and kind in out.get("data", {}):
            out.data[kind] = out.data[kind].replace(root, "")
    return out


def _tell(cell: Any, book: Book, texts: Mapping[str, str]) -> list[str]:
    """Give a cell's pictures their text, for MyST-NB; returns its last line if none is known."""
    if not any(_is_picture(kind) for out in cell.outputs for kind in out.get("data", {})):
        return []
    found = [text for line, text in texts.items() if line in cell.source]
    for name in SAVED.findall(cell.source):
        path = book.path.parent / "figures" / f"{name}.png"
        found += [read_caption(path)] if path.is_file() else []
    text = next(filter(None, found), "")
    if not text:
        return [f"{book.name}: {cell.source.strip().splitlines()[-1]}"]
    cell.metadata["mystnb"] = {"image": {"alt": " ".join(text.split())}}
    return []


def _is_picture(kind: str) -> bool:
    return kind.startswith("image/")


def _note(book: Book) -> Any:
    if not book.executed:
        text = (
            ":::{note}\nShown without outputs: it was not executed for this site. "
            "Run it yourself with `python start.py lab`.\n:::"
        )
    else:
        day = f" on {book.day}" if book.day else ""
        text = (
            f":::{{note}}\nExecuted with profile `{book.profile or 'tutorial'}`{day}. Every image "
            "is a phantom, drawn by the package.\n:::"
        )
    new = nbformat.v4.new_markdown_cell
    return new(text, id="site-note")  # type: ignore[no-untyped-call]


def pictures_of(path: Path) -> list[tuple[str, bytes]]:
    """Kind and bytes of every picture in a notebook's outputs.

    Raises:
        SoftCAMError: an output draws a picture in a way that cannot be looked at.
    """
    import base64

    found = []
    for number, cell in enumerate(read_notebook(path).cells):
        for out in cell.get("outputs", []):
            for kind, value in out.get("data", {}).items():
                if _is_picture(kind):
                    text = "".join(value)
                    raw = text.encode() if kind == "image/svg+xml" else base64.b64decode(text)
                    found.append((kind, raw))
                elif kind == "text/html" and HIDDEN.search("".join(value)):
                    raise SoftCAMError(
                        f"{path.name}, cell {number}: a picture inside an output of kind {kind}. "
                        "Show it as a figure, so that it can be checked."
                    )
    return found
