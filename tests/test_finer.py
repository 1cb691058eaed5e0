"""Finer maps: the à trous identity, one shifted grid at a time, and batch norm taken again."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from softcam.evidence import SoftCAM
from softcam.finer import finer_maps, map_offset, recalibrate_batch_norm, shift_cells
from softcam.wrappers import BlackBox

SMALL = {"channels": (8, 16, 32, 32), "num_classes": 3}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def shaken(net: nn.Module) -> nn.Module:
    """Statistics and scales of batch norm that do something."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return net.eval()


class ByHand(nn.Module):
    """A stem, a strided layer, and a tail with every kind of window."""

    def __init__(self, strided: nn.Module, tail: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        self.strided, self.tail = strided, tail
        self.fc = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.tail(self.strided(self.stem(x))).mean((2, 3)))


def conv(kernel: int, **options: object) -> nn.Conv2d:
    return nn.Conv2d(6, 6, kernel, **options)  # type: ignore[arg-type]


TAILS = {
    "odd": lambda: nn.Sequential(conv(3, padding=1), nn.BatchNorm2d(6), conv(5, padding=2)),
    "even": lambda: nn.Sequential(conv(2, padding=1), nn.ReLU(), conv(4)),
    "unpadded": lambda: conv(3),
    "dilated": lambda: conv(3, padding=2, dilation=2),
    "grouped": lambda: conv(3, padding=1, groups=6),
    "oblong": lambda: nn.Conv2d(6, 6, (1, 5), padding=(0, 2)),
    "reflected": lambda: conv(3, padding=1, padding_mode="reflect"),
    "circular": lambda: conv(3, padding=1, padding_mode="circular"),
    "replicated": lambda: conv(5, padding=2, padding_mode="replicate"),
    "same": lambda: conv(4, padding="same"),
    "max": lambda: nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(1)),
    "mean": lambda: nn.Sequential(nn.AvgPool2d(3, 1, 1), conv(1)),
    "mean of what is there": lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", TAILS)
def test_each_shifted_grid_is_the_old_tail_on_that_grid(kind: str) -> None:
    """The oracle dilates nothing: it runs the old tail on every second position."""
    net = shaken(ByHand(conv(3, stride=2, padding=1), TAILS[kind]()))
    model, x = to_softcam(net), torch.randn(2, 3, 64, 48)
    finer = finer_maps(model, 2)
    every = F.conv2d(net.stem(x), net.strided.weight, net.strided.bias, padding=1)
    found = finer.forward_features(x)
    for row in (0, 1):
        for column in (0, 1):
            expected = net.tail(every[:, :, row::2, column::2])
            torch.testing.assert_close(found[:, :, row::2, column::2], expected)
    assert "is a cell of the old ones" in finer.conversion.notes[-1]


