"""Images in every form that `explore` takes, and the files that readers bring along."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from softcam.common import DataError, SoftCAMError
from softcam.data import ImageSet
from softcam.visualize.explorer import pictures
from softcam.visualize.explorer.pictures import deal_rows, decode_upload, open_pictures

QUARTERS = np.zeros((16, 16, 3), np.uint8)  # red, green; blue, white: each way up is another
QUARTERS[:8, :8], QUARTERS[:8, 8:] = (255, 0, 0), (0, 255, 0)
QUARTERS[8:, :8], QUARTERS[8:, 8:] = (0, 0, 255), (255, 255, 255)


def stored(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners(image: torch.Tensor) -> list[list[float]]:
    """The colours near the four corners, to one digit."""
    height, width = image.shape[1] // 4, image.shape[2] // 4
    places = [(height, width), (height, -width), (-height, width), (-height, -width)]
    return [[round(float(v), 1) for v in image[:, y, x]] for y, x in places]


UPRIGHT = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]


def test_tensors_and_arrays_of_every_form() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for given, count, first in [
        (torch.rand(2, 3, 8, 8), 2, None),
        (torch.rand(3, 8, 8).double(), 1, None),
        (QUARTERS, 1, 1.0),
        (np.stack([QUARTERS] * 3), 3, 1.0),
        (grey, 1, 0.0),
        ([QUARTERS, torch.rand(3, 8, 8)], 2, 1.0),
    ]:
        found = open_pictures(given, None)
        assert len(found) == count and found[0].image.dtype == torch.float32
        assert first is None or float(found[0].image[0, 0, 0]) == first
    assert open_pictures(grey, None)[0].image[:, 2, 3].tolist() == [pytest.approx(11 / 255)] * 3


@pytest.mark.parametrize(
    "wrong",
    [torch.rand(2, 1, 8, 8), torch.rand(3, 8, 8) * 3 - 1, torch.full((3, 4, 4), torch.nan),
     torch.zeros(3, 8, 8, dtype=torch.long), np.zeros((5, 5, 5), np.uint8), torch.zeros(0, 3, 4, 4),
     ["no"], [3], None, 5],
    ids=lambda each: f"{type(each).__name__}-{getattr(each, 'shape', each)}",
)  # fmt: skip
def test_what_is_no_image_is_refused_with_what_is_expected(wrong: Any) -> None:
    with pytest.raises(SoftCAMError, match=r"expected|size=224"):
        open_pictures(wrong, None)


def test_nothing_to_show_is_refused() -> None:
    with pytest.raises(SoftCAMError, match="one or more"):
        open_pictures([], 8)


def test_values_out_of_range_are_named() -> None:
    with pytest.raises(SoftCAMError, match=r"of float32 from 0 to 200: expected RGB"):
        open_pictures(torch.tensor([0.0, 200.0]).repeat(1, 3, 4, 2), None)


def test_files_are_fitted(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.repeat(QUARTERS, 2, 1)).save(path)  # 32 x 16: the sides are cut off
    (found,) = open_pictures(path, 16)
    assert found.name == "a.png" and found.size == (16, 16)
    assert corners(found.image) == UPRIGHT


def test_files_of_one_name_get_a_number(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "a.png" for folder in ("one", "two", "three")]
    for shade, path in enumerate(paths):
        path.parent.mkdir()
        Image.new("L", (16, 16), 50 * shade).save(path)
    found = open_pictures(paths, 16)
    assert [each.name for each in found] == ["a.png", "a.png (2)", "a.png (3)"]
    assert [round(float(each.image.mean()) * 255) for each in found] == [0, 50, 100]


def test_an_animation_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    for kind in ("gif", "webp", "png"):
        buffer = io.BytesIO()
        frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], lossless=True)
        found = decode_upload(buffer.getvalue(), f"moving.{kind}", 16)
        assert corners(found.image) == [[1, 0, 0]] * 4, kind


def test_rows_choose_from_a_set_only() -> None:
    with pytest.raises(SoftCAMError, match="rows choose from an ImageSet, found a Tensor"):
        open_pictures(torch.rand(2, 3, 8, 8), 8, [5])


def test_a_set_brings_names_truth_and_findings() -> None:
    masks = np.packbits(np.eye(8, dtype=bool)[None, None].repeat(3, 0), axis=-1)
    masks[2] = 0
    data = ImageSet(
        "folder-x", "test", ("well", "ill"), np.arange(192, dtype=np.uint8).reshape(3, 8, 8),
        np.array([0, 1, 1]), ("a", "b", "c"), ("a", "b", "c"), masks, ("mark",), ("mark",),
        np.ones(3, bool),
    )  # fmt: skip
    found = open_pictures(data, 8, [2, 1])
    assert [(p.name, p.truth) for p in found] == [("c", "ill"), ("b", "ill")]
    assert found[0].finding is None
    np.testing.assert_array_equal(found[1].finding, np.eye(8, dtype=bool))
    assert all(p.data is None for p in found), "no phantoms, so no twins"
    assert found[1].image[0, 0, 0] == 64 / 255
    with pytest.raises(SoftCAMError, match="row"):
        open_pictures(data, 8, [7])
    rows = deal_rows(data, 3)
    assert sorted(rows) == [0, 1, 2] and data.labels[rows[0]] == 1 and data.labels[rows[1]] == 0
    assert len(deal_rows(data, 1)) == 1 and deal_rows(data, 3, 5) == deal_rows(data, 3, 5)


@pytest.mark.parametrize("turn", range(1, 9))
def test_an_upload_is_turned_upright(turn: int) -> None:
    """The camera stored it in one of eight ways and says which."""
    back = {2: [Image.Transpose.FLIP_LEFT_RIGHT], 3: [Image.Transpose.ROTATE_180],
            4: [Image.Transpose.FLIP_TOP_BOTTOM], 5: [Image.Transpose.TRANSPOSE],
            6: [Image.Transpose.ROTATE_90], 7: [Image.Transpose.TRANSVERSE],
            8: [Image.Transpose.ROTATE_270]}  # fmt: skip
    image = Image.fromarray(QUARTERS)
    for step in back.get(turn, []):
        image = image.transpose(step)
    exif = Image.Exif()
    exif[274] = turn
    found = decode_upload(stored(image, "png", exif=exif), "turned.png", 16)
    assert corners(found.image) == UPRIGHT and found.uploaded


def test_kinds_of_files_are_converted() -> None:
    image = Image.fromarray(QUARTERS)
    large = image.resize((64, 64), Image.Resampling.NEAREST)
    # Red, green and blue of print are others than those of a screen; black and white are not.
    tiles = np.zeros((32, 32, 3), np.uint8)
    tiles[16:] = 255
    cmyk = decode_upload(stored(Image.fromarray(tiles).convert("CMYK"), "jpeg"), "print.jpg", 16)
    assert corners(cmyk.image) == [[0, 0, 0], [0, 0, 0], [1, 1, 1], [1, 1, 1]]
    deep = Image.fromarray((np.eye(16) * 65535).astype(np.uint16))
    found = decode_upload(stored(deep, "png"), "deep.png", 16)
    torch.testing.assert_close(found.image, torch.eye(16).expand(3, 16, 16))
    frames = [image, Image.new("RGB", (16, 16))]
    moving = stored(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert corners(decode_upload(moving, "moving.gif", 16).image) == UPRIGHT
    assert corners(decode_upload(stored(image.quantize(), "png"), "p.png", 16).image) == UPRIGHT
    assert decode_upload(stored(large, "jpeg"), "large.jpg", 24).size == (24, 24)
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    assert float(decode_upload(stored(clear, "png"), "clear.png", 16).image.max()) == 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"not an image at all" * 50, "not an image"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG files are not read here; save it as"),
        (bytes(128) + b"DICM" + bytes(99), "DICOM files are not read here; save it as PNG or JPEG"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "HEIC files are not read here"),
        (stored(Image.fromarray(QUARTERS), "jpeg")[:200], "damaged"),
        (stored(Image.new("L", (1, 5000)), "png"), "1 x 5000 pixels"),
        (stored(Image.fromarray(QUARTERS), "png")[:60], "damaged"),
        (stored(Image.new("1", (20_000, 10_000)), "png"), "more than .* pixels"),
        (stored(Image.new("1", (300, 10)), "png"), "strip"),
        (stored(Image.new("L", (4, 4)), "png"), "at least 8"),
        (stored(Image.new("F", (16, 16)), "tiff"), "floating-point"),
    ],
    ids=(
        "empty",
        "text",
        "svg",
        "dicom",
        "heic",
        "half a jpeg",
        "line",
        "cut off",
        "200 megapixels",
        "strip",
        "tiny",
        "float",
    ),  # fmt: skip
)
def test_a_file_that_cannot_be_used_is_refused_by_name(data: bytes, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        decode_upload(data, "mine.xyz", 16)
    assert "mine.xyz" in str(caught.value)


def test_no_pixel_of_a_huge_image_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*given: object) -> None:
        raise AssertionError("a pixel was decoded")

    data = stored(Image.new("1", (9_000, 9_000)), "png")
    monkeypatch.setattr(pictures, "decode_image", load)
    with pytest.raises(DataError, match="81 million; at most 50"):
        decode_upload(data, "big.png", 16)
    monkeypatch.setattr(pictures, "MOST_BYTES", len(data) - 1)
    with pytest.raises(DataError, match="MB, at most"):
        decode_upload(data, "big.png", 16)
