"""Model names, local weights, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from softcam.backbones import build_net, load_backbone_weights, parse_model_name
from softcam.common import SoftCAMError, UnknownNameError

SMALL = "resnet10t-w8-os8"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    save_file(build_net(SMALL, 3).state_dict(), path)
    return path


def test_names_and_their_suffixes() -> None:
    assert parse_model_name("resnet50") == ("resnet50", {})
    assert parse_model_name("resnet10t-w32-os8") == (
        "resnet10t",
        {"channels": (32, 64, 128, 128), "output_stride": 8},
    )
    assert parse_model_name("mobilenetv2_100-same") == ("mobilenetv2_100", {"pad_type": "same"})


@pytest.mark.parametrize(
    ("name", "said"),
    [("resnt18", "resnet18"), ("resnet18-os4", "os8"), ("resnet18-w0", "w<width>")],
)
def test_unknown_names_bring_the_closest(name: str, said: str) -> None:
    with pytest.raises(UnknownNameError, match=said):
        parse_model_name(name)


def test_a_suffix_twice_or_of_another_family_is_refused() -> None:
    with pytest.raises(SoftCAMError, match="output_stride twice"):
        parse_model_name("resnet18-os8-os16")
    with pytest.raises(SoftCAMError, match="cannot be built with channels"):
        build_net("mobilenetv2_050-w8", 2)
    with pytest.raises(SoftCAMError, match="at least one logit"):
        build_net(SMALL, 0)


def test_the_suffixes_reach_the_network() -> None:
    net = build_net(SMALL, 5).eval()
    with torch.no_grad():
        assert net.forward_features(torch.rand(1, 3, 64, 48)).shape == (1, 32, 8, 6)  # type: ignore[operator]
        assert net(torch.rand(1, 3, 64, 48)).shape == (1, 5)


def test_weights_are_loaded_to_the_last_bit(weights: Path) -> None:
    torch.manual_seed(1)
    a, b = build_net(SMALL, 3, weights=weights), build_net(SMALL, 3, weights=weights)
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), name
    assert not torch.equal(
        a.state_dict()["fc.weight"], build_net(SMALL, 3).state_dict()["fc.weight"]
    )


def test_a_classifier_of_another_size_begins_at_zero_and_it_is_said(
    weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        net = build_net(SMALL, 2, weights=weights)
    assert "3 classes, asked for 2: fc begins at zero" in caplog.text
    assert torch.equal(net(torch.rand(2, 3, 32, 32)), torch.zeros(2, 2))


def test_weights_of_another_network_are_listed_and_nothing_is_loaded(weights: Path) -> None:
    net = build_net("resnet10t-w16", 3)
    before = net.conv1[0].weight.clone()  # type: ignore[index,union-attr]
    with pytest.raises(SoftCAMError, match=r"shape: layer1.0.conv1.weight is \(8, .*expected \(16"):
        load_backbone_weights(net, weights)
    assert torch.equal(net.conv1[0].weight, before)  # type: ignore[index,union-attr]
    with pytest.raises(SoftCAMError, match="missing: layer1.1.conv1.weight"):
        load_backbone_weights(build_net("resnet18-w8", 3), weights)


def test_pickles_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    net = build_net(SMALL, 3)
    with pytest.raises(SoftCAMError, match="save_file"):
        load_backbone_weights(net, tmp_path / "weights.pth")
    with pytest.raises(SoftCAMError, match="no weights file"):
        load_backbone_weights(net, tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x00" * 12)
    with pytest.raises(SoftCAMError, match="cut short"):
        load_backbone_weights(net, broken)


def test_a_failed_download_names_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(SoftCAMError, match="no route to host.*--weights FILE"):
        build_net("resnet18", 2, pretrained=True)
    with pytest.raises(SoftCAMError, match="only one"):
        build_net("resnet18", 2, pretrained=True, weights=Path("a.safetensors"))


@pytest.mark.parametrize(("change", "said"), [("nan", "NaN or infinite"), ("integer", "type: fc")])
def test_weights_of_a_wrong_content_are_refused(tmp_path: Path, change: str, said: str) -> None:
    from safetensors.torch import save_file

    net = build_net("resnet10t-w8-os8", 2)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    weight = state["fc.weight"]
    state["fc.weight"] = weight * float("nan") if change == "nan" else weight.int()
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(SoftCAMError, match=said):
        load_backbone_weights(net, tmp_path / "odd.safetensors")
