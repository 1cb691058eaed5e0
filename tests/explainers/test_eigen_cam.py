"""Eigen-CAM against NumPy, against pytorch-grad-cam, and where a direction does not exist."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from softcam.explainers import explain_with
from softcam.explainers.eigen_cam import eigen_cam, first_component
from tests.explainers.sixteen import black_box, features, near, pictures

TARGETS = torch.tensor([0, 3, 1])


def by_definition(z: np.ndarray) -> np.ndarray:
    """A v1 of one image's centred cells, by the singular value decomposition; (h, w)."""
    cells = z.reshape(len(z), -1).T
    cells = cells - cells.mean(0)
    _, _, vectors = np.linalg.svd(cells)
    along = cells @ vectors[0]
    return (along * np.sign(along[np.abs(along).argmax()])).reshape(z.shape[1:])


def test_equals_numpy_and_is_positive_where_it_is_furthest_from_the_mean() -> None:
    model, images = black_box(), pictures()
    maps = explain_with("eigen-cam", model, images, TARGETS)
    for found, z in zip(maps, features(model, images), strict=True):
        assert near(found, by_definition(z))
        assert abs(float(found.mean())) < 1e-6
        assert float(found.flatten()[found.abs().argmax()]) > 0


def test_the_target_takes_no_part() -> None:
    model, images = black_box(), pictures()
    one = explain_with("eigen-cam", model, images, TARGETS)
    assert torch.equal(one, explain_with("eigen-cam", model, images, TARGETS * 0))


def test_more_channels_than_cells() -> None:
    z = torch.rand(2, 16, 2, 3, generator=torch.Generator().manual_seed(4))
    for found, each in zip(first_component(z), z.double().numpy(), strict=True):
        assert near(found, by_definition(each))


def test_a_single_pattern_is_found_with_its_size() -> None:
    pattern = torch.tensor([[-1.0, 3.0], [-1.0, -1.0]])
    direction = torch.tensor([3.0, 0.0, -4.0])
    z = 7.0 + direction[:, None, None] * pattern
    assert torch.allclose(first_component(z[None])[0], 5 * pattern, atol=1e-6)


def test_nothing_varies_or_nothing_is_finite() -> None:
    z = torch.ones(3, 2, 4, 5)
    z[1, 0, 2, 2] = torch.nan
    z[2] = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(0))
    maps = first_component(z)
    assert torch.equal(maps[0], torch.zeros(4, 5)) and maps[1].isnan().all()
    assert torch.equal(maps[2], first_component(z[2:])[0])


def test_of_two_equally_far_cells_the_first_is_positive() -> None:
    z = torch.tensor([[[[2.0, -2.0]]]])
    for each in (z, -z):
        assert torch.allclose(first_component(each), torch.tensor([[[2.0, -2.0]]]))


def test_another_layer() -> None:
    model = black_box()
    maps = eigen_cam(model, pictures(), TARGETS, layer="net.body.0")
    z = model.net.body[0](model.normalize(pictures())).detach()
    assert torch.allclose(maps, first_component(z), atol=1e-6)


def test_against_pytorch_grad_cam() -> None:
    """Same projection; the library keeps LAPACK's sign, clips, and scales before it resizes.

    | step            | here                 | pytorch-grad-cam                       |
    |-----------------|----------------------|----------------------------------------|
    | sign            | furthest cell is > 0 | as it comes                            |
    | values below 0  | kept                 | cut off                                |
    | to image size   | left to the reader   | min-max on cells, then cv2 (bilinear)  |

    Scaling after resizing gives another picture: more than a tenth of the range apart here.
    """
    cv2 = pytest.importorskip("cv2")
    library = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection

    model, images = black_box(), pictures()
    maps = explain_with("eigen-cam", model, images, TARGETS).numpy()
    raw = get_2d_projection(features(model, images))
    signs = np.sign((raw * maps).sum((1, 2)))[:, None, None]
    assert near(torch.from_numpy(maps), signs * raw)

    layer: nn.Module = model.net.body
    with library.EigenCAM(model, [layer]) as cam:
        drawn = cam(images, [None] * 3)  # targets are not read
    clipped = (signs * maps).clip(0)
    first = np.stack([cv2.resize(m / m.max(), (28, 20)) for m in clipped])
    after = np.stack([cv2.resize(m, (28, 20)) for m in clipped])
    apart = np.abs(after / after.max((1, 2), keepdims=True) - first).max()
    scaled = (first - first.min((1, 2), keepdims=True)) / np.ptp(first, (1, 2), keepdims=True)
    assert np.abs(drawn - scaled).max() < 1e-4
    assert 0.1 < apart < 0.5
