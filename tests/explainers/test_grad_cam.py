"""Grad-CAM against the definition, against the evidence map, and in awkward surroundings."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError
from softcam.explainers import class_maps, explain_with
from softcam.wrappers import BlackBox
from tests.explainers.test_explainers import (
    TARGETS,
    TinyNet,
    TinyTimm,
    by_hand,
    randomised,
    snapshot,
)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))


def by_definition(net: TinyNet, x: Tensor, targets: Tensor) -> Tensor:
    """sum_d mean(dlogit / dZ_d) * Z_d, written out with autograd."""
    net.eval()
    z = net.body(x).detach().requires_grad_(True)
    logits = net.fc(z.mean((2, 3)))
    gradient = torch.autograd.grad(logits[torch.arange(len(x)), targets].sum(), z)[0]
    return (gradient.mean((2, 3), keepdim=True) * z).sum(1).detach()


@pytest.mark.parametrize("kind", [TinyNet, TinyTimm])
def test_equals_the_definition(kind: type[TinyNet], images: Tensor) -> None:
    net = randomised(kind())
    maps = explain_with("grad-cam", BlackBox(net), images, TARGETS)
    assert torch.allclose(maps, by_definition(net, images, TARGETS), atol=1e-6)
    assert (maps < 0).any(), "no negative value: somebody clipped a signed map"


@pytest.mark.parametrize("kind", [TinyNet, TinyTimm])
def test_times_cells_plus_bias_is_the_evidence_map(kind: type[TinyNet], images: Tensor) -> None:
    net = randomised(kind())
    logits, maps = class_maps("grad-cam", BlackBox(net), images)
    evidence = by_hand(net).explain(images)
    cells = maps.shape[2] * maps.shape[3]
    rebuilt = maps * cells + net.fc.bias.detach()[:, None, None]
    assert torch.allclose(rebuilt, evidence.maps, atol=1e-5)
    assert torch.allclose(logits, evidence.logits, atol=1e-5)


def test_on_a_softcam_itself(images: Tensor) -> None:
    model = by_hand(randomised(TinyNet()))
    maps = explain_with("grad-cam", model, images, TARGETS)
    own = explain_with("softcam", model, images, TARGETS)
    bias = model.bias[TARGETS][:, None, None]
    assert torch.allclose(maps * maps[0].numel() + bias, own, atol=1e-5)


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("kind", [TinyNet, TinyTimm])
@pytest.mark.parametrize("frozen", [False, True])
def test_whatever_is_around_the_call(
    around: type, kind: type[TinyNet], frozen: bool, images: Tensor
) -> None:
    net = randomised(kind()).requires_grad_(not frozen)
    expected = by_definition(randomised(net), images, TARGETS)
    with around():
        maps = explain_with("grad-cam", BlackBox(net), images.clone(), TARGETS.clone())
    assert torch.allclose(maps, expected, atol=1e-6)


class FailsLate(TinyTimm):
    """Works in a forward pass without gradients, fails in the one Grad-CAM differentiates."""

    def forward_head(self, z: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError("late")
        return super().forward_head(z)


def test_left_as_it_was_after_an_error(images: Tensor) -> None:
    model = BlackBox(FailsLate()).train()
    before = snapshot(model)
    with pytest.raises(RuntimeError, match="late"):
        explain_with("grad-cam", model, images, TARGETS)
    assert snapshot(model) == before


class SharedReLU(nn.Module):
    """One ReLU module that runs twice, the second time in place: the layer is its last run."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 1, 1)
        self.relu, self.fc = nn.ReLU(inplace=True), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = self.relu(self.two(self.relu(self.one(x))))
        return self.fc(z.mean((2, 3)))


def test_a_module_that_runs_twice(images: Tensor) -> None:
    net = SharedReLU()
    z = torch.relu(net.two(torch.relu(net.one(images))))
    expected = (net.fc.weight[TARGETS][:, :, None, None] * z).sum(1) / z[0, 0].numel()
    maps = explain_with("grad-cam", BlackBox(net), images, TARGETS)
    assert torch.allclose(maps, expected, atol=1e-6)


def test_no_spatial_map_is_an_error(images: Tensor) -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 16, 3))
    with pytest.raises(SoftCAMError, match="no layer with a spatial map"):
        explain_with("grad-cam", BlackBox(flat), images, TARGETS)


def test_tokens_are_an_error(images: Tensor) -> None:
    net = TinyTimm()
    net.forward_features = lambda x: net.body(x).flatten(2).transpose(1, 2)  # type: ignore[method-assign]
    net.forward_head = lambda z: net.fc(z.mean(1))  # type: ignore[method-assign]
    net.forward = lambda x: net.forward_head(net.forward_features(x))  # type: ignore[method-assign]
    with pytest.raises(SoftCAMError, match="not a spatial map"):
        explain_with("grad-cam", BlackBox(net), images, TARGETS)


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
def test_timm_networks(name: str) -> None:
    import timm

    net = timm.create_model(name, num_classes=3).eval()
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = explain_with("grad-cam", BlackBox(net), x, torch.tensor([1]))
    z = net.forward_features(x)
    assert maps.shape[1:] == z.shape[2:] and maps.abs().max() > 0


def test_equals_the_map_of_the_converted_network() -> None:
    from softcam.backbones import build_net
    from softcam.convert import to_softcam

    torch.manual_seed(0)
    net = randomised(build_net("resnet10t-w16-os8", 3))
    black_box = BlackBox(net, ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))).eval()
    x = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    logits, maps = class_maps("grad-cam", black_box, x)
    model = to_softcam(black_box).eval()
    evidence = model.explain(x).maps
    rebuilt = maps * evidence[0, 0].numel() + model.bias[:, None, None]
    scale = float(evidence.abs().max())
    assert scale > 0 and float((rebuilt - evidence).abs().max()) <= 1e-5 * max(1.0, scale)
    assert torch.allclose(logits, model(x), atol=1e-5 * max(1.0, scale))
