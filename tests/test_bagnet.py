"""BagNets: how far a cell sees, measured; names, conversion, and one short training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from softcam.backbones import build_net, parse_model_name
from softcam.bagnet import BAGNETS, BagNet
from softcam.common import SoftCAMError, UnknownNameError
from softcam.convert import to_softcam
from softcam.explainers import class_maps
from softcam.wrappers import BlackBox


def net(name: str, classes: int = 3) -> BagNet:
    torch.manual_seed(0)
    built = build_net(name, classes).eval()
    assert isinstance(built, BagNet)
    return built


@pytest.mark.parametrize("window", [9, 17, 33])
@pytest.mark.parametrize("size", ["", "t"])
def test_a_cell_sees_a_square_of_the_stated_side_by_its_gradient(window: int, size: str) -> None:
    model = net(f"bagnet{window}{size}-w4").double()
    for norm in model.modules():  # no unit may be off for good
        if isinstance(norm, nn.BatchNorm2d):
            norm.bias.data.fill_(3.0)
    x = torch.rand(1, 3, 96, 96, dtype=torch.float64, requires_grad=True)
    model.forward_features(x)[0, :, 6, 6].sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().amax(0) > 0
    rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
    half = window // 2  # cell r is centred on pixel 8 r
    for found in (rows, columns):
        assert (int(found.min()), int(found.max())) == (48 - half, 48 + half)
    assert model.receptive_field == window


@pytest.mark.parametrize("name", ["bagnet9t-w8", "bagnet33t-w8", "bagnet17-w4"])
def test_what_lies_outside_changes_nothing_and_what_lies_inside_does(name: str) -> None:
    model = net(name)
    half = model.receptive_field // 2
    x = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        before = model.forward_features(x)[0, :, 6, 6]
        inside = x.clone()
        inside[..., 48 - half : 49 + half, 48 - half : 49 + half] = 0.5
        outside = torch.rand(1, 3, 96, 96)
        outside[..., 48 - half : 49 + half, 48 - half : 49 + half] = x[
            ..., 48 - half : 49 + half, 48 - half : 49 + half
        ]
        assert torch.allclose(model.forward_features(outside)[0, :, 6, 6], before, atol=1e-6)
        assert not torch.allclose(model.forward_features(inside)[0, :, 6, 6], before, atol=1e-3)


@pytest.mark.parametrize("name", ["bagnet33t-w16", "bagnet17-w4", "bagnet9t-w8"])
def test_converts_exactly_and_its_map_is_one_cell_every_eight_pixels(name: str) -> None:
    model = to_softcam(BlackBox(net(name), ([0.5] * 3, [0.2] * 3))).eval()
    assert model.conversion is not None
    assert model.conversion.kind == "exact" and model.conversion.reduction == 8
    assert model.explain(torch.rand(1, 3, 96, 72)).maps.shape == (1, 3, 12, 9)


def test_grad_cam_is_its_evidence_map() -> None:
    box = BlackBox(net("bagnet33t-w8")).eval()
    x = torch.rand(2, 3, 48, 64)
    _, maps = class_maps("grad-cam", box, x)
    model = to_softcam(box).eval()
    evidence = model.explain(x).maps
    rebuilt = maps * maps[0, 0].numel() + model.bias[:, None, None]
    assert float((rebuilt - evidence).abs().max()) <= 1e-5 * max(1.0, float(evidence.abs().max()))


def test_names() -> None:
    assert "bagnet33" in BAGNETS and parse_model_name("bagnet33t-w32") == (
        "bagnet33t",
        {"channels": (32, 64, 128, 128)},
    )
    with pytest.raises(UnknownNameError, match="bagnet33"):
        parse_model_name("bagnet32")
    with pytest.raises(SoftCAMError, match="stride 8 and takes only a width"):
        build_net("bagnet33t-os16", 2)
    with pytest.raises(SoftCAMError, match="no pretrained weights for bagnet33"):
        build_net("bagnet33", 2, pretrained=True)


def test_the_large_one_has_the_published_shape_and_names() -> None:
    with torch.device("meta"):
        model = BagNet(33, 1000)
    state = model.state_dict()
    assert state["conv2.weight"].shape == (64, 64, 3, 3)
    assert state["layer4.0.conv2.weight"].shape == (512, 512, 3, 3)
    assert state["layer4.1.conv2.weight"].shape == (512, 512, 1, 1)
    assert state["layer3.0.downsample.0.weight"].shape == (1024, 512, 1, 1)
    assert state["fc.weight"].shape == (1000, 2048)
    assert [len(getattr(model, f"layer{n}")) for n in (1, 2, 3, 4)] == [3, 4, 6, 3]


@pytest.mark.slow
def test_trains_in_the_loop_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from softcam.profiles import load_profile
    from softcam.runs import build_model
    from softcam.training import train

    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))
    few = {"n_train": 32, "n_val": 32, "n_test": 32}
    config = load_profile("quick").config(
        "sparse", model="bagnet33t-w4", data_options=few, epochs=1, size=32
    )
    run = train(config, progress=False)
    model = run.model()
    assert run.id.startswith("bagnet33t-w4-sparse-s0")
    assert model.explain(run.data("test").batch(range(2))).maps.shape == (2, 2, 4, 4)
    start = build_model(config, 2, None)
    moved = model.get_classifier().weight - start.get_classifier().weight
    assert 0 < float(moved.detach().abs().max()) < 1
