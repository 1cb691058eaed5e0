"""Layer-CAM against NumPy, torchcam and pytorch-grad-cam."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.explainers import class_maps, explain_with
from tests.explainers.sixteen import (
    Linear16,
    Sixteen,
    black_box,
    features,
    gradients,
    near,
    pictures,
)

TARGETS = torch.tensor([0, 3, 1])


@pytest.mark.parametrize("kind", [Sixteen, Linear16])
def test_equals_numpy(kind: type[Sixteen]) -> None:
    model, images = black_box(kind), pictures()
    z = features(model, images)
    expected = np.maximum((np.maximum(gradients(model, z, TARGETS.tolist()), 0) * z).sum(1), 0)
    assert near(explain_with("layer-cam", model, images, TARGETS), expected)
    logits, every = class_maps("layer-cam", model, images)
    assert near(every[torch.arange(3), TARGETS], expected)
    assert torch.allclose(logits, model(images).detach(), atol=1e-6)


def test_for_a_linear_head_is_cam_without_its_negative_weights() -> None:
    model, images = black_box(Linear16), pictures()
    maps = explain_with("layer-cam", model, images, TARGETS)
    model.net.fc.weight.data.clamp_(min=0)
    cells = maps[0].numel()
    cam = explain_with("cam", model, images, TARGETS) / cells
    assert near(maps, cam.clamp(min=0).double().numpy())


def test_equals_torchcam_through_the_whole_network() -> None:
    from torchcam.methods import LayerCAM

    model, images = black_box(), pictures()
    with LayerCAM(model, "net.body") as extractor:
        library = extractor(TARGETS.tolist(), scores=model(images), normalized=False)[0]
    assert near(explain_with("layer-cam", model, images, TARGETS), library.double().numpy())


def test_the_order_of_scaling_and_enlarging_in_pytorch_grad_cam() -> None:
    """It scales to [0, 1], enlarges (OpenCV) and scales again.

    Enlarging is linear, so the last scaling makes the order the same; without it the peak of a map
    that was scaled first is below 1.
    """
    pytest.importorskip("pytorch_grad_cam")
    cv2 = pytest.importorskip("cv2")
    from pytorch_grad_cam import LayerCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, images = black_box(), pictures()
    maps = explain_with("layer-cam", model, images, TARGETS).numpy()
    with LayerCAM(model, [model.net.body]) as extractor:
        library = extractor(images, targets=[ClassifierOutputTarget(c) for c in TARGETS.tolist()])
    size = (images.shape[3], images.shape[2])
    enlarged_first = scaled(np.stack([cv2.resize(one, size) for one in maps]))
    scaled_first = np.stack([cv2.resize(one, size) for one in scaled(maps)])
    assert near(torch.from_numpy(library), enlarged_first)
    assert not near(torch.from_numpy(library), scaled_first, 0.01)
    assert near(torch.from_numpy(library), scaled(scaled_first))


def scaled(maps: np.ndarray) -> np.ndarray:
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    return np.asarray((maps - low) / (high - low))


def test_a_nan_is_no_zero() -> None:
    """torchcam leaves NaN out of its sum."""
    model, images = black_box(), pictures()
    images[1] = torch.nan
    maps = explain_with("layer-cam", model, images, TARGETS)
    assert maps[1].isnan().all() and maps[[0, 2]].isfinite().all()
