"""Guided-gradient weights against finite differences, default layers, and an untouched model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from softcam import BlackBox, SoftCAM, to_softcam
from softcam.common import SoftCAMError, UnknownNameError
from softcam.layerwise import default_layers, explain_layers
from softcam.layerwise.weights import weighed_layers
from tests.layerwise.oracle import guided_weights


class Small(nn.Module):
    """Two resolutions; the second stage is signed, the head is not linear."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 1)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.AvgPool2d(2)
        self.two = nn.Conv2d(4, 5, 1)
        self.fc = nn.Linear(5, 3)
        self.unused = nn.Conv2d(5, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        z = self.two(self.pool(self.act(self.one(x))))
        self.unused(z)
        return self.fc(F.relu(z + 0.1).square().mean((2, 3)))


class Block(nn.Module):
    """A bottleneck: its first convolution still has the size of the stage before."""

    def __init__(self, n: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n, n, 1)
        self.conv2 = nn.Conv2d(n, n, 3, stride, 1)
        self.short = nn.Conv2d(n, n, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.short(x))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2, 1)
        self.layer1 = nn.Sequential(Block(6, 1), Block(6, 1))
        self.layer2 = nn.Sequential(Block(6, 2), Block(6, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.layer2(self.layer1(self.stem(x)))).flatten(1))


class ChannelsLast(Small):
    """The same numbers as `Small`, with the channels behind the space in between."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        z = self.turn(self.act(self.one(x)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        z = self.two(self.pool(z))
        return self.fc(F.relu(z + 0.1).square().mean((2, 3)))


def image(height: int = 8, width: int = 12) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))


def numbers(parameter: Tensor) -> np.ndarray:
    return np.asarray(parameter.detach().double().numpy())


def head(net: Small, z: np.ndarray, c: int) -> float:
    """From the second stage to the logit of class c, in NumPy."""
    pooled = (np.maximum(z + 0.1, 0) ** 2).mean((1, 2))
    return float(numbers(net.fc.weight)[c] @ pooled + numbers(net.fc.bias)[c])


def from_first(net: Small, a: np.ndarray, c: int) -> float:
    """From the first stage (after its ReLU) to the logit of class c, in NumPy."""
    k, h, w = a.shape
    pooled = a.reshape(k, h // 2, 2, w // 2, 2).mean((2, 4))
    z = np.einsum("dk,khw->dhw", numbers(net.two.weight)[:, :, 0, 0], pooled)
    return head(net, z + numbers(net.two.bias)[:, None, None], c)


@pytest.mark.parametrize("c", range(3))
def test_weights_are_the_mean_guided_gradient(c: int) -> None:
    net = Small()
    one, two = weighed_layers(BlackBox(net), image(), c, ["net.act", "net.two"])
    assert (two.activations < 0).any() and (one.activations == 0).any(), "nothing to be guided by"
    for found, rest in ((one, from_first), (two, head)):
        maps = found.activations.astype(np.float64)
        expected = guided_weights(maps, lambda z, rest=rest: rest(net, z, c))  # type: ignore[misc]
        np.testing.assert_allclose(found.weights, expected, rtol=1e-3, atol=1e-8)
    plain = torch.autograd.grad(net(image()[None])[0, c], list(net.two.parameters()))
    assert len(plain) == 2, "the network still has its own gradients"


def test_a_layer_behind_may_write_into_its_input() -> None:
    net = Small()
    (found,) = weighed_layers(BlackBox(net), image(), 0, ["net.one"])
    expected = net.one(image()[None])[0].detach().numpy()
    np.testing.assert_array_equal(found.activations, expected)  # act is in place
    assert (found.activations < 0).any()


def test_the_predicted_class_is_the_default() -> None:
    net = Small()
    top = int(net(image()[None])[0].argmax())
    own, asked = (weighed_layers(net, image(), c, ["two"])[0] for c in (None, top))
    other = weighed_layers(net, image(), (top + 1) % 3, ["two"])[0]
    np.testing.assert_array_equal(own.weights, asked.weights)
    assert not np.array_equal(own.weights, other.weights)


def test_channels_behind_the_space_are_brought_to_the_front() -> None:
    net = ChannelsLast()
    turn, act = weighed_layers(net, image(), 1, ["turn", "act"])
    np.testing.assert_array_equal(turn.activations, act.activations)
    np.testing.assert_allclose(turn.weights, act.weights, rtol=1e-5)
    assert turn.activations.shape == (4, 8, 12)


def test_the_last_layer_of_a_softcam_is_weighed_by_the_evidence_layer() -> None:
    model = to_softcam(Residual())
    names = default_layers(model, image(32, 32))
    assert names[-1] == "backbone"
    (last,) = weighed_layers(model, image(32, 32), 1, ["backbone"])
    row = numbers(model.get_classifier().weight)[1, :, 0, 0]
    np.testing.assert_allclose(last.weights, np.maximum(row, 0))
    assert (row < 0).any(), "nothing was clipped"
    maps = numbers(model.forward_features(image(32, 32)[None]))[0]
    np.testing.assert_allclose(last.activations, maps, atol=1e-6)
    # By guided gradients it would be this, times the active share of the cells, over their number.
    guided = guided_weights(maps, lambda z: float(np.einsum("d,dhw->", row, z) / z[0].size))
    np.testing.assert_allclose(guided, last.weights * (maps > 0).mean((1, 2)) / maps[0].size)


class Headed(nn.Module):
    """A head of two layers at each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x))


