"""Arrays of many rows, computed piece by piece and kept on disk: a killed job loses one piece.

A `Shards` is a folder named after a digest of everything its content depends on. Each row has a
number of its own, such as the index of its image, and is computed once, whichever rows are asked
for together. Each file holds a few rows of several arrays and their numbers, and is written
whole or not at all; two jobs may fill one folder at the same time, and at worst compute a row
twice. Without a folder the same thing lives in memory.
"""

from __future__ import annotations

import logging
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from softcam.common import SoftCAMError, atomic_path, digest, write_json

__all__ = ["Arrays", "Shards", "code_digest", "kept"]

log = logging.getLogger(__name__)
Arrays = dict[str, np.ndarray]
ROW = "row"  # the array that holds the numbers of a piece's rows
# The rooms that decide a map or what a model says of an occluded image. Data have a fingerprint.
_DECIDING = (
    "wrappers", "evidence", "backbones", "bagnet", "bcos", "proof", "cut", "convert", "metrics",
    "twins", "explainers", "sanity", "evaluate",
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
    """Rows of named arrays, in pieces of at most `size` rows.

    Attributes:
        folder: where the pieces lie; None keeps them in memory.
        size: rows a piece.
    """

    folder: Path | None
    size: int
    _pieces: list[Path | Arrays] = field(default_factory=list)
    _rows: list[np.ndarray] = field(default_factory=list)  # the numbers in each piece
    _index: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    _last: tuple[int, Arrays] | None = None

    @classmethod
    def open(cls, root: Path | None, name: str, key: Mapping[str, Any], size: int) -> Shards:
        """The pieces of `key` below `root`, new or from an earlier job.

        Args:
            root: a folder for many such things; None keeps this one in memory.
            name: for people, the first part of the folder's name.
            key: everything a row depends on besides its number, as JSON can hold it.
            size: rows a piece.
        """
        if size < 1:
            raise SoftCAMError(f"expected pieces of >= 1 rows, found {size}.")
        if root is None:
            return cls(None, size)
        folder = root / f"{name}-{digest(dict(key), length=12)}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "key.json").is_file():
                write_json(folder / "key.json", dict(key))
        except OSError as error:
            log.warning("%s cannot be written (%s): nothing is kept for later", folder, error)
            return cls(None, size)
        found = cls(folder, size)
        # What begins with a dot was left half-written by a killed job.
        for path in sorted(folder.glob("[!.]*.safetensors")):
            rows = _rows_of(path)
            if rows is not None:
                found._add(rows, path)
        return found

    def fill(
        self,
        rows: np.ndarray,
        compute: Callable[[np.ndarray], Arrays],
        step: Callable[[int], object] | None = None,
    ) -> None:
        """Compute the rows that are missing.

        Args:
            rows: (n,) int64, the numbers of the rows; equal ones are one row.
            compute: positions in `rows` to arrays with as many rows each.
            step: called with the number of rows that are done, for a progress bar.
        """
        rows = np.asarray(rows, np.int64)
        first = np.sort(np.unique(rows, return_index=True)[1])
        missing = first[self._find(rows[first])[0] < 0]
        if step is not None:
            step(len(rows) - len(missing))
        for start in range(0, len(missing), self.size):
            part = missing[start : start + self.size]
            self._write(rows[part], compute(part))
            if step is not None:
                step(len(part))

    def take(self, rows: np.ndarray) -> Arrays:
        """The rows of every array, in the order asked for; they must have been filled.

        Raises:
            SoftCAMError: a row that is not there, or a file that was damaged meanwhile.
        """
        piece, offset = self._find(np.asarray(rows, np.int64))
        if (piece < 0).any():
            raise SoftCAMError(f"{(piece < 0).sum()} of {len(piece)} rows were never computed.")
        out: Arrays = {}
        for number in np.unique(piece) if len(piece) else range(len(self._pieces[:1])):
            own = piece == number
            for name, values in self._read(int(number)).items():
                if name not in out:
                    out[name] = np.empty((len(piece), *values.shape[1:]), values.dtype)
                out[name][own] = values[offset[own]]
        return out

    def _find(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The piece of each row, -1 where there is none, and its place in the piece."""
        if self._index is None:
            none = np.zeros(0, np.int64)
            every = np.concatenate([none, *self._rows])
            order = np.argsort(every, kind="stable")
            lengths = [len(each) for each in self._rows]
            pieces = np.repeat(np.arange(len(lengths)), np.array(lengths, int))
            places = np.concatenate([none, *(np.arange(n) for n in lengths)])
            self._index = every[order], pieces[order], places[order]
        known, pieces, places = self._index
        if not len(known):
            return np.full(len(rows), -1), np.zeros(len(rows), int)
        at = np.searchsorted(known, rows).clip(max=len(known) - 1)
        return np.where(known[at] == rows, pieces[at], -1), places[at]

    def _add(self, rows: np.ndarray, piece: Path | Arrays) -> None:
        self._pieces.append(piece)
        self._rows.append(rows)
        self._index = None

    def _read(self, number: int) -> Arrays:
        """One piece; the last one read is remembered."""
        piece = self._pieces[number]
        if not isinstance(piece, Path):
            return piece
        if self._last is None or self._last[0] != number:
            from safetensors.numpy import load_file

            try:
                arrays = load_file(piece)
            except Exception as error:  # safetensors raises an error of its own kind
                raise SoftCAMError(
                    f"{piece} was there a moment ago and cannot be read now ({error}): evaluate "
                    "again, only what is missing is computed again."
                ) from error
            self._last = number, {name: arrays[name] for name in arrays if name != ROW}
        return self._last[1]

    def _write(self, rows: np.ndarray, arrays: Arrays) -> None:
        arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        wrong = {name: len(value) for name, value in arrays.items() if len(value) != len(rows)}
        if wrong:
            raise SoftCAMError(f"expected {len(rows)} rows in every array, found {wrong}.")
        if self.folder is None:
            return self._add(rows, arrays)
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        path = self.folder / f"{digest(rows.tobytes(), length=16)}.safetensors"
        try:
            with atomic_path(path) as temporary:
                save_file({**arrays, ROW: rows}, temporary)
        except (OSError, SafetensorError) as error:
            log.warning("%s cannot be written (%s): nothing is kept for later", path, error)
            return self._add(rows, arrays)
        self._add(rows, path)


def _rows_of(path: Path) -> np.ndarray | None:
    """The numbers of the rows in a file; None where it is damaged."""
    try:
        from safetensors import safe_open

        with safe_open(path, "numpy") as file:
            rows = np.asarray(file.get_tensor(ROW))
            lengths = {file.get_slice(name).get_shape()[0] for name in file.keys()}  # noqa: SIM118
        if lengths != {len(rows)}:
            raise ValueError(f"arrays of {lengths} rows")
    except Exception as error:  # safetensors raises an error of its own kind
        log.warning("%s cannot be read (%s): computed again", path, error)
        return None
    return rows
