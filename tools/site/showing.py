"""An executed notebook made ready to be read on a page: every picture has its text, nothing moves.

Progress bars, error streams and papermill's marks are left out, and so is where on the disk it ran.
The cell that fetches softcam on Colab is folded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat

from softcam.common import SoftCAMError, write_text
from tools.anywhere import FETCH
from tools.site.books import INJECTED, Book, read_notebook

__all__ = ["pictures_of", "show"]

HIDDEN = re.compile(r"<(?:img|image|svg|canvas|script|iframe)\b|data:image", re.IGNORECASE)
FOLDED, STATES = "On Colab, this cell fetches softcam", ("show", "hide")
WIDGET = "application/vnd.jupyter.widget-view+json"
KINDS = ("image/png", "text/html", "text/latex", "text/markdown", "text/plain")
REMOTE_PICTURE = re.compile(r"!\[([^\]]*)\]\(\s*(?:https?:)?//[^)]*\)")


def show(book: Book, target: Path) -> list[str]:
    """Write a notebook as it is shown; returns the cells whose picture has no text.

    Args:
        book: which one.
        target: the file to write; links to notebooks beside it hold.
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
            missing += _tell(cell, book)
            if cell.get("id") == FETCH:
                cell.metadata.setdefault("tags", []).append("hide-input")
                cell.metadata["mystnb"] = {f"code_prompt_{state}": FOLDED for state in STATES}
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


def _tell(cell: Any, book: Book) -> list[str]:
    """Hand on the text of a cell's pictures to MyST-NB; returns the cell's last line without one.

    Figures of the package bring their text as metadata. MyST-NB has one text a cell, so those of
    several pictures follow each other.
    """
    pictures = [(out, kind) for out in cell.outputs for kind in out.get("data", {})]
    pictures = [(out, kind) for out, kind in pictures if _is_picture(kind)]
    found = [" ".join(_alt(out, kind).split()) for out, kind in pictures]
    if not all(found):
        return [f"{book.name}: {cell.source.strip().splitlines()[-1]}"]
    if found:
        cell.metadata["mystnb"] = {"image": {"alt": " ".join(dict.fromkeys(found))}}
    return []


def _alt(out: Any, kind: str) -> str:
    return str(out.get("metadata", {}).get(kind, {}).get("alt", ""))


def _is_picture(kind: str) -> bool:
    return kind.startswith("image/")


def _note(book: Book) -> Any:
    if not book.executed:
        text = (
            ":::{note}\nShown without outputs: it was not executed for this site. "
            "Run it yourself with `python start.py lab`.\n:::"
        )
    else:
        how = f" with profile `{book.profile}`" if book.profile else ""
        day = f" on {book.day}" if book.day else ""
        text = (
            f":::{{note}}\nExecuted{how}{day}. "
            "Every image in its outputs is a phantom, drawn by the package.\n:::"
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