def test_of_a_deeper_evidence_layer_it_is_what_its_last_convolution_weighs() -> None:
    evidence = nn.Sequential(nn.Conv2d(4, 6, 1), nn.ReLU(), nn.Conv2d(6, 2, 1))
    model = SoftCAM(Headed(), evidence)
    assert default_layers(model, image()) == ("evidence.1",)
    last, before = weighed_layers(model, image(), 0, ["evidence.1", "backbone"])
    assert last.activations.shape[0] == 6 and before.activations.shape[0] == 4
    np.testing.assert_allclose(last.weights, np.maximum(numbers(evidence[2].weight)[0, :, 0, 0], 0))


class NoGradients(nn.Module):
    """Fails when a gradient is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError("a gradient was asked for")
        return self.conv(x)


def test_the_last_layer_of_a_softcam_needs_no_gradients() -> None:
    model = SoftCAM(NoGradients(), nn.Conv2d(4, 2, 1))
    (found,) = explain_layers(model, image(), 0, layers=["backbone"])
    assert found.channels == 4


def test_default_layers_end_their_resolution_and_lie_in_no_branch() -> None:
    assert default_layers(Residual(), image(32, 48)) == ("layer1", "layer2")
    assert default_layers(BlackBox(Small()), image()) == ("net.act", "net.two")
    assert default_layers(ChannelsLast(), image()) == ("turn", "two")
    own = (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)
    assert default_layers(BlackBox(Residual(), own), image(32, 32)) == ("net.layer1", "net.layer2")


def test_of_a_network_converted_by_its_graph_only_modules_have_names() -> None:
    # The graph keeps the convolutions and no blocks, and a sum is no module.
    assert default_layers(to_softcam(Residual()), image(32, 32)) == ("backbone.stem", "backbone")


def test_an_uneven_stride_is_no_obstacle() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, (1, 4), 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 2),
    )  # fmt: skip
    assert default_layers(net, image(16, 32)) == ("1",)
    (found,) = weighed_layers(net, image(16, 32), 0, ["1"])
    assert found.activations.shape == (4, 16, 8)


def test_a_layer_that_the_logit_does_not_see_has_no_weight_and_no_clusters() -> None:
    (found,) = explain_layers(Small(), image(), 0, layers=["unused"])
    assert found.clusters == () and "all weights are zero" in found.notes[0]


def test_layers_come_in_the_order_asked_for_and_once() -> None:
    found = explain_layers(Small(), image(), 0, layers=["two", "act", "two"])
    assert [each.layer for each in found] == ["two", "act"]
    assert [each.size for each in found] == [(4, 6), (8, 12)]


def state(model: nn.Module) -> list[Any]:
    """All that an explanation may not change."""
    hooks = [k for m in model.modules() for k in vars(m) if k.endswith("hooks") and vars(m)[k]]
    return [
        [module.training for module in model.modules()],
        [
            (p.requires_grad, p.grad is None, p.detach().clone().tolist())
            for p in model.parameters()
        ],
        hooks,
        [b.clone().tolist() for b in model.buffers()],
    ]


class Fails(Residual):
    """Works once, for the default layers, and fails in the run that is explained."""

    runs = 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        logits = super().forward(x)
        if self.runs > 1:
            raise RuntimeError("out of luck")
        return logits


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("frozen", [False, True])
def test_the_model_stays_as_it_was(around: Any, frozen: bool) -> None:
    model = BlackBox(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), Pooled()))
    model.train().requires_grad_(not frozen)
    model.net[1].eval()  # type: ignore[index]
    before, x = state(model), image(32, 32)
    pixels = x.clone()
    with around():
        found = explain_layers(model, x, 1)
    assert found[0].layer == "net.2" and found[0].clusters
    assert state(model) == before and torch.equal(x, pixels) and not x.requires_grad


class Pooled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def test_the_model_stays_as_it_was_after_an_error() -> None:
    net = Fails().train()
    before = state(net)
    with pytest.raises(RuntimeError, match="out of luck"):
        explain_layers(net, image(32, 32), 1)
    assert state(net) == before and net.runs == 2
    with pytest.raises(SoftCAMError, match="target is 9"):
        explain_layers(Small(), image(), 9)


def test_gradients_that_are_there_stay() -> None:
    net = Small()
    net(image()[None]).sum().backward()
    before = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    explain_layers(net, image(), 0)
    for old, p in zip(before, net.parameters(), strict=True):
        assert (old is None and p.grad is None) or torch.equal(old, p.grad)  # type: ignore[arg-type]


def test_an_unknown_layer_is_answered_with_close_names() -> None:
    with pytest.raises(UnknownNameError, match="'layer1'"):
        explain_layers(Residual(), image(32, 32), layers=["layer11"])


class Idle(Small):
    """Has a layer that never runs, one that gives one cell, one that gives a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.never = nn.Conv2d(3, 3, 1)
        self.single = nn.AdaptiveAvgPool2d(1)
        self.pair = Pair()

    def forward(self, x: Tensor) -> Tensor:
        self.single(x)
        self.pair(x)
        return super().forward(x)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ("never", "does not run"),
        ("single", r"gives shape \(1, 3, 1, 1\)"),
        ("fc", r"gives shape \(1, 3\)"),
        ("pair", "gives no tensor but tuple"),
    ],
)
def test_a_layer_without_a_map(layer: str, says: str) -> None:
    with pytest.raises(SoftCAMError, match=says):
        explain_layers(Idle(), image(), layers=[layer])


