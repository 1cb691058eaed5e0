"""A folder that is damaged, foreign or dangerous is refused with the reason."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load, save
from torch import nn

from softcam.backbones import build_net
from softcam.common import SoftCAMError
from softcam.travel import export_onnx, from_pretrained, save_pretrained
from tests.travel.test_folder import Own, same, tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny().save_pretrained(tmp_path / "saved", class_names=("a", "b", "c"))


def test_a_folder_that_is_not_whole_is_refused_with_the_reason(folder: Path) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    whole, said = weights.read_bytes(), json.loads(config.read_text())

    def refused(message: str) -> None:
        with pytest.raises(SoftCAMError, match=message):
            from_pretrained(folder)
        weights.write_bytes(whole)
        config.write_text(json.dumps(said))

    for half in (whole[: len(whole) // 2], whole[:3], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        weights.write_bytes(half)
        refused("not the file that the config.json")
    half = b"\x10" + 7 * b"\0" + b"{}"
    weights.write_bytes(half)
    config.write_text(json.dumps(said | {"sha256": hashlib.sha256(half).hexdigest()}))
    refused("cannot be read as safetensors")
    weights.unlink()
    refused("no weights file")
    config.write_text(config.read_text()[:100])
    refused("config.json is missing or damaged")
    config.unlink()
    refused("has no config.json")
    config.write_text("{}")
    refused("softcam_format")
    config.write_text(json.dumps(said | {"softcam_format": 2, "softcam_version": "9.9"}))
    refused(r"format 2 \(softcam 9.9\).*reads format 1")
    for key in set(said) - {"softcam_format", "softcam_version", "library_name"}:
        config.write_text(json.dumps({k: v for k, v in said.items() if k != key}))
        refused(f"it has no '{key}'")
        for value in ([[-1]], "", -1, {"name": 1}):
            config.write_text(json.dumps(said | {key: value}))
            refused("config.json is missing or damaged|not the file" if key == "sha256" else key)


def test_a_config_that_was_edited_is_refused_where_it_is_wrong(folder: Path) -> None:
    config = folder / "config.json"
    said = json.loads(config.read_text())
    done, sample, normal = said["conversion"], said["sample"], said["normalize"]
    for key, value, message in (
        ("class_names", ["a", "b"], "3 logits"),
        ("class_names", ["a", "b", 3], "expected a word"),
        ("image_size", [64], "image_size"),
        ("normalize", [normal[0], [0.1, 0.1, 0.0]], "positive"),
        ("normalize", [[float("nan")] * 3, normal[1]], "finite"),
        ("conversion", done | {"kind": "guessed"}, "unknown kind"),
        ("conversion", done | {"reduction": "8"}, "reduction"),
        ("conversion", done | {"notes": "one"}, "list of words"),
        ("conversion", {}, "kind"),
        ("sample", sample | {"image": [64]}, "sample"),
        ("architecture", {"name": "../../weights"}, "unknown"),
        ("architecture", {"name": "hf-hub:someone/something"}, "unknown"),
        ("architecture", {"name": "local-dir:/tmp"}, "unknown"),
        ("architecture", {"name": "torchvision:../resnet18"}, "unknown torchvision model"),
        ("architecture", {"name": "resnet10t", "options": {"channels": "many"}}, "cannot be built"),
        ("architecture", said["architecture"] | {"finer": -8}, "finer"),
    ):
        config.write_text(json.dumps(said | {key: value}))
        with pytest.raises(SoftCAMError, match=message):
            from_pretrained(folder)


@pytest.mark.slow
def test_the_same_tensors_in_another_network_are_noticed(folder: Path) -> None:
    """What holds no weights, a stride, an activation, a padding, must not change in silence."""
    model = tiny()
    height, width = json.loads((folder / "config.json").read_text())["sample"]["image"]
    for other, message in (
        (build_net("resnet10t-w8-os16", 3), f"its map is {height // 16}x{width // 16} for"),
        (timm.create_model("resnet10t", num_classes=3, channels=(8, 16, 32, 32), output_stride=8,
                           act_layer=nn.SiLU), "its logits differ by"),
    ):  # fmt: skip
        with pytest.raises(SoftCAMError, match=message):
            from_pretrained(folder, net=other)
    assert same(model, from_pretrained(folder, net=build_net("resnet10t-w8-os8", 3)))


def replace_weights(folder: Path, data: bytes) -> None:
    """Put other weights into the folder, with their digest."""
    (folder / "model.safetensors").write_bytes(data)
    config = json.loads((folder / "config.json").read_text())
    config["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.slow
def test_a_missing_and_a_foreign_tensor_are_named(folder: Path) -> None:
    state = load((folder / "model.safetensors").read_bytes())
    replace_weights(folder, save(state | {"evidence.bias": torch.zeros(3, dtype=torch.int64)}))
    with pytest.raises(SoftCAMError, match=r"type: evidence.bias is torch.int64"):
        from_pretrained(folder)
    state["extra"] = state.pop("evidence.bias")
    replace_weights(folder, save(state))
    with pytest.raises(SoftCAMError, match=r"missing: evidence.bias\n  unexpected: extra"):
        from_pretrained(folder)
    replace_weights(folder, save({}))
    with pytest.raises(SoftCAMError, match=r"missing: "):
        from_pretrained(folder)


@pytest.mark.slow
def test_a_model_does_not_hang_on_the_file_it_came_from(folder: Path) -> None:
    model = from_pretrained(folder)
    file = folder / "model.safetensors"
    before = copy.deepcopy(model)
    with file.open("r+b") as opened:  # in place, as no writer of ours does
        opened.write(bytes(file.stat().st_size))
    assert same(before, model)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was read",))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
def test_a_pickle_is_refused_and_never_read(folder: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    for source in (folder, folder / name):
        with pytest.raises(SoftCAMError, match=r"is a pickle.*refused.*save_pretrained"):
            from_pretrained(source)
    config = json.loads((folder / "config.json").read_text())
    config["architecture"]["options"] = {"checkpoint_path": str(folder / name)}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SoftCAMError, match="checkpoint_path"):
        from_pretrained(folder)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_under_another_name_is_refused_and_never_read(folder: Path, zipped: bool) -> None:
    whole = io.BytesIO()
    torch.save(Bomb(), whole, _use_new_zipfile_serialization=zipped)
    for data in (whole.getvalue(), pickle.dumps(Bomb(), protocol=2)):
        replace_weights(folder, data)
        with pytest.raises(SoftCAMError, match=r"is a pickle.*refused.*save_pretrained"):
            from_pretrained(folder)


def test_what_cannot_be_saved_or_found_is_said(tmp_path: Path) -> None:
    model = tiny()
    with pytest.raises(SoftCAMError, match="3 logits"):
        model.save_pretrained(tmp_path, class_names=["a", "b"])
    with pytest.raises(SoftCAMError, match="3 logits"):
        model.save_pretrained(tmp_path, class_names="abc")
    with pytest.raises(SoftCAMError, match="image size"):
        model.save_pretrained(tmp_path, image_size=0)
    with pytest.raises(SoftCAMError, match="expected a SoftCAM"):
        save_pretrained(nn.Linear(1, 1), tmp_path)
    with pytest.raises(SoftCAMError, match="unknown option 'nett': did you mean 'net'"):
        from_pretrained(tmp_path, nett=Own())
    with pytest.raises(SoftCAMError, match="there is no folder"):
        from_pretrained(tmp_path / "nowhere")
    (tmp_path / "one.safetensors").write_bytes(b"")
    with pytest.raises(SoftCAMError, match="is a file"):
        from_pretrained(tmp_path / "one.safetensors")
    with pytest.raises(SoftCAMError, match=r"ends in \.onnx"):
        export_onnx(model, tmp_path / "model.pt")


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_folder_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = from_pretrained(folder)

    def full(path: Path, data: bytes) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        tiny().save_pretrained(folder)
    assert same(old, from_pretrained(folder))


@pytest.mark.slow
def test_the_model_card_has_the_notice_and_stays_when_edited(folder: Path) -> None:
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8")
    assert text.startswith("---\nlibrary_name: softcam\n")
    assert "for teaching and research, not for clinical use" in text.lower()
    assert "resnet10t-w8-os8" in text and "a, b, c" in text
    assert "mean 0.5 0.4 0.3, std 0.2 0.25 0.3" in text
    card.write_text("my own words", encoding="utf-8")
    model = tiny()
    assert model.conversion is not None
    model.conversion = replace(model.conversion, notes=("a note",))
    model.save_pretrained(folder)
    assert card.read_text(encoding="utf-8") == "my own words"
    card.unlink()
    model.save_pretrained(folder)
    assert "- a note" in card.read_text(encoding="utf-8")
