"""Guided Backprop against the rule written down and captum; shared, functional, other ReLUs."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.common import SoftCAMError
from softcam.explainers import explain_with, features
from softcam.wrappers import BlackBox
from tests.explainers.sixteen import NORMALIZE, pictures
from tests.explainers.test_explainers import TARGETS, TinyTimm, by_hand, randomised, snapshot


class Rule(torch.autograd.Function):
    """Guided ReLU: the gradient passes where the input and the gradient are positive."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)  # type: ignore[attr-defined]
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * (x > 0) * (gradient > 0)


class Deep(nn.Module):
    """Three ReLUs and a residual connection; `relu` says how they are written."""

    def __init__(self, style: str) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.one, self.two = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 1, 1)
        self.norm, self.fc = nn.BatchNorm2d(6), nn.Linear(6, 3)
        self.style = style
        self.shared = nn.ReLU(inplace=style == "shared in place")
        self.own = nn.ModuleList([nn.ReLU() for _ in range(3)])

    def act(self, x: Tensor, i: int) -> Tensor:
        styles = {
            "rule": lambda: Rule.apply(x),
            "own": lambda: self.own[i](x),
            "functional": lambda: F.relu(x),
            "functional in place": lambda: F.relu(x, True) if i else F.relu(inplace=True, input=x),
            "torch": lambda: torch.relu_(x) if i else torch.relu(x),
            "method": lambda: x.relu_() if i else x.relu(),
            "statement": lambda: (F.relu_(x), x)[1],
        }
        return styles.get(self.style, lambda: self.shared(x))()

    def forward(self, x: Tensor) -> Tensor:
        z = self.act(self.norm(self.one(x)), 0)
        z = self.act(self.two(z), 1) + z
        return self.fc(self.act(self.two(z) - z, 2).mean((2, 3)))


STYLES = ["own", "shared", "shared in place", "functional", "functional in place", "torch"]
STYLES += ["method", "statement"]


def model_of(style: str) -> BlackBox:
    return BlackBox(randomised(Deep(style)), NORMALIZE).eval()


def by_rule(images: Tensor) -> Tensor:
    model = model_of("rule")
    x = model.normalize(images).requires_grad_(True)
    logits = model.net(x)[torch.arange(len(images)), TARGETS]
    return torch.autograd.grad(logits.sum(), x)[0].sum(1)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("chunk", [1, 100])
def test_equals_the_rule_however_relu_is_written(
    style: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(2)
    pixels = 2 * images.shape[2] * images.shape[3]
    monkeypatch.setattr(features, "CHUNK_PIXELS", chunk * pixels)
    model = model_of(style)
    before = snapshot(model)
    maps = explain_with("guided-backprop", model, images, TARGETS)
    expected = by_rule(images)
    scale = float(expected.abs().max())
    assert scale > 0 and float((maps - expected).abs().max()) <= 1e-5 * scale
    assert snapshot(model) == before


def test_is_not_the_plain_gradient() -> None:
    images = pictures(2)
    model = model_of("own")
    x = model.normalize(images).requires_grad_(True)
    logits = model.net(x)[torch.arange(2), TARGETS]
    plain = torch.autograd.grad(logits.sum(), x)[0].sum(1)
    assert not torch.allclose(plain, by_rule(images), atol=0.05 * float(plain.abs().max()))


def test_equals_captum_where_captum_can() -> None:
    from captum.attr import GuidedBackprop

    model, images = model_of("own"), pictures(2)
    x = model.normalize(images).requires_grad_(True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = GuidedBackprop(model.net).attribute(x, target=TARGETS).sum(1).detach()
    maps = explain_with("guided-backprop", model, images, TARGETS)
    assert torch.allclose(maps, library, atol=1e-5 * float(library.abs().max()))


def test_of_a_softcam_is_that_of_its_black_box() -> None:
    net, images = randomised(TinyTimm()), pictures(2)
    one = explain_with("guided-backprop", BlackBox(net), images, TARGETS)
    other = explain_with("guided-backprop", by_hand(net), images, TARGETS)
    assert torch.allclose(one, other, atol=1e-6) and one.abs().max() > 0


@pytest.mark.filterwarnings("error")
def test_a_timm_network_of_in_place_relus() -> None:
    from softcam.backbones import build_net

    model = BlackBox(randomised(build_net("resnet10t-w16-os8", 3)))
    maps = explain_with("guided-backprop", model, pictures(2, 64, 64), TARGETS)
    assert maps.shape == (2, 64, 64) and maps.abs().max() > 0


@pytest.mark.parametrize(
    "activation, name",
    [
        (nn.SiLU(), "silu"),
        (nn.GELU(), "gelu"),
        (nn.ReLU6(), "hardtanh"),
        (nn.Hardswish(), "hardswish"),
        (nn.LeakyReLU(inplace=True), "leaky_relu"),
        (nn.PReLU(), "prelu"),
        (nn.Identity(), "no ReLU at all"),
    ],
)
def test_other_activations_are_refused_by_name(activation: nn.Module, name: str) -> None:
    net = TinyTimm()
    net.body[2] = activation
    model = BlackBox(net)
    before = snapshot(model)
    with pytest.raises(SoftCAMError, match=f"defined for .* ReLUs.* {name}"):
        explain_with("guided-backprop", model, pictures(2), TARGETS)
    assert snapshot(model) == before


def test_torchscript_is_refused() -> None:
    net = TinyTimm()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.body = torch.jit.trace(net.body.eval(), pictures(2))
    with pytest.raises(SoftCAMError, match="TorchScript"):
        explain_with("guided-backprop", BlackBox(net), pictures(2), TARGETS)
