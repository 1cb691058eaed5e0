"""A data set while it is being prepared: arrays that are filled chunk by chunk, in any order.

    data/cache/.parts-NAME-HASH12/
        train/images.npy, masks.npy     of their final size from the start
        done/000012.json                chunk 12 is written: its rows, what was left out of it
        lock

Every image has its place, so nothing is copied at the end and no process waits for another. A
chunk counts once its file in `done/` is there, which is written last and renamed into place. What a
killed call has finished is found by the next one, whatever it was asked besides: each chunk names
by a digest what it was made from, so that after one image was mended only its chunk is made again.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from softcam.common import DataError, SoftCAMError, digest, read_json, write_json
from softcam.data.catalogue import Item
from softcam.data.one_image import OUTSIDE, Recipe, make
from softcam.data.records import SPLITS, pack_masks
from softcam.data.writer import array_header

__all__ = ["CHUNK", "Chunk", "Parts", "fill"]

CHUNK = 64  # images that are lost at most when a call is killed, for each process
LEFTOVER_SECONDS = 14 * 24 * 3600


@dataclass(frozen=True)
class Chunk:
    """Some images of one split that are prepared together.

    Attributes:
        number: counts through the set.
        split: `train`, `val` or `test`.
        start: row of the first image in the arrays of its split.
        items: the images.
        positions: their places in the catalogue.
        digest: over everything the arrays and rows are made from.
    """

    number: int
    split: str
    start: int
    items: tuple[Item, ...]
    positions: tuple[int, ...]
    digest: str


@dataclass(frozen=True)
class Parts:
    """The folder of a set in the making.

    Attributes:
        folder: where it lies.
        counts: images of each split, by name.
        image_shape, mask_count: of one image.
    """

    folder: Path
    counts: dict[str, int]
    image_shape: tuple[int, ...]
    mask_count: int

    @classmethod
    def beside(
        cls, root: Path, name: str, counts: dict[str, int], recipe: Recipe, layout: int
    ) -> Parts:
        """The parts of all sets of this name and these shapes; nothing is created."""
        shape, kinds = recipe.image_shape, len(recipe.mask_names)
        mark = digest(layout, name, counts, shape, kinds, length=12)
        return cls(root / f".parts-{name}-{mark}", counts, shape, kinds)

    def shape(self, split: str, file: str) -> tuple[int, ...]:
        """Shape of an array: `images` or `masks`."""
        height, width = self.image_shape[:2]
        one = self.image_shape if file == "images" else (self.mask_count, height, -(-width // 8))
        return (self.counts[split], *one)

    def array(self, split: str, file: str) -> Path:
        return self.folder / split / f"{file}.npy"

    @property
    def image_bytes(self) -> int:
        """Bytes of one image with its masks."""
        return sum(int(np.prod(self.shape("train", file)[1:])) for file in ("images", "masks"))

    def create(self) -> None:
        """Make the arrays where they are missing; then nothing is done yet."""
        (self.folder / "done").mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            for file in ("images", "masks"):
                path, shape = self.array(split, file), self.shape(split, file)
                size = _start(shape) + int(np.prod(shape, dtype=np.int64))
                if path.is_file() and path.stat().st_size == size:
                    continue
                for marker in (self.folder / "done").glob("*.json"):
                    marker.unlink()
                path.parent.mkdir(exist_ok=True)
                with path.open("wb") as array:
                    array_header(array, shape)
                    array.truncate(size)

    def marker(self, number: int) -> Path:
        return self.folder / "done" / f"{number:06d}.json"

    def done(self, chunk: Chunk, on_error: str) -> dict[str, Any] | None:
        """What is known of a finished chunk, or None where it must be made.

        One in which something was left out is no use to a call that stops at such things.
        """
        try:
            found = read_json(self.marker(chunk.number))
        except SoftCAMError:
            return None
        if found.get("digest") != chunk.digest:
            return None
        flawed = found["skipped"] or found["counts"].get(OUTSIDE)
        return None if flawed and on_error == "stop" else found

    def remove(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Delete the parts of other sets that nobody has come back for in two weeks."""
        for path in self.folder.parent.glob(".parts-*"):
            with contextlib.suppress(OSError):
                age = time.time() - (path / "done").stat().st_mtime
                if path != self.folder and age > LEFTOVER_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)


def fill(shared: tuple[Recipe, Parts], chunk: Chunk) -> int:
    """Make the images of a chunk, write them to their places, and say that it is done.

    Memory holds one image at a time.

    Returns:
        The number of images.

    Raises:
        DataError: an image that cannot be used, under `stop`.
        OSError: the disk is full, or cannot be written.
    """
    recipe, parts = shared
    counts: Counter[str] = Counter()
    rows: list[dict[str, Any] | None] = []
    skipped: list[tuple[str, str]] = []
    with (
        parts.array(chunk.split, "images").open("rb+") as images,
        parts.array(chunk.split, "masks").open("rb+") as masks,
    ):
        for place, item in enumerate(chunk.items, chunk.start):
            try:
                made = make(recipe, item, counts)
            except DataError as error:
                if recipe.on_error == "stop":
                    mend = "Mend it, or leave it out: --on-error skip."
                    raise DataError(f"{error} {mend}") from error
                skipped.append((item.id, str(error)))
                rows.append(None)
                continue
            rows.append(made.row)
            _put(images, parts.shape(chunk.split, "images"), place, made.image)
            _put(masks, parts.shape(chunk.split, "masks"), place, pack_masks(made.masks))
        for file in (images, masks):
            file.flush()
            os.fsync(file.fileno())
    value = {"digest": chunk.digest, "rows": rows, "skipped": skipped, "counts": counts}
    write_json(parts.marker(chunk.number), value)
    return len(chunk.items)


def _start(shape: tuple[int, ...]) -> int:
    """Bytes before the first item of a .npy file."""
    return array_header(io.BytesIO(), shape)


def _put(file: BinaryIO, shape: tuple[int, ...], place: int, item: np.ndarray) -> None:
    if item.shape != shape[1:] or item.dtype != np.uint8:
        raise TypeError(f"{file.name}: {item.dtype} {item.shape}, expected uint8 {shape[1:]}")
    file.seek(_start(shape) + place * item.size)
    file.write(np.ascontiguousarray(item).tobytes())
