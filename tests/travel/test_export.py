"""One graph for other runtimes: its logits and maps are those of the model in memory."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from softcam import SoftCAM
from softcam.backbones import build_net
from softcam.common import SoftCAMError
from softcam.travel import export, export_onnx, export_program
from tests.travel.test_folder import NORMALIZE, Own, tiny, trained


class Deep(nn.Module):
    """What most networks have: batch norm, pooling, a branch that is added, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.branch = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.fc = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.norm(self.conv(x)).relu())
        return self.fc((x + self.branch(x)).relu().mean((2, 3)))


class Sized(nn.Module):
    """A backbone that insists on its image size."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.conv = nn.Conv2d(3, 4, 3, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2:] == (self.side, self.side), f"only {self.side} px"
        return self.conv(x).relu()


@pytest.mark.slow
def test_a_program_gives_logits_and_maps_at_any_size() -> None:
    model = trained(Deep())
    program, exported = export_program(model, image_size=64)
    assert exported.dynamic_size and exported.map_difference <= 1e-5 and not exported.note
    for shape in ((1, 3, 64, 64), (4, 3, 96, 72), (5, 3, 65, 131)):
        x = torch.rand(shape)
        with torch.no_grad():
            logits, maps = program.module()(x)
            torch.testing.assert_close(maps, model.evidence_maps(x), rtol=0, atol=1e-5)
            torch.testing.assert_close(logits, model(x), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_network_of_one_size_keeps_its_batch_free() -> None:
    model = SoftCAM(Sized(32), nn.Conv2d(4, 2, 1)).eval()
    program, exported = export_program(model, image_size=32)
    assert not exported.dynamic_size and "one image size only" in exported.note
    x = torch.rand(7, 3, 32, 32)
    torch.testing.assert_close(program.module()(x)[0], model(x))
    with pytest.raises(SoftCAMError, match="dynamic_size=False"):
        export_program(model, image_size=32, dynamic_size=True)
    with pytest.raises(SoftCAMError, match="cannot be exported at 48x48 px"):
        export_program(model, image_size=48)


def test_an_export_leaves_the_model_as_it_is() -> None:
    model = trained(Deep()).train().half()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    export_program(model, image_size=64, dynamic_size=False)
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    for key, value in model.state_dict().items():
        assert value.dtype == before[key].dtype and torch.equal(value, before[key])


def test_what_cannot_be_exported_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SoftCAMError, match="expected a SoftCAM"):
        export_program(nn.Conv2d(3, 1, 1))
    for side in (-1, 0, (64, 0)):
        with pytest.raises(SoftCAMError, match="the image size"):
            export_program(tiny(), image_size=side)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SoftCAMError, match="extra `export`: pip install .*onnxruntime"):
        export_onnx(tiny(), tmp_path / "model.onnx")


class Drifting(nn.Module):
    """A backbone that is another function while it is exported."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        z = self.conv(x).relu()
        return z * 1.001 if torch.compiler.is_compiling() else z


def test_an_export_that_differs_is_refused() -> None:
    model = SoftCAM(Drifting(), nn.Conv2d(4, 2, 1)).eval()
    nn.init.constant_(model.evidence.weight, 1.0)
    with pytest.raises(SoftCAMError, match="differ by"):
        export_program(model, image_size=32)


def needs_onnx() -> Any:
    """onnxruntime, or a skipped test."""
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name, reason="the extra `export` is not installed")
    return pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")


@pytest.mark.slow
@pytest.mark.parametrize("free", [True, False], ids=["any size", "one size"])
def test_onnxruntime_gives_the_same_logits_and_maps(tmp_path: Path, free: bool) -> None:
    runtime = needs_onnx()
    model = trained(Deep()) if free else SoftCAM(Sized(32), nn.Conv2d(4, 3, 1), NORMALIZE).eval()
    model.class_names, model.image_size = ("a", "b", "c"), (32, 32)
    exported = export_onnx(model, tmp_path / "model.onnx")
    assert exported.dynamic_size == free and exported.image_size == (32, 32)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [each.name for each in session.get_inputs()] == ["images"]
    assert [each.name for each in session.get_outputs()] == ["logits", "maps"]
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["class_names"]) == ["a", "b", "c"] and said["link"] == "softmax"
    assert (json.loads(said["image_size"]), json.loads(said["dynamic_size"])) == ([32, 32], free)
    sizes = [(32, 32), (96, 72), (65, 131)] if free else [(32, 32)]
    for batch, size in [(b, size) for b in (1, 5) for size in sizes]:
        x = torch.rand(batch, 3, *size)  # in [0, 1]: the normalisation is inside
        logits, maps = session.run(None, {"images": x.numpy()})
        with torch.no_grad():
            assert np.abs(maps - model.evidence_maps(x).numpy()).max() <= 1e-4
        assert np.abs(logits - model(x).detach().numpy()).max() <= 1e-4
        assert np.abs(maps.mean((2, 3)) - logits).max() <= 1e-5


def test_an_old_file_stays_where_an_export_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_onnx()
    (tmp_path / "model.onnx").write_text("old")
    monkeypatch.setattr(export, "LARGEST", 100)
    with pytest.raises(SoftCAMError, match="GiB, are too many for one ONNX file"):
        export_onnx(trained(Own()), tmp_path / "model.onnx", image_size=32)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


# The largest difference to float32, of the largest evidence: rounding to 8 and 11 bits of mantissa
# (eps 8e-3 and 1e-3), 12 layers deep.
HALF = {torch.bfloat16: 5e-2, torch.float16: 5e-3}


@pytest.mark.slow
@pytest.mark.parametrize("precision", HALF, ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_half_precision_keeps_the_maps(precision: torch.dtype, layout: torch.memory_format) -> None:
    model, x = tiny(), torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, logits = model.evidence_maps(x), model(x)
        half = model.to(precision).to(memory_format=layout)
        x = x.to(precision, memory_format=layout)
        maps, found, explained = half.evidence_maps(x), half(x), half.explain(x)
    assert maps.dtype == precision and maps.isfinite().all()
    scale = expected.abs().max()
    far = (maps.float() - expected).abs().max() / scale
    assert 0 < far <= HALF[precision], "and not float32 after all"
    assert (found.float() - logits).abs().max() <= HALF[precision] * scale
    # The logits are the mean of the maps as they are, but for the rounding of the mean itself.
    assert torch.equal(explained.logits, found)
    mean = maps.double().mean((2, 3))
    assert (mean - found).abs().max() <= torch.finfo(precision).eps * mean.abs().max()


def test_autocast_keeps_the_maps() -> None:
    model, x = tiny(), torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.evidence_maps(x)
        with torch.autocast("cpu", torch.bfloat16):
            maps, logits = model.evidence_maps(x), model(x)
    far = (maps.float() - expected).abs().max() / expected.abs().max()
    assert 0 < far <= HALF[torch.bfloat16]
    mean = maps.double().mean((2, 3))
    assert (mean - logits).abs().max() <= torch.finfo(torch.bfloat16).eps * mean.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet10t-w8-os8", "mobilenetv2_035-same", "bagnet9t-w8"])
def test_channels_last_gives_the_same_maps(name: str) -> None:
    model, x = trained(build_net(name, 3)), torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        expected = model.evidence_maps(x)
        last = model.to(memory_format=torch.channels_last)
        found, logits = (f(x.to(memory_format=torch.channels_last)) for f in (
            last.evidence_maps, last))  # fmt: skip
    scale = expected.abs().max()
    assert (found - expected).abs().max() <= 1e-5 * scale
    assert (found.mean((2, 3)) - logits).abs().max() <= 1e-6 * scale
