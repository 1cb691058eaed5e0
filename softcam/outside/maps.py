"""Maps of one class an image, read from a file and lined up with the images of a split."""

from __future__ import annotations

import difflib
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softcam.common import SoftCAMError, atomic_path
from softcam.data.records import ImageSet
from softcam.outside.archive import (
    DAMAGED,
    MEMBERS,
    Header,
    check_layout,
    load,
    map_from_disk,
    read_headers,
)

__all__ = ["OutsideMaps", "read_maps", "write_maps"]

MAX_SIDE = 4096  # cells a side of a map; more is a slip or an attack
MAX_NAME = 255  # characters of an id
TOLERANCE = 1e-4  # between the logits of one image in several rows, absolute and relative


@dataclass(frozen=True)
class OutsideMaps:
    """The maps of one file, by image of a split and by class.

    Attributes:
        name: from the file name, in lower case, `grad-cam` for `Grad CAM.npz`.
        maps: (R, h, w) float16, float32 or float64, the rows of the file. They stay on disk
            unless the file is compressed, so the file must stay as it is meanwhile.
        rows: (N, C) int64, the row of each image of the split and class; -1 where there is none.
        logits: (N, C) float64; NaN for an image that the file does not have.
    """

    name: str
    maps: np.ndarray
    rows: np.ndarray
    logits: np.ndarray

    @property
    def has(self) -> np.ndarray:
        """(N,) bool, the images that have a map of any class."""
        return np.asarray((self.rows >= 0).any(1))

    @property
    def all_classes(self) -> bool:
        """Whether every image that has a map has one of each class: then all gauges exist."""
        return bool((self.rows[self.has] >= 0).all())

    @property
    def link(self) -> str:
        """One logit is that of a sigmoid; several are those of a softmax."""
        return "sigmoid" if self.logits.shape[1] == 1 else "softmax"

    @property
    def map_size(self) -> tuple[int, int]:
        """(h, w)."""
        return int(self.maps.shape[1]), int(self.maps.shape[2])

    def target_maps(self, indices: Any, targets: Any) -> Tensor:
        """The map of one class an image, (n, h, w) on the CPU; all NaN where the file has none.

        Args:
            indices: (n,) integers, which images of the split.
            targets: (n,) integers, which logit; 0 where there is a single one.
        """
        chosen, classes = np.asarray(indices, np.int64), np.asarray(targets, np.int64)
        outputs = self.rows.shape[1]
        if chosen.shape != classes.shape or chosen.ndim != 1:
            raise SoftCAMError(
                f"expected one target an image, found {chosen.shape} images and {classes.shape} "
                "targets."
            )
        if len(classes) and not 0 <= classes.min() <= classes.max() < outputs:
            raise SoftCAMError(
                f"targets run from {classes.min()} to {classes.max()}, but {self.name} has "
                f"{outputs} logits, counted from 0."
            )
        return self._read(self.rows[chosen, classes])

    def every(self, indices: Any) -> Tensor:
        """The maps of all classes, (n, C, h, w) on the CPU; all NaN where the file has none."""
        if not self.all_classes:
            raise SoftCAMError(
                f"{self.name} does not have the maps of all {self.rows.shape[1]} classes for every "
                "image it has: only the map of the target can be read, in the raw gauge."
            )
        rows = self.rows[np.asarray(indices, np.int64)]
        return self._read(rows.reshape(-1)).reshape(*rows.shape, *self.map_size)

    def _read(self, rows: np.ndarray) -> Tensor:
        kind = np.float64 if self.maps.dtype.itemsize == 8 else np.float32
        out = np.full((len(rows), *self.map_size), np.nan, kind)
        found = rows >= 0
        out[found] = self.maps[rows[found]]
        return torch.from_numpy(out)


def write_maps(path: str | Path, ids: Any, class_index: Any, maps: Any, logits: Any) -> Path:
    """Write `maps.npz`, uncompressed so that it need not be held in memory; return the path.

    Args:
        path: of the file, replaced atomically.
        ids: (N,) strings or integers, as in `ImageSet.ids`.
        class_index: (N,) integers, which logit each map explains.
        maps: (N, h, w) floats, raw and signed; NaN excludes the image from measures.
        logits: (N, C) floats, finite; the same in all rows of one image.

    Raises:
        SoftCAMError: arrays of the wrong type or shape.
    """
    given = dict(zip(MEMBERS, (ids, class_index, maps, logits), strict=True))
    arrays = {name: _array(value) for name, value in given.items()}
    check_layout({name: (each.shape, each.dtype) for name, each in arrays.items()})
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return Path(path)


