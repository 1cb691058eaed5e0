"""MedMNIST+: twelve 2-D sets of small images under open licences, fetched without an account.

    DATA/medmnist/NAME.npz          28 px
    DATA/medmnist/NAME_224.npz      64, 128 or 224 px

Names, labels, addresses and checksums are those of the package `medmnist`, of which one table is
read and nothing is run: importing it takes seconds and makes a folder in the user's home.

The four sizes of a set are different data: each was made from the source images on its own, so
the one of 28 px is not the one of 224 px made smaller. Patients are not given.

Yang et al., MedMNIST v2, Scientific Data 10:41 (2023), https://doi.org/10.1038/s41597-022-01721-8;
files at https://doi.org/10.5281/zenodo.10519652.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from softcam.common import DataError, choose, data_root
from softcam.data.catalogue import Catalogue, Item
from softcam.data.fetch import fetch
from softcam.data.npz_store import NpzStore
from softcam.data.records import SPLITS

__all__ = ["RESOLUTIONS", "medmnist_table", "read_medmnist"]

RESOLUTIONS = (28, 64, 128, 224)
SITE = "https://doi.org/10.5281/zenodo.10519652"
KEYS = ("url", "MD5", "task", "label", "n_channels", "n_samples", "license")


def read_medmnist(
    path: str | Path, *, size: int = 224, resolution: int | None = None, progress: bool = True
) -> tuple[NpzStore, Catalogue]:
    """A 2-D set by its name, fetched on first use.

    Args:
        path: the name, such as `pneumoniamnist`.
        size: side of the prepared images in pixels, which decides where `resolution` does not.
        resolution: 28, 64, 128 or 224; by default the smallest that is not below `size`, or 224.
        progress: show a bar while the file is fetched.

    Returns:
        The images, and the catalogue with the set's own splits. The labels of `chestmnist` are
        one 0 or 1 a finding; the grades of `retinamnist` are taken as classes.

    Raises:
        UnknownNameError: no set of this name.
        DataError: a 3-D set, the package is missing, the file cannot be fetched (with the steps
            to do it by hand), or is not what the package says.
    """
    table = medmnist_table()
    name = choose("MedMNIST set", str(path).strip().lower(), table)
    if name.endswith("3d"):
        raise DataError(
            f"medmnist:{name} holds volumes, and softcam explains images: choose a 2-D set: "
            f"{', '.join(sorted(key for key in table if not key.endswith('3d')))}."
        )
    resolution = _resolution(size, resolution)
    info = table[name]
    store = NpzStore(_file(name, info, resolution, progress))
    options = {"resolution": resolution}
    return store, _catalogue(name, info, store, options)


def medmnist_table() -> Mapping[str, Mapping[str, Any]]:
    """What the package `medmnist` says of its sets, by name.

    Raises:
        DataError: it is not installed, or a version whose table is written in another way.
    """
    found = importlib.util.find_spec("medmnist")
    if found is None or not found.submodule_search_locations:
        raise DataError(
            "the package medmnist, which has the addresses and checksums, is not installed: "
            f"pip install 'softcam[medmnist]'. The files are at {SITE}."
        )
    file = Path(next(iter(found.submodule_search_locations))) / "info.py"
    try:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "INFO":
                table: dict[str, dict[str, Any]] = ast.literal_eval(node.value)
                return table
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{file}: cannot be read ({error}); install medmnist 3.") from error
    raise DataError(f"{file}: holds no table INFO; install medmnist 3.")


def _resolution(size: int, resolution: int | None) -> int:
    if resolution is None:
        return next((side for side in RESOLUTIONS if side >= size), RESOLUTIONS[-1])
    if resolution not in RESOLUTIONS:
        raise DataError(f"resolution is {resolution!r}: expected 28, 64, 128 or 224.")
    return resolution


def _file(name: str, info: Mapping[str, Any], resolution: int, progress: bool) -> Path:
    ending = "" if resolution == RESOLUTIONS[0] else f"_{resolution}"
    keys = [f"url{ending}", f"MD5{ending}", *KEYS[2:]]
    missing = [key for key in keys if key not in info]
    if missing:
        raise DataError(f"medmnist:{name}: the package says nothing of {missing}; install a newer.")
    target = data_root() / "medmnist" / f"{name}{ending}.npz"
    return fetch(info[keys[0]], target, md5=info[keys[1]], progress=progress)


def _catalogue(
    name: str, info: Mapping[str, Any], store: NpzStore, options: dict[str, Any]
) -> Catalogue:
    multi_label = "multi-label" in info["task"]
    classes = tuple(info["label"][str(index)] for index in range(len(info["label"])))
    items: list[Item] = []
    for split in SPLITS:
        labels = _labels(store, split, info, len(classes) if multi_label else 1)
        for index, row in enumerate(labels.tolist()):
            id = f"{split}-{index:06d}"
            label = tuple(row) if multi_label else row[0]
            items.append(Item(id, f"{split}/{index:06d}", label, split, f"unknown:{id}"))
    return Catalogue(
        name=f"medmnist-{name}",
        items=items,
        classes=classes,
        multi_label=multi_label,
        options=options,
        notes=_notes(name, info, len(items), options["resolution"]),
    )


def _labels(store: NpzStore, split: str, info: Mapping[str, Any], columns: int) -> np.ndarray:
    """Labels (N, columns) of a split, checked against the package's word and the images."""
    labels = store.array(f"{split}_labels").astype(np.int64)
    images, wanted = store.counts[split], info["n_samples"][split]
    top = 1 if columns > 1 else len(info["label"]) - 1
    problem = None
    if images != wanted or labels.shape != (wanted, columns):
        problem = f"{images} images and labels {labels.shape}, expected {wanted} x {columns}"
    elif labels.size and (labels.min() < 0 or labels.max() > top):
        problem = f"labels from {labels.min()} to {labels.max()}, expected 0 to {top}"
    if problem:
        raise DataError(f"{store.path}, {split}: {problem}; delete the file and fetch it anew.")
    return labels


def _notes(name: str, info: Mapping[str, Any], count: int, resolution: int) -> tuple[str, ...]:
    notes = [
        f"made at {resolution} px; the sets of 28, 64, 128 and 224 px are different data, not "
        "views of the same pixels: results of one say nothing about another",
        f"{count:,} images without a patient: each is taken as a patient of its own, and whether "
        "one is in two splits cannot be checked",
        f"licence {info['license']}",
    ]
    if info["task"] == "ordinal-regression":
        notes.append("the grades are taken as classes, without their order")
    return tuple(notes)
