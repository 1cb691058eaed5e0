"""What README.md and CONTRIBUTING.md show is run as it stands."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from softcam import metrics
from softcam.data.records import ImageSet
from softcam.metrics import measures, registry
from softcam.outside import read_maps
from tests.metrics import test_gauge as gauge
from tests.metrics.test_localisation import scenes

ROOT = Path(__file__).resolve().parent.parent


def code(document: str, heading: str) -> str:
    """The one Python block below a heading."""
    text = (ROOT / document).read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## )", text, re.DOTALL | re.MULTILINE)
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return block


def test_a_measure_is_added_as_contributing_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MEASURES", dict(registry._MEASURES))
    before = {each.name for each in measures()}
    names: dict = {}
    block = code("CONTRIBUTING.md", "Add a measure")
    exec(compile(block, "CONTRIBUTING.md", "exec"), names)
    (new,) = [each for each in measures() if each.name not in before]
    maps, findings = scenes()
    found = metrics.measure_maps(maps, findings, [new.name])[new.name]
    assert len(found) == len(maps) and found.n[0] > 0
    tests = [name for name in names if name.startswith("test_")]
    assert tests, "one function and one oracle test"
    for name in tests:
        names[name]()
    gauge.test_on_raw_maps_every_other_measure_moves(new)
    gauge.test_a_constant_added_to_the_map_moves_what_reads_the_zero(new)
    for seed in gauge.SCENES[:2]:
        gauge.test_on_the_contrast_a_map_added_to_all_classes_moves_nothing(new, seed)
    functions = [node for node in ast.parse(block).body if isinstance(node, ast.FunctionDef)]
    measured = functions[0]
    lines = measured.end_lineno - measured.decorator_list[0].lineno + 1
    assert lines <= 10, "the promise is ten lines"


def test_maps_from_elsewhere_are_written_as_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = ImageSet(
        "images", "test", ("normal", "ill"), np.zeros((3, 8, 8), np.uint8), np.array([0, 1, 1]),
        ids=("a.png", "b.png", "c.png"), patients=("a", "b", "c"),
        masks=np.zeros((3, 0, 8, 1), np.uint8), annotated=np.zeros(3, bool),
    )  # fmt: skip
    maps = torch.randn(2, 4, 4)
    names = {"ids": ["b.png", "c.png"], "class_index": [1, 1], "maps": maps,
             "logits": torch.tensor([[0.0, 1.0], [2.0, 1.0]])}  # fmt: skip
    exec(compile(code("README.md", "Maps from elsewhere"), "README.md", "exec"), dict(names))
    read = read_maps("maps.npz", data).target_maps(np.array([1, 2]), np.array([1, 1]))
    torch.testing.assert_close(read, maps)


def test_the_table_of_rooms_names_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("| rooms |") : text.index("The full order")]
    order = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = order["tool"]["importlinter"]["contracts"]
    rooms = {word.strip(" ()") for layer in contract["layers"] for word in layer.split("|")}
    there = {room for room in rooms if (ROOT / "softcam" / f"{room}.py").exists()}
    there |= {room for room in rooms if (ROOT / "softcam" / room).is_dir()}
    assert len(there) > 40 and not {room for room in there if f"`{room}`" not in table}
