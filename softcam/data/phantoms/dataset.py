"""Three splits of phantoms as cached arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from softcam.common import digest, hides_bar
from softcam.data.cache import SplitsMeta, SplitWriter, cached_splits
from softcam.data.phantoms.generate import draw_scene, render
from softcam.data.phantoms.options import LESIONS, PhantomOptions, mask_names
from softcam.data.records import Splits

__all__ = ["SPLIT_START", "phantom_splits", "split_indices"]

# Splits never share an item, however long they are (at most 1,000,000 items each).
SPLIT_START = {"train": 0, "val": 1_000_000, "test": 2_000_000}


def split_indices(options: PhantomOptions, split: str) -> range:
    """The item numbers of one split."""
    start = SPLIT_START[split]
    return range(start, start + getattr(options, f"n_{split}"))


def phantom_splits(options: PhantomOptions, progress: bool = True) -> Splits:
    """Train, validation and test set, drawn once and read from `data/cache` ever after.

    The id of an item is its number, so `draw_scene(options, int(id))` gives its scene and twins.
    """
    key = options.key()
    meta = SplitsMeta(
        classes=options.classes,
        mask_names=mask_names(options.modality),
        finding_names=LESIONS[options.modality],
        fingerprint=digest(key),
        options=key,
    )

    def write(folder: Path) -> SplitsMeta:
        for split in SPLIT_START:
            _write_split(folder, split, options, hides_bar(progress))
        return meta

    return cached_splits(f"phantoms-{options.modality}", key, write)


def _write_split(folder: Path, split: str, options: PhantomOptions, hidden: bool) -> None:
    shape: tuple[int, ...] = (options.size, options.size)
    if options.modality == "fundus":
        shape = (*shape, 3)
    names = mask_names(options.modality)
    with SplitWriter(folder, split, shape, len(names)) as writer:
        indices = split_indices(options, split)
        bar = tqdm(indices, f"phantoms {split}", leave=False, mininterval=1, disable=hidden)
        for index in bar:
            scene = draw_scene(options, index)
            phantom = render(scene)
            masks = np.stack([phantom.masks[name] for name in names])
            writer.append(
                phantom.image, masks, id=str(index), label=scene.label, patient=str(index)
            )
