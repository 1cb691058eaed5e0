"""Stages from the output down, and that nothing of the training is left in one drawn anew."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from softcam.backbones import build_net
from softcam.common import SoftCAMError
from softcam.convert import to_softcam
from softcam.sanity.stages import Stage, find_stages, randomise
from softcam.wrappers import BlackBox

IMAGE = torch.zeros(1, 3, 32, 32)


def black_box(seed: int = 0) -> BlackBox:
    """A small ResNet in which every number has been moved, as training does."""
    torch.manual_seed(seed)
    model = BlackBox(build_net("resnet10t-w8-os8", 2), ([0.5] * 3, [0.2] * 3))
    with torch.no_grad():
        for value in model.net.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand_like(value))
            else:
                value.add_(5)
    return model.eval()


def test_stages_follow_the_blocks_of_the_network_from_the_output_down() -> None:
    stages = find_stages(black_box(), IMAGE)
    assert [s.name for s in stages] == ["head", "layer4", "layer3", "layer2", "layer1", "conv1"]
    assert list(stages[0].layers) == ["head"] and "bn1" in stages[-1].layers


def test_a_conversion_has_the_stages_of_its_black_box() -> None:
    model = black_box()
    stages = [find_stages(each, IMAGE) for each in (model, to_softcam(model))]
    names = [[(s.name, list(s.layers)) for s in each] for each in stages]
    assert names[0] == names[1]


def test_every_parameter_is_in_one_stage() -> None:
    model = black_box()
    owned = [
        id(p)
        for stage in find_stages(model, IMAGE)
        for layer in stage.layers.values()
        for p in layer.parameters(recurse=False)
    ]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())


def test_with_all_stages_drawn_anew_nothing_of_the_training_is_left() -> None:
    states = []
    for model in (black_box(0), black_box(1)):
        for stage in find_stages(model, IMAGE):
            randomise(stage, seed=3)
        states.append(model.state_dict())
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_a_black_box_and_its_conversion_stay_the_same_function() -> None:
    model = black_box()
    softcam = to_softcam(model).eval()
    x = torch.rand(2, 3, 32, 32)
    pairs = zip(find_stages(model, IMAGE), find_stages(softcam, IMAGE), strict=True)
    before = model(x)
    for one, other in pairs:
        randomise(one, seed=1)
        randomise(other, seed=1)
        logits = model(x)
        assert torch.allclose(softcam(x), logits, rtol=1e-4, atol=1e-5), one.name
    assert not torch.allclose(before, logits)


class Chain(nn.Module):
    """Convolutions in a row, then mean and linear."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(length)))
        self.fc = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).mean((2, 3)))


def test_many_layers_are_joined_to_seven_blocks_and_a_head() -> None:
    stages = find_stages(Chain(20), IMAGE)
    assert [len(stage.layers) for stage in stages] == [1, 2, 2, 2, 2, 4, 4, 4]
    assert stages[1].name == "18..19" and stages[-1].name == "0..3"
    layers = [int(name) for stage in stages[1:] for name in reversed(stage.layers)]
    assert layers == list(range(19, -1, -1))


def test_a_short_network_has_as_many_stages_as_layers() -> None:
    assert [s.name for s in find_stages(Chain(2), IMAGE)] == ["head", "1", "0"]
    only = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    assert [s.name for s in find_stages(only, IMAGE)] == ["head"]


def test_a_network_without_parameters_is_refused() -> None:
    with pytest.raises(SoftCAMError, match="nothing to randomise"):
        find_stages(nn.Flatten(), IMAGE)


class Odd(nn.Module):
    """A scale of its own, a layer whose weights another one reads, and two heads, one idle."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((4,), 1e-3))
        self.a = nn.Conv2d(3, 4, 1)
        self.read = nn.Conv2d(4, 4, 1)
        self.fc = nn.Linear(4, 2)
        self.idle = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        z = nn.functional.conv2d(self.a(x) * self.scale[:, None, None], self.read.weight)
        return self.fc(z.mean((2, 3)))


def test_layers_that_are_never_called_are_drawn_too_and_are_no_head() -> None:
    model = nn.Sequential(Odd())
    stages = find_stages(model, IMAGE)
    assert stages[0].layers["head"] is model[0].fc
    found = {id(layer) for stage in stages for layer in stage.layers.values()}
    assert found == {id(m) for m in (model[0], model[0].a, model[0].read, model[0].fc,
                                     model[0].idle)}  # fmt: skip


def test_weights_are_gaussian_with_variance_two_by_fan_in() -> None:
    conv = nn.Conv2d(16, 256, 3)
    before = conv.weight.clone()
    randomise(Stage("a", {"a": conv}), seed=0)
    values = conv.weight.detach().flatten()
    sigma = math.sqrt(2 / (16 * 9))
    assert abs(values.mean()) < 4 * sigma / math.sqrt(values.numel())
    assert values.std() == pytest.approx(sigma, rel=0.02)
    inside = (values.abs() < sigma).float().mean().item()
    assert inside == pytest.approx(0.6827, abs=0.01), "a Gaussian, not a uniform"
    assert conv.bias.eq(0).all() and not torch.equal(before, conv.weight)


def test_numbers_depend_on_seed_and_name_alone() -> None:
    def drawn(layer: nn.Module, name: str, seed: int) -> Tensor:
        randomise(Stage("s", {name: layer}), seed)
        return layer.weight.detach().flatten()

    linear = drawn(nn.Linear(8, 3), "head", 0)
    assert torch.equal(linear, drawn(nn.Conv2d(8, 3, 1), "head", 0))
    assert not torch.equal(linear, drawn(nn.Linear(8, 3), "head", 1))
    assert not torch.equal(linear, drawn(nn.Linear(8, 3), "layer", 0))


class Frozen(nn.Module):
    """A normalisation layer that holds everything in buffers."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.rand(4) + 2)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), Frozen()])
def test_normalisation_is_as_built(norm: nn.Module) -> None:
    with torch.no_grad():
        for value in norm.state_dict().values():
            value.add_(3)
    randomise(Stage("n", {"n": norm}), seed=0)
    assert norm.weight.eq(1).all() and norm.bias.eq(0).all()
    assert norm.running_mean.eq(0).all() and norm.running_var.eq(1).all()


def test_a_frozen_normalisation_layer_belongs_to_a_stage() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 1), Frozen(), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            z = self.conv(x) * self.norm.weight[:, None, None]
            return self.fc(z.mean((2, 3)))

    stages = find_stages(Net(), IMAGE)
    assert [list(s.layers) for s in stages] == [["head"], ["conv", "norm"]]


def test_other_parameters_keep_their_scale() -> None:
    odd = Odd()
    odd.scale = nn.Parameter(torch.full((4000,), 0.02))
    randomise(Stage("o", {"o": odd}), seed=0)
    assert odd.scale.detach().std() == pytest.approx(0.02, rel=0.05)
    assert abs(odd.scale.mean()) < 0.002


def test_a_layer_that_resets_itself_leaves_the_callers_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    first, second = nn.Embedding(4, 3), nn.Embedding(4, 3)
    torch.set_rng_state(state)
    for layer in (first, second):
        randomise(Stage("e", {"e": layer}), seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.weight, second.weight)
