"""Augmentation is deterministic, stays in range and moves pixels where it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.common import UnknownNameError
from softcam.data.records import ImageSet
from softcam.data.transforms import AUGMENTATIONS, _affine, augment, channel_statistics


def batch(n: int = 6, height: int = 24, width: int = 24) -> torch.Tensor:
    return torch.rand((n, 3, height, width), generator=torch.Generator().manual_seed(0))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("policy", sorted(AUGMENTATIONS))
def test_same_generator_same_batch(policy: str) -> None:
    images = batch()
    before = images.clone()
    first, again = (augment(images, policy, seeded(4)) for _ in range(2))
    assert torch.equal(first, again), "the generator decides everything"
    assert torch.equal(images, before), "the given batch is left alone"
    assert first.shape == images.shape and first.dtype == torch.float32
    assert 0 <= first.min() and first.max() <= 1
    assert torch.equal(first, augment(images, policy, seeded(5))) == (policy == "none")


def test_flip_mirrors_about_half_of_the_images() -> None:
    images = batch(400, 4, 4)
    flipped = augment(images, "flip", seeded(1))
    mirrored = 0
    for before, after in zip(images, flipped, strict=True):
        same, mirror = torch.equal(before, after), torch.equal(before.flip(-1), after)
        assert same != mirror, "either the image or its mirror image"
        mirrored += mirror
    assert 150 < mirrored < 250


@pytest.mark.parametrize("height", [32, 20])
def test_rotation_keeps_distances(height: int) -> None:
    """A spot stays as far from the centre as it was, also in an image that is not square."""
    images = torch.zeros(16, 3, height, 32)
    images[:, :, height // 2 - 1 : height // 2 + 1, 21:23] = 1  # 6 px right of the centre
    turned = _affine(images, seeded(2), degrees=180, scale=0.0, shift=0.0)[:, 0]
    rows, columns = torch.meshgrid(
        torch.arange(height) + 0.5, torch.arange(32) + 0.5, indexing="ij"
    )
    mass = turned.sum((1, 2))
    dy = (turned * rows).sum((1, 2)) / mass - height / 2
    dx = (turned * columns).sum((1, 2)) / mass - 16
    torch.testing.assert_close(torch.hypot(dx, dy), torch.full((16,), 6.0), atol=0.15, rtol=0)
    assert dy.abs().max() > 3, "and it has turned"


def test_shift_and_scale_stay_within_their_limits() -> None:
    images = torch.zeros(64, 3, 40, 40)
    images[:, :, 18:22, 18:22] = 1
    moved = _affine(images, seeded(3), degrees=0, scale=0.0, shift=0.1)[:, 0]
    columns = torch.arange(40) + 0.5
    dx = (moved.sum(1) * columns).sum(1) / moved.sum((1, 2)) - 20
    assert 2.5 < dx.abs().max() <= 4.01, "10 % of 40 px"
    grown = _affine(images, seeded(3), degrees=0, scale=0.2, shift=0.0)[:, 0].sum((1, 2)) / 16
    assert grown.min() > 0.8 * np.exp(-0.4) and grown.max() < 1.2 * np.exp(0.4)


def test_unknown_policy_names_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="'flip'"):
        augment(batch(), "flp", seeded(0))


@pytest.mark.parametrize("colour", [False, True])
def test_channel_statistics_against_numpy(colour: bool) -> None:
    shape = (7, 6, 5, 3) if colour else (7, 6, 5)
    images = np.random.default_rng(0).integers(0, 200, shape, dtype=np.uint8)
    data = ImageSet(
        "x",
        "train",
        ("a", "b"),
        images,
        np.zeros(7, np.int64),
        tuple("abcdefg"),
        tuple("abcdefg"),
        np.zeros((7, 0, 6, 1), np.uint8),
        annotated=np.zeros(7, bool),
    )
    mean, std = channel_statistics(data, chunk=3)
    rgb = images if colour else np.repeat(images[..., None], 3, -1)
    np.testing.assert_allclose(mean, rgb.mean((0, 1, 2)) / 255, rtol=1e-12)
    np.testing.assert_allclose(std, rgb.std((0, 1, 2)) / 255, rtol=1e-12)