STRIDED = {
    "even": lambda: conv(2, stride=2),
    "four": lambda: conv(4, stride=2, padding=1),
    "wide": lambda: conv(7, stride=4, padding=3),
    "pointwise": lambda: conv(1, stride=2),
    "max": lambda: nn.MaxPool2d(3, 2, 1),
    "max, hanging over": lambda: nn.MaxPool2d(3, 2, ceil_mode=True),
    "mean": lambda: nn.AvgPool2d(2, 2),
    "mean of what is there": lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "mean with padding": lambda: nn.AvgPool2d(3, 2, 1),
    "mean by a divisor": lambda: nn.AvgPool2d(2, 2, divisor_override=3),
    "blur": lambda: timm.layers.BlurPool2d(6),
    "same": lambda: timm.layers.create_conv2d(6, 6, 3, stride=2, padding="same"),
    "same max": lambda: timm.layers.create_pool2d("max", 3, 2, padding="same"),
    "same mean": lambda: timm.layers.create_pool2d("avg", 3, 2, padding="same"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", STRIDED)
def test_a_strided_layer_keeps_its_old_cells_borders_included(kind: str) -> None:
    twice = nn.Sequential(STRIDED[kind](), nn.ReLU(), copy.deepcopy(STRIDED[kind]()))
    model = to_softcam(shaken(ByHand(twice, conv(3, padding=1))))
    x = torch.randn(2, 3, 64, 96)
    finer, old = finer_maps(model, 2), model.forward_features(x)
    ratio = model.conversion.reduction // 2
    new = finer.forward_features(x)
    assert new.shape[2:] == (32, 48), "an even kernel must not cost a cell"
    torch.testing.assert_close(new[:, :, ::ratio, ::ratio], old)
    assert finer.conversion.reduction == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet10t", SMALL),
        ("resnetblur18", SMALL | {"channels": (8, 16, 24, 32)}),
        ("mobilenetv2_050", {"pad_type": "same", "num_classes": 3}),
        ("regnetx_002", {"num_classes": 3}),
        ("seresnet18", SMALL | {"channels": (8, 16, 24, 32)}),
        ("densenet121", {"growth_rate": 4, "block_config": (2, 2, 2), "num_classes": 3}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_timm_networks_keep_their_old_cells(name: str, options: dict) -> None:
    model = to_softcam(shaken(timm.create_model(name, **options)))
    present = model.conversion.reduction
    x = torch.rand(1, 3, 4 * present, 3 * present)
    finer = finer_maps(model, present // 4)
    assert finer.explain(x).maps.shape[2:] == (16, 12)
    note = finer.conversion.notes[-1]
    if name == "seresnet18":
        assert "look at all cells at once" in note and "would be the old cell" in note
        return
    assert "is a cell of the old ones" in note
    torch.testing.assert_close(
        finer.evidence_maps(x)[:, :, ::4, ::4], model.evidence_maps(x), rtol=1e-4, atol=1e-5
    )


def test_it_is_what_timm_builds_for_that_output_stride() -> None:
    narrow = {"channels": (8, 16, 24, 32), "num_classes": 3}
    coarse = shaken(timm.create_model("resnet18", output_stride=32, **narrow))
    fine = timm.create_model("resnet18", output_stride=8, **narrow).eval()
    fine.load_state_dict(coarse.state_dict())
    x = torch.randn(2, 3, 96, 64)
    torch.testing.assert_close(finer_maps(coarse, 8)(x), fine(x))
    assert (coarse(x) - fine(x)).abs().max() > 1e-3, "no new weights is not the same function"


def test_two_steps_are_one_and_the_order_of_converting_does_not_matter() -> None:
    layers = nn.Sequential(STRIDED["same"](), nn.ReLU(), STRIDED["max"](), STRIDED["mean"]())
    net, x = shaken(ByHand(layers, conv(4, padding="same"))), torch.rand(2, 3, 96, 64)
    model = to_softcam(net)
    expected = finer_maps(model, 4)(x)
    torch.testing.assert_close(finer_maps(finer_maps(model, 8), 4)(x), expected)
    torch.testing.assert_close(to_softcam(finer_maps(net, 4))(x), expected)


def shuffle() -> nn.Module:
    return torchvision.models.ShuffleNetV2([1, 1, 1], [8, 16, 24, 32, 48], num_classes=3)


def vgg() -> nn.Module:
    layers = torchvision.models.vgg.make_layers([4, "M", 8, "M", 8, "M", 8, "M"])
    net = torchvision.models.VGG(layers, num_classes=3, init_weights=False)
    net.classifier = nn.Sequential(
        nn.Linear(8 * 7 * 7, 4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 3)
    )
    return net


def basic() -> nn.Module:
    return timm.create_model("resnet10t", **SMALL)


def features(model: nn.Module, x: Tensor) -> Tensor:
    """Features of a network, by its own means."""
    net = getattr(model, "net", getattr(model, "module", model))
    if isinstance(net, torchvision.models.VGG):
        return net.features(x)
    if isinstance(net, torchvision.models.ShuffleNetV2):
        return net.conv5(net.stage4(net.stage3(net.stage2(net.maxpool(net.conv1(x))))))
    return net.forward_features(x)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "wrap"),
    [(basic, BlackBox), (basic, nn.DataParallel), (shuffle, nn.Identity), (vgg, BlackBox)],
)
def test_a_network_is_changed_in_its_own_form(make: Any, wrap: Any) -> None:
    """Found again by the paths of its layers, whatever it is wrapped in."""
    net = shaken(make())
    given = net if wrap is nn.Identity else wrap(net)
    finer = finer_maps(given, 8)
    assert type(finer) is type(given) and list(finer.state_dict()) == list(given.state_dict())
    x = torch.rand(1, 3, 96, 64)
    old, new = features(given, x), features(finer, x)
    ratio = new.shape[2] // old.shape[2]
    assert new.shape[2:] == (12, 8) and ratio > 1
    torch.testing.assert_close(new[:, :, ::ratio, ::ratio], old, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_model_itself_stays_and_the_copy_has_the_same_weights() -> None:
    model = to_softcam(timm.create_model("resnet10t", **SMALL)).train()
    model.backbone.net.layer4.eval()
    next(model.parameters()).requires_grad = False
    before, x = copy.deepcopy(model.state_dict()), torch.rand(2, 3, 64, 64)
    logits, random = copy.deepcopy(model).eval()(x), torch.get_rng_state()
    finer = finer_maps(model, 8)
    assert torch.equal(random, torch.get_rng_state())
    assert isinstance(finer, SoftCAM) and list(finer.state_dict()) == list(before)
    assert all(torch.equal(finer.state_dict()[key], value) for key, value in before.items())
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())
    assert finer.training and not finer.backbone.net.layer4.training
    assert not next(finer.parameters()).requires_grad
    assert model.conversion.reduction == 32 and finer.conversion.reduction == 8
    assert finer.conversion.notes[: len(model.conversion.notes)] == model.conversion.notes
    torch.testing.assert_close(model.eval()(x), logits)
    e = finer.eval().explain(x)
    torch.testing.assert_close(e.maps.mean((2, 3)), finer(x))
    same = finer_maps(model, 32)
    assert same is not model and torch.equal(same(x), logits)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [64, 12, 0, 3])
def test_other_strides_are_refused_with_the_possible_ones(stride: int) -> None:
    with pytest.raises(SoftCAMError, match="ResNet has a cell every 32 px.*1, 2, 4, 8, 16, 32"):
        finer_maps(timm.create_model("resnet10t", **SMALL), stride)


class Slicing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, ::2, ::2]


