"""Maps from elsewhere: what comes back, and what a wrong or hostile file gets."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from softcam.common import SoftCAMError
from softcam.data.records import ImageSet
from softcam.outside import OutsideMaps, read_maps, write_maps


def split(n: int = 5, classes: int = 2) -> ImageSet:
    ids = tuple(f"patient-{i}" for i in range(n))
    return ImageSet(
        name="folder-x", split="test", classes=tuple("abcd"[:classes]),
        images=np.zeros((n, 8, 8), np.uint8), labels=np.zeros(n, np.int64), ids=ids, patients=ids,
        masks=np.zeros((n, 0, 8, 1), np.uint8), annotated=np.ones(n, bool),
    )  # fmt: skip


def arrays(n: int = 3, classes: int = 2, seed: int = 0) -> dict[str, Any]:
    """All classes of the first n images, in an order of their own."""
    draw = np.random.default_rng(seed)
    order = draw.permutation(n * classes)
    image, index = order // classes, order % classes
    return {
        "id": np.array([f"patient-{i}" for i in image]),
        "class_index": index,
        "maps": draw.normal(size=(n * classes, 2, 3)).astype(np.float32),
        "logits": draw.normal(size=(n, classes)).astype(np.float32)[image],
    }


def saved(path: Path, given: dict[str, Any], how: Any = np.savez) -> Path:
    how(path, **given)
    return path


def packed(path: Path, members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def lying(shape: tuple[int, ...], descr: str, content: bytes = b"") -> bytes:
    """An .npy file whose header says what it likes."""
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + content


@pytest.mark.parametrize("how", [np.savez, np.savez_compressed])
def test_each_map_comes_back_where_it_belongs(tmp_path: Path, how: Any) -> None:
    given, data = arrays(), split()
    outside = read_maps(saved(tmp_path / "My Maps (2).npz", given, how), data)
    assert outside.name == "my-maps-2" and outside.map_size == (2, 3)
    assert outside.has.tolist() == [True, True, True, False, False]
    assert outside.all_classes and outside.link == "softmax"
    assert isinstance(outside.maps, np.memmap) == (how is np.savez)
    every = outside.every([2, 4, 0])
    assert every.shape == (3, 2, 2, 3) and every.dtype == torch.float32
    for row, (name, c) in enumerate(zip(given["id"], given["class_index"], strict=True)):
        i = data.ids.index(str(name))
        np.testing.assert_array_equal(outside.target_maps([i], [c])[0], given["maps"][row])
        np.testing.assert_array_equal(outside.logits[i], given["logits"][row].astype(float))
        if i in (0, 2):
            np.testing.assert_array_equal(every[[2, 4, 0].index(i), c], given["maps"][row])
    assert every[1].isnan().all() and np.isnan(outside.logits[3:]).all()
    mixed = outside.target_maps([3, 1, 3], [0, 1, 1])
    assert mixed.isnan().flatten(1).all(1).tolist() == [True, False, True]


def test_one_class_an_image_has_no_other_gauge(tmp_path: Path) -> None:
    given = arrays()
    kept = given["class_index"] == 1
    outside = read_maps(saved(tmp_path / "m.npz", {k: v[kept] for k, v in given.items()}), split())
    assert not outside.all_classes and outside.has.sum() == 3
    assert outside.target_maps([0, 0], [1, 0]).isnan().flatten(1).all(1).tolist() == [False, True]
    with pytest.raises(SoftCAMError, match="all 2 classes"):
        outside.every([0])
    with pytest.raises(SoftCAMError, match="targets run from 2 to 2"):
        outside.target_maps([0], [2])
    with pytest.raises(SoftCAMError, match="one target an image"):
        outside.target_maps([0, 1], [1])


def test_written_files_are_read_again(tmp_path: Path) -> None:
    """From tensors and lists; half precision and NaN stay what they are."""
    maps = torch.arange(12.0).reshape(2, 2, 3).to(torch.bfloat16)
    maps[1, 0, 0] = torch.nan
    path = write_maps(tmp_path / "deep" / "m.npz", ["patient-4", "patient-0"], [0, 0], maps,
                      torch.tensor([[1.5], [-2.0]]))  # fmt: skip
    outside = read_maps(path, split())
    assert outside.link == "sigmoid" and outside.all_classes
    back = outside.target_maps([4, 0], [0, 0])
    torch.testing.assert_close(back, maps.float(), equal_nan=True, rtol=0, atol=0)
    assert [p.name for p in path.parent.iterdir()] == ["m.npz"]


def test_other_layouts_of_the_same_values(tmp_path: Path) -> None:
    """Fortran order, big-endian numbers, bytes and integers as ids, an archive after a preamble."""
    given = arrays()
    plain = read_maps(saved(tmp_path / "a.npz", given), split()).every(range(3))
    odd = {
        **given, "maps": np.asfortranarray(given["maps"].astype(">f8")),
        "id": given["id"].astype("S"), "class_index": given["class_index"].astype(np.uint8),
    }  # fmt: skip
    file = saved(tmp_path / "b.npz", odd)
    file.write_bytes(b"#!/bin/sh\n" + file.read_bytes())
    torch.testing.assert_close(read_maps(file, split()).every(range(3)), plain.double())
    numbered = split()
    object.__setattr__(numbered, "ids", tuple("01234"))
    numbers = np.array([int(name[-1]) for name in given["id"]])
    again = read_maps(saved(tmp_path / "c.npz", {**given, "id": numbers}), numbered)
    torch.testing.assert_close(again.every(range(3)), plain)


def test_logits_may_differ_by_rounding_only(tmp_path: Path) -> None:
    given = arrays()
    given["logits"] = given["logits"] + np.float32(1e-6) * np.arange(6, dtype=np.float32)[:, None]
    assert read_maps(saved(tmp_path / "m.npz", given), split()).has.sum() == 3


def _changed(**changes: Any) -> dict[str, Any]:
    given = arrays()
    return {**given, **{name: change(given[name].copy()) for name, change in changes.items()}}


def _put(row: Any, value: Any) -> Any:
    def put(array: np.ndarray) -> np.ndarray:
        array[row] = value
        return array

    return put


WRONG = {
    "unknown ids": (_changed(id=_put(0, "patent-9")), "1 of 4 ids are not in folder-x/test: "
                    "'patent-9'.*Close to the first: 'patient-"),
    "two maps of one class": (_changed(id=lambda a: np.full(6, "patient-1"),
                              class_index=lambda a: np.arange(6) % 2,
                              logits=lambda a: np.ones((6, 2))), "4 maps.*another one"),
    "class out of range": (_changed(class_index=_put(3, 2)), "class_index runs from 0 to 2"),
    "negative class": (_changed(class_index=_put(3, -1)), "class_index runs from -1"),
    "logits of one image differ": (_changed(logits=_put(0, 7)), "different logits"),
    "NaN logits": (_changed(logits=_put((2, 1), np.nan)), "1 rows have logits that are NaN"),
    "three logits": (_changed(logits=lambda a: np.ones((6, 3))), "has 2 classes.*found 3"),
    "too few rows": (_changed(maps=lambda a: a[:5]), "lengths.*'maps': 5"),
    "integer maps": (_changed(maps=lambda a: a.astype(int)), "'maps' as floats.*int64"),
    "long doubles": (_changed(maps=lambda a: a.astype(np.longdouble)), "'maps' as floats"),
    "flat maps": (_changed(maps=lambda a: a[0]), r"'maps' as floats.*\(2, 3\)"),
    "float classes": (_changed(class_index=lambda a: a * 1.0), "'class_index' as integers"),
    "flat logits": (_changed(logits=lambda a: a[:, 0]), "'logits' as floats"),
    "nothing": ({k: v[:0] for k, v in arrays().items()}, "nothing to measure"),
    "no cells": (_changed(maps=lambda a: a[:, :0]), "nothing to measure"),
    "long ids": (_changed(id=lambda a: a.astype("U300")), "more than 255 characters"),
    "too many maps": ({k: np.concatenate([v, v]) for k, v in arrays().items()},
                      "12 maps are more than one an image and class"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, what: str) -> None:
    given, message = WRONG[what]
    with pytest.raises(SoftCAMError, match=message) as caught:
        read_maps(saved(tmp_path / "wrong.npz", given), split())
    assert "wrong.npz" in str(caught.value)


def test_missing_and_extra_arrays(tmp_path: Path) -> None:
    given = arrays()
    with pytest.raises(SoftCAMError, match=r"expected exactly.*found 'class_index.npy'"):
        read_maps(saved(tmp_path / "a.npz", {"class_index": given["class_index"]}), split())
    with pytest.raises(SoftCAMError, match="'labels.npy'"):
        read_maps(saved(tmp_path / "b.npz", {**given, "labels": np.zeros(6)}), split())
    with pytest.raises(SoftCAMError, match="found nothing"):
        read_maps(packed(tmp_path / "c.npz", {}), split())


class Attack:
    """Unpickling one of these sets `fired`."""

    fired: list[int] = []

    def __reduce__(self) -> Any:
        return Attack.fired.append, (1,)


@pytest.mark.parametrize("name", ["id", "class_index", "maps", "logits"])
def test_nothing_is_unpickled(tmp_path: Path, name: str) -> None:
    given = {**arrays(), name: np.array([Attack()], object)}
    with pytest.raises(SoftCAMError, match=f"{name!r} holds pickled objects"):
        read_maps(saved(tmp_path / "m.npz", given), split())
    bare = {f"{key}.npy": npy(value) for key, value in arrays().items()}
    bare[f"{name}.npy"] = pickle.dumps(Attack())
    with pytest.raises(SoftCAMError, match="no array that NumPy saved"):
        read_maps(packed(tmp_path / "n.npz", bare), split())
    assert not Attack.fired


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    ("shape", "descr", "message"),
    [
        ((6, 10**6, 10**6), "<f4", "does not fit"),
        ((10**30, 1, 1), "<f8", "does not fit"),
        ((6, 2, 2), "<f4", "does not fit"),
        ((-6, -2, 3), "<f4", "does not fit"),
        ((6, 2, 3), "|O", "pickled objects"),
        ((6, 2, 3), "|V4", "'maps' as floats"),
        ((6, 5), "<f4", "does not fit"),
    ],
)
def test_a_header_that_lies_is_refused_before_memory_is_taken(
    tmp_path: Path, how: int, shape: tuple[int, ...], descr: str, message: str
) -> None:
    members = {f"{key}.npy": npy(value) for key, value in arrays().items()}
    members["maps.npy"] = lying(shape, descr, bytes(6 * 2 * 3 * 4))
    with pytest.raises(SoftCAMError, match=message):
        read_maps(packed(tmp_path / "m.npz", members, how), split())


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A gigabyte of zeros in a megabyte; what is more than images times classes is no data."""
    members = {f"{key}.npy": npy(value) for key, value in arrays().items()}
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("id.npy", "class_index.npy", "logits.npy"):
            archive.writestr(name, members[name])
        with archive.open("maps.npy", "w") as file:
            file.write(lying((6, 1, 5_000_000), "<f4"))
            for _ in range(120):
                file.write(bytes(1_000_000))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(SoftCAMError, match="1 x 5000000 cells: at most 4096"):
        read_maps(path, split())


