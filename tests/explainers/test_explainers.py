"""Every explainer: names, checks on targets, and that the explained network is left as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softcam.common import SoftCAMError, UnknownNameError
from softcam.evidence import SoftCAM
from softcam.explainers import class_maps, explain_with, explainer, explainers, get_explainer
from softcam.wrappers import BlackBox


class TinyNet(nn.Module):
    """Conv, batch norm, ReLU, mean pool, linear: with timm's verbs, or without."""

    num_features = 4

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.body(x)).flatten(1))


class TinyTimm(TinyNet):
    def forward_features(self, x: Tensor) -> Tensor:
        return self.body(x)

    def forward_head(self, z: Tensor) -> Tensor:
        return self.fc(z.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def randomised(net: nn.Module) -> nn.Module:
    """Batch-norm statistics that are not the identity, so that a mode that changed would show."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return net


def by_hand(net: TinyNet) -> SoftCAM:
    """The same function with the sums swapped, weights carried over by hand."""
    conv = nn.Conv2d(4, net.fc.out_features, 1)
    conv.weight.data = net.fc.weight.data[:, :, None, None].clone()
    conv.bias.data = net.fc.bias.data.clone()
    return SoftCAM(copy.deepcopy(net.body), conv).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))


TARGETS = torch.tensor([2, 0])


def snapshot(model: nn.Module) -> list[object]:
    """Everything about a network that an explainer could leave changed."""
    return [
        [
            (
                n,
                m.training,
                len(m._forward_hooks),
                len(m._forward_pre_hooks),
                len(m._backward_hooks),
            )
            for n, m in model.named_modules()
        ],
        [(n, p.requires_grad, p.grad is None) for n, p in model.named_parameters()],
        {n: v.tolist() for n, v in model.state_dict().items()},
    ]


def test_unknown_method_names_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="'grad-cam'"):
        get_explainer("gradcam")


def test_a_name_is_registered_once() -> None:
    fields = {"title": "", "paper": "", "cost": "", "gauges": ("-",), "needs": "images"}
    with pytest.raises(SoftCAMError, match="registered already"):
        explainer(name="random", **fields)(lambda model, images, targets: images[:, 0])


@pytest.mark.parametrize(
    "targets, message",
    [
        (torch.tensor([0]), r"shape \(2,\), found \(1,\)"),
        (torch.tensor([0, 3]), "classes 0 to 2"),
        (torch.tensor([-1, 0]), "classes 0 to 2"),
        (torch.tensor([0.0, 1.0]), "LongTensor"),
        ([0, 1], "found list"),
    ],
)
def test_wrong_targets_are_an_error(images: Tensor, targets: Tensor, message: str) -> None:
    with pytest.raises(SoftCAMError, match=message):
        explain_with("grad-cam", BlackBox(TinyTimm()), images, targets)


def test_softcam_needs_evidence_maps(images: Tensor) -> None:
    with pytest.raises(SoftCAMError, match="to_softcam"):
        explain_with("softcam", BlackBox(TinyTimm()), images, TARGETS)


def test_softcam_is_the_map_of_the_target(images: Tensor) -> None:
    model = by_hand(TinyNet())
    maps = explain_with("softcam", model, images, TARGETS)
    own = model.explain(images).maps
    assert torch.equal(maps, torch.stack([own[0, 2], own[1, 0]]))
    assert torch.allclose(maps.mean((1, 2)), model(images)[[0, 1], TARGETS], atol=1e-6)


@pytest.mark.parametrize("name", sorted(explainers()))
@pytest.mark.parametrize("net", [TinyNet, TinyTimm, "softcam"])
def test_the_network_is_left_as_it_was(name: str, net: object, images: Tensor) -> None:
    if name == "softcam" and net != "softcam":
        pytest.skip("reads evidence maps only")
    base = randomised(TinyNet() if net == "softcam" else net())  # type: ignore[operator]
    model = by_hand(base) if net == "softcam" else BlackBox(base)
    model.train()
    next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d)).eval()  # mixed modes
    next(model.parameters()).requires_grad_(False)
    before = snapshot(model)
    maps = explain_with(name, model, images, TARGETS)
    assert maps.shape == (2, 6, 8) and not maps.requires_grad and maps.isfinite().all()
    assert snapshot(model) == before


@pytest.mark.parametrize("name", sorted(explainers()))
def test_maps_do_not_depend_on_the_batch(name: str, images: Tensor) -> None:
    model = by_hand(randomised(TinyNet()))
    together = explain_with(name, model, images, TARGETS)
    alone = explain_with(name, model, images[1:], TARGETS[1:])
    assert torch.allclose(together[1:], alone, atol=1e-6)


@pytest.mark.parametrize("name", sorted(explainers()))
def test_class_maps_are_the_maps_of_each_class(name: str, images: Tensor) -> None:
    model = by_hand(randomised(TinyNet()))
    logits, maps = class_maps(name, model, images)
    assert torch.allclose(logits, model(images).detach(), atol=1e-6)
    for c in range(3):
        one = explain_with(name, model, images, torch.full((2,), c))
        assert torch.allclose(maps[:, c], one, atol=1e-6), f"class {c}"


def test_random_differs_between_images_and_spans_its_range() -> None:
    model = BlackBox(TinyTimm())
    many = torch.rand(40, 3, 12, 16, generator=torch.Generator().manual_seed(3))
    maps = explain_with("random", model, many, torch.zeros(40, dtype=torch.long))
    assert len({tuple(m.flatten().tolist()) for m in maps}) == 40
    assert -1 <= maps.min() < -0.9 and 0.9 < maps.max() <= 1
    assert abs(maps.mean()) < 0.05


def test_centre_peaks_in_the_middle_and_falls_off(images: Tensor) -> None:
    maps = explain_with("centre", BlackBox(TinyTimm()), images, TARGETS)
    m = maps[0]
    assert torch.allclose(m, m.flip(0)) and torch.allclose(m, m.flip(1))
    assert m.argmax() in (2 * 8 + 3, 2 * 8 + 4, 3 * 8 + 3, 3 * 8 + 4)
    assert torch.isclose(m.min(), m[0, 0]) and 0 <= m.min() and m.max() <= 1


def test_edge_is_the_sobel_gradient_averaged_over_each_cell(images: Tensor) -> None:
    from scipy import ndimage

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