class OneSize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.ones(6, 1024))

    def forward(self, x: Tensor) -> Tensor:
        cells = x.shape[2] * x.shape[3]
        assert cells <= 1024
        return x * self.table[:, :cells].view(6, *x.shape[2:])


def test_what_cannot_be_widened_is_refused_by_name() -> None:
    with pytest.raises(SoftCAMError, match=r"shrinks in strided \(Slicing\).*larger images"):
        finer_maps(to_softcam(ByHand(Slicing(), conv(3, padding=1)).eval()), 2)
    table = nn.Sequential(conv(3, stride=2, padding=1), OneSize())
    with pytest.raises(SoftCAMError, match="(?s)at 2 px does not run.*position tables.*larger"):
        finer_maps(to_softcam(ByHand(table, conv(1)).eval()), 2)
    swin = timm.create_model(
        "swin_tiny_patch4_window7_224", embed_dim=12, depths=(1, 1), num_heads=(1, 2), img_size=56
    )
    with pytest.raises(SoftCAMError, match="PatchMerging"):
        finer_maps(to_softcam(swin), 4)


def test_a_layer_that_sees_all_cells_is_told_of() -> None:
    norm = nn.Sequential(conv(3, padding=1), nn.GroupNorm(2, 6))
    finer = finer_maps(to_softcam(ByHand(conv(3, stride=2, padding=1), norm).eval()), 2)
    assert "differs from the old cell" in finer.conversion.notes[-1]
    assert "farther than a window" in finer.conversion.notes[-1]


def test_shifted_cells_of_a_ramp_by_hand() -> None:
    ramp = torch.arange(16.0).expand(2, 16, 16)
    for cells in (0.5, 1.5, 3, -2.25):
        found = shift_cells(ramp, cells)
        assert torch.equal(found, (ramp - cells).clamp(0, 15))  # the border repeats itself
        assert torch.equal(shift_cells(ramp.mT, cells), found.mT)
    assert torch.equal(shift_cells(ramp, 0), ramp)
    with pytest.raises(SoftCAMError, match="finite"):
        shift_cells(ramp, float("nan"))


