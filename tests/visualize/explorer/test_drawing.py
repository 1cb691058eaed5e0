"""The layers of the picture: signs, the zero, symmetry, and borders by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from softcam.visualize.explorer.drawing import (
    as_pixels,
    colour_stops,
    colours,
    edges,
    grey_copy,
    png,
)


def test_red_is_for_blue_is_against_and_nothing_is_clear() -> None:
    drawn = colours(np.array([[2.0, 1.0, 0.0, -1.0, -2.0, 99.0]]), 2.0)[0].astype(int)
    red, weak_red, nothing, weak_blue, blue, beyond = drawn
    assert red[0] > red[2] and weak_red[0] > weak_red[2], "red where it is positive"
    assert blue[2] > blue[0] and weak_blue[2] > weak_blue[0], "blue where it is negative"
    assert nothing[3] == 0 and red[3] == blue[3] == 255
    assert weak_red[3] == weak_blue[3] == pytest.approx(255 * np.sqrt(0.5), abs=1)
    assert (beyond == red).all()


def test_a_scale_that_is_shared_is_shared() -> None:
    """The same value has the same colour whatever else is in the map."""
    alone = colours(np.array([[0.3]]), 1.0)
    beside = colours(np.array([[0.3, -5.0, 7.0]]), 1.0)
    assert (alone[0, 0] == beside[0, 0]).all()


def test_blended_cells_are_what_torch_makes_of_them() -> None:
    cells = np.random.default_rng(0).normal(size=(3, 4))
    small = torch.from_numpy(cells)[None, None]
    large = F.interpolate(small, size=(24, 32), mode="bilinear", align_corners=False)[0, 0]
    blended = colours(cells, 2.0, (24, 32)).astype(int)
    assert blended.shape == (24, 32, 4)
    assert np.abs(blended - colours(large.numpy(), 2.0)).max() <= 1
    assert colours(cells, 2.0).shape == (3, 4, 4)


def test_the_colours_can_be_told_apart_without_red_and_green() -> None:
    """Blue against red: the blue channel less the red one falls all the way."""
    numbers = [
        [int(v) for v in stop.removeprefix("rgb(").removesuffix(")").split(",")]
        for stop in colour_stops(9)
    ]
    difference = [blue - red for red, _, blue in numbers]
    middle = numbers[4]
    assert max(difference[:4]) > 0 > min(difference[5:]) and difference[4] == 0
    assert middle == [200, 200, 200], "nothing is the image, here grey"
    assert all(b > 0 for b in difference[:4]) and all(r < 0 for r in difference[5:])


def test_the_border_of_a_pixel_has_four_sides() -> None:
    mask = np.zeros((4, 5), bool)
    mask[2, 3] = True
    lines = {tuple(line) for line in edges(mask).tolist()}
    assert lines == {(3, 2, 4, 2), (3, 3, 4, 3), (3, 2, 3, 3), (4, 2, 4, 3)}
    assert len(edges(np.ones((4, 5), bool))) == 2 * (4 + 5)
    assert edges(None).shape == edges(np.zeros((4, 5), bool)).shape == (0, 4)


def test_pixels_go_to_a_png_and_back() -> None:
    image = torch.rand(3, 6, 7)
    pixels = as_pixels(image)
    torch.testing.assert_close(torch.from_numpy(pixels).float() / 255, image.permute(1, 2, 0),
                               atol=0.5 / 255 + 1e-6, rtol=0)  # fmt: skip
    with Image.open(io.BytesIO(png(pixels))) as opened:
        np.testing.assert_array_equal(np.asarray(opened), pixels)
    ends = grey_copy(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8))
    assert ends.tolist() == [[64, 255]], "black is lifted, so that blue stands out on it"
