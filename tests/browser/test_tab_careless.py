"""The tab explorer in careless hands: files dropped, things missing, haste, keys only, reload."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from softcam.common import read_json
from tests.browser.conftest import DESK
from tests.tab.pictures import write_good
from tests.tab.reading import choose, model_of, pixels, shown, table, with_parts
from tests.tab.serving import LONG, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
FIELDS = ("x", "y", "width", "height")
DROP = """([files]) => {
  const carried = new DataTransfer();
  for (const [name, text] of files) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    carried.items.add(new File([bytes], name));
  }
  const event = new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true });
  return document.querySelector("h1").dispatchEvent(event); // false: the page takes it itself
}"""


@pytest.fixture
def alone(started: Browser) -> Iterator[Page]:
    """A page from which things can be taken away, which the browser's console may say."""
    context = started.new_context(**DESK)
    opened = context.new_page()
    opened.set_default_timeout(LONG)
    yield opened
    context.close()


@pytest.fixture(scope="module")
def phantom(site: Path) -> Any:
    return with_parts(read_json(site / "explorer.json"))


def dropped(page: Page, *paths: Path) -> bool:
    """Let files fall on the page; whether the browser would have left the page for them."""
    files = [(path.name, base64.b64encode(path.read_bytes()).decode()) for path in paths]
    return bool(page.evaluate(DROP, [files]))


def test_files_dropped_on_the_page(page: Page, phantom: Any, tmp_path: Path) -> None:
    choose(page, "cxr-sparse", phantom["name"])
    one, two = list(write_good(tmp_path))[:2]
    assert not dropped(page, one, two), "the browser leaves the page"
    page.locator("#problem", has_text="One picture at a time: there were 2 files").wait_for()
    assert not dropped(page), "what is no file takes the page away"
    assert not dropped(page, one)
    shown(page, f"cxr-sparse {one.name}")
    assert page.locator("#problem").is_hidden()
    before = page.locator("#sums").inner_text()
    page.locator("#file").set_input_files(one)  # the same once more
    shown(page, f"cxr-sparse {one.name}")
    assert page.locator("#sums").inner_text() == before


def test_a_file_that_opens_late_does_not_replace_a_later_choice(
    page: Page, phantom: Any, tmp_path: Path
) -> None:
    choose(page, "cxr-sparse", phantom["name"])
    page.evaluate("""() => {
      window.decode = window.createImageBitmap;
      window.createImageBitmap = (...given) => new Promise((done) => {
        window.release = () => done(window.decode(...given));
      });
    }""")
    page.locator("#file").set_input_files(next(iter(write_good(tmp_path))))
    page.wait_for_function("() => window.release")
    page.evaluate("() => { window.createImageBitmap = window.decode; }")
    page.locator('input[name=model][value="cxr-marker"]').check()
    shown(page, f"cxr-marker {phantom['name']}")
    page.evaluate("async () => { window.release(); await new Promise((r) => setTimeout(r, 300)); }")
    assert page.locator("body").get_attribute("data-shown") == f"cxr-marker {phantom['name']}"
    assert page.locator(f'input[name=picture][value="{phantom["name"]}"]').is_checked()


def test_a_fast_drag_asks_the_network_once_it_can_answer(page: Page, phantom: Any) -> None:
    choose(page, "cxr-sparse", phantom["name"])
    found = page.evaluate("""async () => {
      const { Network } = await import("./network.js");
      const original = Network.prototype.answer;
      const asked = [];
      Network.prototype.answer = function answer(...given) {
        asked.push(original.apply(this, given));
        return asked.at(-1);
      };
      const map = document.getElementById("map");
      const box = map.getBoundingClientRect();
      const send = (kind, x) => map.dispatchEvent(new PointerEvent(kind, {
        pointerId: 1, pointerType: "touch", bubbles: true,
        clientX: box.left + x, clientY: box.top + x,
      }));
      document.getElementById("finger").checked = true;
      map.setPointerCapture = () => {};
      send("pointerdown", 5);
      for (let x = 30; x < 230; x += 2) send("pointermove", x);
      send("pointerup", 230);
      const answers = await Promise.all(asked);
      delete map.setPointerCapture;
      document.getElementById("finger").checked = false;
      Network.prototype.answer = original;
      return [answers.length, answers.filter((each) => each).length];
    }""")
    assert found[0] > 30 and found[1] <= 2, f"{found[1]} passes for {found[0]} steps of a drag"
    page.locator("#region:not(:has-text('…'))").wait_for()


def test_all_of_the_picture_and_nothing_of_it(page: Page, phantom: Any) -> None:
    choose(page, "cxr-sparse", phantom["name"])
    for field, value in zip(FIELDS, (0, 0, 96, 96), strict=True):
        page.locator(f"#{field}").fill(str(value))
        page.locator(f"#{field}").press("Tab")
    model = model_of("cxr-sparse")
    logits = model.explain(pixels(phantom["name"])).logits[0].tolist()
    for how, column, expected in [
        ("erase", 1, model.bias.tolist()),
        ("keep", 1, logits),
        ("keep", 2, logits),
    ]:
        page.locator(f"input[name=how][value={how}]").check()
        page.locator("#region:not(:has-text('…'))").wait_for()
        found = [row[column] for row in table(page, "#region")[:2]]
        assert found == pytest.approx(expected, abs=0.006), f"{how}, column {column}"
    page.locator("#clear").click()
    assert page.locator("#answer").is_hidden()
    page.locator("input[name=how][value=keep]").check()  # of nothing: there is nothing to say
    assert page.locator("#answer").is_hidden()
    page.locator("input[name=how][value=erase]").check()


