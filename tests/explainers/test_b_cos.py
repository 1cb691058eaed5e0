"""The method `b-cos`: its sum, its classes, and that the explained network is left as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from softcam.backbones import build_net
from softcam.common import SoftCAMError
from softcam.explainers import class_maps, explain_with
from softcam.wrappers import BlackBox

NORMALIZE = ([0.4, 0.5, 0.6], [0.2, 0.3, 0.1])
TARGETS = torch.tensor([2, 0])


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def box() -> BlackBox:
    pytest.importorskip("bcos")
    torch.manual_seed(0)
    model = BlackBox(build_net("bcos_resnet10-w4", 3), NORMALIZE).train()
    with torch.no_grad():
        for _ in range(50):  # norms that have seen images
            model(torch.rand(8, 3, 64, 64))
    return model.eval()


def state(model: nn.Module) -> list[object]:
    return [
        [(m.training, getattr(m, "detach", None) is True) for m in model.modules()],
        [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()],
        [len(m._forward_hooks) + len(m._backward_hooks) for m in model.modules()],
        [v.double().sum().item() for v in model.state_dict().values()],
        torch.is_grad_enabled(),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 48), (230, 224)])  # one chunk, and several
def test_the_sum_is_the_logit_of_the_target(box: BlackBox, size: tuple[int, int]) -> None:
    images = torch.rand(6, 3, *size, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(6) % 3
    maps = explain_with("b-cos", box, images, targets)
    logits = box(images).detach().gather(1, targets[:, None])[:, 0]
    assert maps.shape == (6, *size)
    scale = float(maps.abs().sum((1, 2)).max())
    assert float((maps.sum((1, 2)) - logits).abs().max()) <= 1e-4 * scale > 0


def test_maps_of_all_classes_are_those_of_each(box: BlackBox, images: Tensor) -> None:
    logits, maps = class_maps("b-cos", box, images)
    assert torch.allclose(logits, box(images).detach(), atol=1e-6)
    for c in range(3):
        one = explain_with("b-cos", box, images, torch.full((2,), c))
        assert torch.allclose(maps[:, c], one, atol=1e-6 * float(maps.abs().sum()))
    bare = class_maps("b-cos", box.net, box._checked(images))
    assert torch.allclose(bare[1], maps, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("frozen", [True, False])
def test_left_as_it_was(box: BlackBox, images: Tensor, around: type, frozen: bool) -> None:
    expected = explain_with("b-cos", box, images, TARGETS)
    box.train().requires_grad_(not frozen)
    box.net.net.layer1.eval()
    given, before = images.clone(), state(box)
    with around():
        maps = explain_with("b-cos", box, images, TARGETS)
    assert torch.allclose(maps, expected, atol=1e-7) and not maps.requires_grad
    assert state(box) == before and torch.equal(images, given)


def test_left_as_it_was_after_an_error(box: BlackBox, images: Tensor) -> None:
    def fuse(_module: nn.Module, _given: object, out: Tensor) -> None:
        if out.requires_grad and not torch.is_inference_mode_enabled():
            raise RuntimeError("blown")

    handle = box.net.net.layer3.register_forward_hook(fuse)
    box.train()
    before = state(box)
    with pytest.raises(RuntimeError, match="blown"):
        explain_with("b-cos", box, images, TARGETS)
    assert state(box) == before
    handle.remove()


def test_bad_input(box: BlackBox, images: Tensor) -> None:
    with pytest.raises(SoftCAMError, match=r"shape \(2,\), found \(3,\)"):
        explain_with("b-cos", box, images, torch.tensor([0, 1, 2]))
    with pytest.raises(SoftCAMError, match="classes 0 to 2"):
        explain_with("b-cos", box, images, torch.tensor([0, 3]))
    with pytest.raises(SoftCAMError, match="half precision"):
        explain_with("b-cos", box.half(), images.half(), TARGETS)


def test_other_networks_are_refused(images: Tensor) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(SoftCAMError, match="made of B-cos layers"):
        explain_with("b-cos", BlackBox(net), images, TARGETS)
