"""Images in the arrays of an archive come out as they went in, in any order, in any process."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softcam.common import DataError
from softcam.data.images import decode_image
from softcam.data.npz_store import NpzStore

COUNTS = {"train": 9, "val": 3, "test": 4}


def arrays(colour: bool, side: int = 12) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    tail = (side, side, 3) if colour else (side, side)
    images = {
        f"{split}_images": draw.integers(0, 256, (n, *tail), dtype=np.uint8)
        for split, n in COUNTS.items()
    }
    return {**images, "train_labels": np.arange(9)[:, None]}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("colour", [False, True])
def test_every_image_in_any_order(tmp_path: Path, save: Callable[..., None], colour: bool) -> None:
    path, truth = tmp_path / "x.npz", arrays(colour)
    save(path, **truth)
    store = NpzStore(path)
    assert store.counts == COUNTS
    names = store.names()
    assert names == sorted(names) and len(names) == 16 and names[-1] == "val/000002"
    again = pickle.loads(pickle.dumps(store))  # as it travels to another process
    for name in np.random.default_rng(0).permutation(names * 2):
        split, index = name.split("/")
        wanted = truth[f"{split}_images"][int(index)]
        rgb = wanted if colour else np.repeat(wanted[..., None], 3, -1)
        for one in (store, again):
            np.testing.assert_array_equal(decode_image(one.read(str(name)), name), rgb)
    np.testing.assert_array_equal(store.array("train_labels"), truth["train_labels"])


def test_stamp_changes_with_the_pixels(tmp_path: Path) -> None:
    truth = arrays(False)
    np.savez(tmp_path / "a.npz", **truth)
    truth["train_images"][3, 0, 0] ^= 1
    np.savez(tmp_path / "b.npz", **truth)
    a, b = NpzStore(tmp_path / "a.npz"), NpzStore(tmp_path / "b.npz")
    assert a.stamp("train/000000") != b.stamp("train/000000")
    assert a.stamp("val/000000") == b.stamp("val/000000") and a.stamp("val/000000")[0] == 144


@pytest.mark.parametrize("name", ["train/000009", "train/-00001", "train/1", "other/000000", "x"])
def test_no_such_image(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays(False))
    with pytest.raises(DataError, match="holds no image"):
        NpzStore(tmp_path / "a.npz").read(name)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"val_images": None}, "val_images"),
        ({"val_images": np.zeros((3, 12, 12), np.float32)}, "float32 .3, 12, 12., expected uint8"),
        ({"val_images": np.zeros((3, 12, 12, 12), np.uint8)}, "expected uint8"),
        ({"val_images": np.asfortranarray(np.zeros((3, 12, 12), np.uint8))}, "C order"),
        ({"val_images": np.array([None, "x"], dtype=object)}, "object"),
    ],
)
def test_an_archive_of_something_else(tmp_path: Path, wrong: dict[str, Any], match: str) -> None:
    truth = {**arrays(False), **wrong}
    kept = {key: value for key, value in truth.items() if value is not None}
    np.savez(tmp_path / "a.npz", **kept)
    with pytest.raises(DataError, match=match):
        NpzStore(tmp_path / "a.npz")


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays(False))
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(DataError, match="a.npz: the archive is damaged"):
        NpzStore(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_images.npy", b"not an array")
    with pytest.raises(DataError, match="a.npz: the archive is damaged"):
        NpzStore(path)
    np.savez(path, **{**arrays(False), "train_labels": np.array([{}], dtype=object)})
    store = NpzStore(path)
    with pytest.raises(DataError, match="damaged"):
        store.array("train_labels")  # nothing is unpickled
    with pytest.raises(DataError, match="holds no array 'val_labels'"):
        store.array("val_labels")


def test_an_array_that_ends_early(tmp_path: Path) -> None:
    truth = arrays(False)
    np.savez(tmp_path / "a.npz", **truth)
    with (
        zipfile.ZipFile(tmp_path / "a.npz") as old,
        zipfile.ZipFile(tmp_path / "b.npz", "w") as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data[:-10] if name == "val_images.npy" else data)
    store = NpzStore(tmp_path / "b.npz")
    store.read("val/000001")
    with pytest.raises(DataError, match="val/000002 ends early"):
        store.read("val/000002")
