"""The 2x2 pointing game: one diseased image beside three healthy ones, all with one class's map.

After the grid pointing game of Boehle et al. (Convolutional dynamic alignment networks, CVPR
2021) and SoftCAM's version with four maps instead of a mosaic that the network would see. All
four maps are of the same class, that of the diseased image, so that a map added to all classes
shifts the four alike only if it is the same on every image: read the contrast of two classes.

There is no absolute threshold, and each game counts as one, however strong its evidence. A factor
common to all maps of a method changes nothing. A factor of each map by itself does: the game asks
on which image the evidence is stronger, and a method that scales each map to [0, 1] on its own has
lost that. Its shares then compare areas alone, and its maxima tie, which is a miss: give the maps
raw.
"""

from __future__ import annotations

import numpy as np

from softcam.common import SoftCAMError, rng
from softcam.metrics.consistency import healthy, image_numbers
from softcam.metrics.records import LabelledMaps, Ratios
from softcam.metrics.registry import measure

__all__ = ["pointing_game_share", "pointing_game_peak"]

STREAM = 0x47414D45  # keeps these draws apart from others with the same seed
OPPONENTS = 3
SOURCE = "after Böhle et al., Convolutional dynamic alignment networks, CVPR 2021; SoftCAM"


@measure(
    name="pointing-game",
    title="2x2 pointing game, share of evidence",
    direction="higher",
    source=SOURCE,
    kind="labelled",
    reads="disease",
    joint="opponents",
    gauge="zero",
)
def pointing_game_share(maps: LabelledMaps, *, seed: int = 0) -> tuple[np.ndarray, Ratios]:
    """Share of the positive evidence of four images that lies in the diseased one, mean over games.

    Chance 0.25. A game without any positive evidence has no such share: it is excluded and
    counted, as is one with a NaN or an infinity in one of its maps.

    Args:
        maps: of the disease `maps.target` on every image, the healthy ones included; all at one
            resolution. Each image with this label has one game, other diseases have none.
        seed: of the draw of the three healthy images, together with the index of the diseased
            one: a game is the same whatever else is played, and the same for every method.

    Returns:
        The indices of the images with label `maps.target`, and their ratios, (n, 1).

    Raises:
        SoftCAMError: no image has the label `maps.target`, or fewer than three are healthy.
    """
    asked, games = _games(maps.labels, maps.target, seed)
    mass, finite = image_numbers(maps, asked, lambda values: values.clamp(min=0).sum((1, 2)))
    total = mass[games].sum(1)
    defined = finite[games].all(1) & (total > 0)
    share = np.where(defined, mass[games[:, 0]], 0) / np.where(defined, total, 1)
    return asked[games[:, 0]], Ratios(share, defined)


@measure(
    name="pointing-game-peak",
    title="2x2 pointing game, maximum",
    direction="higher",
    source=SOURCE,
    kind="labelled",
    reads="disease",
    joint="opponents",
    gauge="order",
)
def pointing_game_peak(maps: LabelledMaps, *, seed: int = 0) -> tuple[np.ndarray, Ratios]:
    """Share of games in which the maximum of the four maps lies in the diseased image.

    Chance 0.25. A maximum that a healthy image shares is a miss, so four constant maps score 0.
    Only the order of all values of the four maps counts: a constant added to the four together
    changes nothing, one that differs between the images does. A game with a NaN or an infinity
    in one of its maps is excluded and counted. Arguments, result and errors, and the games, as
    in `pointing_game_share`.
    """
    asked, games = _games(maps.labels, maps.target, seed)
    peak, finite = image_numbers(maps, asked, lambda values: values.amax((1, 2)))
    hit = peak[games[:, 0]] > peak[games[:, 1:]].max(1)
    defined = finite[games].all(1)
    return asked[games[:, 0]], Ratios(hit & defined, defined)


def _games(labels: np.ndarray, target: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The images that play, sorted, and the games (n, 4) as places among them, diseased first."""
    well = healthy(labels)
    ill = np.flatnonzero(np.asarray(labels) == target)
    if target < 1 or not len(ill) or len(well) < OPPONENTS:
        raise SoftCAMError(
            f"a game takes an image of the disease (label {target}, above 0) and {OPPONENTS} "
            f"healthy ones (label 0), found {len(ill)} and {len(well)} among {len(labels)} "
            "images: take a split that has them, or leave this measure out."
        )
    draws = [rng(seed, int(i), STREAM).choice(well, OPPONENTS, replace=False) for i in ill]
    games = np.column_stack([ill, np.array(draws)])
    asked = np.unique(games)
    return asked, np.searchsorted(asked, games)
