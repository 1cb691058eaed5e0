"""Occlusion by superpixels: the regions, and the drop of each against one pass a region."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.explainers import class_maps, explain_with
from softcam.explainers.superpixels import COMPACTNESS, ROUNDS, occlude_regions, segment
from softcam.metrics.fills import blur
from softcam.wrappers import BlackBox
from tests.explainers.sixteen import black_box, near, pictures


def k_means(image: np.ndarray, side: int) -> np.ndarray:
    """SLIC's distance and Lloyd's rounds from a side x side grid, pixel by pixel."""
    _, height, width = image.shape
    scale = np.sqrt(height * width) / side
    labels = np.array(
        [
            [y * side // height * side + x * side // width for x in range(width)]
            for y in range(height)
        ]
    )
    for _ in range(ROUNDS):
        best = np.full((height, width), np.inf)
        new = labels.copy()
        for k in range(side * side):
            own = labels == k
            if not own.any():
                continue
            colour = image[:, own].mean(1)
            middle = np.argwhere(own).mean(0)
            for y, x in np.ndindex(height, width):
                far = ((image[:, y, x] - colour) ** 2).sum() / COMPACTNESS**2
                far += ((np.array([y, x]) - middle) ** 2).sum() / scale**2
                if far < best[y, x] - 1e-9:
                    best[y, x], new[y, x] = far, k
        if (new == labels).all():
            break
        labels = new
    return labels


def smooth() -> torch.Tensor:
    """A picture with one bright blob on a ramp: colours that are not noise."""
    y, x = torch.meshgrid(torch.arange(18.0), torch.arange(15.0), indexing="ij")
    blob = torch.exp(-((y - 6) ** 2 + (x - 9) ** 2) / 8)
    return torch.stack([0.2 + 0.02 * x, 0.3 + 0.6 * blob, 0.5 - 0.01 * y])[None]


def test_regions_equal_k_means_pixel_by_pixel() -> None:
    image = smooth()
    expected = k_means(image[0].double().numpy(), 3)
    assert (segment(image, 9)[0].numpy() == expected).mean() > 0.99
    assert len(np.unique(expected)) > 5


def test_a_plain_image_is_cut_into_a_grid() -> None:
    labels = segment(torch.full((1, 3, 21, 21), 0.4), 9)[0]
    rows = torch.arange(21) // 7
    assert torch.equal(labels, rows[:, None] * 3 + rows)


def test_regions_follow_an_edge() -> None:
    image = torch.zeros(1, 3, 20, 20)
    image[..., 13:] = 1  # not on the grid of 2 x 2
    labels = segment(image, 4)[0]
    assert not set(labels[:, :13].flatten().tolist()) & set(labels[:, 13:].flatten().tolist())


def test_few_pixels_many_regions_and_wrong_numbers() -> None:
    assert segment(torch.rand(1, 3, 3, 4), 100).unique().numel() <= 12
    assert segment(torch.rand(0, 3, 8, 8)).shape == (0, 8, 8)
    assert segment(torch.rand(1, 3, 8, 8), 1).unique().tolist() == [0]
    with pytest.raises(SoftCAMError, match="regions"):
        segment(torch.rand(1, 3, 8, 8), 0)


@pytest.mark.parametrize("fill", ["blur", "mean-colour", (0.1, 0.9, 0.3)])
def test_each_pixel_gets_the_drop_of_its_region(fill: object) -> None:
    model, images = black_box(), pictures(2)
    labels = segment(images, 9)
    logits, maps = occlude_regions(model, images, labels, fill=fill)
    before = model(images).detach().double()
    assert torch.allclose(logits.double(), before, atol=1e-6)
    for b in range(2):
        expected = np.zeros((4, 20, 28))
        for k in labels[b].unique():
            hidden = images[b].clone()
            if fill == "blur":
                paint = blur(images)[b]
            else:
                colour = model.mean_colour if fill == "mean-colour" else torch.tensor(fill)
                paint = colour[:, None, None].expand(3, 20, 28)
            hidden[:, labels[b] == k] = paint[:, labels[b] == k]
            drop = before[b] - model(hidden[None])[0].detach().double()
            expected[:, labels[b] == k] = drop.numpy()[:, None]
        assert near(maps[b], expected)
        assert (maps[b] < 0).any() and (maps[b] > 0).any()


def test_all_classes_and_one_agree() -> None:
    model, images = black_box(), pictures(2)
    _, maps = class_maps("superpixels", model, images)
    one = explain_with("superpixels", model, images, torch.tensor([3, 1]))
    assert torch.allclose(one, torch.stack([maps[0, 3], maps[1, 1]]), atol=1e-6)


def test_mean_colour_needs_a_model_that_knows_it() -> None:
    images = pictures(1)
    labels = segment(images, 4)
    for model in (BlackBox(black_box().net), black_box().net):
        with pytest.raises(SoftCAMError, match="mean colour"):
            occlude_regions(model, images, labels, fill="mean-colour")
    with pytest.raises(SoftCAMError, match="hidden behind"):
        occlude_regions(black_box(), images, labels, fill="linear")
