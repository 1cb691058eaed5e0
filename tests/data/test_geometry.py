"""Images, masks and boxes travel through one geometry, that of torchvision."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from softcam.common import DataError
from softcam.data.geometry import Geometry, clip_box, fill_box

SHAPES = [(40, 40, 40), (53, 91, 32), (97, 60, 45), (30, 41, 64), (480, 640, 129)]


@pytest.mark.parametrize(("height", "width", "size"), SHAPES)
def test_images_match_torchvision(height: int, width: int, size: int) -> None:
    from torchvision.transforms import CenterCrop, Compose, Resize

    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = np.array(Compose([Resize(size), CenterCrop(size)])(Image.fromarray(pixels)))
    np.testing.assert_array_equal(Geometry(height, width, size).image(pixels), expected)


@pytest.mark.parametrize(("height", "width", "size"), SHAPES)
def test_boxes_and_masks_agree(height: int, width: int, size: int) -> None:
    """A box drawn first and resized is the box resized and drawn, but for half a pixel an edge."""
    draw = np.random.default_rng(1)
    geometry = Geometry(height, width, size)
    for _ in range(40):
        w, h = draw.integers(2, width // 2), draw.integers(2, height // 2)
        box = (float(draw.integers(0, width - w)), float(draw.integers(0, height - h)), w, h)
        full = np.zeros((height, width), bool)
        fill_box(full, box)
        assert full.sum() == w * h, "whole-pixel boxes fill exactly their pixels"
        drawn, resized = geometry.box_mask(box), geometry.mask(full)
        x, y, bw, bh = geometry.box(box)
        rows, columns = np.indices((size, size)) + 0.5
        inner = (np.abs(columns - x - bw / 2) < bw / 2 - 1) & (
            np.abs(rows - y - bh / 2) < bh / 2 - 1
        )
        outer = (np.abs(columns - x - bw / 2) < bw / 2 + 1) & (
            np.abs(rows - y - bh / 2) < bh / 2 + 1
        )
        for mask in (drawn, resized):
            assert not (inner & ~mask).any() and not (mask & ~outer).any(), (box, x, y, bw, bh)


@pytest.mark.parametrize(("height", "width", "size"), SHAPES)
def test_a_bright_square_lands_in_its_box(height: int, width: int, size: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    box = (width // 2 - 8.0, height // 2 - 6.0, 12.0, 10.0)
    mask = np.zeros((height, width), bool)
    fill_box(mask, box)
    pixels[mask] = 255
    geometry = Geometry(height, width, size)
    image = geometry.image(pixels)[..., 0].astype(float)
    rows, columns = np.indices(image.shape) + 0.5
    x, y, w, h = geometry.box(box)
    centre = (columns * image).sum() / image.sum(), (rows * image).sum() / image.sum()
    np.testing.assert_allclose(centre, (x + w / 2, y + h / 2), atol=0.6)


def test_a_small_finding_does_not_vanish() -> None:
    mask = np.zeros((200, 200), bool)
    mask[77, 123] = True
    small = Geometry(200, 200, 20).mask(mask)
    assert small.sum() == 1 and small[7, 12]
    assert Geometry(200, 200, 20).box_mask((123.0, 77.0, 1.0, 1.0))[7, 12]


def test_what_the_crop_leaves_out_is_empty() -> None:
    geometry = Geometry(100, 300, 50)
    assert not geometry.box_mask((0.0, 0.0, 90.0, 100.0)).any()
    mask = np.zeros((100, 300), bool)
    mask[:, :90] = True
    assert not geometry.mask(mask).any()


def test_clip_box_by_hand() -> None:
    assert clip_box((1.0, 2.0, 3.0, 4.0), 10, 10) == (1, 2, 3, 4)
    assert clip_box((-2.0, 8.0, 5.0, 5.0), 10, 20) == (0, 8, 3, 2)
    assert clip_box((20.0, 0.0, 5.0, 5.0), 10, 20) is None


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match="5 x 4 pixels, its image 20 x 10"):
        Geometry(10, 20, 8).mask(np.zeros((4, 5), bool))


def test_size_must_be_positive() -> None:
    with pytest.raises(DataError, match="size is 0"):
        Geometry(10, 20, 0)


def test_a_crop_is_the_same_as_cutting_first() -> None:
    """A crop inside the image: image, masks and boxes as if the file had been cut before."""
    draw = np.random.default_rng(5)
    for _ in range(20):
        height, width = draw.integers(30, 60, 2)
        x, y = draw.integers(0, 10, 2)
        w, h = draw.integers(12, 20, 2)
        pixels = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
        mask = draw.random((height, width)) > 0.6
        box = (float(x + 3), float(y + 2), 6.5, 4.25)
        whole = Geometry(int(height), int(width), 9, (float(x), float(y), float(w), float(h)))
        part = Geometry(int(h), int(w), 9)
        inside = np.s_[y : y + h, x : x + w]
        np.testing.assert_array_equal(whole.image(pixels), part.image(pixels[inside].copy()))
        np.testing.assert_array_equal(whole.mask(mask), part.mask(mask[inside]))
        np.testing.assert_allclose(whole.box(box), part.box((3.0, 2.0, 6.5, 4.25)), atol=1e-12)


def test_a_crop_beyond_the_edge_puts_black() -> None:
    """A square around a circle that the camera cut off above and below."""
    pixels = np.full((10, 20, 3), 7, np.uint8)
    geometry = Geometry(10, 20, 20, (0.0, -5.0, 20.0, 20.0))
    expected = np.zeros((20, 20, 3), np.uint8)
    expected[5:15] = 7
    np.testing.assert_array_equal(geometry.image(pixels), expected)
    assert geometry.mask(np.ones((10, 20), bool)).sum() == 200
    assert geometry.box((3.0, 0.0, 2.0, 10.0)) == (3.0, 5.0, 2.0, 10.0)
    with pytest.raises(DataError, match="leaves nothing"):
        Geometry(10, 20, 5, (30.0, 0.0, 5.0, 5.0))
