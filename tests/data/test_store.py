"""Folders and archives: nothing that leads outside, unpacks to more than it says, or is half."""

from __future__ import annotations

import os
import pickle
import random
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from softcam.common import DataError
from softcam.data.store import FolderStore, as_path, open_store


def archive(path: Path, *names: str, data: bytes = b"x", method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.filename = name  # as it is, which the constructor cleans
            info.compress_type = method
            file.writestr(info, data)
    return path


def patched(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


def test_an_archive_reads_as_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for name in ("a.csv", "images/b.png", "images/.hidden", "__MACOSX/a.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    packed = tmp_path / "set.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    for store in (open_store(folder), open_store(packed)):
        again = pickle.loads(pickle.dumps(store))
        assert again.names() == ["a.csv", "images/b.png"]
        assert again.read("images/b.png") == b"images/b.png"
        assert again.stamp("a.csv")[0] == 5
        with pytest.raises(DataError, match="nowhere"):
            again.read("nowhere")


@pytest.mark.parametrize(
    "name", ["../a", "/etc/a", "a/../../b", "..\\a", "C:\\a", "\\\\host\\a", "a/..", "b\0.png"]
)
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.parent.rglob("*"))
    with pytest.raises(DataError, match=r"a\.zip: holds the name .*outside: refused"):
        open_store(archive(tmp_path / "a.zip", name))
    assert set(tmp_path.parent.rglob("*")) - set(before) == {tmp_path / "a.zip"}


def test_names_as_windows_writes_them(tmp_path: Path) -> None:
    store = open_store(archive(tmp_path / "a.zip", "train\\a.png", "./b.png", "é.png", "A.png"))
    assert store.names() == ["A.png", "b.png", "train/a.png", "é.png"]
    assert store.read("train/a.png") == b"x"
    with pytest.raises(DataError, match=r"holds 'train/a\.png' twice"):
        open_store(archive(tmp_path / "b.zip", "train\\a.png", "train/a.png"))


def test_links_and_encrypted_members_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="'a' is a link: refused"):
        open_store(tmp_path / "a.zip")
    locked = bytearray(archive(tmp_path / "b.zip", "a").read_bytes())
    locked[locked.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "b.zip").write_bytes(locked)
    with pytest.raises(DataError, match="'a' is encrypted; unpack"):
        open_store(tmp_path / "b.zip")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_cannot_be_unpacked_piece_by_piece_is_refused(tmp_path: Path, method: int) -> None:
    with pytest.raises(DataError, match="in another way than deflate; unpack the archive"):
        open_store(archive(tmp_path / "a.zip", "a", method=method))


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    size = 3_000_000
    bomb = archive(tmp_path / "a.zip", "a", data=bytes(size), method=zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match=r"would unpack from [\d,]+ to 3,000,000 bytes: refused"):
        open_store(bomb)


def test_a_bomb_that_names_a_small_size_fills_no_memory(tmp_path: Path) -> None:
    size = 30_000_000
    bomb = archive(tmp_path / "a.zip", "a", data=bytes(size), method=zipfile.ZIP_DEFLATED)
    store = open_store(patched(bomb, struct.pack("<I", size), struct.pack("<I", 1000)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="'a' is damaged"):
            store.read("a")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_member_that_names_more_than_it_holds(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", "a", data=b"x" * 1000, method=zipfile.ZIP_DEFLATED)
    store = open_store(patched(path, struct.pack("<I", 1000), struct.pack("<I", 2000)))
    with pytest.raises(DataError, match="'a' is damaged"):
        store.read("a")


def test_an_archive_cut_off_says_so(tmp_path: Path) -> None:
    content = archive(tmp_path / "a.zip", "a", "b", data=b"x" * 50).read_bytes()
    for end in (4, 100, len(content) - 23):
        (tmp_path / "a.zip").write_bytes(content[:end])
        with pytest.raises(DataError, match=r"cut off before its list; download it again"):
            open_store(tmp_path / "a.zip")
    (tmp_path / "a.zip").write_bytes(b"no archive")
    with pytest.raises(DataError, match="not a zip archive"):
        open_store(tmp_path / "a.zip")


def test_names_in_no_encoding_are_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.zip: the archive is damaged"):
        open_store(patched(archive(tmp_path / "a.zip", "é.png"), "é".encode(), b"\xff\xfe"))


def test_flipped_bytes_give_files_or_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    content = archive(path, "é.png", "b/c.csv", data=b"abc" * 40, method=8).read_bytes()
    draw, read = random.Random(3), 0
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(draw.choice((1, 2, 4))):
            damaged[draw.randrange(len(damaged))] = draw.choice((0, 1, 128, 255))
        path.write_bytes(damaged)
        try:
            store = open_store(path)
            for name in store.names():
                store.read(name)
                read += 1
        except DataError as error:
            assert str(path) in str(error)
    assert read, "some bytes may be anything"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="rights mean nothing to root")
def test_rights_are_named(tmp_path: Path) -> None:  # pragma: no cover
    inner = tmp_path / "set" / "images"
    inner.mkdir(parents=True)
    path = archive(tmp_path / "a.zip", "a")
    for locked, opened in ((inner, tmp_path / "set"), (path, path)):
        locked.chmod(0)
        try:
            with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
                open_store(opened).names()
        finally:
            locked.chmod(0o755)


def test_a_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    scan = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("inner"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"inner: cannot be read \(Permission denied\)"):
        FolderStore(tmp_path).names()


@pytest.mark.parametrize("path", [5, None, True, [1], "", "\0", "x" * 5000, "~no-such-user/x"])
def test_a_path_that_is_none_is_refused(path: object) -> None:
    with pytest.raises(DataError, match="^lesions is "):
        as_path("lesions", path)
