"""The explorer in a browser tab, built and opened in Chromium, against Python's own numbers."""

from __future__ import annotations

import base64
import gzip
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from softcam.common import read_json
from softcam.data.geometry import Geometry
from softcam.data.images import read_image
from softcam.data.phantoms import PhantomOptions, draw_scene, render
from softcam.metrics.causal import evidence_on
from tests.browser.conftest import DESK
from tests.tab.pictures import write_bad, write_good
from tests.tab.reading import (
    as_opened,
    choose,
    model_of,
    numbers,
    pixels,
    shown,
    table,
    with_parts,
)  # fmt: skip
from tests.tab.serving import LONG, folder_served, watched
from tools.tab import MODELS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
FIELDS = ("x", "y", "width", "height")


@pytest.fixture(scope="module")
def about(site: Path) -> dict[str, Any]:
    return read_json(site / "explorer.json")


def test_every_shipped_answer_is_that_of_python(page: Page, about: dict[str, Any]) -> None:
    page.locator("#check-all").click()
    said = page.locator("#check-all-says", has_text="Self-check")
    said.wait_for()
    answers = sum(1 + len(picture["parts"]) for picture in about["pictures"]) * len(MODELS)
    assert said.inner_text().startswith(f"{answers} answers. Self-check: passed")


def test_a_wrong_answer_fails_the_check(started: Browser, address: str, site: Path) -> None:
    expected = read_json(site / "expected.json")
    for answers in expected.values():
        for answer in answers.values():
            answer["maps"][0][5] += 0.002
    with watched(started, address, **DESK) as opened:
        opened.route("**/expected.json", lambda route: route.fulfill(json=expected))
        opened.goto(address)
        shown(opened)
        assert "FAILED" in opened.locator("#check").inner_text()


@pytest.mark.parametrize("name", MODELS)
def test_the_sum_and_a_cell_are_those_of_python(
    page: Page, about: dict[str, Any], name: str
) -> None:
    picture = with_parts(about)["name"]
    choose(page, name, picture)
    explained = model_of(name).explain(pixels(picture))
    for c, (positive, negative, bias, logit) in enumerate(table(page, "#sums")):
        own = explained.maps[0, c] - explained.bias[c]
        assert positive == pytest.approx(float(own.clamp(min=0).mean()), abs=0.006)
        assert negative == pytest.approx(float(own.clamp(max=0).mean()), abs=0.006)
        assert bias == pytest.approx(float(explained.bias[c]), abs=0.006)
        assert logit == pytest.approx(float(explained.logits[0, c]), abs=0.006)
    box = page.locator("#map").bounding_box()
    assert box is not None
    height, width = explained.maps.shape[2:]
    page.mouse.move(box["x"] + box["width"] * 2.5 / width, box["y"] + box["height"] * 5.5 / height)
    bias = explained.bias[1]
    expected = float((explained.maps[0, 1, 5, 2] - bias) / (height * width))
    said = page.locator("#readout").inner_text()
    assert said.startswith("Row 6, column 3:"), said
    assert numbers(said)[0] == pytest.approx(expected, abs=0.00006)
    assert numbers(said)[1:3] == pytest.approx(
        [float(explained.maps[0, 1, 5, 2]), float(bias)], abs=0.006
    )
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#readout").inner_text().startswith("Row 6, column 4:")


