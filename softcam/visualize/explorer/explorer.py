"""The evidence explorer: what a logit is made of, and what it is not, under the reader's hands.

Here widgets are laid out and joined to a `State`, which knows all numbers. Each control can be
reached and used with the keyboard, and whatever the picture shows is also there as text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from softcam.common import SoftCAMError
from softcam.layerwise.panels import STYLE, box, notice
from softcam.visualize.explorer import tables, words
from softcam.visualize.explorer.canvas import (
    make_canvas,
    make_upload,
    put_map,
    put_picture,
    put_region,
    style,
)
from softcam.visualize.explorer.controls import Controls
from softcam.visualize.explorer.pictures import decode_upload, open_pictures
from softcam.visualize.explorer.reading import Reading
from softcam.visualize.explorer.region import Region, box_of
from softcam.visualize.explorer.state import State
from softcam.visualize.explorer.subjects import has_slider, open_subjects
from softcam.visualize.overlay import common_limit

__all__ = ["Explorer", "explore"]

_HINT = "Point at a cell, or go there with the arrow keys, to read its value."


def explore(
    model: Any,
    images: Any,
    *,
    classes: Sequence[str] | None = None,
    size: int | None = None,
    rows: Sequence[int] | None = None,
    progress: bool = True,
) -> Explorer:
    """Look at evidence maps, at what they add up to, and at what happens without a region.

    Args:
        model: a `SoftCAM` or `BlackBox`, a `Run`, the name of a run or of a shipped checkpoint; a
            list of such, or a mapping from lambda1 per cell (or from a name) to each. Networks that
            differ in lambda get a slider. They are put in eval mode.
        images: an `ImageSet` (phantoms bring their twins), images (B, 3, H, W) as floats in
            [0, 1], uint8 (N, H, W, 3), paths of files, or a list of single ones.
        classes: the class names, for a model that does not know them; those of an `ImageSet` are
            taken where they fit.
        size: side in pixels that files are resized and cropped to; default: that of the training,
            or of the images.
        rows: which images of an `ImageSet`; None takes all.
        progress: show a bar while the shared colour scale is computed.

    Returns:
        An `Explorer`; as the last line of a cell it shows itself.

    Raises:
        SoftCAMError: a network, images or class names that do not fit together.
    """
    from dataclasses import replace

    subjects = open_subjects(model)
    known = classes if classes is not None else getattr(images, "classes", ())
    side = size or subjects[0].size
    pictures = open_pictures(images, side, rows)
    counts = [len(State([each], pictures[:1]).logits) for each in subjects]
    if len(set(counts)) > 1:
        names = [
            f"{each.name}: {count} logits" for each, count in zip(subjects, counts, strict=True)
        ]
        raise SoftCAMError(f"expected networks for the same classes, found {', '.join(names)}.")
    count = counts[0]
    if known and (classes is not None or not subjects[0].classes):
        if len(known) < count or len(known) > max(count, 2):
            raise SoftCAMError(f"{len(known)} class names for {count} logits: one a logit.")
        subjects = [replace(each, classes=tuple(known)) for each in subjects]
    return Explorer(State(subjects, pictures), size=side, progress=progress)


class Explorer:
    """The widgets of an explorer; show `widget`, or the explorer itself.

    Args:
        state: what is shown.
        size: side in pixels of an uploaded image; None takes the short side of the first picture.
        progress: show a bar while the shared colour scale is computed.

    Attributes:
        state: all choices and numbers.
        widget: an ipywidgets box.
    """

    def __init__(self, state: State, *, size: int | None = None, progress: bool = True) -> None:
        from tqdm.auto import tqdm

        from softcam.common import hides_bar

        self.state = state
        self._size = size or min(state.pictures[0].size)
        hidden = hides_bar(progress)
        state.limit(lambda each: tqdm(each, "colour scale", leave=False, disable=hidden))
        self.canvas = make_canvas(self._safely(self._on_region))
        self.controls = Controls(state, self._safely, self._choose, self._draw, has_slider)
        self.controls.on_compute(self._safely(self._on_compute))
        self.controls.on_part(self._safely(self._on_part))
        upload = make_upload(self._safely(self._on_file), self._say)
        self._drawn: Any = None
        self._shown = state.snapshot()  # what was last drawn to the end
        self._layout(upload)
        self._draw()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)

    def _layout(self, upload: Any) -> None:
        import ipywidgets as widgets

        names = ("bar", "sums", "logits", "answers", "cells", "message")
        self._html = {name: widgets.HTML() for name in names}
        head = widgets.HTML(
            f"{STYLE}<style>{style()}</style><h2>Evidence explorer</h2><p>A logit is the sum of "
            "the image shares of the cells of its map, and a bias. For teaching and research, not "
            "for clinical use.</p>"
        )
        html, controls = self._html, self.controls
        left = box(self.canvas, html["bar"], controls.looks)
        titles = (widgets.HTML("<h3>What the number is made of</h3>"),
                  widgets.HTML("<h3>Without a region</h3>"))  # fmt: skip
        right = box(
            controls.what, upload, html["message"], titles[0], html["sums"], html["logits"],
            titles[1], controls.region, html["answers"], html["cells"],
        )  # fmt: skip
        right.add_class("softcam-right")
        columns = widgets.Box([left, right])
        columns.add_class("softcam-columns")
        self.widget = box(head, columns)
        self.widget.add_class("softcam-explorer")

    def _safely(self, act: Callable[..., None]) -> Callable[..., None]:
        """The same, but what softcam refuses is said on the page, which stays as it was."""

        def safe(*given: Any) -> None:
            try:
                act(*given)
            except SoftCAMError as error:
                self._go_back(str(error))

        return safe

    def _go_back(self, sentence: str) -> None:
        """The last page that could be drawn, the fields included, and why it is shown again."""
        self.state.restore(self._shown)
        try:
            self._draw()
        finally:
            self._say(sentence)

    def _say(self, sentence: str) -> None:
        self._html["message"].value = notice(escape(sentence[:2000]), "bad") if sentence else ""

    def _choose(self, **given: Any) -> None:
        self.state.choose(**given)
        self._draw()

    def _on_region(self, numbers: list[int]) -> None:
        region = Region.inside(numbers, self.state.shown.size) if numbers else None
        self._choose(region=region)

    def _on_part(self, number: int) -> None:
        self._choose(region=box_of(self.state.parts()[number].mask), keep=False)

    def _on_compute(self) -> None:
        self.state.compute()
        self._say("")
        self.controls.busy(True)
        try:
            self._draw()
        finally:
            self.controls.busy(False)

    def _on_file(self, data: bytes, name: str) -> None:
        self.state.add(decode_upload(data, name, self._size))
        self._draw()

    def _draw(self) -> None:
        """Everything as the state says; only what has changed is sent to the browser."""
        state = self.state
        reading = state.reading()
        self._say("")
        shared = state.method == "softcam" and self.controls.shared
        limit = (
            state.limit()
            if shared or reading is None
            else common_limit([reading.cells - reading.middle], 100)
        )
        self._put_layers(reading, limit)  # first, for what follows may ask the network again
        self.controls.draw()
        html = self._html
        html["bar"].value = "" if reading is None else words.colour_bar(limit, reading, shared)
        html["sums"].value = f"<p>{words.spelled_out(state, reading)}</p>{words.no_maps(state)}"
        html["logits"].value = tables.logit_table(state)
        html["answers"].value = tables.region_table(state, state.answers())
        html["cells"].value = tables.top_cells(state, reading)
        self._shown = state.snapshot()

    def _put_layers(self, reading: Reading | None, limit: float) -> None:
        canvas, state, controls = self.canvas, self.state, self.controls
        new = (state.shown.name, controls.outlined)
        with canvas.hold_sync():
            if new != self._drawn:
                put_picture(canvas, state.shown, controls.outlined)
                self._drawn = new
            put_map(canvas, reading, limit, controls.smooth)
            put_region(canvas, state.region, state.keep)
            canvas.label = words.describe_picture(state, reading)
            canvas.hint = _HINT if reading is not None else words.cost(state)
            canvas.frame += 1