class Bright(nn.Module):
    """Its evidence is the brightness that one strided layer reads."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.fc = layer, nn.Linear(3, 2)
        nn.init.constant_(self.fc.weight, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layer(x).mean((2, 3)))


@pytest.mark.parametrize(("kind", "expected"), [("corner", 1.5), ("mean", 0.0)])
def test_where_a_map_is_drawn_and_where_its_cells_look(kind: str, expected: float) -> None:
    """A cell of stride 4 is drawn around pixel 1.5 of its 4: the corner lies 1.5 px before that."""
    corner = nn.Conv2d(3, 3, 1, stride=4, bias=False)
    nn.init.dirac_(corner.weight)
    model = to_softcam(Bright(corner if kind == "corner" else nn.AvgPool2d(4)).eval())
    noise = F.avg_pool2d(torch.rand(4, 3, 76, 76), 13, 1)  # smooth
    for stride in (4, 2, 1):
        finer = finer_maps(model, stride)
        maps, mirrored = (finer.explain(x).maps[:, 0] for x in (noise, noise.flip(-1)))
        moved = expected - (4 - stride) / 2  # what is drawn moves up and left with every step
        assert map_offset(maps, mirrored, 64) == pytest.approx(-moved, abs=0.5)
    assert map_offset(maps, maps.flip(-1), 64) == 0


def test_what_has_no_offset_is_refused() -> None:
    maps = torch.randn(3, 4, 4)
    for pair, word in (((maps, maps[:2]), "same images"), ((maps[:0], maps[:0]), "same images"),
                       ((maps[0], maps[0]), "same images"), ((0 * maps, maps), "flat"),
                       ((maps / 0, maps), "flat")):  # fmt: skip
        with pytest.raises(SoftCAMError, match=word):
            map_offset(*pair, 32)


def normed() -> nn.Module:
    return nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_statistics_are_those_of_the_images_by_hand() -> None:
    model, x = normed(), 3 + 2 * torch.randn(10, 3, 8, 8)
    recalibrate_batch_norm(model, x, batch_size=4)  # batches of 4, 4 and 2
    parts = x.split(4)
    torch.testing.assert_close(model[0].running_mean, x.mean((0, 2, 3)))
    variance = sum(len(p) * p.var((0, 2, 3)) for p in parts) / 10
    torch.testing.assert_close(model[0].running_var, variance)
    normal = torch.cat([(p - p.mean((0, 2, 3), keepdim=True))
                        / (p.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
                        for p in parts])  # fmt: skip
    torch.testing.assert_close(model[3].running_mean, model[2](normal).mean((0, 2, 3)))


def test_nothing_else_changes_and_it_is_the_same_twice() -> None:
    model, x = normed(), torch.randn(8, 3, 8, 8)
    model[0].eval()
    model[3].momentum = 0.3
    model[3].num_batches_tracked.fill_(7)
    twin, weights = copy.deepcopy(model), [p.clone() for p in model.parameters()]
    random = torch.get_rng_state()
    recalibrate_batch_norm(model, x, batch_size=4)
    recalibrate_batch_norm(twin, list(x.split(4)))
    assert torch.equal(random, torch.get_rng_state()), "dropout is off"
    for key, value in twin.state_dict().items():
        assert torch.equal(model.state_dict()[key], value)
    assert [m.training for m in model] == [False, True, True, True] and model.training
    assert model[3].momentum == 0.3 and model[3].num_batches_tracked == 7
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))


def test_what_cannot_be_estimated_is_refused_and_leaves_everything() -> None:
    model, x = normed(), torch.randn(4, 3, 8, 8)
    before = copy.deepcopy(model.state_dict())
    for images in ([x, torch.randn(1, 3, 3, 3)], [], x[:0]):
        with pytest.raises(SoftCAMError, match="no variance|no images"):
            recalibrate_batch_norm(model, images)
        assert all(torch.equal(model.state_dict()[k], v) for k, v in before.items())
        assert model[0].momentum == 0.1 and model.training
    with pytest.raises(SoftCAMError, match="not finite"):
        recalibrate_batch_norm(model, x / 0)
    assert all(torch.equal(model.state_dict()[k], v) for k, v in before.items())
    with pytest.raises(SoftCAMError, match="at least 2"):
        recalibrate_batch_norm(model, x, batch_size=1)
    with pytest.raises(SoftCAMError, match="nothing to recalibrate"):
        recalibrate_batch_norm(nn.Conv2d(3, 3, 1), x)
