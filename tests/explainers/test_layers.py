"""Where the last map is, for every kind of network that converts, and `layer=` for any other."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.backbones import build_net
from softcam.common import SoftCAMError, UnknownNameError
from softcam.convert import to_softcam
from softcam.explainers import class_maps, explain_with, get_explainer
from softcam.explainers.features import split_at, split_at_features, undisturbed
from softcam.wrappers import BlackBox
from tests.explainers.sixteen import black_box, pictures
from tests.explainers.test_explainers import TARGETS, TinyNet, by_hand, randomised, snapshot

LAYERED = ("grad-cam", "layer-cam", "score-cam")


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


class FunctionalReLU(TinyNet):
    """Its last map is the output of a function: no module gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.body(x), inplace=True).mean((2, 3)))


class Branches(TinyNet):
    """Two branches that are put together by a function, as in Inception."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 3, 3, 2, 1), nn.Conv2d(3, 1, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.cat([self.one(x), self.two(x)], 1)
        return self.fc(self.pool(z).flatten(1))


class ChannelsLast(TinyNet):
    """Gives (B, h, w, D), as Swin does, by timm's verbs."""

    def forward_features(self, x: Tensor) -> Tensor:
        return self.body(x).permute(0, 2, 3, 1)

    def forward_head(self, z: Tensor) -> Tensor:
        return self.fc(z.mean((1, 2)))

    def get_classifier(self) -> nn.Module:
        return self.fc

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


class TinyVGG(nn.Module):
    """Fully connected over a grid of cells: converted with the paper's head."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(4))
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.classifier = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.pool(self.features(x)).flatten(1))


def torchvision_net(name: str) -> nn.Module:
    import torchvision

    return torchvision.models.get_model(name, num_classes=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        TinyNet,
        FunctionalReLU,
        Branches,
        ChannelsLast,
        lambda: build_net("resnet10t-w16-os8", 3),
        lambda: torchvision_net("shufflenet_v2_x0_5"),
    ],
)
def test_the_last_map_is_the_one_that_conversion_finds(make: object, images: Tensor) -> None:
    """Grad-CAM * cells + bias is the evidence map, so the two weigh the same features."""
    torch.manual_seed(0)
    model = BlackBox(randomised(make()), ((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))).eval()  # type: ignore[operator]
    converted = to_softcam(model).eval()
    before = snapshot(model)
    logits, maps = class_maps("grad-cam", model, images)
    assert snapshot(model) == before
    evidence = converted.explain(images).maps
    rebuilt = maps * evidence[0, 0].numel() + converted.bias[:, None, None]
    scale = float(evidence.abs().max())
    assert scale > 0 and float((rebuilt - evidence).abs().max()) <= 1e-5 * max(1.0, scale)
    assert torch.allclose(logits, model(images), atol=1e-5 * max(1.0, scale))


def test_the_paper_vgg_head_is_explained_at_the_same_map(images: Tensor) -> None:
    model = to_softcam(TinyVGG(), head_width=8).eval()
    with undisturbed(model):
        z, head = split_at_features(model, images)
    assert torch.equal(z, model.backbone(images)) and torch.allclose(head(z), model(images))


class Untraceable(TinyNet):
    """Its path hangs on what it sees, so that it has no graph."""

    def forward(self, x: Tensor) -> Tensor:
        z = self.body(x)
        if float(z.detach().sum()) < -1e9:
            z = -z
        return self.fc(self.pool(z).flatten(1))


class WithOptions(TinyNet):
    """Takes more than the image, as torchvision's and Hugging Face's networks do."""

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        return self.fc(F.relu(self.body(x)).mean((2, 3)) * scale)


@pytest.mark.parametrize("make", [TinyNet, Untraceable, FunctionalReLU, ChannelsLast, WithOptions])
def test_the_head_gives_the_logits_and_leaves_the_map(make: type[TinyNet], images: Tensor) -> None:
    net = randomised(make()).eval()
    z, head = split_at_features(net, images)
    kept = z.clone()
    for _ in range(2):  # the second run as the first
        assert torch.allclose(head(z), net(images), atol=1e-6)
    assert torch.equal(z, kept) and not z.requires_grad
    assert not torch.allclose(head(0 * z), net(images))


def test_a_network_that_was_changed_is_looked_at_again(images: Tensor) -> None:
    net = randomised(TinyNet()).eval()
    before, _ = split_at_features(net, images)
    net.body.extend([nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU()])
    z, head = split_at_features(net, images)
    assert torch.equal(z, net.body(images)) and z.shape[2] < before.shape[2]
    assert torch.allclose(head(z), net(images), atol=1e-6)


def test_layers_before_the_map_need_no_gradients(images: Tensor) -> None:
    net = randomised(Untraceable()).eval()
    z, head = split_at(net, images, "body.2")
    head(z.requires_grad_(True)).sum().backward()
    assert z.grad is not None and net.body[0].weight.grad is None
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", LAYERED)
def test_another_layer_has_its_own_size(name: str, images: Tensor) -> None:
    model = BlackBox(build_net("resnet10t-w16-os8", 3).eval())
    method = get_explainer(name).function
    assert inspect.signature(method).parameters["layer"].default is None
    before = snapshot(model)
    maps = method(model, images[:1], TARGETS[:1], layer="net.layer1")
    assert maps.shape == (1, 16, 12) and maps.isfinite().all() and maps.abs().max() > 0
    assert snapshot(model) == before


@pytest.mark.parametrize("name", LAYERED)
@pytest.mark.parametrize("kind", ["black box", "softcam"])
def test_the_last_layer_by_name_is_the_default(name: str, kind: str, images: Tensor) -> None:
    net = randomised(TinyNet())
    model, layer = (
        (BlackBox(net), "net.body.2") if kind == "black box" else (by_hand(net), "backbone.2")
    )
    method = get_explainer(name).function
    by_name = method(model, images, TARGETS, layer=layer)
    assert torch.allclose(by_name, explain_with(name, model, images, TARGETS), atol=1e-6)


def test_grad_cam_at_another_layer_is_the_definition(images: Tensor) -> None:
    model = black_box()
    x, targets = pictures(), torch.tensor([0, 3, 1])
    maps = get_explainer("grad-cam").function(model, x, targets, layer="net.body.0")
    z = model.net.body[0](model.normalize(x)).detach().requires_grad_(True)
    logits = model.net.forward_head(model.net.body[2](model.net.body[1](z)))
    gradient = torch.autograd.grad(logits[torch.arange(3), targets].sum(), z)[0]
    expected = (gradient.mean((2, 3), keepdim=True) * z).sum(1).detach()
    assert torch.allclose(maps, expected, atol=1e-5 * float(expected.abs().max()))


class SharedInPlace(TinyNet):
    """One in-place ReLU that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.two, self.relu = nn.Conv2d(4, 4, 3, 1, 1), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu(self.two(self.relu(self.body[0](x)))).mean((2, 3)))


