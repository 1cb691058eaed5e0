"""An .npz file that is not trusted: four arrays, each header checked before a value is read.

An .npz file is a zip archive of .npy files. NumPy would unpickle objects, believe any size, and
hold every array in memory; here nothing is unpickled, the sizes can be refused first, and the
maps of an uncompressed archive stay on disk.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from softcam.common import SoftCAMError

__all__ = ["DAMAGED", "MEMBERS", "Header", "check_layout", "load", "map_from_disk", "read_headers"]

MEMBERS = ("id", "class_index", "maps", "logits")
BLOCK = 2**20  # bytes read at a time
# What a file that is no archive, or a broken one, makes its readers raise.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RuntimeError,
    MemoryError,
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a member says it is; `start` is where its values begin, after the .npy header."""

    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    start: int

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_headers(archive: zipfile.ZipFile) -> dict[str, Header]:
    """What the four members say they are; no value is read.

    Raises:
        SoftCAMError: other members than the four, pickled objects, a size that does not fit, or
            types and shapes that `check_layout` refuses.
    """
    found = sorted(each.filename for each in archive.infolist())
    expected = sorted(f"{name}.npy" for name in MEMBERS)
    if found != expected:
        shown = ", ".join(repr(name) for name in found[:8]) + (", ..." if len(found) > 8 else "")
        raise SoftCAMError(
            f"expected exactly the arrays {', '.join(MEMBERS)}, found {shown or 'nothing'}."
        )
    headers = {name: _header(archive, name) for name in MEMBERS}
    check_layout({name: (each.shape, each.dtype) for name, each in headers.items()})
    return headers


def check_layout(arrays: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> None:
    """Types and shapes of the four arrays, before any value is read."""
    wanted = {
        "id": ("USiu", 1, "strings or integers (N,)"),
        "class_index": ("iu", 1, "integers (N,)"),
        "maps": ("f", 3, "floats (N, h, w) of 16, 32 or 64 bits"),
        "logits": ("f", 2, "floats (N, C) of 16, 32 or 64 bits"),
    }
    for name, (kinds, axes, words) in wanted.items():
        shape, dtype = arrays[name]
        wide = dtype.kind == "f" and dtype.itemsize > 8
        if dtype.kind not in kinds or wide or len(shape) != axes or not dtype.itemsize:
            raise SoftCAMError(f"expected {name!r} as {words}, found {dtype} {shape}.")
    lengths = {name: arrays[name][0][0] for name in MEMBERS}
    if len(set(lengths.values())) > 1:
        raise SoftCAMError(f"expected one row a map in every array, found the lengths {lengths}.")
    if 0 in (*arrays["maps"][0], *arrays["logits"][0]):
        raise SoftCAMError(
            f"there is nothing to measure: maps {arrays['maps'][0]}, logits {arrays['logits'][0]}."
        )


def load(archive: zipfile.ZipFile, header: Header) -> np.ndarray:
    """The values of a member whose size is checked; the archive compares the checksum."""
    import psutil

    available = psutil.virtual_memory().available
    if header.size > available:
        raise SoftCAMError(
            f"{header.info.filename} takes {header.size / 2**30:.1f} GiB of memory, "
            f"{available / 2**30:.1f} GiB are free: save the file uncompressed (np.savez), then "
            "its maps stay on disk."
        )
    values = np.empty(header.size, np.uint8)
    with archive.open(header.info) as file:
        file.read(header.start)
        for at in range(0, header.size, BLOCK):
            block = file.read(min(BLOCK, header.size - at))
            values[at : at + BLOCK] = np.frombuffer(block, np.uint8)
        file.read(1)  # at the end the checksum is compared
    order = "F" if header.fortran else "C"
    return values.view(header.dtype).reshape(header.shape, order=order)  # type: ignore[call-overload]


def map_from_disk(archive: zipfile.ZipFile, header: Header, path: Path) -> np.ndarray:
    """The maps as they lie in the file, or in memory where they are compressed."""
    if header.info.compress_type != zipfile.ZIP_STORED:
        return load(archive, header)
    with archive.open(header.info) as file:
        while file.read(BLOCK):
            pass  # the archive compares the checksum on the way
    with path.open("rb") as raw:
        raw.seek(header.info.header_offset)
        lengths = struct.unpack("<26xHH", raw.read(30))  # of the member's name and extra field
    start = header.info.header_offset + 30 + sum(lengths) + header.start
    order = "F" if header.fortran else "C"
    return np.memmap(path, header.dtype, "r", start, header.shape, order)  # type: ignore[call-overload]


def _header(archive: zipfile.ZipFile, name: str) -> Header:
    info = archive.getinfo(f"{name}.npy")
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with archive.open(info) as file:
        try:
            version = np.lib.format.read_magic(file)
            shape, fortran, dtype = readers[version](file)
        except Exception as error:  # a header made up to hurt raises whatever a parser can raise
            what = f"{type(error).__name__}: {error}"
            raise SoftCAMError(f"{name!r} is no array that NumPy saved ({what}).") from error
        start = file.tell()
    if dtype.hasobject:
        raise SoftCAMError(
            f"the array {name!r} holds pickled objects, which could run code: nothing is "
            "unpickled. Save numbers or strings (a list of strings of one dtype, not objects)."
        )
    header = Header(info, shape, fortran, dtype, start)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SoftCAMError(f"{name!r} is packed in a way that NumPy does not write: use np.savez.")
    if min(shape, default=0) < 0 or info.file_size != start + header.size:
        raise SoftCAMError(
            f"the array {name!r} says it is {dtype} {shape}, which does not fit its "
            f"{info.file_size} bytes: the file is damaged."
        )
    return header
