"""One graph for other runtimes: its logits and maps are those of the model in memory."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from softcam import SoftCAM
from softcam.backbones import build_net
from softcam.common import SoftCAMError
from softcam.travel import export_onnx, export_program
from tests.travel.test_folder import NORMALIZE, Own, tiny, trained

WINDOWS = {"embed_dim": 12, "depths": (1, 1), "num_heads": (1, 2), "img_size": 56}


class Sized(nn.Module):
    """A backbone that insists on its image size."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.conv = nn.Conv2d(3, 4, 3, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2:] == (self.side, self.side), f"only {self.side} px"
        return self.conv(x).relu()


@pytest.mark.parametrize(
    "net", [lambda: build_net("resnet10t-w8-os8", 3), Own], ids=["timm", "own"]
)
def test_a_program_gives_logits_and_maps_at_any_size(net: type[nn.Module]) -> None:
    model = trained(net())
    program, exported = export_program(model, image_size=64)
    assert exported.dynamic_size and exported.map_difference <= 1e-5 and not exported.note
    for shape in ((1, 3, 64, 64), (4, 3, 96, 72), (5, 3, 65, 131)):
        x = torch.rand(shape)
        with torch.no_grad():
            logits, maps = program.module()(x)
            torch.testing.assert_close(maps, model.evidence_maps(x), rtol=0, atol=1e-5)
            torch.testing.assert_close(logits, model(x), rtol=0, atol=1e-5)


def test_a_network_of_one_size_keeps_its_batch_free() -> None:
    model = SoftCAM(Sized(32), nn.Conv2d(4, 2, 1)).eval()
    program, exported = export_program(model, image_size=32)
    assert not exported.dynamic_size and exported.note
    x = torch.rand(7, 3, 32, 32)
    torch.testing.assert_close(program.module()(x)[0], model(x))
    with pytest.raises(SoftCAMError, match="dynamic_size=False"):
        export_program(model, image_size=32, dynamic_size=True)
    with pytest.raises(SoftCAMError, match="cannot be exported at 48x48 px"):
        export_program(model, image_size=48)


def test_an_export_leaves_the_model_as_it_is() -> None:
    model = tiny().train().half()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    export_program(model, image_size=64, dynamic_size=False)
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    for key, value in model.state_dict().items():
        assert value.dtype == before[key].dtype and torch.equal(value, before[key])


def test_what_cannot_be_exported_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SoftCAMError, match="expected a SoftCAM"):
        export_program(nn.Conv2d(3, 1, 1))
    with pytest.raises(SoftCAMError, match="the image size"):
        export_program(tiny(), image_size=-1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SoftCAMError, match=r"onnxruntime: pip install 'softcam\[export\]'"):
        export_onnx(tiny(), tmp_path / "model.onnx")


class Drifting(nn.Module):
    """A backbone that is another function while it is exported."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        z = self.conv(x).relu()
        return z * 1.001 if torch.compiler.is_exporting() else z


def test_an_export_that_differs_is_refused() -> None:
    model = SoftCAM(Drifting(), nn.Conv2d(4, 2, 1)).eval()
    nn.init.constant_(model.evidence.weight, 1.0)
    with pytest.raises(SoftCAMError, match="differ by"):
        export_program(model, image_size=32)


@pytest.mark.parametrize("name", ["conv", "windows"])
def test_onnxruntime_gives_the_same_logits_and_maps(tmp_path: Path, name: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    if name == "conv":
        model, side, others = tiny(), 64, ((1, 3, 64, 64), (3, 3, 96, 72))
    else:
        net = timm.create_model("swin_tiny_patch4_window7_224", num_classes=3, **WINDOWS)
        model, side, others = trained(net), 56, ((1, 3, 56, 56), (3, 3, 56, 56))
    exported = export_onnx(model, tmp_path / "model.onnx", image_size=side)
    assert exported.dynamic_size == (name == "conv")
    assert not list(tmp_path.glob(".*")) and len(list(tmp_path.iterdir())) == 1
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [each.name for each in session.get_inputs()] == ["images"]
    assert [each.name for each in session.get_outputs()] == ["logits", "maps"]
    for shape in others:
        x = torch.rand(shape)  # in [0, 1]: the normalisation is inside
        logits, maps = session.run(None, {"images": x.numpy()})
        with torch.no_grad():
            assert np.abs(logits - model(x).numpy()).max() <= 1e-4
            assert np.abs(maps - model.evidence_maps(x).numpy()).max() <= 1e-4
    assert model.normalize.values() is not None and len(NORMALIZE) == 2


# Of the largest evidence. Rounding to 8 and 11 bits of mantissa, 12 layers deep.
HALF = {torch.bfloat16: 5e-2, torch.float16: 5e-3}


@pytest.mark.parametrize("precision", HALF, ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_half_precision_keeps_the_maps(precision: torch.dtype, layout: torch.memory_format) -> None:
    model, x = tiny(), torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        expected, logits = model.evidence_maps(x), model(x)
        half = model.to(precision).to(memory_format=layout)
        x = x.to(precision, memory_format=layout)
        maps, explained = half.evidence_maps(x), half.explain(x)
    assert maps.dtype == precision and maps.isfinite().all()
    bar = HALF[precision] * expected.abs().max()
    assert (maps.float() - expected).abs().max() <= bar
    assert (explained.logits.float() - logits).abs().max() <= bar


@pytest.mark.parametrize("name", ["resnet10t-w8-os8", "mobilenetv2_035-same", "bagnet9t-w8"])
def test_channels_last_gives_the_same_maps(name: str) -> None:
    model, x = trained(build_net(name, 3)), torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        expected = model.evidence_maps(x)
        last = model.to(memory_format=torch.channels_last)
        found = last.evidence_maps(x.to(memory_format=torch.channels_last))
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
