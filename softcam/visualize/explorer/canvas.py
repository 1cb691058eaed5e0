"""The widgets of our own: the picture that can be touched, a slider, a field for a file.

Their scripts lie beside this file and ask no server for anything.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from softcam.common import DataError
from softcam.visualize.explorer.drawing import as_pixels, colours, edges, grey_copy, png
from softcam.visualize.explorer.pictures import MOST_BYTES, Picture
from softcam.visualize.explorer.reading import Reading
from softcam.visualize.explorer.region import Region

__all__ = [
    "FileParts",
    "make_canvas",
    "make_slider",
    "make_upload",
    "put_map",
    "put_picture",
    "put_region",
    "style",
]

_MOST_PARTS = 1000


def style() -> str:
    """The style sheet of the whole explorer."""
    return (Path(__file__).parent / "explorer.css").read_text(encoding="utf-8")


def make_canvas(on_region: Callable[[list[int]], None]) -> Any:
    """The picture; `on_region` is told of each rectangle that a reader leaves, or of an empty list.

    Args:
        on_region: called with x, y, width, height in image pixels, or with [].
    """
    canvas = _canvas_class()(name=secrets.token_hex(4))

    def receive(widget: Any, content: Any, buffers: Any) -> None:
        if isinstance(content, dict) and content.get("kind") == "region":
            try:
                on_region([int(each) for each in content["region"]])
            finally:
                widget.answered += 1  # the browser holds the next question back until then

    canvas.on_msg(receive)
    return canvas


def put_picture(canvas: Any, picture: Picture, outlined: bool) -> None:
    """Send the image, and the border of its finding where it is to be outlined."""
    pixels = as_pixels(picture.image)
    grey = bool((pixels == pixels[..., :1]).all())
    canvas.height, canvas.width = picture.size
    canvas.grey = png(grey_copy(pixels))
    canvas.colour = png(pixels[..., 0] if grey else pixels)
    canvas.edges = edges(picture.finding if outlined else None).tobytes()


def put_map(canvas: Any, reading: Reading | None, limit: float, smooth: bool) -> None:
    """Send the map as colours and as numbers; None takes the old one away."""
    if reading is None:
        canvas.rows = canvas.columns = 0
        canvas.cells = canvas.overlay = b""
        return
    size = (canvas.height, canvas.width) if smooth else None
    canvas.rows, canvas.columns = reading.cells.shape
    canvas.cells = reading.cells.astype(np.float32).tobytes()
    canvas.overlay = png(colours(reading.cells - reading.middle, limit, size))
    canvas.smooth = smooth
    share = ", its image share" if reading.exact else ""
    canvas.unit = f" logits{share}" if reading.in_logits else ""


def put_region(canvas: Any, region: Region | None, keep: bool) -> None:
    """Send the rectangle, and whether all but it is gone."""
    box = region
    canvas.region = [] if box is None else [box.x, box.y, box.width, box.height]
    canvas.keep = keep


class FileParts:
    """A file that comes in parts, put together; never more than `MOST_BYTES` are held.

    Args:
        whole: called with the bytes and the name of each file that has come completely.
        refuse: called with a sentence where one cannot.
    """

    def __init__(self, whole: Callable[[bytes, str], None], refuse: Callable[[str], None]) -> None:
        self._whole, self._refuse = whole, refuse
        self._name, self._parts = "", bytearray()
        self._next = 0

    def receive(self, content: Any, buffers: Any) -> None:
        """Take a message of the browser; what does not fit ends the file with a sentence."""
        kind, name = content.get("kind"), str(content.get("name", ""))[:200]
        if kind == "large":
            size = float(content.get("size", 0))
            self._end(
                f"{name}: {size / 1e6:.0f} MB, at most {MOST_BYTES / 1e6:.0f} are taken; make the "
                "image smaller."
            )
        elif kind == "several":
            self._refuse(f"one image at a time: there were {int(content['count'])} files.")
        elif kind == "lost":
            self._end(f"{name}: the browser could not read the file.")
        elif kind == "part":
            self._take(name, int(content["part"]), int(content["count"]), bytes(buffers[0]))

    def _take(self, name: str, part: int, count: int, data: bytes) -> None:
        if part == 0:
            self._name, self._parts, self._next = name, bytearray(), 0
        if name != self._name or part != self._next or not part < count <= _MOST_PARTS:
            return self._end(f"{name}: the file did not come completely; choose it again.")
        if len(self._parts) + len(data) > MOST_BYTES:
            return self._end(f"{name}: more than {MOST_BYTES / 1e6:.0f} MB; make it smaller.")
        self._parts += data
        self._next += 1
        if self._next == count:
            whole, self._parts = bytes(self._parts), bytearray()
            try:
                self._whole(whole, name)
            except DataError as error:
                self._refuse(str(error))
            except Exception as error:  # a decoder may fail in any way; the reader has to know
                self._refuse(f"{name}: the image cannot be read ({type(error).__name__}: {error}).")

    def _end(self, sentence: str) -> None:
        self._parts, self._next = bytearray(), -1
        self._refuse(sentence)


def make_upload(whole: Callable[[bytes, str], None], refuse: Callable[[str], None]) -> Any:
    """The field for a file; see `FileParts`."""
    upload = _upload_class()(most=MOST_BYTES)
    parts = FileParts(whole, refuse)

    def receive(widget: Any, content: Any, buffers: Any) -> None:
        if isinstance(content, dict):
            parts.receive(content, buffers)

    upload.on_msg(receive)
    return upload


def make_slider(description: str, labels: Sequence[str]) -> Any:
    """A slider over named positions; `value` is the number of the one chosen."""
    return _slider_class()(description=description, labels=list(labels))


def _script(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@functools.cache
def _canvas_class() -> Any:
    import anywidget
    import traitlets

    def synced(kind: Any, value: Any) -> Any:
        return kind(value).tag(sync=True)

    class EvidenceCanvas(anywidget.AnyWidget):
        """What `picture.js` draws; `frame` is raised when all layers of a picture are there."""

        _esm = _script("picture.js") + _script("canvas.js")
        name = synced(traitlets.Unicode, "")
        width, height = synced(traitlets.Int, 0), synced(traitlets.Int, 0)
        rows, columns = synced(traitlets.Int, 0), synced(traitlets.Int, 0)
        grey, colour = synced(traitlets.Bytes, b""), synced(traitlets.Bytes, b"")
        overlay, cells = synced(traitlets.Bytes, b""), synced(traitlets.Bytes, b"")
        edges = synced(traitlets.Bytes, b"")
        smooth, keep = synced(traitlets.Bool, False), synced(traitlets.Bool, False)
        opacity = synced(traitlets.Float, 0.85)
        region = synced(traitlets.List, [])
        unit, hint, label = (synced(traitlets.Unicode, "") for _ in range(3))
        frame, answered = synced(traitlets.Int, 0), synced(traitlets.Int, 0)

    return EvidenceCanvas


@functools.cache
def _upload_class() -> Any:
    import anywidget
    import traitlets

    class Upload(anywidget.AnyWidget):
        """What `upload.js` draws: a field for one file."""

        _esm = _script("upload.js")
        most = traitlets.Int(0).tag(sync=True)

    return Upload


@functools.cache
def _slider_class() -> Any:
    import anywidget
    import traitlets

    class Slider(anywidget.AnyWidget):
        """What `slider.js` draws; the one of ipywidgets has no name for a screen reader."""

        _esm = _script("slider.js")
        description = traitlets.Unicode("").tag(sync=True)
        labels: Any = traitlets.List([]).tag(sync=True)
        value = traitlets.Int(0).tag(sync=True)

    return Slider
