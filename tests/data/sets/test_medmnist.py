"""MedMNIST is read from archives in its own form, with a package that is never run."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softcam.common import DataError, UnknownNameError
from softcam.data.images import decode_image
from softcam.data.sets import medmnist as module
from softcam.data.sets.medmnist import KEYS, RESOLUTIONS, medmnist_table, read_medmnist

COUNTS = {"train": 5, "val": 2, "test": 3}
TASKS = {
    "tinymnist": ("multi-class", 3, 3),
    "chestmnist": ("multi-label, binary-class", 1, 4),
    "retinamnist": ("ordinal-regression", 3, 5),
    "pneumoniamnist": ("binary-class", 1, 2),
    "organmnist3d": ("multi-class", 1, 3),
}


def archive(path: Path, name: str, side: int, **changed: Any) -> dict[str, np.ndarray]:
    """A tiny archive in the genuine form: images (N, H, W[, 3]) and labels (N, 1) or (N, C)."""
    task, channels, classes = TASKS[name]
    draw = np.random.default_rng(side)
    arrays: dict[str, np.ndarray] = {}
    for split, n in COUNTS.items():
        tail = (side, side, 3) if channels == 3 else (side, side)
        arrays[f"{split}_images"] = draw.integers(0, 256, (n, *tail), dtype=np.uint8)
        many = (n, classes) if "label" in task else (n, 1)
        labels = draw.integers(0, 2 if "label" in task else classes, many)
        arrays[f"{split}_labels"] = labels.astype(np.uint8)
    arrays.update(changed)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return arrays


def package(folder: Path, data: Path) -> None:
    """A package whose table fits the archives in `data`; running any of it fails."""
    table: dict[str, dict[str, Any]] = {}
    for name, (task, channels, classes) in TASKS.items():
        table[name] = {
            "task": task,
            "label": {str(i): f"kind {i}" for i in range(classes)},
            "n_channels": channels,
            "n_samples": COUNTS,
            "license": "CC BY 4.0",
        }
        for side in RESOLUTIONS:
            ending = "" if side == 28 else f"_{side}"
            file = data / f"{name}{ending}.npz"
            sums = hashlib.md5(file.read_bytes()).hexdigest() if file.is_file() else "0" * 32
            table[name][f"url{ending}"] = f"https://127.0.0.1:1/{file.name}?download=1"
            table[name][f"MD5{ending}"] = sums
    (folder / "medmnist").mkdir(parents=True, exist_ok=True)
    (folder / "medmnist" / "__init__.py").write_text("raise RuntimeError('nobody runs this')\n")
    (folder / "medmnist" / "info.py").write_text(
        f"import nothing_at_all\n__version__ = '3'\nINFO = {table!r}\n"
    )


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOFTCAM_DATA", str(tmp_path / "data"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(__import__("sys").modules, "medmnist", raising=False)
    return tmp_path / "data" / "medmnist"


def prepared(data: Path, name: str, side: int = 28, **changed: Any) -> dict[str, np.ndarray]:
    arrays = archive(data / f"{name}{'' if side == 28 else f'_{side}'}.npz", name, side, **changed)
    package(data.parent.parent / "site", data)
    return arrays


@pytest.mark.parametrize("name", ["tinymnist", "pneumoniamnist", "retinamnist"])
def test_images_labels_and_splits(data: Path, name: str) -> None:
    arrays = prepared(data, name)
    store, catalogue = read_medmnist(name, size=28)
    assert catalogue.name == f"medmnist-{name}" and not catalogue.multi_label
    assert catalogue.classes == tuple(f"kind {i}" for i in range(TASKS[name][2]))
    assert len(catalogue.items) == 10 and len({item.id for item in catalogue.items}) == 10
    for item in catalogue.items:
        index = int(item.name.split("/")[1])
        stored = arrays[f"{item.split}_images"][index]
        rgb = stored if stored.ndim == 3 else np.repeat(stored[..., None], 3, -1)
        np.testing.assert_array_equal(decode_image(store.read(item.name), item.name), rgb)
        assert item.label == arrays[f"{item.split}_labels"][index, 0]
        assert item.patient == f"unknown:{item.id}" and item.name in store.names()
    notes = " ".join(catalogue.notes)
    assert "10 images without a patient" in notes and "different data" in notes
    assert "CC BY 4.0" in notes and ("without their order" in notes) == (name == "retinamnist")


def test_several_labels_an_image(data: Path) -> None:
    arrays = prepared(data, "chestmnist")
    _, catalogue = read_medmnist("ChestMNIST", size=8)
    assert catalogue.multi_label and len(catalogue.classes) == 4
    labels = np.concatenate([arrays[f"{split}_labels"] for split in COUNTS])
    assert [item.label for item in catalogue.items] == [tuple(row) for row in labels.tolist()]


@pytest.mark.parametrize(
    ("size", "resolution", "side"),
    [(1, None, 28), (28, None, 28), (29, None, 64), (224, None, 224), (512, None, 224)]
    + [(512, 64, 64)],
)
def test_which_of_the_four(data: Path, size: int, resolution: int | None, side: int) -> None:
    for each in RESOLUTIONS:
        prepared(data, "tinymnist", each)
    store, catalogue = read_medmnist("tinymnist", size=size, resolution=resolution)
    assert store.path.name == f"tinymnist{'' if side == 28 else f'_{side}'}.npz"
    assert catalogue.options == {"resolution": side}
    assert decode_image(store.read("train/000000"), "x").shape == (side, side, 3)


def test_what_is_refused(data: Path) -> None:
    prepared(data, "tinymnist")
    with pytest.raises(UnknownNameError, match="'tinymnist'"):
        read_medmnist("tinymnst")
    with pytest.raises(DataError, match="volumes.*chestmnist, pneumoniamnist, retinamnist"):
        read_medmnist("organmnist3d")
    with pytest.raises(DataError, match="resolution is 96: expected 28, 64, 128 or 224"):
        read_medmnist("tinymnist", resolution=96)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"val_labels": np.zeros((3, 1), np.uint8)}, "val: 2 images and labels .3, 1., expected 2"),
        ({"val_labels": np.zeros(2, np.uint8)}, "val: 2 images and labels .2,."),
        ({"val_images": np.zeros((4, 28, 28, 3), np.uint8)}, "val: 4 images"),
        ({"test_labels": np.full((3, 1), 3)}, "test: labels from 3 to 3, expected 0 to 2"),
        ({"test_labels": np.full((3, 1), -1)}, "test: labels from -1"),
    ],
)
def test_an_archive_that_is_not_what_the_package_says(
    data: Path, changed: dict[str, Any], match: str
) -> None:
    prepared(data, "tinymnist", **changed)
    with pytest.raises(DataError, match=f"tinymnist.npz, {match}"):
        read_medmnist("tinymnist", size=28)


def test_without_a_network_the_steps_are_given(data: Path) -> None:
    package(data.parent.parent / "site", data)
    with pytest.raises(DataError, match="By hand") as caught:
        read_medmnist("tinymnist", size=64)
    message = str(caught.value)
    assert "https://127.0.0.1:1/tinymnist_64.npz" in message and "MD5" in message
    assert str(data / "tinymnist_64.npz") in message and "0" * 32 in message
    assert not (data / "tinymnist_64.npz").exists()


def test_a_file_with_another_checksum(data: Path) -> None:
    prepared(data, "tinymnist")
    archive(data / "tinymnist.npz", "tinymnist", 28, val_labels=np.ones((2, 1), np.uint8))
    with pytest.raises(DataError, match="its MD5 is .*Delete it"):
        read_medmnist("tinymnist", size=28)


def test_without_the_package(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'softcam\[medmnist\]'.*zenodo"):
        read_medmnist("tinymnist")


@pytest.mark.parametrize("text", ["", "INFO = dict(a=1)", "INFO = {", "OTHER = {}"])
def test_a_package_of_another_form(data: Path, text: str) -> None:
    package(data.parent.parent / "site", data)
    (data.parent.parent / "site" / "medmnist" / "info.py").write_text(text)
    with pytest.raises(DataError, match="install medmnist 3"):
        read_medmnist("tinymnist")


@pytest.mark.skipif(importlib.util.find_spec("medmnist") is None, reason="no package medmnist")
def test_the_real_package_has_what_is_used() -> None:
    table = medmnist_table()
    flat = {name: info for name, info in table.items() if not name.endswith("3d")}
    assert {"pneumoniamnist", "chestmnist", "octmnist", "retinamnist"} <= set(flat)
    assert len(flat) == 12 and len(table) == 18
    for name, info in flat.items():
        for side in RESOLUTIONS:
            ending = "" if side == 28 else f"_{side}"
            assert info[f"url{ending}"].startswith("https://zenodo.org/"), name
            assert len(info[f"MD5{ending}"]) == 32
        assert set(KEYS) <= set(info)
        assert set(info["label"]) == {str(i) for i in range(len(info["label"]))}
        assert set(info["n_samples"]) == {"train", "val", "test"}
