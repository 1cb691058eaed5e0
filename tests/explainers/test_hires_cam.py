"""HiResCAM against the closed-form gradient, Grad-CAM, the evidence map and pytorch-grad-cam."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.convert import to_softcam
from softcam.explainers import class_maps, explain_with
from softcam.explainers.hires_cam import hires_cam
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
    expected = (gradients(model, z, TARGETS.tolist()) * z).sum(1)
    maps = explain_with("hires-cam", model, images, TARGETS)
    assert near(maps, expected)
    assert (maps < 0).any(), "no negative value: somebody clipped a signed map"


def test_is_grad_cam_for_a_linear_head_and_not_otherwise() -> None:
    images = pictures()
    for kind in (Sixteen, Linear16):
        model = black_box(kind)
        one = explain_with("hires-cam", model, images, TARGETS)
        other = explain_with("grad-cam", model, images, TARGETS)
        assert near(one, other.double().numpy()) == (kind is Linear16)


def test_times_cells_plus_bias_is_the_evidence_map() -> None:
    model, images = black_box(Linear16), pictures()
    logits, maps = class_maps("hires-cam", model, images)
    evidence = to_softcam(model).eval().explain(images)
    rebuilt = maps * maps[0, 0].numel() + evidence.bias[:, None, None]
    assert near(rebuilt, evidence.maps.double().numpy())
    assert torch.allclose(logits, evidence.logits, atol=1e-5)


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("frozen", [False, True])
def test_whatever_is_around_the_call(around: type, frozen: bool) -> None:
    model, images = black_box(), pictures()
    expected = explain_with("hires-cam", model, images, TARGETS)
    model.requires_grad_(not frozen)
    with around():
        maps = explain_with("hires-cam", model, images.clone(), TARGETS.clone())
    assert torch.equal(maps, expected) and float(maps.abs().max()) > 0


def test_another_layer() -> None:
    model, images = black_box(Linear16), pictures()
    maps = hires_cam(model, images, TARGETS, layer="net.body.1")
    z = model.net.body[1](model.net.body[0](model.normalize(images))).detach()
    slope = torch.where(z > 0, 1.0, 0.01)  # of LeakyReLU
    weight = model.net.fc.weight[TARGETS][:, :, None, None].detach()
    assert near(maps, ((weight * slope * z).sum(1) / z[0, 0].numel()).double().numpy())


def test_against_pytorch_grad_cam() -> None:
    """The same map before the library clips it at 0, scales it and brings it to image size."""
    library = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, images = black_box(), pictures()
    maps = explain_with("hires-cam", model, images, TARGETS)
    kept: list[np.ndarray] = []

    class Raw(library.HiResCAM):
        def get_cam_image(self, *args: object, **kwargs: object) -> np.ndarray:
            kept.append(super().get_cam_image(*args, **kwargs))
            return kept[-1]

    with Raw(model, [model.net.body]) as cam:
        drawn = cam(images, [ClassifierOutputTarget(c) for c in TARGETS.tolist()])
    assert near(maps, kept[0])
    assert drawn.min() == 0 and drawn.shape == (3, 20, 28)  # what is left of the sign
