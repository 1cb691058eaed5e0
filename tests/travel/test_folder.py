"""A model in a folder: the same model when it is read, and a reason when it cannot be."""

from __future__ import annotations

import copy
import functools
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from softcam import BlackBox, SoftCAM, to_softcam
from softcam.backbones import build_net
from softcam.common import SoftCAMError
from softcam.finer import finer_maps
from softcam.proof import probe_copy, quiet

NORMALIZE = ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


class Own(nn.Module):
    """A user's network, which nobody can build by name."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, stride=4)
        self.fc = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).relu().mean((2, 3)))


class Twice(nn.Module):
    """A backbone that uses one layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 3, 3, stride=2, padding=1)
        self.two = self.one

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x).relu()).relu()


def trained(net: nn.Module, **options: Any) -> SoftCAM:
    """A SoftCAM in eval mode with nothing left at zero, as after a training."""
    model = to_softcam(BlackBox(net, NORMALIZE), **options)
    model.load_state_dict(probe_copy(model).state_dict())
    return model.eval()


@functools.cache
def _first() -> SoftCAM:
    with quiet():  # the same whichever test asks first
        return trained(build_net("resnet10t-w8-os8", 3))


def tiny() -> SoftCAM:
    """A small converted network, the caller's own."""
    return copy.deepcopy(_first())


def same(first: SoftCAM, second: SoftCAM, size: int = 64) -> bool:
    x = torch.rand(2, 3, size, size + 32)
    with torch.no_grad():
        maps = first.evidence_maps(x), second.evidence_maps(x)
    return torch.equal(*maps) and torch.equal(first(x), second(x))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet10t-w8-os8", {}),
        ("bagnet9t-w8", {}),
        ("mobilenetv2_035-same", {}),
        ("resnet10t-w8", {"drop_rate": 0.2}),
        ("torchvision:shufflenet_v2_x0_5", {}),
    ],
)
def test_a_model_says_by_itself_how_it_is_built(
    tmp_path: Path, name: str, options: dict[str, float]
) -> None:
    kind, _, plain = name.rpartition(":")
    if kind:
        net = torchvision.models.get_model(plain, weights=None, num_classes=3)
    elif options:
        net = timm.create_model("resnet10t", num_classes=3, channels=(8, 16, 32, 32), **options)
    else:
        net = build_net(plain, 3)
    model = trained(net)
    model.save_pretrained(tmp_path)
    again = SoftCAM.from_pretrained(tmp_path)
    assert again.architecture == {"name": name, "options": options}
    assert same(model, again) and not again.training
    assert list(again.state_dict()) == list(model.state_dict())


@pytest.mark.slow
def test_everything_that_a_reader_needs_is_kept(tmp_path: Path) -> None:
    model = trained(build_net("resnet10t-w8", 1), link="sigmoid")
    model.save_pretrained(tmp_path, class_names=["well", "ill"], image_size=(96, 64))
    again = SoftCAM.from_pretrained(tmp_path)
    assert again.normalize.values() == model.normalize.values()
    assert (again.link, again.conversion) == ("sigmoid", model.conversion)
    assert again.class_names == ("well", "ill") and again.image_size == (96, 64)
    again.save_pretrained(tmp_path / "second")  # nothing has to be said again
    assert SoftCAM.from_pretrained(tmp_path / "second").class_names == ("well", "ill")
    first, second = (tmp_path / part / "config.json" for part in ("", "second"))
    assert first.read_text() == second.read_text()


@pytest.mark.slow
def test_the_papers_head_and_options_come_back_by_name(tmp_path: Path) -> None:
    options: dict[str, Any] = {"mlp_ratio": 0.002}  # its own head would hold most of the weights
    model = trained(timm.create_model("vgg11", num_classes=2, **options), head_width=8)
    model.save_pretrained(tmp_path, architecture={"name": "vgg11", "options": options})
    assert same(model, SoftCAM.from_pretrained(tmp_path))
    options = {"growth_rate": 4, "block_config": (1, 1)}
    model = trained(timm.create_model("densenet121", num_classes=3, **options))
    model.save_pretrained(tmp_path, architecture={"name": "densenet121", "options": options})
    assert same(model, SoftCAM.from_pretrained(tmp_path))


