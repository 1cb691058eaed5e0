"""The field of view against drawn discs whose centre and radius are known."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from softcam.common import DataError
from softcam.data.fundus import Disc, field_of_view, read_fundus


def photograph(
    shape: tuple[int, int],
    disc: Disc,
    *,
    noise: float = 3.0,
    bright: float = 180.0,
    ground: float = 4.0,
    seed: int = 0,
) -> np.ndarray:
    """A disc that is dark towards its edge, with a bright spot and a dark one, on a ground."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    off = np.hypot(x - disc.x, y - disc.y) / disc.radius
    light = bright * (1 - 0.6 * off**4)
    spot = np.hypot(x - disc.x - disc.radius / 2, y - disc.y) < disc.radius / 8
    light = np.where(spot, light * 1.4, light)
    light = np.where(np.hypot(x - disc.x, y - disc.y) < disc.radius / 10, light * 0.3, light)
    colours = np.where((off < 1)[..., None], light[..., None] * (1, 0.5, 0.2), ground)
    return np.clip(colours + draw.normal(0, noise, (*shape, 3)), 0, 255).astype(np.uint8)


def assert_close(found: Disc | None, disc: Disc) -> None:
    assert found is not None
    off = max(abs(found.x - disc.x), abs(found.y - disc.y), abs(found.radius - disc.radius))
    assert off <= 0.01 * disc.radius, f"{found} for {disc}"


@pytest.mark.parametrize(
    ("shape", "disc"),
    [
        ((200, 300), Disc(150, 100, 80)),  # all of it
        ((600, 900), Disc(430.4, 310.7, 260)),  # off the centre
        ((400, 560), Disc(280, 200, 275)),  # cut off above and below
        ((400, 560), Disc(240, 250, 280)),  # cut off below and at the left
        ((256, 256), Disc(128, 128, 128)),  # touches all four edges
        ((712, 1072), Disc(475, 356, 437)),  # cut off above and below, as in IDRiD
    ],
)
@pytest.mark.parametrize("noise", [0.0, 12.0])
def test_centre_and_radius_are_found(shape: tuple[int, int], disc: Disc, noise: float) -> None:
    assert_close(field_of_view(photograph(shape, disc, noise=noise)), disc)


def test_dark_photographs_and_bright_grounds() -> None:
    disc = Disc(210, 140, 120)
    assert_close(field_of_view(photograph((280, 400), disc, bright=40, ground=2)), disc)
    assert_close(field_of_view(photograph((280, 400), disc, bright=150, ground=255)), disc)


def test_what_is_not_the_disc_does_not_move_it() -> None:
    disc = Disc(210, 140, 120)
    pixels = photograph((280, 400), disc)
    pixels[5:25, 5:80] = 255  # a name in the corner
    pixels[130:150, 325:345] = 200  # a notch on the right edge
    pixels[100:180, 85:130] = 4  # a shadow over the left edge
    assert_close(field_of_view(pixels), disc)


def test_every_pixel_counts_the_same_whatever_the_size() -> None:
    """The square is that of the same photograph at half the size, twice as large."""
    disc = Disc(600, 500, 400)
    large = photograph((1000, 1300), disc, noise=0)
    small = np.asarray(Image.fromarray(large).reduce(2))
    one, two = field_of_view(small), field_of_view(large)
    assert one is not None and two is not None
    np.testing.assert_allclose(np.multiply(one.square, 2), two.square, atol=4)


def test_the_square_reaches_outside_where_the_disc_is_cut_off() -> None:
    assert Disc(280, 200, 275).square == (5, -75, 550, 550)
    assert Disc(10.2, 20.4, 5.1).square == (5, 15, 10, 10)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_empty_photograph_is_refused(value: int) -> None:
    pixels = np.full((100, 150, 3), value, np.uint8)
    pixels[::3] += np.uint8(3) if value < 255 else np.uint8(0)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    with pytest.raises(DataError, match=r"^train/10_left\.png: no field of view"):
        read_fundus(data.getvalue(), "train/10_left.png")


def test_without_a_round_edge_all_of_it_is_taken() -> None:
    draw = np.random.default_rng(0)
    filled = draw.normal(120, 30, (200, 200, 3)).clip(0, 255).astype(np.uint8)
    square = np.zeros((200, 300, 3), np.uint8)
    square[40:160, 60:240] = 150
    inside = photograph((200, 200), Disc(100, 100, 160))
    for pixels in (filled, square, inside):
        assert field_of_view(pixels) is None


def test_the_picture_is_the_stored_one_and_its_square() -> None:
    disc = Disc(150, 100, 80)
    pixels = photograph((200, 300), disc)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    picture = read_fundus(data.getvalue(), "x.png")
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.crop is not None
    np.testing.assert_allclose(picture.crop, (70, 20, 160, 160), atol=2)
    assert all(float(value).is_integer() for value in picture.crop)
    with pytest.raises(DataError, match="^x.png: "):
        read_fundus(b"no image", "x.png")
