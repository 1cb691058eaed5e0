"""The widgets follow the state, the state follows the widgets, and nothing ends the page."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from softcam import open_data
from softcam.common import SoftCAMError
from softcam.visualize.explorer import Explorer, explore
from softcam.visualize.explorer.canvas import FileParts
from softcam.visualize.explorer.drawing import edges
from softcam.visualize.explorer.pictures import MOST_BYTES, Picture
from softcam.visualize.explorer.region import Region
from softcam.visualize.explorer.state import MOST_UPLOADS
from softcam.visualize.explorer.subjects import Subject
from tests.visualize.explorer.local_nets import (
    CLASSES,
    black_box,
    gelu_softcam,
    local_softcam,
    pictures,
)

pytest.importorskip("anywidget")


def parts(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)


def visible(widget: Any) -> list[Any]:
    children = getattr(widget, "children", ())
    found = [each for child in children for each in visible(child)]
    return [] if widget.layout.display == "none" else [widget, *found]


def field(explorer: Explorer, name: str) -> Any:
    (found,) = [w for w in visible(explorer.widget) if getattr(w, "description", "") == name]
    return found


def says(explorer: Explorer) -> str:
    return "\n".join(w.value for w in visible(explorer.widget) if type(w).__name__ == "HTML")


def drag(explorer: Explorer, *region: int) -> None:
    """What the browser sends when a reader leaves a rectangle."""
    content = {"kind": "region", "region": list(region)}
    explorer.canvas._handle_custom_msg(content, [])


def choose_file(explorer: Explorer, name: str, data: bytes, part: int = 1000) -> None:
    """What the browser sends of a file, in parts."""
    (upload,) = [w for w in parts(explorer.widget) if type(w).__name__ == "Upload"]
    pieces = [data[i : i + part] for i in range(0, max(len(data), 1), part)]
    for number, piece in enumerate(pieces):
        content = {"kind": "part", "name": name, "part": number, "count": len(pieces)}
        upload._handle_custom_msg(content, [memoryview(piece)])


@pytest.fixture
def explorer() -> Explorer:
    images = torch.stack([each.image for each in pictures(3)])
    return explore(local_softcam(), images, classes=CLASSES, progress=False)


def test_the_canvas_holds_the_cells_and_redraws_with_each_choice(explorer: Explorer) -> None:
    canvas, state = explorer.canvas, explorer.state
    reading = state.reading()
    assert reading is not None and (canvas.rows, canvas.columns) == (4, 4)
    sent = np.frombuffer(canvas.cells, np.float32).reshape(4, 4)
    np.testing.assert_allclose(sent, reading.cells, rtol=1e-6)
    assert (canvas.width, canvas.height) == (32, 32) and "4 by 4 cells" in canvas.label
    for name, value, attribute in [
        ("Image", 1, "picture"), ("Class", (state.target + 1) % 3, "target"),
        ("Explainer", "grad-cam", "method"), ("Read as", "contrast", "gauge"),
    ]:  # fmt: skip
        before, overlay = canvas.frame, canvas.overlay
        field(explorer, name).value = value
        assert getattr(state, attribute) == value
        assert canvas.frame == before + 1, f"{name}: one picture a choice"
        assert canvas.overlay != overlay, f"{name}: the map stayed as it was"


def test_the_overlay_shows_one_pixel_a_cell_or_blends(explorer: Explorer) -> None:
    def size() -> tuple[int, int]:
        with Image.open(io.BytesIO(explorer.canvas.overlay)) as opened:
            return opened.size

    assert size() == (4, 4) and not explorer.canvas.smooth
    field(explorer, "Blend the cells into each other").value = True
    assert size() == (32, 32) and explorer.canvas.smooth


def test_a_rectangle_is_answered(explorer: Explorer) -> None:
    canvas = explorer.canvas
    answered = canvas.answered
    drag(explorer, 8, 0, 16, 8)
    assert explorer.state.region == Region(8, 0, 16, 8) and canvas.region == [8, 0, 16, 8]
    assert canvas.answered == answered + 1, "the browser waits for it"
    assert [field(explorer, name).value for name in ("x", "y", "width", "height")] == [8, 0, 16, 8]
    assert "<b>the network</b>" in says(explorer)
    field(explorer, "width").value = 24
    assert explorer.state.region == Region(8, 0, 24, 8) and canvas.region == [8, 0, 24, 8]
    field(explorer, "What to do").value = True
    assert explorer.state.keep and canvas.keep and "outside" in says(explorer)
    field(explorer, "Painted over with").value = "blur"
    assert explorer.state.fill == "blur"
    field(explorer, "No region").click()
    assert explorer.state.region is None and canvas.region == [] and "Drag a" in says(explorer)
    drag(explorer, -50, -50, 1000, 1000)
    assert explorer.state.region == Region(0, 0, 32, 32)
    drag(explorer)
    assert explorer.state.region is None


@pytest.mark.parametrize("message", [{"kind": "region", "region": ["a"]}, {"kind": "?"}, None, 3])
def test_a_message_that_makes_no_sense_does_no_harm(explorer: Explorer, message: Any) -> None:
    before = explorer.canvas.answered
    explorer.canvas._handle_custom_msg(message, [])
    bad = isinstance(message, dict) and message["kind"] == "region"
    assert explorer.canvas.answered == before + bad, "else the browser would wait for ever"
    drag(explorer, 0, 0, 8, 8)
    assert explorer.state.region == Region(0, 0, 8, 8)


def test_a_costly_map_shows_what_it_costs_and_a_button(explorer: Explorer) -> None:
    assert not [w for w in visible(explorer.widget)
                if getattr(w, "description", "") == "Compute this map"]  # fmt: skip
    field(explorer, "Explainer").value = "superpixels"
    assert "65 forward passes" in says(explorer) and explorer.canvas.rows == 0
    field(explorer, "Compute this map").click()
    assert explorer.canvas.rows > 0 and "forward passes" not in says(explorer)


def test_a_map_that_is_refused_leaves_the_page_as_it_was() -> None:
    explorer = explore(gelu_softcam(), pictures()[0].image, classes=CLASSES, progress=False)
    drag(explorer, 8, 0, 16, 8)
    page = says(explorer)
    before = explorer.state.snapshot()
    field(explorer, "Explainer").value = "guided-backprop"
    assert "gelu" in says(explorer), "nobody says why"
    assert field(explorer, "Explainer").value == explorer.state.method == "softcam"
    assert explorer.state.snapshot() == before
    assert says(explorer).endswith(page[page.index("is exactly") :]), "other numbers than before"
    assert "SoftCAM map" in explorer.canvas.label
    drag(explorer, 0, 0, 8, 8)
    assert explorer.canvas.region == [0, 0, 8, 8] and "gelu" not in says(explorer), "no way on"


def test_a_picture_that_cannot_be_drawn_is_not_kept(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> Any:
        raise SoftCAMError("not this one")

    for number in range(MOST_UPLOADS):
        explorer.state.add(Picture(f"own {number}", pictures()[0].image, uploaded=True))
    field(explorer, "Image").value = 1
    names = [each.name for each in explorer.state.pictures]
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40)).save(buffer, "png")
    with monkeypatch.context() as patch:
        patch.setattr("softcam.visualize.explorer.tables.top_cells", refuse)
        choose_file(explorer, "mine.png", buffer.getvalue())
        assert "not this one" in says(explorer)
    assert [each.name for each in explorer.state.pictures] == names and explorer.state.picture == 1


def test_a_costly_map_that_is_refused_is_not_asked_for_again(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    field(explorer, "Explainer").value = "superpixels"

    def refuse(*given: Any) -> Any:
        raise SoftCAMError("no room for it")

    monkeypatch.setattr(explorer.state.computing, "maps", refuse)
    field(explorer, "Compute this map").click()
    assert "no room for it" in says(explorer) and explorer.state.waits
    assert not field(explorer, "Compute this map").disabled
    drag(explorer, 0, 0, 8, 8)
    assert explorer.canvas.region == [0, 0, 8, 8] and "no room" not in says(explorer)


def test_files_are_taken_in_parts_and_bad_ones_only_explained(explorer: Explorer) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "png")
    choose_file(explorer, "mine.png", buffer.getvalue())
    assert explorer.state.shown.name == "mine.png" and explorer.state.shown.size == (32, 32)
    assert field(explorer, "Image").value == 3
    assert "mine.png (your image)" in [label for label, _ in field(explorer, "Image").options]
    for name, data, expected in [
        ("<b>words</b>.txt", b"words" * 1000, "not an image"),
        ("empty.png", b"", "empty"),
        ("cut.png", buffer.getvalue()[:500], "damaged"),
    ]:
        choose_file(explorer, name, data)
        assert expected in says(explorer) and 'role="status"' in says(explorer)
        assert "<b>words" not in says(explorer), "a name is only text"
        assert explorer.state.shown.name == "mine.png"
    field(explorer, "Class").value = 1
    assert "damaged" not in says(explorer), "an old message stays"


def test_a_file_that_is_too_large_or_broken_off_is_let_go() -> None:
    taken: list[tuple[bytes, str]] = []
    said: list[str] = []
    files = FileParts(lambda data, name: taken.append((data, name)), said.append)

    def send(name: str, part: int, count: int, data: bytes) -> None:
        files.receive({"kind": "part", "name": name, "part": part, "count": count}, [data])

    send("a", 0, 2, b"12")
    send("b", 0, 1, b"3")  # another one was chosen meanwhile
    assert taken == [(b"3", "b")]
    send("a", 1, 2, b"12")
    assert "not come completely" in said.pop() and len(taken) == 1
    send("a", 0, 2, b"12")
    send("a", 1, 2, b"3")
    assert taken.pop() == (b"123", "a")
    send("c", 0, 5000, b"")
    assert "not come completely" in said.pop()
    block = bytes(MOST_BYTES // 4)
    for part in range(5):
        send("d", part, 6, block)
    assert f"more than {MOST_BYTES / 1e6:.0f} MB" in said.pop()
    assert not files._parts, "what was refused is still held"
    files.receive({"kind": "large", "name": "e", "size": 3e9}, [])
    assert "e: 3000 MB" in said.pop()
    files.receive({"kind": "lost", "name": "f"}, [])
    assert "could not read" in said.pop() and not taken[1:]


def test_whatever_a_decoder_does_is_said() -> None:
    said: list[str] = []

    def fail(data: bytes, name: str) -> None:
        raise MemoryError("no room")

    content = {"kind": "part", "name": "odd.tif", "part": 0, "count": 1}
    FileParts(fail, said.append).receive(content, [b"1"])
    assert said == ["odd.tif: the image cannot be read (MemoryError: no room)."]


@pytest.mark.slow
def test_networks_that_differ_in_lambda_get_a_slider() -> None:
    images = pictures()[0].image
    two = {0.01: local_softcam(seed=1), 0.0: local_softcam(seed=0)}
    sliding = explore(two, images, progress=False)
    slider = field(sliding, "Lambda")
    assert [("lambda1 0)" in text, "0.01" in text) for text in slider.labels] == [
        (True, False), (False, True)]  # fmt: skip
    before = sliding.canvas.overlay
    slider.value = 1
    assert sliding.state.model is two[0.01] and sliding.canvas.overlay != before
    named = explore({"box": black_box(), "maps": local_softcam()}, images, progress=False)
    assert [label for label, _ in field(named, "Network").options] == ["box", "maps"]
    assert "black box" in says(named)
    field(named, "Network").value = 1
    assert "black box" not in says(named)


def test_phantoms_bring_their_parts_and_an_outline(project: Any) -> None:
    data = open_data("phantoms:cxr", 32, n_train=4, n_val=4, n_test=12, shortcut=1.0,
                     progress=False).test  # fmt: skip
    row = int(data.with_findings()[0])
    explorer = explore(local_softcam(2), data, rows=[row, 0], progress=False)
    assert explorer.state.names == data.classes
    field(explorer, "Around the marker").click()
    assert "drawn without the marker" in says(explorer)
    assert not explorer.canvas.edges
    field(explorer, "Outline what is truly there").value = True
    assert explorer.canvas.edges == edges(data.finding(row)).tobytes()


def test_what_does_not_fit_together_is_refused_at_once() -> None:
    image = pictures()[0].image
    with pytest.raises(SoftCAMError, match="2 class names for 3 logits"):
        explore(local_softcam(), image, classes=("a", "b"))
    with pytest.raises(SoftCAMError, match="to_softcam"):
        explore(torch.nn.Linear(3, 2), image)
    with pytest.raises(SoftCAMError, match="no network"):
        explore([], image)
    others = [
        Subject(local_softcam(), "a", CLASSES),
        Subject(local_softcam(), "b", ("x", "y", "z")),
    ]
    with pytest.raises(SoftCAMError, match="same images and classes"):
        explore(others, image)


def test_a_cell_shows_the_explorer_itself(explorer: Explorer) -> None:
    bundle = explorer._repr_mimebundle_()
    shown = bundle[0] if isinstance(bundle, tuple) else bundle
    view = shown["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == explorer.widget.model_id
