"""Prepared data sets on disk: memory-mapped arrays that are whole or not there at all.

A source (phantoms, a folder of images) is turned into arrays once and read from
`data/cache/SLUG-HASH12/` ever after; the hash is over everything that decides the arrays.

    meta.json                 what the set is, and the size of every file: written last
    train/images.npy          (N, H, W) or (N, H, W, 3) uint8
    train/masks.npy           (N, K, H, ceil(W / 8)) uint8, bits
    train/table.csv           id, label (`0|1|0` of a multi-label set), patient, annotated
    val/..., test/...
    manifest.csv              of real images: which file each row was made from (see `prepare`)

A set is built in a temporary folder and renamed into place. Of two processes that build the same
set, the second to finish uses what the first one left.
"""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import os
import platform
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from softcam.common import DataError, digest, project_root, write_json
from softcam.data.records import SPLITS, ImageSet, Splits
from softcam.data.writer import SplitWriter

__all__ = ["MANIFEST", "SplitWriter", "SplitsMeta", "cache_root", "cached_splits", "is_cached"]

LAYOUT = 1  # counts up when the files above change
FILES = ("images.npy", "masks.npy", "table.csv")
MANIFEST = "manifest.csv"
LEFTOVER_SECONDS = 24 * 3600

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitsMeta:
    """What is true of all three splits; the fields are those of `ImageSet` and `Splits`.

    `source` is the folder or archive of the images, `expected` the counts a faithful preparation
    reproduces, by split; both are for `verify`.
    """

    classes: tuple[str, ...]
    mask_names: tuple[str, ...]
    finding_names: tuple[str, ...]
    fingerprint: str
    options: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    multi_label: bool = False
    source: str = ""
    expected: dict[str, tuple[int, ...]] = field(default_factory=dict)


def cache_root() -> Path:
    """`data/cache` of the project."""
    return project_root() / "data" / "cache"


def cached_splits(name: str, key: dict[str, Any], write: Callable[[Path], SplitsMeta]) -> Splits:
    """The data set `name`, read from the cache, built first where it is missing or damaged.

    Args:
        name: slug of the data set, `phantoms-cxr` or `folder-NAME`.
        key: everything that decides the arrays (JSON-able); another key is another folder.
        write: fills the folder it is given with one `SplitWriter` a split (train, val and test)
            and returns what is true of all of them. Called only when the set must be built.

    Returns:
        The three splits; images and masks are read-only memory maps.

    Raises:
        DataError: the folder cannot be written.
    """
    folder = _folder(name, key)
    if folder.exists():
        problem = _problem(folder)
        if problem is None:
            return _open(folder, name)
        warnings.warn(f"{folder} is damaged ({problem}) and is built again.", stacklevel=2)
    _build(folder, name, key, write)
    return _open(folder, name)


def is_cached(name: str, key: dict[str, Any]) -> bool:
    """Whether `cached_splits` would find the set whole."""
    return _problem(_folder(name, key)) is None


def _folder(name: str, key: dict[str, Any]) -> Path:
    return cache_root() / f"{name}-{digest(LAYOUT, name, key, length=12)}"


def _build(
    folder: Path, name: str, key: dict[str, Any], write: Callable[[Path], SplitsMeta]
) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        temporary = _temporary(folder)
    except OSError as error:
        raise DataError(
            f"cannot write to {folder.parent} ({error.strerror}): make it writable, "
            "or set SOFTCAM_ROOT to a folder that is."
        ) from error
    try:
        log.info("building %s", folder)
        meta = write(temporary)
        paths = _files() + [MANIFEST] * (temporary / MANIFEST).is_file()
        files = {path: (temporary / path).stat().st_size for path in paths}
        value = {"layout": LAYOUT, "name": name, "key": key, "files": files, **asdict(meta)}
        write_json(temporary / "meta.json", value)
        temporary.chmod(0o755)
        _move(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _files() -> list[str]:
    return [f"{split}/{file}" for split in SPLITS for file in FILES]


def _move(temporary: Path, folder: Path) -> None:
    """Rename into place; what another process put there meanwhile is kept if it is whole."""
    if folder.exists() and _problem(folder) is None:
        return
    if folder.exists():
        aside = _temporary(folder)
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            os.replace(folder, aside / "damaged")
        shutil.rmtree(aside, ignore_errors=True)
    try:
        os.rename(temporary, folder)
    except OSError:
        if not folder.exists() or _problem(folder) is not None:
            raise


def _temporary(folder: Path) -> Path:
    prefix = f".{folder.name}.{_machine()}-{os.getpid()}-"
    return Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix))


