"""A few images of each class of a data set, drawn by a seed; the others are not opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import DataError, as_integer, choose, rng
from softcam.data.catalogue import Catalogue, Item
from softcam.data.records import SPLITS, ImageSet, pack_masks
from softcam.data.sources import open_catalogue, open_data

if TYPE_CHECKING:
    from softcam.data.one_image import Recipe

__all__ = ["Sample", "SampleRow", "open_sample", "sample_of"]

STREAM = 0x53414D50  # keeps these draws apart from others with the same seed
MOST = 100


@dataclass(frozen=True)
class SampleRow:
    """The images that stand for one class.

    Attributes:
        name: of the class; of a multi-label set also `none of them`.
        total: images of it in the split.
        places: of the chosen ones in `Sample.data`.
    """

    name: str
    total: int
    places: tuple[int, ...]


@dataclass(frozen=True)
class Sample:
    """Chosen images of one split, and which class each stands for.

    Attributes:
        data: at least the chosen images; it may be the whole split.
        rows: a class each.
        total: images of the split.
        seed: of the choice.
    """

    data: ImageSet
    rows: tuple[SampleRow, ...]
    total: int
    seed: int


def sample_of(data: ImageSet, n: int = 6, seed: int = 0) -> Sample:
    """Choose up to `n` images of each class; the choice depends on the labels and the seed."""
    chosen = _choose(np.asarray(data.labels), data.classes, n, seed)
    rows = tuple(SampleRow(name, total, tuple(places)) for name, total, places in chosen)
    return Sample(data, rows, len(data), seed)


def open_sample(
    spec: str,
    split: str = "test",
    n: int = 6,
    *,
    seed: int = 0,
    size: int = 224,
    progress: bool = True,
    **options: Any,
) -> Sample:
    """Like `sample_of` for a data set by its name, of which only the chosen images are prepared.

    Args:
        spec: as in `open_data`.
        split: `train`, `val` or `test`.
        n: images of each class.
        seed: of the choice.
        size: side of the square images in pixels.
        progress: show a bar where phantoms are drawn or a source is fetched.
        options: of the source.

    Raises:
        DataError: as in `open_data`; the split is empty.
    """
    from softcam.data.one_image import Recipe

    choose("split", split, SPLITS)
    if spec.startswith("phantoms"):
        return sample_of(open_data(spec, size, progress=progress, **options)[split], n, seed)
    on_error = str(options.get("on_error", "stop"))
    store, catalogue = open_catalogue(spec, size, progress=progress, **options)
    items = [item for item in catalogue.items if item.split == split]
    if not items:
        raise DataError(f"{catalogue.name}: no image in {split!r}, which has to be one at least.")
    labels = np.array([item.label for item in items], np.int64)
    chosen = _choose(labels, catalogue.classes, n, seed)
    wanted = sorted({place for _, _, places in chosen for place in places})
    names = tuple(catalogue.mask_names)
    recipe = Recipe(store, catalogue.view, size, names, catalogue.grey, on_error)
    data = _prepared(recipe, catalogue, [items[place] for place in wanted], labels[wanted])
    at = {place: position for position, place in enumerate(wanted)}
    rows = tuple(SampleRow(name, total, tuple(at[p] for p in p_)) for name, total, p_ in chosen)
    return Sample(data, rows, len(items), seed)


def _prepared(
    recipe: Recipe, catalogue: Catalogue, items: Sequence[Item], labels: np.ndarray
) -> ImageSet:
    """These images of one split, in memory."""
    from softcam.data.one_image import make

    made = [make(recipe, item, Counter()) for item in items]
    return ImageSet(
        name=catalogue.name,
        split=items[0].split,
        classes=tuple(catalogue.classes),
        images=np.stack([each.image for each in made]),
        labels=labels,
        ids=tuple(item.id for item in items),
        patients=tuple(item.patient for item in items),
        masks=pack_masks(np.stack([each.masks for each in made])),
        mask_names=recipe.mask_names,
        finding_names=tuple(catalogue.finding_names),
        annotated=np.array([each.row["annotated"] for each in made], bool),
    )


def _choose(
    labels: np.ndarray, classes: tuple[str, ...], n: int, seed: int
) -> list[tuple[str, int, list[int]]]:
    """Of each class its name, how many images it has, and the chosen ones in their order."""
    as_integer("n", n, 1, MOST)
    as_integer("seed", seed, 0, 2**32 - 1)
    if labels.ndim == 2:
        members = [*labels.T.astype(bool), ~labels.any(1)]
        names = [*classes, "none of them"]
    else:
        members, names = [labels == c for c in range(len(classes))], list(classes)
    out = []
    for number, (name, member) in enumerate(zip(names, members, strict=True)):
        places = np.flatnonzero(member)
        drawn = rng(seed, number, STREAM).permutation(places)[:n]
        out.append((name, len(places), sorted(drawn.tolist())))
    return out
