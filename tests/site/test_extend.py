"""What the page "Add a data set, a method, a measure" shows is run as it stands."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from softcam import explainers, metrics
from softcam.backbones import build_net
from softcam.data import open_data, registry
from softcam.explainers import registry as methods
from softcam.metrics import registry as measured
from softcam.wrappers import BlackBox
from tests.metrics import test_gauge as gauge

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "site" / "extend.md").read_text(encoding="utf-8")


def blocks(heading: str) -> list[str]:
    """The Python blocks below a heading."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    found = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert all(len(block.splitlines()) <= 22 for block in found), "about ten lines beside imports"
    return found


def test_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTCAM_ROOT", str(tmp_path))
    monkeypatch.setattr(registry, "SOURCES", registry.SOURCES)
    monkeypatch.syspath_prepend(tmp_path)
    reader, entry = blocks("A data set")
    (tmp_path / "tree_of_the_page.py").write_text(reader, encoding="utf-8")
    for number, split in enumerate(["train", "train", "val", "test"] * 3):
        for label, kind in enumerate(("healthy", "ill")):
            path = tmp_path / "mine" / split / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((32, 32), 80 * label + number, np.uint8)).save(path)
    monkeypatch.setitem(registry.SOURCES, "tree", registry.SOURCES["folder"])  # undone at the end
    exec(compile(entry, "extend.md", "exec"), {})
    source = registry.SOURCES["tree"]
    assert source.reader == "softcam.data.sets.tree:read_tree"
    registry.SOURCES["tree"] = replace(source, reader="tree_of_the_page:read_tree")
    data = open_data(f"tree:{tmp_path / 'mine'}", size=32, progress=False)
    assert [len(data[name]) for name in ("train", "val", "test")] == [12, 6, 6]
    assert data.classes == ("healthy", "ill") and set(data.train.labels) == {0, 1}
    ill = data.test.labels == 1
    assert data.test.batch(ill.nonzero()[0]).mean() > data.test.batch((~ill).nonzero()[0]).mean()
    sys.modules.pop("tree_of_the_page")


def test_a_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_EXPLAINERS", dict(methods._EXPLAINERS))
    (block,) = blocks("A method")
    exec(compile(block, "extend.md", "exec"), {})
    model = BlackBox(build_net("resnet10t-w8-os8", num_classes=2)).eval()
    images = torch.rand(2, 3, 32, 32)
    maps = explainers.explain_with("activation-norm", model, images, torch.tensor([0, 1]))
    with torch.no_grad():
        features = model.forward_features(images)
    torch.testing.assert_close(maps, features.square().sum(1).sqrt())


def test_a_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "_MEASURES", dict(measured._MEASURES))
    before = set(metrics.measures())
    (block,) = blocks("A measure")
    exec(compile(block, "extend.md", "exec"), {})
    (new,) = set(metrics.measures()) - before
    maps = torch.zeros(2, 4, 4)
    maps[0, 1, 2], maps[0, 0, 3], maps[0, 3, 3] = 3.0, 1.0, -5.0
    found = metrics.measure_maps(maps, torch.ones(2, 8, 8, dtype=torch.bool), [new.name])[new.name]
    assert found.per_image[0] == 1 / 4 and found.n_excluded == 1
    gauge.test_on_raw_maps_every_other_measure_moves(new)
    gauge.test_a_constant_added_to_the_map_moves_what_reads_the_zero(new)
    for seed in gauge.SCENES[:2]:
        gauge.test_on_the_contrast_a_map_added_to_all_classes_moves_nothing(new, seed)
