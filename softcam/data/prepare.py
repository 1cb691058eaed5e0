"""From a catalogue to the arrays of the cache: in parallel, resumable, each file accounted for.

All images of a catalogue are read (`views`), brought to one square together with their marks
(`geometry`) and kept in `cache`. `manifest.csv` there says what each row was made from: the file
and its SHA-256, its size in pixels, the crop that was taken first, the transform and its version.

A call that is killed, or stopped by a full disk or a broken image, loses the chunk that each
process was at; the next call goes on from the others (`parts`). A call for what is there already
reads it. The result does not depend on the number of processes, nor on interruptions.
"""

from __future__ import annotations

import errno
import hashlib
import math
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from softcam.common import DataError, as_integer, choose, digest, hides_bar
from softcam.data.assemble import assemble
from softcam.data.cache import SplitsMeta, cache_root, cached_splits, is_cached
from softcam.data.catalogue import Catalogue, Item
from softcam.data.one_image import Recipe
from softcam.data.parts import CHUNK, Chunk, Parts, fill
from softcam.data.records import SPLITS, Splits
from softcam.data.splitting import check_splits, crossings
from softcam.data.store import Store
from softcam.data.views import view_of
from softcam.data.workers import in_order

__all__ = ["ON_ERROR", "prepared_splits"]

PREPARED = 3  # counts up when the same files would become other arrays
ON_ERROR = ("stop", "skip")
MAX_WORKERS = 1024


def prepared_splits(
    store: Store,
    catalogue: Catalogue,
    size: int,
    *,
    on_error: str = "stop",
    workers: int | None = None,
    progress: bool = True,
) -> Splits:
    """The data set of a catalogue, prepared on first use and read from the cache afterwards.

    Args:
        store: where the files of the catalogue lie.
        catalogue: the images; its tables are checked already.
        size: side of the square images in pixels.
        on_error: `stop` at an image, mask or box that cannot be used, or `skip` and count it.
        workers: processes that prepare; 0 prepares in this one. None takes as many as there are
            processors, where there is enough to do.
        progress: show a bar.

    Returns:
        The three splits; `notes` has those of the catalogue, and counts everything that was
        skipped, clipped or found in two splits, which is also warned of when it is prepared.

    Raises:
        DataError: an image cannot be used, a patient is in two splits, a split is empty, the disk
            is too small; the message says where, and what to do.
    """
    choose("on_error", on_error, ON_ERROR)
    if workers is not None:
        as_integer("workers", workers, 0, MAX_WORKERS)
    notes = [*catalogue.notes, *catalogue.warnings, *_checked(store, catalogue)]
    recipe = Recipe(
        store, catalogue.view, size, tuple(catalogue.mask_names), catalogue.grey, on_error
    )
    chunks = list(_chunks(recipe, catalogue))
    options = {**catalogue.options, "size": size, "on_error": on_error}
    key = _key(recipe, catalogue, chunks, options)
    counts = Counter(item.split for item in catalogue.items)
    parts = Parts.beside(
        cache_root(), catalogue.name, {s: counts[s] for s in SPLITS}, recipe, PREPARED
    )

    def write(temporary: Path) -> SplitsMeta:
        _fill(recipe, parts, chunks, catalogue, workers, progress)
        return assemble(temporary, recipe, parts, chunks, catalogue, options)

    if is_cached(catalogue.name, key):
        splits = cached_splits(catalogue.name, key, write)
    else:
        with _alone(parts), _room(parts, chunks, recipe):
            splits = cached_splits(catalogue.name, key, write)
            parts.remove()
        parts.remove()  # on Windows the lock itself could not go before
    return replace(splits, notes=tuple(dict.fromkeys([*notes, *splits.notes])))


def _checked(store: Store, catalogue: Catalogue) -> list[str]:
    """Raise for a catalogue that is not one data set in three splits; return what to note."""
    seen: set[str] = set()
    for item in catalogue.items:
        choose("split", item.split, SPLITS)
        _check_names(store, item)
        if item.id in seen:
            raise DataError(f"{catalogue.name}: the image {item.id!r} is listed twice.")
        seen.add(item.id)
        for kind in [box.kind for box in item.boxes] + [mask.kind for mask in item.masks]:
            choose("mark", kind, catalogue.mask_names)
        if not _fits(item.label, len(catalogue.classes), catalogue.multi_label):
            raise DataError(
                f"{catalogue.name}: the label of {item.id!r} is {item.label!r}, which does not fit "
                f"the classes {', '.join(catalogue.classes)}."
            )
    place = str(store.path / catalogue.table)
    splits = [item.split for item in catalogue.items]
    labels: Any = [item.label for item in catalogue.items]
    notes = check_splits(f"{place}, column 'split'", splits, labels, catalogue.classes)
    crossing = crossings([item.patient for item in catalogue.items], splits)
    if crossing:
        patient, where = next(iter(crossing.items()))
        found = (
            f"{len(crossing)} patients are in several splits ({patient!r} in {' and '.join(where)})"
        )
        if not catalogue.shared_patients:
            raise DataError(f"{place}: {found}; a patient belongs in one split.")
        notes.append(f"{found}: scores of the test split flatter the model.")
    return notes