def test_a_named_layer_that_runs_twice_is_taken_in_its_last_run(images: Tensor) -> None:
    net = SharedInPlace().eval()
    z, head = split_at(net, images, "relu")
    assert torch.allclose(z, torch.relu(net.two(torch.relu(net.body[0](images)))))
    assert torch.allclose(head(z), net(images), atol=1e-6)
    before, behind = split_at(net, images, "two")  # what follows writes into its output
    assert (before < 0).any() and torch.allclose(behind(before), net(images), atol=1e-6)


@pytest.mark.parametrize("name", LAYERED)
def test_an_unknown_layer_names_the_closest(name: str, images: Tensor) -> None:
    model = BlackBox(build_net("resnet10t-w16-os8", 3))
    before = snapshot(model)
    with pytest.raises(UnknownNameError, match=r"unknown layer 'layer4'.*'net.layer4'"):
        get_explainer(name).function(model, images, TARGETS, layer="layer4")
    assert snapshot(model) == before


@pytest.mark.parametrize(
    "layer, message", [("net.fc", "gives shape"), ("net.spare", "does not run")]
)
def test_a_layer_without_a_map_is_an_error(layer: str, message: str, images: Tensor) -> None:
    net = TinyNet()
    net.spare = nn.Conv2d(1, 1, 1)
    with pytest.raises(SoftCAMError, match=message):
        get_explainer("grad-cam").function(BlackBox(net), images, TARGETS, layer=layer)
