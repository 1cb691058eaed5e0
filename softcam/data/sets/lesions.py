"""Masks of lesions in fundus photographs, as files beside the images.

    .../STEM_KIND.png                  or .tif; STEM is the image's name without suffix
    .../KIND/STEM.png                  a leading `1. ` of the folder's name is left out
    .../1. Microaneurysms/IDRiD_01_MA.tif      IDRiD's own layout, which is the first

Above 0 is marked. The usual lesions get the short names of IDRiD whatever they are called: MA
microaneurysms, HE haemorrhages, EX hard exudates, SE soft exudates; OD is the optic disc, which
is marked and no finding. Any other kind keeps its name.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from softcam.common import DataError, choose
from softcam.data.catalogue import MaskFile
from softcam.data.store import Store, as_path, open_store

__all__ = ["ANATOMY", "find_masks", "lesion_masks"]

ANATOMY = ("OD",)  # marked, and no finding
NO_KIND = "lesion"  # of a mask that lies in no folder
LOSSLESS = (".png", ".tif", ".tiff")
SHORT = {
    "ma": "MA",
    "microaneurysm": "MA",
    "he": "HE",
    "haemorrhage": "HE",
    "hemorrhage": "HE",
    "ex": "EX",
    "hard exudate": "EX",
    "se": "SE",
    "soft exudate": "SE",
    "cotton wool spot": "SE",
    "od": "OD",
    "optic disc": "OD",
    "optic disk": "OD",
}


def lesion_masks(
    path: str | Path, stems: Collection[str], prefix: str = "lesions", on_error: str = "stop"
) -> tuple[Store, dict[str, tuple[MaskFile, ...]], list[str]]:
    """The masks in a folder or archive, for images of these names.

    Args:
        path: the folder or archive.
        stems: names of the images, without folder and suffix.
        prefix: the masks' names begin with it, for a `JoinedStore`.
        on_error: `stop` at a mask without an image, or `skip` such masks and count them.

    Returns:
        Where the masks lie, the masks by stem, and notes.

    Raises:
        DataError: no mask at all, or under `stop` one that belongs to no image.
    """
    store = open_store(as_path("lesions", path))
    masks, notes = find_masks(store, store.names(), stems, prefix, on_error)
    return store, masks, notes


def find_masks(
    store: Store,
    names: Collection[str],
    stems: Collection[str],
    prefix: str = "",
    on_error: str = "stop",
) -> tuple[dict[str, tuple[MaskFile, ...]], list[str]]:
    """Like `lesion_masks`, among some names of a store that is open already."""
    choose("on_error", on_error, ("stop", "skip"))
    known = set(stems)
    found: dict[str, list[MaskFile]] = {}
    strangers = []
    for name in names:
        pure = PurePosixPath(name)
        if pure.suffix.lower() not in LOSSLESS:
            continue
        stem, kind = _stem_and_kind(pure, known)
        if stem in known:
            stored = f"{prefix}/{name}" if prefix else name
            found.setdefault(stem, []).append(MaskFile(kind, stored))
        else:
            strangers.append(name)
    if strangers and (on_error == "stop" or not found):
        raise DataError(
            f"{store.path}: {len(strangers)} masks belong to no image, such as {strangers[0]!r}; "
            "expected STEM_KIND.png or KIND/STEM.png (or .tif) with the image's name as STEM; "
            "leave such masks out: --on-error skip."
        )
    if not found:
        raise DataError(
            f"{store.path}: no mask; expected STEM_KIND.png or KIND/STEM.png (or .tif)."
        )
    notes = [f"{len(strangers)} masks belong to no image: left out."] if strangers else []
    count = sum(map(len, found.values()))
    notes.append(f"{count} masks belong to {len(found)} images.")
    return {stem: tuple(files) for stem, files in found.items()}, notes


def _stem_and_kind(name: PurePosixPath, known: Collection[str]) -> tuple[str, str]:
    """An image called `a_b` wins over an image `a` with a lesion `b`."""
    whole, folder = name.stem, name.parent.name
    if whole in known:
        return whole, _short(re.sub(r"^\d+\.\s*", "", folder)) if folder else NO_KIND
    stem, _, kind = whole.rpartition("_")
    return stem, _short(kind)


def _short(kind: str) -> str:
    plain = kind.lower().replace("_", " ").strip()
    return SHORT.get(plain, SHORT.get(plain.removesuffix("s"), kind))
