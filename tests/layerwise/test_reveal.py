"""What is shown of an image is as much as promised, where the map is highest, and only grows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.layerwise.clusters import ClusterMap
from softcam.layerwise.reveal import HIDDEN, STEPS, opacity, revealed


def some_map(size: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((size, size)).astype(np.float32)


def test_the_steps_are_the_papers() -> None:
    assert STEPS == (0.02, 0.045, 0.08, 0.13, 0.20, 0.30)


@pytest.mark.parametrize("share", STEPS)
@pytest.mark.parametrize("size", [(96, 96), (60, 100)])
def test_as_much_is_shown_as_the_share_says(share: float, size: tuple[int, int]) -> None:
    shown = opacity(some_map(), share, size)
    assert shown.shape == size and shown.min() >= 0 and shown.max() <= 1
    pixels = size[0] * size[1]
    assert shown.mean() * pixels == pytest.approx(round(share * pixels), abs=0.01)


def test_a_larger_share_shows_each_pixel_at_least_as_much() -> None:
    views = [opacity(some_map(), share, (96, 96)) for share in STEPS]
    for less, more in zip(views, views[1:], strict=False):
        assert (more - less).min() > -1e-9


def test_without_blur_it_is_the_top_of_the_map() -> None:
    """A map of the image's own size is blurred by half a pixel: its top is still on top."""
    ramp = np.arange(40 * 40, dtype=np.float32).reshape(40, 40)
    shown = opacity(ramp, 0.25, (40, 40))
    assert (shown[31:] > 0.99).all() and (shown[:29] < 0.01).all()


def test_the_smallest_step_stays_visible_for_the_coarsest_layer() -> None:
    one = np.zeros((3, 3), np.float32)
    one[1, 1] = 1
    assert opacity(one, STEPS[0], (224, 224)).max() > 0.85


def test_a_map_without_a_maximum_shows_the_middle() -> None:
    shown = opacity(np.full((4, 4), 0.3), 0.02, (41, 41))
    y, x = np.indices(shown.shape)
    centre = (shown * y).sum() / shown.sum(), (shown * x).sum() / shown.sum()
    assert centre == pytest.approx((20, 20), abs=0.5) and shown[20, 20] > 0.8


def test_where_the_map_is_zero_what_is_near_comes_first() -> None:
    corner = np.zeros((8, 8), np.float32)
    corner[0, 0] = 1
    shown = opacity(corner, 0.3, (64, 64))
    assert shown[0, 0] > 0.99 and shown[63, 63] < 0.01 and shown[25, 0] > shown[63, 0]


def test_shown_pixels_are_the_images_and_the_rest_is_one_colour() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    ramp = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
    view = revealed(image, ClusterMap("l", 0, ramp, 1.0, ()), 0.5)
    assert view.dtype == np.uint8 and view.shape == image.shape
    assert (view[40:] == image[40:]).all() and (view[:24] == HIDDEN).all()
    assert (revealed(image, ramp, 1) == image).all()


def test_every_kind_of_image_is_the_same_image() -> None:
    grey = np.random.default_rng(2).integers(0, 256, (32, 32), np.uint8)
    colour = np.repeat(grey[..., None], 3, 2)
    tensor = torch.from_numpy(colour.transpose(2, 0, 1) / 255).float()
    expected = revealed(grey, some_map(), 0.3)
    for image in (colour, tensor, tensor[None], tensor.numpy(), tensor.requires_grad_()):
        assert (revealed(image, some_map(), 0.3) == expected).all()


@pytest.mark.parametrize(
    ("image", "cluster_map", "share", "says"),
    [
        (np.zeros((8, 8, 4), np.uint8), some_map(), 0.1, "the image is uint8"),
        (np.full((3, 8, 8), np.nan, np.float32), some_map(), 0.1, "finite"),
        (np.zeros((3, 8, 8), int), some_map(), 0.1, "the image is int64"),
        (np.zeros((0, 8, 3), np.uint8), some_map(), 0.1, "the image is"),
        (np.zeros((8, 8), np.uint8), np.zeros((1, 4, 4)), 0.1, "the cluster map is"),
        (np.zeros((8, 8), np.uint8), np.full((4, 4), np.inf), 0.1, "the cluster map is"),
        (np.zeros((8, 8), np.uint8), some_map(), 0, "share is 0"),
        (np.zeros((8, 8), np.uint8), some_map(), 1.5, "share is 1.5"),
        (np.zeros((8, 8), np.uint8), some_map(), float("nan"), "share is nan"),
    ],
)
def test_what_cannot_be_shown_is_said(
    image: np.ndarray, cluster_map: np.ndarray, share: float, says: str
) -> None:
    with pytest.raises(SoftCAMError, match=says):
        revealed(image, cluster_map, share)
