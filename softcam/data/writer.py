"""Writing one split of a prepared data set, image by image, so that memory stays flat."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from softcam.common import DataError
from softcam.data.records import pack_masks

__all__ = ["COLUMNS", "ArrayWriter", "SplitWriter", "array_header", "label_text", "write_table"]

COLUMNS = ("id", "label", "patient", "annotated")


def label_text(label: int | Sequence[int]) -> str:
    """A label as it stands in a table: `2`, or `0|1|0` of a multi-label set."""
    return "|".join(str(int(x)) for x in label) if isinstance(label, Sequence) else str(int(label))


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file in UTF-8 with Unix line ends."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)


def array_header(file: BinaryIO, shape: tuple[int, ...]) -> int:
    """Write the header of a .npy file of uint8 at its beginning; return its length in bytes."""
    file.seek(0)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


class ArrayWriter:
    """A .npy file that grows item by item, so that memory holds one item at a time.

    Args:
        path: the file to write.
        shape: shape of one item, uint8.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.shape = tuple(shape)
        self.count = 0
        self.file: BinaryIO = path.open("wb+")
        self._header()

    def _header(self) -> int:
        return array_header(self.file, (self.count, *self.shape))

    def append(self, item: np.ndarray) -> None:
        if item.shape != self.shape or item.dtype != np.uint8:
            raise DataError(
                f"{self.file.name}: item {self.count} is {item.dtype} {item.shape}, "
                f"expected uint8 {self.shape}."
            )
        self.file.write(np.ascontiguousarray(item).tobytes())
        self.count += 1

    def close(self) -> None:
        """Write the final count into the header (NumPy leaves room for it) and close."""
        if self.file.closed:
            return
        self.file.flush()
        size = int(np.prod(self.shape, dtype=np.int64)) * self.count
        start = os.fstat(self.file.fileno()).st_size - size
        if self._header() != start:
            raise DataError(f"{self.file.name}: the header outgrew its place.")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()


class SplitWriter:
    """Writes one split of a cached set, image by image; use it as a context manager.

    Args:
        folder: the folder that `cached_splits` hands to its builder.
        split: `train`, `val` or `test`.
        image_shape: (H, W) for grey or (H, W, 3) for RGB.
        mask_count: K, the number of masks of every image.
    """

    def __init__(
        self, folder: Path, split: str, image_shape: tuple[int, ...], mask_count: int
    ) -> None:
        self.folder = folder / split
        self.folder.mkdir(parents=True)
        height, width = image_shape[:2]
        self.mask_shape = (mask_count, height, width)
        self.images = ArrayWriter(self.folder / "images.npy", image_shape)
        self.masks = ArrayWriter(self.folder / "masks.npy", (mask_count, height, -(-width // 8)))
        self.rows: list[tuple[str, str, str, int]] = []

    def append(
        self,
        image: np.ndarray,
        masks: np.ndarray,
        *,
        id: str,
        label: int | tuple[int, ...],
        patient: str,
        annotated: bool = True,
    ) -> None:
        """Add one image (H, W) or (H, W, 3) uint8 with its masks (K, H, W) bool."""
        if masks.shape != self.mask_shape:
            raise DataError(f"{id}: masks are {masks.shape}, expected {self.mask_shape}.")
        self.images.append(image)
        self.masks.append(pack_masks(masks))
        self.rows.append((id, label_text(label), patient, int(annotated)))

    def close(self) -> None:
        """Finish the three files of this split."""
        self.images.close()
        self.masks.close()
        write_table(self.folder / "table.csv", COLUMNS, self.rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:  # the folder is about to be thrown away; only let go of the files
            self.images.file.close()
            self.masks.file.close()