def test_what_memory_cannot_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "m.npz", arrays(), np.savez_compressed)
    memory = type("Memory", (), {"available": 100})
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    with pytest.raises(SoftCAMError, match="save the file uncompressed"):
        read_maps(path, split())


@pytest.mark.parametrize("name", ["../../maps.npy", "/etc/maps.npy", "maps.npy/", "MAPS.npy"])
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    members = {f"{key}.npy": npy(value) for key, value in arrays().items()}
    members[name] = members.pop("maps.npy")
    with pytest.raises(SoftCAMError, match="expected exactly"):
        read_maps(packed(tmp_path / "m.npz", members), split())
    assert [each.name for each in tmp_path.iterdir()] == ["m.npz"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.npz", arrays())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("maps.npy", npy(arrays(seed=1)["maps"]))
    with pytest.raises(SoftCAMError, match="expected exactly"):
        read_maps(path, split())


def test_no_archive_and_no_file(tmp_path: Path) -> None:
    for name, content in {"a.npz": b"", "b.npz": b"not a zip", "c.npz": npy(np.ones(3))}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SoftCAMError, match=f"{name} cannot be read.*write_maps"):
            read_maps(tmp_path / name, split())
    for missing in (tmp_path / "nothing.npz", tmp_path):
        with pytest.raises(SoftCAMError, match="cannot be read"):
            read_maps(missing, split())