@pytest.mark.parametrize(
    ("x", "options", "says"),
    [
        (torch.rand(2, 3, 8, 12), {}, "expected one image"),
        (torch.rand(8, 12), {}, "expected one image"),
        (torch.full((3, 8, 12), torch.nan), {}, "NaN or infinite"),
        (torch.zeros(3, 8, 12, dtype=torch.uint8), {}, "torch.uint8"),
        (np.zeros((3, 8, 12)), {}, "ndarray"),
        (image(), {"target": 3}, "from 0 to 2"),
        (image(), {"target": -1}, "from 0 to 2"),
        (image(), {"target": 0.5}, "from 0 to 2"),
        (image(), {"layers": "two"}, r"\['two'\]"),
        (image(), {"layers": []}, "layers is empty"),
    ],
)
def test_bad_input(x: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(SoftCAMError, match=says):
        explain_layers(Small(), x, **options)


def test_a_network_without_maps() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 12, 2))
    with pytest.raises(SoftCAMError, match="no layer with a map"):
        explain_layers(net, image())


def test_a_network_that_gives_nan() -> None:
    net = Small()
    nn.init.constant_(net.fc.bias, torch.nan)
    with pytest.raises(SoftCAMError, match="logit that is NaN"):
        explain_layers(net, image())


def test_a_batch_of_one_is_one_image() -> None:
    net = Small()
    one, batch = (weighed_layers(net, x, 0, ["two"])[0] for x in (image(), image()[None]))
    np.testing.assert_array_equal(one.weights, batch.weights)