@pytest.mark.slow
def test_a_name_that_does_not_give_the_model_is_refused(tmp_path: Path) -> None:
    model = tiny()
    for wrong, message in (
        ("resnet10t-w8-os16", "its maps are"),  # the same tensors at another stride
        ("resnet10t-w8", "has no backbone"),  # a layer more
        ("resnet10t-w16-os8", "is .* and .*"),
        ("resnet18-w8-os8", "has no backbone"),
        ("resnet10tt", "did you mean"),
        ({"name": "resnet10t", "options": {"checkpoint_path": "x.pth"}}, "checkpoint_path"),
        ({"name": "resnet10t", "options": {"pretrained": True}}, "pretrained"),
        ({"name": "resnet10t", "options": {"act_layer": nn.ReLU}}, "JSON"),
        ({"nom": "resnet10t"}, "'name'"),
    ):
        with pytest.raises(SoftCAMError, match=message):
            model.save_pretrained(tmp_path, architecture=wrong)
    assert not (tmp_path / "config.json").exists()


def test_a_network_of_ones_own_comes_back_with_net(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = trained(Own())
    with caplog.at_level(logging.WARNING):
        model.save_pretrained(tmp_path)
    assert "net=" in caplog.text
    with pytest.raises(SoftCAMError, match=r"your own.*net="):
        SoftCAM.from_pretrained(tmp_path)
    own = Own()
    before = own.fc.weight.clone()
    assert same(model, SoftCAM.from_pretrained(tmp_path, net=own))
    assert torch.equal(own.fc.weight, before), "the network that was given was changed"
    with pytest.raises(SoftCAMError, match=r"do not fit.*\n.*shape: backbone.conv.weight"):
        SoftCAM.from_pretrained(tmp_path, net=Own(width=4))
    assert "net=your_network" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_model_built_by_hand_comes_back_around_one_of_its_kind(tmp_path: Path) -> None:
    model = SoftCAM(Twice(), nn.Conv2d(3, 2, 1)).eval()
    model.save_pretrained(tmp_path)
    assert len(load_file(tmp_path / "model.safetensors")) == 4, "a shared tensor is kept once"
    other = SoftCAM(Twice(), nn.Conv2d(3, 2, 1))
    again = SoftCAM.from_pretrained(tmp_path, net=other)
    assert same(model, again) and again.conversion is None
    assert again.backbone.one.weight is again.backbone.two.weight


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_come_back_bit_for_bit_in_their_precision(
    tmp_path: Path, precision: torch.dtype
) -> None:
    model = tiny().to(precision)
    model.save_pretrained(tmp_path)
    again = SoftCAM.from_pretrained(tmp_path).state_dict()
    for key, value in model.state_dict().items():
        assert again[key].dtype == value.dtype and torch.equal(again[key], value), key


@pytest.mark.slow
def test_saving_and_reading_leave_the_random_numbers_alone(tmp_path: Path) -> None:
    model = tiny()
    before = torch.get_rng_state()
    model.save_pretrained(tmp_path)
    SoftCAM.from_pretrained(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_in_training_is_saved_as_it_is(tmp_path: Path) -> None:
    model = tiny().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.save_pretrained(tmp_path)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.slow
def test_a_finer_map_comes_back(tmp_path: Path) -> None:
    coarse = trained(Own())
    finer = finer_maps(coarse, 2)
    finer.save_pretrained(tmp_path / "own")
    assert same(finer, SoftCAM.from_pretrained(tmp_path / "own", net=finer_maps(coarse, 2)))
    with pytest.raises(SoftCAMError, match=r"its map is .*net=finer_maps"):
        SoftCAM.from_pretrained(tmp_path / "own", net=coarse)
    finer = finer_maps(trained(build_net("resnet10t-w8", 3)), 8)
    finer.save_pretrained(tmp_path / "named")
    again = SoftCAM.from_pretrained(tmp_path / "named")
    assert again.architecture == {"name": "resnet10t-w8", "options": {}, "finer": 8}
    assert same(finer, again) and again.conversion == finer.conversion


@pytest.mark.slow
def test_what_the_readme_shows_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^## Take a model with you\n+```python\n(.*?)```", text, re.M | re.S)
    monkeypatch.chdir(tmp_path)
    model = trained(build_net("resnet10t-w8-os8", 2))
    names: dict[str, Any] = {"model": model}
    exec(compile(block, "README.md", "exec"), names)
    assert same(model, names["again"]) and names["again"].class_names == ("healthy", "ill")
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        net, images = names["net"], model.normalize(x)
        torch.testing.assert_close(net(images), model(x), rtol=0, atol=1e-4)