@pytest.mark.slow
@pytest.mark.parametrize("how", [np.savez, np.savez_compressed])
def test_every_cut_and_every_flipped_byte_is_an_error_or_harmless(tmp_path: Path, how: Any) -> None:
    """Never another exception, and never other values than those that were written."""
    whole = saved(tmp_path / "m.npz", arrays(), how).read_bytes()
    good = read_maps(tmp_path / "m.npz", split()).every(range(3))
    draw = np.random.default_rng(0)
    tampered = [whole[:cut] for cut in range(0, len(whole), 97)]
    for at in draw.choice(len(whole), 300, replace=False):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(draw.integers(8))
        tampered.append(bytes(flipped))
    refused = 0
    for content in tampered:
        (tmp_path / "t.npz").write_bytes(content)
        try:
            back = read_maps(tmp_path / "t.npz", split()).every(range(3))
        except SoftCAMError:
            refused += 1
        else:
            torch.testing.assert_close(back, good)
    assert refused > len(tampered) / 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
def test_random_headers_never_raise_anything_else(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    members = {f"{key}.npy": npy(value) for key, value in arrays().items()}
    pieces = ["{", "(", "[", "'descr':", "'<f4'", "1,", "b'", '"""', "L", "\\", "}", ")", "-", "*"]
    for _ in range(60):
        text = "".join(draw.choice(pieces, draw.integers(1, 40))).encode()
        members["maps.npy"] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
        with pytest.raises(SoftCAMError):
            read_maps(packed(tmp_path / "m.npz", members), split())


def test_write_refuses_what_could_not_be_read(tmp_path: Path) -> None:
    good = arrays()
    given = [good["id"], good["class_index"], good["maps"], good["logits"]]
    for at, value, message in (
        (0, [None] * 6, "'id' as strings or integers"),
        (1, good["class_index"] * 1.0, "'class_index' as integers"),
        (2, good["maps"][:, 0], "'maps' as floats"),
        (3, good["logits"][:4], "one row a map"),
    ):
        with pytest.raises(SoftCAMError, match=message):
            write_maps(tmp_path / "m.npz", *given[:at], value, *given[at + 1 :])
    assert not list(tmp_path.iterdir())


def test_the_rows_are_read_from_disk_when_asked(tmp_path: Path) -> None:
    outside: OutsideMaps = read_maps(saved(tmp_path / "m.npz", arrays()), split())
    assert isinstance(outside.maps, np.memmap) and not outside.maps.flags.writeable
    assert not isinstance(outside.target_maps([0], [0]).numpy().base, np.memmap)