def test_the_map_and_the_twins_by_keys_alone(page: Page, phantom: Any) -> None:
    choose(page, "cxr-sparse", phantom["name"])
    page.locator("#map").focus()
    for key in (*["ArrowUp", "ArrowLeft"] * 12, "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert [page.locator(f"#{each}").input_value() for each in FIELDS] == ["8", "0", "8", "8"]
    page.keyboard.press("Escape")
    assert page.locator("#answer").is_hidden()
    assert page.locator("#readout").inner_text().startswith("Point at a cell")
    page.locator("input[name=twin]:checked").focus()
    for part in ("opacity", "marker"):
        page.keyboard.press("ArrowDown")
        shown(page, f"cxr-sparse {phantom['name']} {part}")
        focused = page.evaluate("[document.activeElement.name, document.activeElement.value]")
        assert focused == ["twin", part], "the keys lost their place"


def test_a_page_loaded_again_shows_what_its_fields_say(page: Page, phantom: Any) -> None:
    choose(page, "cxr-marker", phantom["name"])
    page.locator("input[name=view][value=centred]").check()
    page.locator("#smooth").check()
    page.locator("#g").fill("0.5")
    page.reload()
    shown(page)
    view = page.locator("input[name=view]:checked").get_attribute("value")
    assert (view == "centred") == ("centred" in page.locator("#map-title").inner_text())
    said = page.locator("#g-value").inner_text()
    assert float(page.locator("#g").input_value()) == pytest.approx(float(said))
    model = page.locator("input[name=model]:checked").get_attribute("value") or ""
    assert (page.locator("body").get_attribute("data-shown") or "").startswith(model)
    page.locator("#smooth").uncheck()


@pytest.mark.parametrize("body, says", [(None, "is missing from this page"), (b"ONNX?", "damaged")])
def test_a_model_that_cannot_be_had(
    alone: Page, address: str, phantom: Any, body: bytes | None, says: str
) -> None:
    alone.goto(address)
    shown(alone)
    before = alone.locator("#sums").inner_text()
    answer: dict[str, Any] = {"status": 404} if body is None else {"body": body}
    alone.route("**/cxr-marker.onnx", lambda route: route.fulfill(**answer))
    alone.locator('input[name=model][value="cxr-marker"]').click()
    alone.locator("#problem", has_text=says).wait_for()
    assert alone.locator('input[name=model][value="cxr-sparse"]').is_checked(), (
        "the page names a model whose numbers it does not show"
    )
    assert alone.locator("#sums").inner_text() == before
    assert alone.locator("#status").inner_text().startswith("Ready: sparse")
    alone.unroute("**/cxr-marker.onnx")
    alone.locator('input[name=model][value="cxr-marker"]').check()
    shown(alone, f"cxr-marker {phantom['name']}")
    assert alone.locator("#problem").is_hidden()


def test_without_a_network_for_a_while(alone: Page, address: str, phantom: Any) -> None:
    alone.goto(address)
    shown(alone)
    first = alone.locator("input[name=picture]:checked").get_attribute("value")
    other = alone.locator("input[name=picture]:not(:checked)").first
    name = other.get_attribute("value")
    alone.route("**/pictures/*", lambda route: route.abort())  # no copy is kept, either
    other.click(force=True)
    alone.locator("#problem", has_text="cannot answer").wait_for()
    assert alone.locator("input[name=picture]:checked").get_attribute("value") == first
    alone.unroute("**/pictures/*")
    other.check(force=True)
    shown(alone, f"cxr-sparse {name}")
    assert alone.locator("#problem").is_hidden()


def test_a_runtime_that_came_late(alone: Page, address: str, phantom: Any) -> None:
    alone.route("**/*.wasm.gz", lambda route: route.fulfill(status=503))
    alone.goto(address)
    alone.locator("#problem", has_text="wasm.gz is missing").wait_for()
    alone.unroute("**/*.wasm.gz")
    alone.locator('input[name=model][value="cxr-marker"]').check()
    shown(alone, f"cxr-marker {phantom['name']}")


@pytest.mark.parametrize(
    "script, missing, says",
    [
        ("delete globalThis.WebAssembly", "", "no WebAssembly"),
        ("", "**/explorer.json", "explorer.json is missing from this page (404)"),
        ("", "**/expected.json", "expected.json is missing from this page (404)"),
    ],
)
def test_a_page_that_cannot_start_says_why(
    alone: Page, address: str, script: str, missing: str, says: str
) -> None:
    alone.add_init_script(script)
    if missing:
        alone.route(missing, lambda route: route.fulfill(status=404))
    alone.goto(address)
    alone.locator("#problem", has_text=says).wait_for()
    assert "Loading" not in alone.locator("#status").inner_text()


@pytest.mark.parametrize("width", [240, 320, 700])
def test_a_narrow_window(page: Page, phantom: Any, width: int) -> None:
    choose(page, "cxr-sparse", phantom["name"])
    page.set_viewport_size({"width": width, "height": 700})
    page.get_by_role("button", name="Frame the opacity").click()
    page.locator("#region:not(:has-text('…'))").wait_for()
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size({"width": 1280, "height": 900})
    assert wide <= width, f"the page is {wide} px wide in a window of {width}"


def test_two_tabs_answer_each_for_itself(
    started: Browser, page: Page, address: str, phantom: Any
) -> None:
    choose(page, "cxr-sparse", phantom["name"])
    before = page.locator("#sums").inner_text()
    with watched(started, address, **DESK) as second:
        second.goto(address)
        choose(second, "cxr-marker", phantom["name"])
        assert second.locator("#sums").inner_text() != before
    assert page.locator("#sums").inner_text() == before
    assert re.match("Ready", page.locator("#status").inner_text())
