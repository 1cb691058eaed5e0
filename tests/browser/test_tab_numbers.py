"""The arithmetic of the tab explorer, in a browser and beside what the package computes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from softcam.data.geometry import Geometry
from softcam.evidence import Explanation
from softcam.metrics.causal import evidence_on

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow
Call = Callable[..., Any]


def as_maps(maps: torch.Tensor) -> list[dict[str, Any]]:
    """(C, h, w) as the page keeps maps."""
    height, width = maps.shape[1:]
    return [{"height": height, "width": width, "values": each.flatten().tolist()} for each in maps]


def in_text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@pytest.fixture
def maps() -> torch.Tensor:
    return torch.randn(3, 4, 5, dtype=torch.float64) * 3


def values(found: list[dict[str, Any]]) -> np.ndarray:
    return np.array([each["values"] for each in found])


def test_logits_probabilities_and_views_are_those_of_the_package(
    call: Call, maps: torch.Tensor
) -> None:
    explained = Explanation(maps[None], torch.zeros(3))
    logits = [call("numbers.js", "mean", each) for each in as_maps(maps)]
    np.testing.assert_allclose(logits, explained.logits[0])
    np.testing.assert_allclose(call("numbers.js", "softmax", logits), explained.probabilities[0])
    centred = values(call("numbers.js", "centred", as_maps(maps)))
    np.testing.assert_allclose(centred, explained.gauge("centred").maps[0].flatten(1), atol=1e-12)
    for c in range(3):
        other = call("numbers.js", "rival", logits, c)
        found = call("numbers.js", "contrast", as_maps(maps), c, other)["values"]
        np.testing.assert_allclose(found, explained.contrast(c)[0].flatten())


def test_large_logits_do_not_overflow(call: Call) -> None:
    assert call("numbers.js", "softmax", [1000, 0, 1000]) == [0.5, 0, 0.5]


def test_moving_the_zero_moves_all_maps_alike_and_no_probability(
    call: Call, maps: torch.Tensor
) -> None:
    shape = as_maps(torch.randn(1, 4, 5, dtype=torch.float64))[0]
    found = values(call("numbers.js", "moved", as_maps(maps), shape, 0.7))
    np.testing.assert_allclose(
        found - maps.flatten(1).numpy(), [0.7 * np.array(shape["values"])] * 3
    )
    before, after = maps.mean((1, 2)).softmax(0), torch.tensor(found).mean(1).softmax(0)
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize("height, width", [(12, 12), (7, 7), (16, 9), (3, 3)])
def test_the_face_moves_no_logit(call: Call, height: int, width: int) -> None:
    like = {"height": height, "width": width, "values": []}
    face = np.array(call("numbers.js", "face", like)["values"])
    assert len(face) == height * width and abs(face.mean()) < 1e-12
    assert face.max() == 1 and face.min() < 0


def test_a_logit_spelled_out_by_hand(call: Call) -> None:
    one = {"height": 2, "width": 2, "values": [5.0, 1.0, 0.5, -2.5]}
    cells = call("numbers.js", "cellsOf", one, 1.0)
    assert cells["values"] == [4.0, 0.0, -0.5, -3.5]
    found = call("numbers.js", "parts", cells, 1.0)
    assert found == {
        "positive": 4 / 4, "negative": (-0.5 - 3.5) / 4, "bias": 1.0,
        "cellsFor": 1, "cellsAgainst": 2, "logit": 1.0,
    }  # fmt: skip


def test_a_rectangle_counts_cells_by_area_as_the_package_does(
    call: Call, maps: torch.Tensor
) -> None:
    one = as_maps(maps)[0]
    for x, y, width, height in [(0, 0, 40, 40), (3, 5, 11, 7), (39, 0, 1, 40), (8, 10, 8, 10)]:
        mask = np.zeros((1, 40, 40), bool)
        mask[0, y : y + height, x : x + width] = True
        expected = evidence_on(maps[:1], np.array([0]), mask)[0]
        rectangle = {"x": x, "y": y, "width": width, "height": height}
        assert call("numbers.js", "regionSum", one, rectangle, 40) == pytest.approx(expected)


def test_rectangles_stay_inside_and_frames_are_tight(call: Call) -> None:
    given = {"x": -3, "y": 90.4, "width": 500, "height": 0}
    found = call("numbers.js", "clipped", given, 96)
    assert found == {"x": 0, "y": 90, "width": 96, "height": 1}
    mask = np.zeros((9, 9), int)
    mask[2:5, 3:8] = 1
    found = call("numbers.js", "frame", mask.ravel().tolist(), 9)
    assert found == {"x": 3, "y": 2, "width": 5, "height": 3}
    assert call("numbers.js", "frame", [0] * 81, 9) is None


def test_the_pixel_under_the_finger(call: Call) -> None:
    like = {"height": 4, "width": 5, "values": []}
    for x, y, row, column in [(0, 0, 0, 0), (39.9, 9.9, 0, 4), (8, 10, 1, 1), (99, -5, 0, 4)]:
        assert call("numbers.js", "cellAt", like, x, y, 40) == {"row": row, "column": column}


@pytest.mark.parametrize("size", [4, 24, 37])
def test_maps_are_enlarged_like_torch_does(call: Call, maps: torch.Tensor, size: int) -> None:
    expected = Explanation(maps[None].float(), torch.zeros(3)).upsample(size)[0, 0]
    found = call("numbers.js", "enlarged", as_maps(maps)[0], size)["values"]
    np.testing.assert_allclose(np.reshape(found, (size, size)), expected, atol=1e-5)


def test_numbers_are_written_with_their_sign(call: Call) -> None:
    for value, text in [(1.25, "+1.25"), (-0.5, "\u22120.50"), (0, "0.00"), (-0.001, "0.00")]:
        assert call("numbers.js", "signed", value) == text


def test_a_probability_is_never_called_sure(call: Call) -> None:
    for share, text in [(0.5, "50.0"), (0.99961, "99.961"), (1, "over 99.999"), (0, "under 0.001")]:
        assert call("panels.js", "percent", share) == f"{text}\u00a0%"


def test_what_is_far_from_python_is_noticed(call: Call, maps: torch.Tensor) -> None:
    logits = maps.mean((1, 2)).tolist()
    answer = {"logits": logits, "maps": as_maps(maps)}
    expected = {"logits": logits, "maps": maps.flatten(1).tolist()}
    assert call("state.js", "difference", answer, expected) == 0
    expected["maps"][2][7] += 0.25
    assert call("state.js", "difference", answer, expected) == pytest.approx(0.25)


SIZES = [(96, 96), (97, 211), (300, 96), (40, 50), (301, 403), (95, 96), (193, 97)]


@pytest.mark.parametrize("height, width", SIZES)
def test_pictures_become_small_exactly_as_in_python(beside: Page, height: int, width: int) -> None:
    rgb = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    rgba = np.dstack([rgb, np.full((height, width), 255, np.uint8)])
    expected = Geometry(height, width, 96).image(rgb)
    code = """async ([text, height, width]) => {
      const [{ squared }, { bytesOf }] = [await import("/resize.js"), await import("/draw.js")];
      const bytes = bytesOf(text);
      const read = (top, rows) => bytes.subarray(top * width * 4, (top + rows) * width * 4);
      return btoa(String.fromCharCode(...squared(read, height, width, 96, 64)));
    }"""
    answer = base64.b64decode(beside.evaluate(code, [in_text(rgba.tobytes()), height, width]))
    found = np.frombuffer(answer, np.uint8).reshape(96, 96, 3)
    np.testing.assert_array_equal(found, expected)


def encoded(
    kind: str, size: tuple[int, int] = (60, 50), mode: str = "RGB", **options: Any
) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind, **options)
    return buffer.getvalue()


EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\0"  # makes a WebP an extended one
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("PNG", {}),
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("GIF", {}),
    ("BMP", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("WEBP", {"exif": EXIF}),
]


@pytest.mark.parametrize("kind, options", KINDS)
def test_the_size_is_read_before_a_picture_is_decoded(
    beside: Page, kind: str, options: dict[str, Any]
) -> None:
    found = sniffed(beside, "sniff", encoded(kind, **options))
    assert (found["kind"].upper(), found["width"], found["height"]) == (kind, 60, 50)


def sniffed(beside: Page, name: str, data: bytes) -> Any:
    code = """async ([name, text]) => {
      const [header, { bytesOf }] = [await import("/header.js"), await import("/draw.js")];
      return header[name](bytesOf(text));
    }"""
    return beside.evaluate(code, [name, in_text(data)])


REFUSED = {
    "The file is empty": b"",
    "not a picture that the page reads": b"%PDF-1.7" * 20,
    "At most 50 million": encoded("PNG", (20_000, 10_000), "1"),
    "at least 8 a side": encoded("PNG", (60, 7)),
    "a strip": encoded("PNG", (2000, 20)),
    "16 bits a colour": encoded("PNG", (20, 20), "I;16"),
    "does not say how large": b"\xff\xd8\xff\xe0" + b"\0" * 60,
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_read_is_said_before_it_is_decoded(beside: Page, words: str) -> None:
    assert words in sniffed(beside, "refusal", REFUSED[words])


def test_what_can_be_read_is_not_refused(beside: Page) -> None:
    assert sniffed(beside, "refusal", encoded("JPEG")) == ""
