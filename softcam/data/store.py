"""Where the files of a data set lie: a folder, or a zip archive that is read without unpacking.

Nothing is ever extracted, so an archive cannot write outside anything. Its names and sizes are
checked all the same when it is opened: absolute names, `..`, links, encrypted members and members
that would unpack to far more than they hold are refused, because whoever made such an archive did
not mean well or did not finish.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Protocol

from softcam.common import DataError, data_root

__all__ = ["FolderStore", "Store", "ZipStore", "as_path", "open_store", "places_of"]

MAX_MEMBER = 2**30  # bytes of one image or table, unpacked
MAX_RATIO = 1000  # an image packs 30:1 at best, a table of zeros 1000:1
MIN_SUSPECT = 2**20  # a small file may pack as it likes
# bzip2 and LZMA cannot be unpacked up to a size and no further; the others zipfile does not know
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
BROKEN = (  # what zipfile stumbles over
    OSError, zipfile.BadZipFile, zlib.error, struct.error, ValueError, EOFError,
    NotImplementedError,
)  # fmt: skip


class Store(Protocol):
    """Files by name, with forward slashes, relative to the root."""

    path: Path

    def names(self) -> list[str]:
        """All files, sorted; hidden ones and those of macOS archives left out."""

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            DataError: it is missing or damaged.
        """

    def stamp(self, name: str) -> tuple[int, int]:
        """What changes when the file does: its size and its time or checksum."""


def open_store(path: str | Path) -> Store:
    """A folder or a zip archive.

    Raises:
        DataError: neither, or an archive that is refused; the message says why.
    """
    path = as_path("the data set", path)
    if path.is_dir():
        return FolderStore(path)
    if not path.is_file():
        raise DataError(f"{path}: no such folder or zip archive.")
    try:
        with path.open("rb") as file:
            begins = file.read(4)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    if zipfile.is_zipfile(path):
        return ZipStore(path)
    if begins == b"PK\3\4":
        raise DataError(f"{path}: the archive is cut off before its list; download it again.")
    raise DataError(f"{path}: not a zip archive; unpack it and give the folder.")


def as_path(what: str, path: object) -> Path:
    """A path that somebody wrote, with `~` for the home.

    Args:
        what: it is the path of, for messages.
        path: as it is written.

    Raises:
        DataError: no path, or one that no file system takes.
    """
    try:
        if not isinstance(path, (str, Path)) or not str(path) or "\0" in str(path):
            raise ValueError("it is no path")
        found = Path(path).expanduser()
        found.is_dir()  # raises for a name that is too long
    except (ValueError, RuntimeError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        text = repr(path) if len(repr(path)) < 200 else f"{repr(path)[:200]}..."
        raise DataError(
            f"{what} is {text}: {why}; expected the path of a file or folder."
        ) from error
    return found


def places_of(path: object) -> list[Path]:
    """Where a data set of this path or name is looked for: as it is, then under `data_root()`."""
    written = as_path("the data set", path)
    return list(dict.fromkeys((written.absolute(), data_root() / written)))


class FolderStore:
    """The files below a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        found = []
        for folder, _, files in os.walk(self.path, onerror=_unreadable):
            inner = Path(folder).relative_to(self.path)
            whole = (name for name in files if os.path.isfile(os.path.join(folder, name)))
            found += [(inner / name).as_posix() for name in whole]
        return sorted(name for name in found if not _is_hidden(name))

    def read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise DataError(f"{self.path / name}: cannot be read ({error.strerror}).") from error

    def stamp(self, name: str) -> tuple[int, int]:
        try:
            found = (self.path / name).stat()
        except OSError as error:
            raise DataError(f"{self.path / name}: cannot be read ({error.strerror}).") from error
        return found.st_size, found.st_mtime_ns


class ZipStore:
    """The members of a zip archive; each process opens the archive for itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except BROKEN as error:
            raise DataError(
                f"{path}: the archive is damaged ({error}); download it again."
            ) from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            _refuse(path, info)
            if info.is_dir():
                continue
            # some programs on Windows write backslashes
            name = PurePosixPath(info.filename.replace("\\", "/")).as_posix()
            if name in self._members:
                raise DataError(f"{path}: holds {name!r} twice: refused.")
            self._members[name] = info

    def __reduce__(self) -> tuple[type[ZipStore], tuple[Path]]:
        return ZipStore, (self.path,)  # an open archive cannot be shared by processes

    def names(self) -> list[str]:
        return sorted(name for name in self._members if not _is_hidden(name))

    def read(self, name: str) -> bytes:
        info = self._member(name)
        try:
            with self._zip.open(info) as file:
                data = file.read(info.file_size)  # all of it at once may unpack beyond its size
        except BROKEN as error:
            raise DataError(f"{self.path}: {name!r} is damaged ({error}).") from error
        if len(data) < info.file_size:
            raise DataError(f"{self.path}: {name!r} is damaged (it ends early).")
        return data

    def stamp(self, name: str) -> tuple[int, int]:
        info = self._member(name)
        return info.file_size, info.CRC

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self._members:
            raise DataError(f"{self.path}: holds no file {name!r}.")
        return self._members[name]


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror}).") from error


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _refuse(path: Path, info: zipfile.ZipInfo) -> None:
    """Raise for a member that no honest archive holds."""
    name = info.orig_filename  # before zipfile cleans it
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or ":" in name or "\0" in name:
        raise DataError(f"{path}: holds the name {name!r}, which leads outside: refused.")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DataError(f"{path}: {name!r} is a link: refused.")
    if info.flag_bits & 1:
        raise DataError(f"{path}: {name!r} is encrypted; unpack the archive and give the folder.")
    if info.compress_type not in METHODS:
        raise DataError(
            f"{path}: {name!r} is packed in another way than deflate; unpack the archive and give "
            "the folder."
        )
    huge = info.file_size > MAX_RATIO * max(info.compress_size, 1)
    if info.file_size > MAX_MEMBER or (huge and info.file_size > MIN_SUSPECT):
        raise DataError(
            f"{path}: {name!r} would unpack from {info.compress_size:,} to {info.file_size:,} "
            "bytes: refused."
        )
