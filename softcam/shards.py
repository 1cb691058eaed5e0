"""Arrays of many rows, computed piece by piece and kept on disk: a killed job loses one piece.

A `Shards` is a folder named after a digest of everything its content depends on. Each file in
it holds a few rows of several arrays, and is written whole or not at all. Without a folder the
same thing lives in memory.
"""

from __future__ import annotations

import logging
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from softcam.common import SoftCAMError, atomic_path, digest, write_json

__all__ = ["Shards", "code_digest", "kept"]

log = logging.getLogger(__name__)
Arrays = dict[str, np.ndarray]
# The rooms that decide a map or what a model says of an occluded image. Data have a fingerprint.
_DECIDING = (
    "wrappers", "evidence", "backbones", "proof", "cut", "convert", "metrics", "twins",
    "explainers", "sanity", "evaluate",
)  # fmt: skip


@cache
def code_digest() -> str:
    """A digest of the package's own source: what was computed by other code is computed again."""
    root = Path(__file__).parent
    files = [
        path
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).parts[0].removesuffix(".py") in _DECIDING
    ]
    return digest(*(f"{path.relative_to(root)}\n{path.read_text('utf-8')}" for path in files))


def kept(
    root: Path | None, name: str, key: Mapping[str, Any], compute: Callable[[], Arrays]
) -> Arrays:
    """Arrays of any shapes in one file: read where they lie below `root`, else computed."""
    path = None if root is None else root / f"{name}-{digest(dict(key), length=12)}.npz"
    if path is not None and path.is_file():
        try:
            with np.load(path, allow_pickle=False) as file:
                return {each: file[each] for each in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            log.warning("%s cannot be read (%s): computed again", path, error)
    arrays = compute()
    if path is not None:
        try:
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
        except OSError as error:
            log.warning("%s cannot be written (%s): nothing is kept for later", path, error)
    return arrays


@dataclass
class Shards:
    """N rows of named arrays in pieces of `size` rows.

    Attributes:
        folder: where the pieces lie; None keeps them in memory.
        n: rows in all.
        size: rows a piece; the last may be shorter.
    """

    folder: Path | None
    n: int
    size: int
    _memory: dict[int, Arrays] = field(default_factory=dict)
    _last: tuple[int, Arrays] | None = None

    @classmethod
    def open(
        cls, root: Path | None, name: str, key: Mapping[str, Any], n: int, size: int
    ) -> Shards:
        """The pieces of `key` below `root`, new or from an earlier run.

        Args:
            root: a folder for many such things; None keeps this one in memory.
            name: for people, the first part of the folder's name.
            key: everything the content depends on, as JSON can hold it.
            n, size: rows in all and a piece.
        """
        if n < 0 or size < 1:
            raise SoftCAMError(f"expected n >= 0 rows in pieces of >= 1, found {n} and {size}.")
        if root is None:
            return cls(None, n, size)
        whole = {**key, "rows": n, "size": size}
        folder = root / f"{name}-{digest(whole, length=12)}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "key.json").is_file():
                write_json(folder / "key.json", whole)
        except OSError as error:
            log.warning("%s cannot be written (%s): nothing is kept for later", folder, error)
            return cls(None, n, size)
        return cls(folder, n, size)

    def pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the piece, its row numbers)."""
        for piece, start in enumerate(range(0, self.n, self.size)):
            yield piece, np.arange(start, min(start + self.size, self.n))

    def fill(
        self, compute: Callable[[np.ndarray], Arrays], step: Callable[[int], object] | None = None
    ) -> None:
        """Compute the pieces that are missing.

        Args:
            compute: row numbers to arrays with as many rows each.
            step: called with the number of rows that are done, for a progress bar.
        """
        for piece, rows in self.pieces():
            if not self._has(piece, len(rows)):
                self._write(piece, compute(rows))
            if step is not None:
                step(len(rows))

    def read(self, piece: int) -> Arrays:
        """One piece; the last one read is remembered."""
        if self.folder is None:
            return self._memory[piece]
        if self._last is None or self._last[0] != piece:
            from safetensors.numpy import load_file

            self._last = piece, load_file(self._path(piece))
        return self._last[1]

    def take(self, name: str, rows: np.ndarray) -> np.ndarray:
        """The given rows of one array, in the order asked for."""
        rows = np.asarray(rows, np.int64)
        found: np.ndarray | None = None
        for piece in np.unique(rows // self.size):
            own = rows // self.size == piece
            part = self.read(int(piece))[name][rows[own] - piece * self.size]
            if found is None:
                found = np.empty((len(rows), *part.shape[1:]), part.dtype)
            found[own] = part
        if found is None:
            shape = self.read(0)[name].shape[1:] if self.n else ()
            return np.zeros((0, *shape))
        return found

    def all(self) -> Arrays:
        """Every row of every array."""
        parts = [self.read(piece) for piece, _ in self.pieces()]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _path(self, piece: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{piece:06d}.safetensors"

    def _has(self, piece: int, rows: int) -> bool:
        if self.folder is None:
            return piece in self._memory
        path = self._path(piece)
        if not path.is_file():
            return False
        try:
            from safetensors import safe_open

            with safe_open(path, "numpy") as file:
                lengths = {file.get_slice(name).get_shape()[0] for name in file.keys()}  # noqa: SIM118
        except Exception as error:  # safetensors raises an error of its own kind
            log.warning("%s cannot be read (%s): computed again", path, error)
            return False
        return lengths == {rows}

    def _write(self, piece: int, arrays: Arrays) -> None:
        arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        if self.folder is None:
            self._memory[piece] = arrays
            return
        from safetensors.numpy import save_file

        with atomic_path(self._path(piece)) as temporary:
            save_file(arrays, temporary)
