"""CAM against NumPy, torchcam, Grad-CAM and the evidence map; what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from softcam.explainers import class_maps, explain_with
from softcam.wrappers import BlackBox
from tests.explainers.sixteen import Linear16, Sixteen, black_box, features, near, pictures
from tests.explainers.test_explainers import TARGETS, TinyNet, by_hand, randomised
from tests.explainers.test_layers import TinyVGG

THREE = torch.tensor([0, 3, 1])


def test_equals_numpy() -> None:
    model, images = black_box(Linear16), pictures()
    weight = model.net.fc.weight.detach().double().numpy()
    expected = np.einsum("bk,bkhw->bhw", weight[THREE], features(model, images))
    maps = explain_with("cam", model, images, THREE)
    assert near(maps, expected) and (maps < 0).any()


def test_its_mean_is_the_logit_without_the_bias_and_it_is_grad_cam_times_cells() -> None:
    model, images = black_box(Linear16), pictures()
    logits, maps = class_maps("cam", model, images)
    rebuilt = maps.mean((2, 3)) + model.net.fc.bias.detach()
    assert torch.allclose(rebuilt, model(images).detach(), atol=1e-5)
    _, gradients = class_maps("grad-cam", model, images)
    assert near(maps, gradients.double().numpy() * maps[0, 0].numel())
    evidence = to_softcam(model).eval().explain(images)
    assert near(maps + evidence.bias[:, None, None], evidence.maps.double().numpy())
    assert torch.allclose(logits, evidence.logits, atol=1e-5)


def test_of_a_softcam_is_its_evidence_without_the_bias() -> None:
    model, images = by_hand(randomised(TinyNet())), pictures(2)
    maps = explain_with("cam", model, images, TARGETS)
    own = explain_with("softcam", model, images, TARGETS)
    assert torch.allclose(maps + model.bias[TARGETS][:, None, None], own, atol=1e-5)


def test_of_the_paper_vgg_head_is_its_evidence_without_the_bias() -> None:
    model, images = to_softcam(TinyVGG(), head_width=8).eval(), pictures(2, 64, 96)
    maps = explain_with("cam", model, images, TARGETS)
    own = explain_with("softcam", model, images, TARGETS)
    assert torch.allclose(maps + model.bias[TARGETS][:, None, None], own, atol=1e-5)
    assert maps.abs().max() > 0


def test_equals_torchcam() -> None:
    """The library does not clip CAM either, though its formula says so."""
    from torchcam.methods import CAM

    model, images = black_box(Linear16), pictures()
    with CAM(model.net, "body.2", "fc") as extractor, torch.no_grad():
        model(images)
        library = extractor(THREE.tolist(), normalized=False)[0]
    assert near(explain_with("cam", model, images, THREE), library.double().numpy())


class MaxPooled(TinyNet):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).amax((2, 3)))


class Deep(TinyNet):
    """Two linear layers behind the map."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


@pytest.mark.parametrize(
    "net, message",
    [
        (MaxPooled(), "MaxPooled does not have: its logits are not"),
        (Deep(), "Deep does not have: it has a last layer Linear"),
        (Sixteen(), "Sixteen does not have: its logits are not"),
    ],
)
def test_other_heads_are_refused_by_name(net: nn.Module, message: str) -> None:
    with pytest.raises(SoftCAMError, match=message):
        explain_with("cam", BlackBox(net), pictures(2), TARGETS)


def test_a_nan_in_one_image_stays_there() -> None:
    model, images = black_box(Linear16), pictures()
    images[1] = torch.nan
    maps = explain_with("cam", model, images, THREE)
    assert maps[1].isnan().all() and maps[[0, 2]].isfinite().all()
