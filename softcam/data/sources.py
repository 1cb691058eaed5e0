"""A data set by its name: `phantoms:cxr`, `folder:PATH`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from softcam.common import DataError, as_integer, choose
from softcam.data import relabel
from softcam.data.records import Splits

__all__ = ["SOURCES", "open_data"]


MAX_SIZE = 4096  # pixels a side; larger is a slip of the finger, and memory for nobody


def _phantoms(modality: str, size: int, progress: bool, options: dict[str, Any]) -> Splits:
    from dataclasses import fields

    from softcam.data.phantoms import MODALITIES, PhantomOptions, phantom_splits

    choose("phantom", modality, MODALITIES)
    known = {item.name for item in fields(PhantomOptions)} - {"modality", "size"}
    _check_options("phantoms", options, known)
    return phantom_splits(PhantomOptions(modality, size=size, **options), progress)


def _folder(path: str, size: int, progress: bool, options: dict[str, Any]) -> Splits:
    from softcam.data.folder import folder_splits

    known = set(inspect.signature(folder_splits).parameters) - {"path", "size", "progress"}
    _check_options("folder", options, known)
    return folder_splits(path, size, progress=progress, **options)


SOURCES: dict[str, Callable[[str, int, bool, dict[str, Any]], Splits]] = {
    "phantoms": _phantoms,
    "folder": _folder,
}


def _check_options(source: str, options: dict[str, Any], known: Iterable[str]) -> None:
    for name in options:
        choose(f"option of {source!r} data", name, {*known, "shuffle_labels"})


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
        spec: `phantoms:cxr`, `phantoms:oct`, `phantoms:fundus`, or `folder:PATH`, where PATH is
            a folder as in `folder`, looked for as it is and then under `data_root()`.
        size: side of the square images, in pixels.
        progress: show a bar while the set is prepared.
        shuffle_labels: permute the labels of train and val, for the sanity check that maps
            follow what was learned (see `relabel`); nothing more is kept on disk for it.
        options: keywords of `PhantomOptions` or `folder_splits`.

    Raises:
        UnknownNameError: a source, phantom or option that does not exist, with the closest ones.
        DataError: the data cannot be used; the message says what and where.
    """
    source, colon, name = spec.partition(":")
    if not colon and source not in SOURCES:
        raise DataError(f"the data {spec!r} name no source: expected phantoms:NAME or folder:PATH.")
    choose("data source", source, SOURCES)
    as_integer("size", size, 1, MAX_SIZE)
    if not name:
        raise DataError(
            f"the data {spec!r} name a source and nothing in it; expected "
            f"'{source}:{'cxr' if source == 'phantoms' else 'PATH'}'."
        )
    if not isinstance(shuffle_labels, bool):
        raise DataError(f"shuffle_labels is {shuffle_labels!r}: expected true or false.")
    splits = SOURCES[source](name, size, progress, options)
    return relabel.shuffle_labels(splits) if shuffle_labels else splits