def _check_names(store: Store, item: Item) -> None:
    """Raise for a file name that no table can hold, since the system could not decode it."""
    for name in (item.name, *(mask.name for mask in item.masks)):
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{store.path}: the file name {ascii(name)} is not UTF-8; rename the file."
            ) from error


def _fits(label: object, classes: int, multi_label: bool) -> bool:
    if multi_label:
        flags = label if isinstance(label, tuple) else ()
        return len(flags) == classes and all(flag in (0, 1) for flag in flags)
    return isinstance(label, int) and 0 <= label < classes


def _chunks(recipe: Recipe, catalogue: Catalogue) -> Iterator[Chunk]:
    """The images of each split in pieces of `CHUNK`, each with a digest of what decides it."""
    view = [recipe.view, view_of(recipe.view).version]
    head = [PREPARED, view, recipe.size, list(recipe.mask_names), recipe.grey]
    number = 0
    for split in SPLITS:
        places = [i for i, item in enumerate(catalogue.items) if item.split == split]
        for start in range(0, len(places), CHUNK):
            positions = tuple(places[start : start + CHUNK])
            items = tuple(catalogue.items[i] for i in positions)
            mark = digest(head, [_known(recipe.store, item) for item in items])
            yield Chunk(number, split, start, items, positions, mark)
            number += 1


def _known(store: Store, item: Item) -> list[Any]:
    """All that decides what becomes of an image; its files by size and time."""
    names = [item.name, *(drawn.name for drawn in item.masks)]
    return [
        [item.id, item.label, item.split, item.patient, item.annotated],
        [[mark.kind, *mark.box] for mark in item.boxes],
        [drawn.kind for drawn in item.masks],
        [[name, *store.stamp(name)] for name in names],
    ]


def _key(
    recipe: Recipe, catalogue: Catalogue, chunks: list[Chunk], options: dict[str, Any]
) -> dict[str, Any]:
    order = hashlib.sha256(" ".join(item.split for item in catalogue.items).encode())
    return {
        "prepared": PREPARED,
        "view": recipe.view,
        "images": digest([chunk.digest for chunk in chunks]),
        "order": order.hexdigest(),
        "classes": list(catalogue.classes),
        "findings": list(catalogue.finding_names),
        "multi_label": catalogue.multi_label,
        "expected": dict(catalogue.expected),
        "options": options,
    }


def _fill(
    recipe: Recipe,
    parts: Parts,
    chunks: list[Chunk],
    catalogue: Catalogue,
    workers: int | None,
    progress: bool,
) -> None:
    """Make every chunk that is not finished yet."""
    from tqdm.auto import tqdm

    parts.create()
    missing = [chunk for chunk in chunks if parts.done(chunk, recipe.on_error) is None]
    finished = len(catalogue.items) - sum(len(chunk.items) for chunk in missing)
    with tqdm(
        total=len(catalogue.items),
        initial=finished,
        desc=f"reading {recipe.store.path.name}",
        unit=" images",
        disable=hides_bar(progress),
    ) as bar:
        for count in in_order(fill, (recipe, parts), missing, workers):
            bar.update(count)


@contextmanager
def _alone(parts: Parts) -> Iterator[None]:
    """Keep a second process that prepares the same set waiting; it then finds it whole."""
    from filelock import FileLock

    lock = FileLock(parts.folder / "lock")
    while True:
        try:
            parts.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            break
        except FileNotFoundError:  # the first one is done and has removed the folder
            continue
        except OSError as error:
            raise DataError(
                f"cannot write to {parts.folder.parent} ({error.strerror}): make it writable, or "
                "set SOFTCAM_ROOT to a folder that is."
            ) from error
    try:
        parts.sweep()
        yield
    finally:
        lock.release()


@contextmanager
def _room(parts: Parts, chunks: list[Chunk], recipe: Recipe) -> Iterator[None]:
    """Stop before the start, or where the disk is full after all, and say how much is needed."""

    def needed() -> int:
        missing = (chunk for chunk in chunks if parts.done(chunk, recipe.on_error) is None)
        return parts.image_bytes * sum(len(chunk.items) for chunk in missing)

    def full(free: int) -> DataError:
        return DataError(
            f"the disk of {parts.folder.parent} is too full: {needed():,} bytes more are needed, "
            f"{free:,} are free. Make room (sets there that are no longer used may go), take a "
            "smaller size, or set SOFTCAM_ROOT to a folder with room. What is done is kept, the "
            "same call goes on from there."
        )

    free = shutil.disk_usage(parts.folder).free
    if needed() > free:
        error = full(free)
        if not (parts.folder / "done").is_dir():
            parts.remove()
        raise error
    try:
        yield
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise DataError(
                f"the disk of {parts.folder.parent} takes no file as large as these "
                f"({_largest(parts):,} bytes; FAT takes 4 GiB): take a smaller size, or set "
                "SOFTCAM_ROOT to a folder on another disk."
            ) from error
        if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise
        raise full(shutil.disk_usage(parts.folder).free) from error


def _largest(parts: Parts) -> int:
    """Bytes of the largest array."""
    return max(math.prod(parts.shape(split, "images")) for split in SPLITS)