@pytest.mark.parametrize("how", ["erase", "keep"])
def test_a_rectangle_by_the_map_and_by_the_network(
    page: Page, about: dict[str, Any], how: str
) -> None:
    name, picture = "cxr-sparse", with_parts(about)["name"]
    choose(page, name, picture)
    page.locator(f"input[name=how][value={how}]").check()
    x, y, width, height = 13, 41, 22, 30
    for field, value in zip(FIELDS, (x, y, width, height), strict=True):
        page.locator(f"#{field}").fill(str(value))
        page.locator(f"#{field}").press("Tab")
    page.locator("#region:not(:has-text('…'))").wait_for()
    model, images = model_of(name), pixels(picture)
    inside = torch.zeros(96, 96, dtype=torch.bool)
    inside[y : y + height, x : x + width] = True
    explained = model.explain(images)
    cells = explained.maps[0] - explained.bias[:, None, None]
    worth = evidence_on(cells, np.arange(2), inside.expand(2, -1, -1).numpy())
    logits, bias = explained.logits[0].numpy(), explained.bias.numpy()
    painted = images.clone()
    painted[:, :, inside if how == "erase" else ~inside] = model.mean_colour[:, None]
    with torch.no_grad():
        after = model(painted)[0].numpy()
    by_map = logits - worth if how == "erase" else bias + worth
    expected = np.stack([logits, by_map, after], 1)
    expected = np.vstack([expected, expected[1] - expected[0]])
    np.testing.assert_allclose(table(page, "#region"), expected, atol=0.0065)


def test_a_rectangle_drawn_and_framed(page: Page, about: dict[str, Any]) -> None:
    phantom = with_parts(about)
    choose(page, "cxr-marker", phantom["name"])
    page.locator("#map").scroll_into_view_if_needed()
    box = page.locator("#map").bounding_box()
    assert box is not None
    step = box["width"] / 96
    page.mouse.move(box["x"] + 70.5 * step, box["y"] + 60.5 * step)
    page.mouse.down()
    page.mouse.move(box["x"] + 30.5 * step, box["y"] + 20.5 * step, steps=4)
    page.mouse.up()
    assert [page.locator(f"#{each}").input_value() for each in FIELDS] == ["30", "20", "41", "41"]
    page.get_by_role("button", name="Frame the marker").click()
    packed = next(each["mask"] for each in phantom["parts"] if each["part"] == "marker")
    mask = np.unpackbits(np.frombuffer(base64.b64decode(packed), np.uint8)).reshape(96, 96)
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    tight = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
    assert [int(page.locator(f"#{each}").input_value()) for each in FIELDS] == tight


@pytest.mark.parametrize("shape", ["face", "flat", "class-0", "class-1"])
def test_the_gauge_moves_maps_and_no_probability(
    page: Page, about: dict[str, Any], shape: str
) -> None:
    choose(page, "cxr-sparse", with_parts(about)["name"])
    page.locator("#shape").select_option(shape)
    page.locator("#map").focus()
    page.keyboard.press("ArrowUp")
    before, chances = page.locator("#readout").inner_text(), page.locator("#chances").inner_text()
    page.locator("input[name=view][value=contrast]").check()
    contrast = page.locator("#readout").inner_text()
    page.locator("#g").fill("-0.75")
    assert page.locator("#readout").inner_text() == contrast, "the contrast moved"
    page.locator("input[name=view][value=raw]").check()
    assert page.locator("#readout").inner_text() != before, "the raw map did not move"
    assert page.locator("#chances").inner_text() == chances
    said = page.locator("#gauge-says").inner_text().replace("\u00a0", " ")
    first, second = re.findall(r"(?:before|now) (.*? %(?: / .*? %))", said)
    assert first == second, said
    if shape == "face":
        assert said.startswith("Every logit moved by 0.00"), said


def test_what_a_part_is_truly_worth(page: Page, about: dict[str, Any]) -> None:
    name, picture = "cxr-marker", with_parts(about)["name"]
    choose(page, name, picture)
    scene = draw_scene(PhantomOptions("cxr", size=96), int(picture.removeprefix("phantom-")))
    twins = [render(scene.without(part)).image for part in ("lesions", "marker")]
    both = torch.from_numpy(np.stack(twins)).float().div(255)[:, None].expand(-1, 3, -1, -1)
    with torch.no_grad():
        model = model_of(name)
        expected = (model(both) - model(pixels(picture))).flatten().numpy()
    said = page.locator("#truth").inner_text()
    np.testing.assert_allclose(numbers(said), expected, atol=0.006)


def test_own_pictures_are_read_like_python_reads_them(page: Page, tmp_path: Path) -> None:
    for path, most in write_good(tmp_path).items():
        found = as_opened(page, path)
        image = read_image(path)
        expected = Geometry(image.shape[0], image.shape[1], 96).image(image)
        far = np.abs(found.astype(int) - expected).max()
        assert far <= most, f"{path.name}: a byte differs by {far}, at most {most} are expected"


