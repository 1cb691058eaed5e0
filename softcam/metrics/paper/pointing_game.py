"""The 2x2 pointing game as in the public code: one diseased image beside three healthy ones.

SoftCAM, after the grid pointing game of Boehle et al., CVPR 2021, but without a mosaic that the
network would see: four images, four maps, and a count of values above 0.003. Two traps are kept.
The map of the diseased image is that of its class and the maps of the healthy ones are those of
class 0, so two classes are compared, each from a zero that training never fixed; and the
threshold is absolute, so a network with larger logits has more above it.
"""

from __future__ import annotations

import random

import numpy as np

from softcam.common import SoftCAMError
from softcam.metrics.consistency import diseased, healthy, image_numbers
from softcam.metrics.records import LabelledMaps, Ratios
from softcam.metrics.registry import measure

__all__ = ["pointing_game_counts"]

LEVEL = 0.003
OPPONENTS = 3


@measure(
    name="pointing-game",
    title="2x2 pointing game",
    direction="higher",
    source="SoftCAM; after Böhle et al., Convolutional dynamic alignment networks, CVPR 2021",
    kind="labelled",
    joint="opponents",
    gauge="zero",
    threshold=str(LEVEL),
    protocol="paper",
)
def pointing_game_counts(maps: LabelledMaps) -> tuple[np.ndarray, Ratios]:
    """Share of the values above 0.003 that lie in the diseased map, over all games. Chance 0.25.

    One game a diseased image. Its opponents are drawn by Python's `random`, seeded with the
    index of the diseased image in the split, from the healthy images in their order. How the
    public code draws is not documented: taken is `sample`, without replacement. Nor is the
    resolution: the maps are taken as they are. A game in which one of the four maps has a NaN or
    an infinity, or none has a value above 0.003, is excluded and counted.

    Args:
        maps: of each image's own label, all at one resolution.

    Returns:
        The indices of the diseased images (label > 0), and their ratios, (n, 1): numbers of
        values, so that the value over images is the ratio of the totals.

    Raises:
        SoftCAMError: no image is diseased, or fewer than three are healthy.
    """
    ill, well = diseased(maps.labels), healthy(maps.labels)
    if len(well) < OPPONENTS:
        raise SoftCAMError(
            f"a game takes {OPPONENTS} healthy images (label 0), found {len(well)}: take a split "
            "that has them, or leave this measure out."
        )
    # Seeded as the public code is; common.rng would draw others.
    draws = [random.Random(int(i)).sample(range(len(well)), OPPONENTS) for i in ill]
    against = well[np.array(draws)]  # (n, 3)
    asked = np.union1d(ill, against)
    counts, finite = image_numbers(maps, asked, lambda values: (values > LEVEL).sum((1, 2)))
    games = np.searchsorted(asked, np.column_stack([ill, against]))  # (n, 4), the diseased first
    defined = finite[games].all(1)
    return ill, Ratios(counts[games[:, 0]] * defined, counts[games].sum(1) * defined)
