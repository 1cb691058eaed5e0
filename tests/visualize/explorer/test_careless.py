"""Whatever a careless reader gives the explorer: numbers that add up, or one sentence."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from softcam.common import SoftCAMError
from softcam.evidence import SoftCAM
from softcam.visualize.explorer import Explorer, explore
from softcam.visualize.explorer.canvas import FileParts
from softcam.visualize.explorer.region import Region
from softcam.wrappers import BlackBox, Link
from tests.visualize.explorer.local_nets import black_box, local_softcam, pictures
from tests.visualize.explorer.test_explorer import choose_file, drag, field, says, visible

pytest.importorskip("anywidget")


def shown_sum(explorer: Explorer) -> tuple[float, float]:
    """What the sentence says of the number, and what its three terms add up to."""
    (text,) = re.findall(r"<p>(<b>.*?bias)\.", says(explorer))
    plain = re.sub(r"<[^>]+>", "", text).replace("\u2212", "-")
    numbers = [float(each) for each in re.findall(r"[+-]?\d+\.\d{3}", plain)]
    return numbers[0], sum(numbers[1:])


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("classes", [1, 2, 20])
def test_any_number_of_classes(classes: int, link: Link) -> None:
    explorer = explore(local_softcam(classes, link), pictures()[0].image, progress=False)
    state = explorer.state
    expected = ("raw",) if link == "sigmoid" or classes == 1 else ("raw", "centred", "contrast")
    assert state.gauges == expected
    for gauge in state.gauges:
        for target in {0, classes - 1}:
            state.choose(method="softcam", gauge=gauge, target=target, region=None)
            explorer._draw()
            value, total = shown_sum(explorer)
            assert value == pytest.approx(total, abs=0.003), f"{gauge}, class {target}"
            reading = state.reading()
            assert reading is not None and value == pytest.approx(reading.value, abs=0.001)
            drag(explorer, 0, 0, 32, 32)
            answers = state.answers()
            assert answers is not None
            assert answers.by_map == pytest.approx(reading.rest), "only the bias is left"
            field(explorer, "What to do").value = True  # all is kept: nothing changes
            answers = state.answers()
            assert answers is not None
            assert answers.by_map == pytest.approx(answers.value)
            assert answers.by_network == pytest.approx(answers.value, abs=1e-5)
            field(explorer, "What to do").value = False


def test_every_explainer_of_a_black_box_beside_a_softcam() -> None:
    box = BlackBox(black_box().net, black_box().normalize)
    explorer = explore({"maps": local_softcam(3), "none": box}, pictures()[0].image, progress=False)
    explorer._choose(subject=1)
    assert "black box" in says(explorer)
    for method in explorer.state.methods:
        explorer._choose(method=method.name)
        if explorer.state.waits:
            explorer._on_compute()
        assert explorer.state.reading() is not None and 'role="status"' not in says(explorer)
        assert "Colour scale" not in [
            getattr(w, "description", "") for w in visible(explorer.widget)
        ]
    explorer._choose(subject=0, method="softcam")
    assert field(explorer, "Colour scale").value


def test_networks_of_different_numbers_of_classes_are_refused() -> None:
    with pytest.raises(SoftCAMError, match="SoftCAM: 2 logits, SoftCAM: 3 logits"):
        explore([local_softcam(2), local_softcam(3)], pictures()[0].image, progress=False)


def test_images_of_different_sizes() -> None:
    images = [torch.rand(3, 32, 32), torch.rand(3, 64, 40), torch.rand(3, 17, 33)]
    explorer = explore(local_softcam(), images, progress=False)
    drag(explorer, 0, 0, 32, 32)
    for number, image in enumerate(images):
        explorer._choose(picture=number)
        region = explorer.state.region
        assert region is not None
        assert region.x + region.width <= image.shape[2]
        assert region.y + region.height <= image.shape[1]
        assert (explorer.canvas.height, explorer.canvas.width) == tuple(image.shape[1:])


def test_a_network_in_training_mode_answers_as_in_eval_mode() -> None:
    net = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Dropout(0.9))
    model = SoftCAM(net, torch.nn.Conv2d(3, 2, 1)).train()
    image = torch.rand(3, 32, 32)
    state = explore(model, image, progress=False).state
    assert not model.training
    torch.testing.assert_close(state.logits, model(image[None])[0].detach())


def test_a_side_typed_first_makes_a_region_that_can_be_seen() -> None:
    explorer = explore(local_softcam(), pictures()[0].image, progress=False)
    field(explorer, "x").value = 4
    assert explorer.state.region == Region(4, 0, 8, 8)
    field(explorer, "No region").click()
    field(explorer, "width").value = 20
    assert explorer.state.region == Region(0, 0, 20, 8)


def test_the_same_file_twice_and_two_at_once() -> None:
    import io

    from PIL import Image

    explorer = explore(local_softcam(), pictures()[0].image, progress=False)
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(buffer, "png")
    for name in ("mine.png", "mine.png (2)"):
        choose_file(explorer, "mine.png", buffer.getvalue())
        assert explorer.state.shown.name == name
    said: list[str] = []
    files = FileParts(lambda *_: None, said.append)
    content: dict[str, Any] = {"kind": "several", "name": "a", "count": 3}
    files.receive(content, [])
    assert said == ["one image at a time: there were 3 files."]
