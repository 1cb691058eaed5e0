"""The controls that know nothing about the model: what each of them is."""

from __future__ import annotations

import numpy as np
import torch

from softcam.explainers import explain_with
from softcam.wrappers import BlackBox
from tests.explainers.sixteen import pictures
from tests.explainers.test_explainers import TARGETS, TinyTimm


def test_random_differs_between_images_and_spans_its_range() -> None:
    model = BlackBox(TinyTimm())
    many = torch.rand(40, 3, 12, 16, generator=torch.Generator().manual_seed(3))
    maps = explain_with("random", model, many, torch.zeros(40, dtype=torch.long))
    assert len({tuple(m.flatten().tolist()) for m in maps}) == 40
    assert -1 <= maps.min() < -0.9 and 0.9 < maps.max() <= 1
    assert abs(maps.mean()) < 0.05


def test_centre_peaks_in_the_middle_and_falls_off() -> None:
    maps = explain_with("centre", BlackBox(TinyTimm()), pictures(2, 12, 16), TARGETS)
    m = maps[0]
    assert torch.allclose(m, m.flip(0)) and torch.allclose(m, m.flip(1))
    assert m.argmax() in (2 * 8 + 3, 2 * 8 + 4, 3 * 8 + 3, 3 * 8 + 4)
    assert torch.isclose(m.min(), m[0, 0]) and 0 <= m.min() and m.max() <= 1


def test_edge_is_the_sobel_gradient_averaged_over_each_cell() -> None:
    from scipy import ndimage

    images = pictures(2, 12, 16)
    maps = explain_with("edge", BlackBox(TinyTimm()), images, TARGETS)
    for image, found in zip(images.double().numpy(), maps, strict=True):
        grey = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        across, down = (ndimage.sobel(grey, axis=a, mode="nearest") for a in (1, 0))
        cells = np.hypot(across, down).reshape(6, 2, 8, 2).mean((1, 3))  # 2 x 2 px a cell
        assert np.allclose(found.numpy(), cells, atol=1e-5)


def test_edge_sees_a_step_and_neither_a_plain_image_nor_its_frame() -> None:
    plain = torch.full((1, 3, 12, 16), 0.7)
    step = plain.clone()
    step[:, :, :, 8:] = 0.2
    maps = explain_with("edge", BlackBox(TinyTimm()), torch.cat([plain, step]), TARGETS)
    assert torch.allclose(maps[0], torch.zeros(6, 8), atol=1e-6)
    # Weights 1, 2, 1 over a step of 0.5 at columns 7 and 8; each cell holds one of the two.
    expected = torch.tensor([0, 0, 0, 1, 1, 0, 0, 0.0]).expand(6, 8)
    assert torch.allclose(maps[1], expected, atol=1e-5)