def test_own_files_through_the_page(page: Page, about: dict[str, Any], tmp_path: Path) -> None:
    choose(page, "cxr-sparse", with_parts(about)["name"])
    for path, words in write_bad(tmp_path).items():
        before = page.locator("#sums").inner_text()
        page.locator("#file").set_input_files(path)
        problem = page.locator("#problem", has_text=words)
        problem.wait_for(timeout=LONG)
        assert problem.inner_text().startswith(f"{path.name}: ")
        assert page.locator("#sums").inner_text() == before, "the page lost what it showed"
    good = next(path for path in write_good(tmp_path) if path.name == "turned-6.jpg")
    page.locator("#file").set_input_files(good)
    shown(page, f"cxr-sparse {good.name}")
    assert page.locator("#problem").is_hidden()
    image = read_image(good)
    square = Geometry(image.shape[0], image.shape[1], 96).image(image)
    tensor = torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255
    expected = model_of("cxr-sparse").explain(tensor).logits[0].tolist()
    found = [row[-1] for row in table(page, "#sums")]
    assert found == pytest.approx(expected, abs=0.3), "a decoder's rounding is all that may differ"
    choose(page, "cxr-marker", with_parts(about)["name"])


def test_every_control_is_reached_by_keys(page: Page, about: dict[str, Any]) -> None:
    choose(page, "cxr-sparse", with_parts(about)["name"])
    wanted = {"model", "picture", "file", "twin", "map", "target", "view", "strength", "smooth",
              "outlines", "own-scale", "how", "x", "y", "width", "height", "clear", "fill", "shape",
              "g", "g-zero", "check-all", "Frame the opacity", "Frame the marker"}  # fmt: skip
    who = "(e => e.name || e.id || e.textContent)(document.activeElement)"
    page.locator("input[name=model]:checked").focus()
    reached = {page.evaluate(who)}
    for _ in range(2 * len(wanted)):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(who))
    assert wanted <= reached, f"the Tab key does not reach {wanted - reached}"
    page.locator("input[name=view]:checked").focus()
    page.keyboard.press("ArrowRight")
    assert "centred" in page.locator("#map-title").inner_text()
    page.locator("#g").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#g-value").inner_text() == "+0.05"


def test_a_number_out_of_the_picture_is_mended(page: Page, about: dict[str, Any]) -> None:
    choose(page, "cxr-sparse", with_parts(about)["name"])
    page.locator("#x").fill("500")
    page.locator("#x").press("Enter")
    assert [page.locator(f"#{each}").input_value() for each in FIELDS] == ["95", "0", "1", "24"]


def test_on_a_phone(started: Browser, address: str, about: dict[str, Any]) -> None:
    with watched(started, address, **PHONE) as phone:
        phone.goto(address)
        shown(phone)
        wide = phone.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, f"the page is {wide} px wide on a phone of 360"
        phone.locator("#map").tap()
        assert re.match(r"Row \d+, column \d+: image share", phone.locator("#readout").inner_text())
        assert phone.locator("#finger").is_visible(), "no way to draw with a finger"
        phone.get_by_role("button", name="Frame the opacity").tap()
        phone.locator("#region:not(:has-text('…'))").wait_for()
        phone.locator("#g").scroll_into_view_if_needed()
        map_box, slider = phone.locator("#map").bounding_box(), phone.locator("#g").bounding_box()
        assert map_box and slider and 0 <= map_box["y"] and slider["y"] < 740, (
            "the map is out of sight while the slider moves it"
        )


def test_a_server_that_unpacks_on_the_way(started: Browser, site: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(site, tmp_path / "site"))
    (packed,) = copy.glob("runtime/*.wasm.gz")
    packed.write_bytes(gzip.decompress(packed.read_bytes()))
    with folder_served(copy) as address, watched(started, address, **DESK) as opened:
        opened.goto(address)
        shown(opened)
        assert "passed" in opened.locator("#check").inner_text()