def _machine() -> str:
    return digest(platform.node(), length=8)


def _remove_leftovers(folder: Path) -> None:
    """Temporary folders of builds that were killed: on this machine at once, on others by age."""
    import psutil  # only here, for it is slow

    for path in folder.parent.glob(f".{folder.name}.*"):
        machine, _, rest = path.name.removeprefix(f".{folder.name}.").partition("-")
        pid = rest.partition("-")[0]
        ours = machine == _machine() and pid.isdecimal()
        with contextlib.suppress(OSError):
            old = time.time() - path.stat().st_mtime > LEFTOVER_SECONDS
            if old or (ours and not psutil.pid_exists(int(pid))):
                shutil.rmtree(path, ignore_errors=True)


def _problem(folder: Path) -> str | None:
    """Why the folder cannot be used, or None. Opens no memory map, so files stay replaceable."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        sizes = dict(meta["files"])
        _meta(meta)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"meta.json is missing or unreadable: {type(error).__name__}"
    for path in dict.fromkeys([*_files(), *sizes]):
        if not (folder / path).is_file():
            return f"{path} is missing"
        found = (folder / path).stat().st_size
        if found != sizes.get(path):
            return f"{path} has {found} bytes, expected {sizes.get(path)}"
    for split in SPLITS:
        try:
            rows = len(_table(folder / split))
            counts = [_shape(folder / split / file)[0] for file in FILES[:2]]
        except (OSError, ValueError, KeyError) as error:
            return f"{split} is unreadable: {error}"
        if counts != [rows, rows]:
            return f"{split} has {counts[0]} images, {counts[1]} mask rows, {rows} table rows"
    return None


def _meta(value: dict[str, Any]) -> SplitsMeta:
    """meta.json as what it stands for; fields of a later version have their defaults."""
    return SplitsMeta(
        **{key: value[key] for key in SplitsMeta.__dataclass_fields__ if key in value}
    )


def _shape(path: Path) -> tuple[int, ...]:
    """Shape of a .npy file from its header, checked against its size."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        expected = file.tell() + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if path.stat().st_size != expected:
        raise ValueError(f"{path.name} says {shape} but has {path.stat().st_size} bytes")
    return tuple(shape)


def _table(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if any(None in row.values() for row in rows):
        raise ValueError("table.csv has a short row")
    return rows


def _labels(rows: list[dict[str, str]], multi_label: bool, classes: int) -> np.ndarray:
    if not multi_label:
        return np.array([int(row["label"]) for row in rows], dtype=np.int64)
    table = [[int(value) for value in row["label"].split("|")] for row in rows]
    return np.array(table, dtype=np.int64).reshape(-1, classes)


def _open(folder: Path, name: str) -> Splits:
    meta = _meta(json.loads((folder / "meta.json").read_text(encoding="utf-8")))
    sets = {}
    for split in SPLITS:
        rows = _table(folder / split)
        sets[split] = ImageSet(
            name=name,
            split=split,
            classes=tuple(meta.classes),
            images=np.load(folder / split / "images.npy", mmap_mode="r"),
            labels=_labels(rows, meta.multi_label, len(meta.classes)),
            ids=tuple(row["id"] for row in rows),
            patients=tuple(row["patient"] for row in rows),
            masks=np.load(folder / split / "masks.npy", mmap_mode="r"),
            mask_names=tuple(meta.mask_names),
            finding_names=tuple(meta.finding_names),
            annotated=np.array([row["annotated"] == "1" for row in rows], dtype=bool),
            fingerprint=meta.fingerprint,
            options=meta.options,
        )
    return Splits(**sets, notes=tuple(meta.notes), folder=folder)
