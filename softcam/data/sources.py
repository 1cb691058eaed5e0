"""A data set by its name: `phantoms:cxr`, `folder:PATH`, `rsna:PATH`; `registry` lists them all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from softcam.common import DataError, as_integer, choose
from softcam.data import relabel
from softcam.data.catalogue import Catalogue
from softcam.data.records import Splits
from softcam.data.registry import SOURCES, Source, source_of
from softcam.data.store import Store, places_of

__all__ = ["open_catalogue", "open_data"]

MAX_SIZE = 4096  # pixels a side; larger is a slip of the finger, and memory for nobody
PREPARING = ("on_error", "workers")


def open_data(
    spec: str,
    size: int = 96,
    *,
    progress: bool = True,
    shuffle_labels: bool = False,
    **options: Any,
) -> Splits:
    """The three splits of a data set, prepared on first use and read from the cache afterwards.

    Args:
        spec: `phantoms:cxr`, `phantoms:oct`, `phantoms:fundus`, or `SOURCE:PATH` with a source of
            `registry` and a path that is looked for as it is and then under `data_root()`.
        size: side of the square images, in pixels.
        progress: show a bar while the set is prepared.
        shuffle_labels: permute the labels of train and val, for the sanity check that maps
            follow what was learned (see `relabel`); nothing more is kept on disk for it.
        options: of the source, that is keywords of `PhantomOptions` or of its reader; and, but for
            phantoms, `on_error` and `workers` of `prepared_splits`.

    Raises:
        UnknownNameError: a source, phantom or option that does not exist, with the closest ones.
        DataError: the data cannot be used; the message says what and where.
    """
    source, name = _source(spec)
    as_integer("size", size, 1, MAX_SIZE)
    if not isinstance(shuffle_labels, bool):
        raise DataError(f"shuffle_labels is {shuffle_labels!r}: expected true or false.")
    if source.reader is None:
        splits = _phantoms(source, name, size, progress, options)
    else:
        from softcam.data.prepare import prepared_splits

        preparing = {key: options[key] for key in PREPARING if key in options}
        store, catalogue = _read(source, name, options, {"size": size, "progress": progress})
        splits = prepared_splits(store, catalogue, size, progress=progress, **preparing)
    return relabel.shuffle_labels(splits) if shuffle_labels else splits


def open_catalogue(
    spec: str, size: int = 96, *, progress: bool = True, **options: Any
) -> tuple[Store, Catalogue]:
    """Where the files of a data set lie, and its list of images; none of them is opened.

    Args:
        spec: as in `open_data`, but for phantoms, which have no files.
        size: side of the images that are wanted, for a source that comes in several sizes.
        progress: show a bar while a source is fetched.
        options: as in `open_data`.

    Raises:
        UnknownNameError, DataError: as `open_data`.
    """
    source, name = _source(spec)
    if source.reader is None:
        raise DataError(f"the data {spec!r} are drawn: they have no files and no tables.")
    return _read(source, name, options, {"size": size, "progress": progress})


def _source(spec: str) -> tuple[Source, str]:
    """The source of a spec, and what stands after the colon."""
    word, colon, name = spec.partition(":")
    if not colon and word not in SOURCES:
        raise DataError(f"the data {spec!r} name no source: expected phantoms:NAME or folder:PATH.")
    source = source_of(word)
    if not name:
        example = "cxr" if word == "phantoms" else "NAME" if source.by_name else "PATH"
        raise DataError(
            f"the data {spec!r} name a source and nothing in it; expected '{word}:{example}'."
        )
    return source, name


def _read(
    source: Source, name: str, options: dict[str, Any], given: dict[str, Any]
) -> tuple[Store, Catalogue]:
    """Call the reader with its options, and with those of `given` that it takes."""
    known = source.options()
    _check_options(source.name, options, {*known, *PREPARING})
    asked = {key: value for key, value in options.items() if key in known}
    asked |= {key: value for key, value in given.items() if source.takes(key)}
    # a folder looks for its place itself, with a message of its own
    where = name if source.by_name or source.name == "folder" else _find(source, name)
    return source.load()(where, **asked)


def _find(source: Source, name: str) -> Path:
    """The folder or archive itself if it exists, else the one of that name under `data_root()`."""
    tried = places_of(name)
    for candidate in tried:
        if candidate.exists():
            return candidate.resolve()
    raise DataError(
        f"no {name!r}: looked at {' and '.join(map(str, tried))}. Expected {source.form}. "
        f"{source.get} Then give the path, or set SOFTCAM_DATA to the folder that holds it."
    )


def _phantoms(
    source: Source, modality: str, size: int, progress: bool, options: dict[str, Any]
) -> Splits:
    from softcam.data.phantoms import MODALITIES, PhantomOptions, phantom_splits

    choose("phantom", modality, MODALITIES)
    _check_options(source.name, options, source.options())
    return phantom_splits(PhantomOptions(modality, size=size, **options), progress)


def _check_options(source: str, options: dict[str, Any], known: Iterable[str]) -> None:
    for name in options:
        choose(f"option of {source!r} data", name, {*known, "shuffle_labels"})
