"""FM-G-CAM against NumPy: who claims which cell, the scale, and which classes may be asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.explainers import class_maps, explain_with
from softcam.explainers.fm_g_cam import fused_maps
from tests.explainers.sixteen import Sixteen, black_box, features, gradients, near, pictures


def by_definition(model: Sixteen, images: Tensor, classes: np.ndarray) -> np.ndarray:
    """alpha = GAP(dY_c/dA), H = mean_k alpha A, winner takes the cell, ReLU, one scale; one by one.

    Also the public copies' L2 norm, over the whole picture: it cancels in the last division.
    """
    z = features(model, images)
    out = np.zeros((*classes.shape, *z.shape[2:]))
    for b in range(len(z)):
        alpha = [gradients(model, z[b : b + 1], [c])[0].mean((1, 2)) for c in classes[b]]
        heat = np.stack([(a[:, None, None] * z[b]).mean(0) for a in alpha])
        kept = np.where(heat == heat.max(0), heat, 0)
        kept = kept / np.sqrt((kept**2).sum())
        kept = np.maximum(kept, 0)
        out[b] = (kept - kept.min()) / (kept.max() - kept.min())
    return out


@pytest.mark.parametrize("k", [2, 3, 4])
def test_equals_numpy_for_the_highest_logits(k: int) -> None:
    model, images = black_box(), pictures()
    classes = model(images).detach().argsort(1, descending=True)[:, :k]
    maps = fused_maps(model, images, k)
    assert near(maps, by_definition(model, images, classes.numpy()))
    assert torch.equal(maps, fused_maps(model, images, classes))


def test_no_cell_belongs_to_two_classes_and_the_largest_value_is_one() -> None:
    maps = fused_maps(black_box(), pictures(), 4)
    assert int((maps > 0).sum(1).max()) == 1
    assert torch.equal(maps.flatten(1).amax(1), torch.ones(3)) and float(maps.min()) == 0
    assert (maps.flatten(2).amax(2) > 0).sum() > 3, "one class only: not several in one picture"


def test_the_target_shares_with_the_two_highest_others() -> None:
    model, images = black_box(classes=5), pictures()
    targets = model(images).detach().argmin(1)
    rest = model(images).detach().argsort(1, descending=True)[:, :2]
    classes = torch.cat([targets[:, None], rest], 1)
    maps = explain_with("fm-g-cam", model, images, targets)
    expected = by_definition(model, images, classes.numpy())[:, 0]
    assert np.abs(maps.numpy() - expected).max() < 1e-5


def test_every_class_as_the_target_in_one_go() -> None:
    model, images = black_box(classes=5), pictures()
    logits, maps = class_maps("fm-g-cam", model, images)
    assert torch.allclose(logits, model(images), atol=1e-6)
    for c in range(5):
        one = explain_with("fm-g-cam", model, images, torch.tensor([c] * 3))
        assert torch.allclose(maps[:, c], one, atol=1e-6)


def test_more_classes_than_there_are_and_a_single_one() -> None:
    model, images = black_box(classes=2), pictures()
    assert fused_maps(model, images, 3).shape[1] == 2
    alone = fused_maps(model, images, torch.tensor([[1]] * 3))
    heat = explain_with("grad-cam", model, images, torch.tensor([1] * 3)).clamp(min=0)
    most = heat.amax((1, 2), keepdim=True)
    assert float(most.min()) > 0
    assert torch.allclose(alone[:, 0], heat / most, atol=1e-5)


def test_nobody_claims_a_cell() -> None:
    model = black_box()
    model.net.fc.weight.data.zero_()
    assert torch.equal(fused_maps(model, pictures()), torch.zeros(3, 3, 10, 14))


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (torch.tensor([[0, 4]] * 3), "classes 0 to 3"),
        (torch.tensor([[0, 0]] * 3), "twice"),
        (torch.tensor([[0, 1]] * 2), r"\(3, K\)"),
        (torch.tensor([0, 1, 2]), r"\(3, K\)"),
        (torch.zeros(3, 2), "float32"),
        (0, "K >= 1"),
    ],
)
def test_classes_that_do_not_fit(classes: Tensor, said: str) -> None:
    with pytest.raises(SoftCAMError, match=said):
        fused_maps(black_box(), pictures(), classes)
