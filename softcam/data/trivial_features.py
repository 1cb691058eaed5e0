"""What an image is like without looking at what it shows: brightness, borders, sharpness, its file.

A network may tell the classes apart by such things alone (Geirhos et al., "Shortcut learning in
deep neural networks", Nature Machine Intelligence 2020); `audit` asks how far they lead.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from softcam.common import DataError, hides_bar
from softcam.data.cache import MANIFEST
from softcam.data.catalogue import Catalogue
from softcam.data.hashing import SIDE, thumbnails
from softcam.data.records import SPLITS, ImageSet, Splits
from softcam.data.store import Store

__all__ = ["BLANKS", "Column", "Looks", "file_columns", "is_blank", "look", "table_columns"]

BATCH = 64
BLANKS = ("", "nan", "na", "n/a", "none", "null", "?", "-")  # what stands for no value
FRAME = 16  # the frame is one sixteenth of the side wide
CORNER = 6  # a corner is one sixth of the side wide


@dataclass(frozen=True)
class Column:
    """One trivial feature of all images, train, val and test one after the other.

    Attributes:
        name: for a reader.
        kind: `pixels`, `file`, `table` (what a column says) or `blank` (whether it says anything).
        numbers: (N, D) float; or None, and then
        words: N texts, which are taken as categories.
        known: (N,) bool, where there is a value.
    """

    name: str
    kind: str
    numbers: np.ndarray | None
    words: tuple[str, ...]
    known: np.ndarray


@dataclass(frozen=True)
class Looks:
    """What one pass over all images has found.

    Attributes:
        thumbs: (N, 32, 32) uint8, see `hashing`.
        digests: N digests of the pixels.
        columns: the features of kind `pixels`.
    """

    thumbs: np.ndarray
    digests: tuple[bytes, ...]
    columns: tuple[Column, ...]


def look(splits: Splits, progress: bool = True) -> Looks:
    """Read every image once, some at a time."""
    from tqdm.auto import tqdm

    total = sum(len(splits[split]) for split in SPLITS)
    thumbs = np.zeros((total, SIDE, SIDE), np.uint8)
    digests: list[bytes] = []
    parts: dict[str, list[np.ndarray]] = {}
    with tqdm(total=total, desc="looking", unit=" images", disable=hides_bar(progress)) as bar:
        for data in (splits[split] for split in SPLITS):
            for start in range(0, len(data), BATCH):
                images = np.asarray(data.images[start : start + BATCH])
                grey = images if images.ndim == 3 else images.mean(-1, dtype=np.float32)
                thumbs[len(digests) : len(digests) + len(images)] = thumbnails(grey)
                digests += [hashlib.sha256(image.tobytes()).digest() for image in images]
                for name, values in _measures(grey.astype(np.float32), images).items():
                    parts.setdefault(name, []).append(values)
                bar.update(len(images))
    known = np.ones(total, bool)
    columns = (
        Column(name, "pixels", np.concatenate(values), (), known) for name, values in parts.items()
    )
    return Looks(thumbs, tuple(digests), tuple(columns))


def _measures(grey: np.ndarray, images: np.ndarray) -> dict[str, np.ndarray]:
    """Grey values (B, H, W), and the same images in colour where they are, to (B, D) each."""
    height, width = grey.shape[1:]
    frame = max(1, min(height, width) // FRAME)
    inner = grey[:, frame : height - frame, frame : width - frame]
    around = grey.sum((1, 2)) - inner.sum((1, 2))
    y, x = max(1, height // CORNER), max(1, width // CORNER)
    corners = [grey[:, :y, :x], grey[:, :y, -x:], grey[:, -y:, :x], grey[:, -y:, -x:]]
    middle = grey[:, 1:-1, 1:-1]
    around_pixel = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    found = {
        "mean brightness": [grey.mean((1, 2))],
        "contrast": [grey.std((1, 2))],
        "brightness of the border": [around / max(1, grey[0].size - inner[0].size)],
        "brightness of the corners": [corner.mean((1, 2)) for corner in corners],
        "sharpness of the corners": [_steps(corner) for corner in corners],  # letters stand there
        "sharpness": [np.log1p((4 * middle - around_pixel).var((1, 2)))],
    }
    if images.ndim == 4:
        red, green, blue = images.mean((1, 2), dtype=np.float32).T
        found["colour cast"] = [red - green, blue - green]
    return {name: np.stack(values, 1) for name, values in found.items()}


def _steps(grey: np.ndarray) -> np.ndarray:
    """(B, H, W) to (B,): the mean difference between neighbours, to the side and downwards."""
    sideways, down = (np.abs(np.diff(grey, axis=axis)) for axis in (2, 1))
    total = sideways.sum((1, 2)) + down.sum((1, 2))
    return np.asarray(total / max(1, sideways[0].size + down[0].size))


def file_columns(splits: Splits, store: Store | None) -> list[Column]:
    """Width, height and type of the stored files, from the manifest; their bytes from the store."""
    path = None if splits.folder is None else splits.folder / MANIFEST
    if path is None or not path.is_file():
        return []  # drawn, without files
    with path.open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    ordered = [rows[id] for id in _ids(splits)]
    size = np.array([[float(row["width"]), float(row["height"])] for row in ordered])
    known = np.ones(len(ordered), bool)
    endings = tuple(PurePosixPath(row["source"]).suffix.lower() for row in ordered)
    columns = [
        Column("width of the stored image", "file", size[:, :1], (), known),
        Column("height of the stored image", "file", size[:, 1:], (), known),
        Column("type of the file", "file", None, endings, known),
    ]
    if store is not None:
        count = [_bytes(store, row["source"]) for row in ordered]
        there = np.array([value is not None for value in count])
        numbers = np.log1p([[value or 0] for value in count])
        columns.append(Column("bytes of the file", "file", numbers, (), there))
    return columns


def _bytes(store: Store, name: str) -> int | None:
    try:
        return store.stamp(name)[0]
    except DataError:  # gone since; `verify` says so
        return None


def is_blank(text: str) -> bool:
    """Whether a field of a table says nothing."""
    return text.strip().lower() in BLANKS


def table_columns(splits: Splits, catalogue: Catalogue) -> list[Column]:
    """Every column of the source's tables twice: what it says, and whether it says anything."""
    place = {item.id: at for at, item in enumerate(catalogue.items)}
    rows = [place.get(id) for id in _ids(splits)]
    if None in rows:
        missing = next(id for id in _ids(splits) if id not in place)
        raise DataError(
            f"{catalogue.name}: lists no image {missing!r}, which {splits.name} has: give the "
            "catalogue of this data set."
        )
    columns = []
    for name, values in catalogue.metadata.items():
        words = tuple(values[row] for row in rows if row is not None)
        known = np.array([not is_blank(word) for word in words], bool)
        numbers = _numbers(words, known)
        columns.append(Column(name, "table", numbers, words if numbers is None else (), known))
        if not known.all() and known.any():
            columns.append(
                Column(name, "blank", (~known)[:, None].astype(float), (), np.ones_like(known))
            )
    return columns


def _numbers(words: tuple[str, ...], known: np.ndarray) -> np.ndarray | None:
    """(N, 1) where every field that says something says a number; 0 where it is blank."""
    try:
        values = [float(word) if there else 0.0 for word, there in zip(words, known, strict=True)]
    except ValueError:
        return None
    return np.array(values)[:, None] if np.isfinite(values).all() else None


def _ids(splits: Splits) -> list[str]:
    sets: Mapping[str, ImageSet] = {split: splits[split] for split in SPLITS}
    return [id for data in sets.values() for id in data.ids]