def read_maps(path: str | Path, data: ImageSet) -> OutsideMaps:
    """Open and check `maps.npz`.

    An uncompressed file is read through once and its maps stay on disk; the maps of a compressed
    one are unpacked into memory, once. NaN and infinities in maps are left for the measures to
    exclude and count.

    Args:
        path: of the file.
        data: the split whose images the ids name.

    Raises:
        SoftCAMError: not a file of the four arrays, or damaged; pickled objects; a wrong shape,
            length or type; more rows than the split has images times classes, or maps larger
            than `MAX_SIDE` cells a side; ids that the split does not have; a class out of range;
            two maps of one image and class; logits that are not finite, not as many as the
            data's classes (a single one where there are two), or not the same in all rows of an
            image. The message says which.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            headers = read_headers(archive)
            _check_size(headers, data)
            small = {name: load(archive, headers[name]) for name in MEMBERS if name != "maps"}
            rows, logits = _index(small, data)
            maps = map_from_disk(archive, headers["maps"], path)
    except SoftCAMError as error:
        raise SoftCAMError(f"{path}: {error}") from None
    except DAMAGED as error:
        raise SoftCAMError(
            f"{path} cannot be read ({error or type(error).__name__}): expected an .npz file with "
            f"the arrays {', '.join(MEMBERS)}; softcam.outside.write_maps makes one."
        ) from error
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "maps"
    return OutsideMaps(name, maps, rows, logits)


def _array(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.float() if value.dtype == torch.bfloat16 else value
    return np.asarray(value)


def _check_size(headers: Mapping[str, Header], data: ImageSet) -> None:
    """No more rows, cells and characters than the data set bears out."""
    (rows, height, width), outputs = headers["maps"].shape, headers["logits"].shape[1]
    classes = len(data.classes)
    if outputs != classes and not (outputs == 1 and classes == 2):
        one = " (or a single one, of a sigmoid)" if classes == 2 else ""
        raise SoftCAMError(
            f"{data.name} has {classes} classes: expected as many logits{one}, found {outputs}."
        )
    if rows > len(data) * outputs:
        raise SoftCAMError(
            f"{rows} maps are more than one an image and class: {data.name}/{data.split} has "
            f"{len(data)} images, the file {outputs} logits."
        )
    if max(height, width) > MAX_SIDE:
        raise SoftCAMError(f"a map has {height} x {width} cells: at most {MAX_SIDE} a side.")
    dtype = headers["id"].dtype
    if dtype.itemsize > MAX_NAME * (4 if dtype.kind == "U" else 1):
        raise SoftCAMError(f"an id has room for more than {MAX_NAME} characters ({dtype}).")


def _index(small: Mapping[str, np.ndarray], data: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """The row of each image and class, (N, C) with -1 for none, and the logits of each image."""
    logits, classes = small["logits"].astype(np.float64), small["class_index"]
    outputs = logits.shape[1]
    if not 0 <= classes.min() <= classes.max() < outputs:
        raise SoftCAMError(
            f"class_index runs from {classes.min()} to {classes.max()}: expected 0 to "
            f"{outputs - 1}, there are {outputs} logits."
        )
    image = _images(small["id"], data)
    if not np.isfinite(logits).all():
        bad = np.flatnonzero(~np.isfinite(logits).all(1))
        raise SoftCAMError(
            f"{len(bad)} rows have logits that are NaN or infinite, the first of image "
            f"{data.ids[image[bad[0]]]!r}: leave out what the model could not read."
        )
    own = classes.astype(np.int64)
    rows = np.full((len(data), outputs), -1, np.int64)
    rows[image, own] = np.arange(len(image))
    twice = np.flatnonzero(rows[image, own] != np.arange(len(image)))
    if len(twice):
        raise SoftCAMError(
            f"{len(twice)} maps are of an image and class that has another one, the first of "
            f"image {data.ids[image[twice[0]]]!r}, class {own[twice[0]]}: keep one."
        )
    by_image = np.full((len(data), outputs), np.nan)
    by_image[image] = logits
    close = np.isclose(by_image[image], logits, rtol=TOLERANCE, atol=TOLERANCE).all(1)
    if not close.all():
        first = data.ids[image[np.flatnonzero(~close)[0]]]
        raise SoftCAMError(
            f"the rows of one image have different logits, the first of image {first!r}: expected "
            "the logits of the image, the same in each of its rows."
        )
    return rows, by_image


def _images(ids: np.ndarray, data: ImageSet) -> np.ndarray:
    """Which image of the split each id names, (R,)."""
    names = [each.decode() if isinstance(each, bytes) else str(each) for each in ids.tolist()]
    known = {name: index for index, name in enumerate(data.ids)}
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], data.ids, n=3, cutoff=0.4)
        hint = f" Close to the first: {', '.join(map(repr, close))}." if close else ""
        raise SoftCAMError(
            f"{len(unknown)} of {len(set(names))} ids are not in {data.name}/{data.split}: "
            f"{', '.join(map(repr, unknown[:5]))}{', ...' if len(unknown) > 5 else ''}.{hint} "
            f"Its ids look like {data.ids[0]!r}."
        )
    return np.array([known[name] for name in names], np.int64)
