"""Every kind of image file becomes the right RGB bytes, or an error that names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.common import DataError
from softcam.data import images
from softcam.data.images import bit_range, image_size, read_image, read_mask

H, W = 12, 20
RAMP = np.linspace(0, 255, H * W).astype(np.uint8).reshape(H, W)
COLOUR = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], -1)


def saved(folder: Path, image: Image.Image, name: str = "a.png", **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_grey_and_one_bit_repeat_their_value(tmp_path: Path) -> None:
    grey = read_image(saved(tmp_path, Image.fromarray(RAMP)))
    np.testing.assert_array_equal(grey, np.repeat(RAMP[..., None], 3, -1))
    bits = RAMP > 100
    one = read_image(saved(tmp_path, Image.fromarray(bits)))
    np.testing.assert_array_equal(one, np.repeat(bits[..., None] * np.uint8(255), 3, -1))


def test_rgb_is_left_alone(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(saved(tmp_path, Image.fromarray(COLOUR))), COLOUR)


@pytest.mark.parametrize("top", [255, 1000, 4095, 60000])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bit_grey_fills_its_bit_range(tmp_path: Path, top: int, name: str) -> None:
    grey = np.linspace(0, top, H * W).astype(np.uint16).reshape(H, W)
    full = {255: 255, 1000: 1023, 4095: 4095, 60000: 65535}[top]
    assert bit_range(grey) == full
    found = read_image(saved(tmp_path, Image.fromarray(grey), name))
    np.testing.assert_array_equal(found[..., 1], np.rint(grey / full * 255))


def test_palette_gives_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray((RAMP // 64).astype(np.uint8), "P")
    colours = np.array([[0, 0, 0], [250, 0, 0], [0, 200, 9], [5, 6, 7]], np.uint8)
    image.putpalette(colours.ravel().tolist())
    np.testing.assert_array_equal(read_image(saved(tmp_path, image)), colours[RAMP // 64])


def test_alpha_is_composited_on_black(tmp_path: Path) -> None:
    alpha = np.full((H, W), 128, np.uint8)
    rgba = Image.fromarray(np.dstack([COLOUR, alpha]))
    found = read_image(saved(tmp_path, rgba)).astype(float)
    np.testing.assert_allclose(found, COLOUR * (128 / 255), atol=1)
    la = read_image(saved(tmp_path, Image.fromarray(np.dstack([RAMP, alpha])))).astype(float)
    np.testing.assert_allclose(la[..., 0], RAMP * (128 / 255), atol=1)


def test_a_transparent_colour_becomes_black(tmp_path: Path) -> None:
    pixels = np.full((H, W, 3), (9, 8, 7), np.uint8)
    pixels[:, 5:] = (200, 100, 50)
    found = read_image(saved(tmp_path, Image.fromarray(pixels), transparency=(9, 8, 7)))
    assert (found[:, :5] == 0).all() and (found[:, 5:] == (200, 100, 50)).all()


def test_cmyk_is_converted(tmp_path: Path) -> None:
    cmyk = Image.new("CMYK", (W, H), (0, 255, 255, 0))  # magenta + yellow = red
    r, g, b = read_image(saved(tmp_path, cmyk, "a.tif")).reshape(-1, 3).mean(0)
    assert r > 240 and g < 15 and b < 15


def test_exif_orientation_turns_the_image_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show rotated by 90 degrees clockwise
    found = read_image(saved(tmp_path, Image.fromarray(COLOUR), exif=exif))
    np.testing.assert_array_equal(found, np.rot90(COLOUR, -1))


def truncated(path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(image).save(path)
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif"])
def test_truncated(tmp_path: Path, name: str) -> None:
    truncated(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}.*(damaged|not an image)"):
        read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"filename,label\n", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "not an|damaged"),
    ],
)
def test_not_an_image(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(DataError, match=rf"x\.png.*({message})"):
        read_image(tmp_path / "x.png")


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere.png"):
        read_image(tmp_path / "nowhere.png")


@pytest.mark.parametrize(("size", "message"), [((1, 50), "at least"), ((8, 400), "strip")])
def test_shapes_that_are_no_picture(tmp_path: Path, size: tuple[int, int], message: str) -> None:
    with pytest.raises(DataError, match=f"{size[0]} x {size[1]}.*{message}"):
        read_image(saved(tmp_path, Image.new("L", size)))


@pytest.mark.parametrize("library_limit", [10**9, 100])
def test_a_decompression_bomb_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library_limit: int
) -> None:
    path = saved(tmp_path, Image.new("L", (300, 300)))
    monkeypatch.setattr(images, "MAX_PIXELS", 80_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", library_limit)
    with pytest.raises(DataError, match=r"a\.png.*80,000"):
        read_image(path)


def test_floating_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="floating-point"):
        read_image(saved(tmp_path, Image.fromarray(RAMP.astype(np.float32)), "a.tif"))


def test_a_mask_is_whatever_is_above_zero(tmp_path: Path) -> None:
    wanted = RAMP > 200
    for pixels in (wanted * np.uint8(1), wanted * np.uint8(255), wanted.astype(np.uint16) * 9):
        np.testing.assert_array_equal(read_mask(saved(tmp_path, Image.fromarray(pixels))), wanted)
    red = np.zeros((H, W, 3), np.uint8)
    red[wanted, 0] = 255
    np.testing.assert_array_equal(read_mask(saved(tmp_path, Image.fromarray(red))), wanted)


def test_a_tiff_in_which_zero_is_white_is_inverted(tmp_path: Path) -> None:
    """Pillow turns 8 bits itself, and hands out 16 bits as they are stored."""
    deep = RAMP.astype(np.uint16) * 257
    path = saved(tmp_path, Image.fromarray(deep), "a.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(read_image(path)[..., 0], 255 - RAMP)
    path = saved(tmp_path, Image.fromarray(deep), "b.tif", tiffinfo={262: 1})
    np.testing.assert_array_equal(read_image(path)[..., 0], RAMP)
    path = saved(tmp_path, Image.fromarray(RAMP), "c.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(read_image(path)[..., 0], RAMP)


def test_no_other_program_is_run_for_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow gives EPS to Ghostscript, whatever the file is called."""
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("run"))
    saved(tmp_path, Image.fromarray(COLOUR), "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: EPS is not read; save it as PNG"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
def test_the_size_is_that_of_the_upright_image(tmp_path: Path, turn: int) -> None:
    exif = Image.Exif()
    exif[274] = turn
    path = saved(tmp_path, Image.fromarray(COLOUR), "a.jpg", exif=exif)
    assert image_size(path.read_bytes(), path) == read_image(path).shape[:2]
    with pytest.raises(DataError, match=r"a\.jpg: not an image"):
        image_size(b"no image", "a.jpg")
