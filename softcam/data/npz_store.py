"""Images that lie in the arrays of an .npz archive, as a store of files.

`train_images` (N, H, W) or (N, H, W, 3) uint8 becomes the names `train/000000` ... Each is handed
out as a plain Netpbm file (a header of some bytes and the pixels), which Pillow reads. The archive
is packed, so an image is reached by unpacking all before it: read in order, which costs nothing
more; memory holds one image.
"""

from __future__ import annotations

import threading
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from softcam.common import DataError
from softcam.data.records import SPLITS

__all__ = ["NpzStore"]

SUFFIX = "_images"


@dataclass(frozen=True)
class _Member:
    """An array of images: what an image is, where the first one begins, and the checksum."""

    count: int
    shape: tuple[int, ...]
    offset: int
    crc: int

    @property
    def length(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def header(self) -> bytes:
        """The Netpbm header: P5 is grey, P6 is RGB."""
        kind = b"P5" if len(self.shape) == 2 else b"P6"
        return kind + f"\n{self.shape[1]} {self.shape[0]}\n255\n".encode()


class NpzStore:
    """The images of an .npz archive by name, `SPLIT/NUMBER`.

    Args:
        path: the archive, with `train_images`, `val_images`, `test_images`.

    Raises:
        DataError: it is damaged, or an array is missing or of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._open: dict[str, IO[bytes]] = {}
        try:
            self._zip = zipfile.ZipFile(path)
            self._members = {split: self._member(split) for split in SPLITS}
        except DataError:
            raise
        except KeyError as error:
            raise DataError(f"{path}: {error.args[0]}") from error
        except (OSError, zipfile.BadZipFile, zlib.error, ValueError) as error:
            raise self._damaged(error) from error

    def __reduce__(self) -> tuple[type[NpzStore], tuple[Path]]:
        return NpzStore, (self.path,)  # an open archive cannot be shared by processes

    @property
    def counts(self) -> dict[str, int]:
        """How many images each split has."""
        return {split: member.count for split, member in self._members.items()}

    def names(self) -> list[str]:
        return sorted(f"{split}/{i:06d}" for split, n in self.counts.items() for i in range(n))

    def read(self, name: str) -> bytes:
        split, index = self._place(name)
        member = self._members[split]
        try:
            with self._lock:
                file = self._open.get(split)
                if file is None:
                    file = self._open[split] = self._zip.open(f"{split}{SUFFIX}.npy")
                file.seek(member.offset + index * member.length)
                pixels = file.read(member.length)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise self._damaged(error) from error
        if len(pixels) != member.length:
            raise self._damaged(f"{name} ends early")
        return member.header + pixels

    def stamp(self, name: str) -> tuple[int, int]:
        split, _ = self._place(name)
        return self._members[split].length, self._members[split].crc

    def array(self, name: str) -> np.ndarray:
        """A whole array of the archive, such as `train_labels`.

        Raises:
            DataError: it is missing or damaged.
        """
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                return np.asarray(archive[name])
        except KeyError as error:
            raise DataError(f"{self.path}: holds no array {name!r}.") from error
        except (OSError, zipfile.BadZipFile, zlib.error, ValueError, EOFError) as error:
            raise self._damaged(error) from error

    def _member(self, split: str) -> _Member:
        info = self._zip.getinfo(f"{split}{SUFFIX}.npy")
        with self._zip.open(info) as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, fortran, dtype = read(file)
            offset = file.tell()
        colour = len(shape) == 4 and shape[3] == 3
        if dtype != np.uint8 or fortran or not (colour or len(shape) == 3):
            raise DataError(
                f"{self.path}: {split}{SUFFIX} is {dtype} {shape}, expected uint8 (N, H, W) or "
                "(N, H, W, 3) in C order."
            )
        return _Member(shape[0], tuple(shape[1:]), offset, info.CRC)

    def _place(self, name: str) -> tuple[str, int]:
        split, _, number = name.partition("/")
        if split in self._members and number.isdecimal() and len(number) >= 6:
            if int(number) < self._members[split].count:
                return split, int(number)
        raise DataError(f"{self.path}: holds no image {name!r}.")

    def _damaged(self, error: object) -> DataError:
        return DataError(
            f"{self.path}: the archive is damaged ({error}); delete it, fetch it anew."
        )
