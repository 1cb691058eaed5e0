"""Labels without people: which known part of an image does a cluster map lie on?

A map is compared with a mask that covers the share a of the image in two ways. Both are 0 for a
map that lies anywhere, and 1 for the best that a mask of this size allows:

    overlap   o = the share of the mask in the map's highest a          (o - a) / (1 - a)
    mass      m = the share of the map's sum that lies in the mask      (m - a) / (top - a)

where top is the share of the map's sum in its highest a. The region has the area of the mask, so
o is precision and recall at once, IoU = o / (2 - o), and the first is Cohen's kappa. The score is
the mean of both.

Why not IoU and mass as they are: a map of noise has an IoU of about a / (2 - a) and a mass of a,
so that the lungs, a third of the image, would win over any lesion by their size alone. What is 0 on
average may still be high by luck, and luck differs between masks: a label is kept only where few
of all the shifts of the map over the image match as well (`chance`).

Source: ours. Cohen, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 1960;
IoU of thresholded maps with concepts is Bau et al., "Network dissection", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from softcam.common import SoftCAMError, as_integer, as_number
from softcam.layerwise.clusters import LayerExplanation
from softcam.layerwise.scores import LabelledMap
from softcam.layerwise.scores import merge as merge_same_label
from softcam.metrics.geometry import enlarge

if TYPE_CHECKING:
    import pandas as pd

    from softcam.data.records import ImageSet

__all__ = ["LABEL_COLUMNS", "concept_scores", "masks_of", "match_concepts"]

LABEL_COLUMNS = (
    "image", "class_name", "layer", "cluster", "share", "label", "score", "votes",
)  # fmt: skip
GRAIN = 1e-9  # scores closer than this are equal: Fourier transforms round


def masks_of(data: ImageSet, index: int) -> dict[str, np.ndarray]:
    """What is marked in one image: name to mask (H, W) bool, of parts that are there.

    For phantoms lesions, anatomy, look-alikes and the marker; for a folder its kinds of mask.

    Args:
        data: a split of a data set.
        index: which of its images, from 0.
    """
    found = {name: data.mask(index, name) for name in data.mask_names}
    return {name: mask for name, mask in found.items() if mask.any()}


def concept_scores(cluster_map: np.ndarray, masks: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """How well one map matches each mask.

    The map is enlarged to the masks' size bilinearly. Pixels that share the value at which the
    highest region ends are counted in parts, so that no order of pixels decides; a constant map
    thus scores 0. A mask that covers nothing or everything is left out: it is nowhere, or no place.

    Args:
        cluster_map: (h, w), finite, >= 0.
        masks: name to (H, W) bool, all of one size.

    Returns:
        One row a mask, best first: `label`; `area`, the share of the image; `iou` of the map's
        highest region of that area; `mass`, the share of the map's sum in the mask; `score` in
        [-1, 1]; `chance` in (0, 1], the share of all cyclic shifts of the map that score as well.

    Raises:
        SoftCAMError: no map, or masks that are not boolean or differ in size.
    """
    import pandas as pd

    size = _checked_size(masks)
    columns = ["label", "area", "iou", "mass", "score", "chance"]
    told = {n: m for n, m in masks.items() if m.any() and not m.all()}
    if not told:
        return pd.DataFrame(columns=columns)
    values = _Values(_enlarged(cluster_map, size))
    rows = [(name, *values.against(mask)) for name, mask in told.items()]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def match_concepts(
    explanation: LayerExplanation | Sequence[LayerExplanation],
    masks: Mapping[str, np.ndarray],
    *,
    image: str = "",
    class_name: str = "",
    chance: float = 0.05,
    best: int = 3,
    merge: bool = True,
) -> pd.DataFrame:
    """Label cluster maps by the masks they lie on; in the columns of `label_clusters`.

    A label is kept where its score is above 0 and not a matter of luck (see `chance`). Cluster
    maps of a layer with the same best label are merged, as with people's labels: their shares
    add up, and scores are averaged by share, a label that one lacks counting as 0 there.

    Args:
        explanation: of one layer, or of several of one image.
        masks: name to (H, W) bool, all of one size, such as from `masks_of`.
        image, class_name: what the table says about the image and the explained class.
        chance: the largest share of all shifts of the map that may score as well.
        best: the largest number of labels of a cluster map.
        merge: False leaves the cluster maps apart, as they are drawn by `plot_layers`.

    Returns:
        One row a label of a cluster map, the best first: `image, class_name, layer, cluster,
        share, label, score, votes`. `score` in (0, 1], see `concept_scores`; `cluster` is the
        number of the heaviest map merged; `votes` counts the maps that have the label. Where
        nothing matches there is no row. `.attrs["merged"]` as in `label_clusters`.

    Raises:
        SoftCAMError: see `concept_scores`; options out of range.
    """
    import pandas as pd

    luck = as_number("chance", chance)
    as_integer("best", best, 1, 10**6)
    layers = [explanation] if isinstance(explanation, LayerExplanation) else list(explanation)
    found: list[LabelledMap] = []
    for layer in layers:
        own = [
            LabelledMap(image, class_name, layer.layer, (cluster.index,), cluster.share, labels)
            for cluster in layer.clusters
            if (labels := _kept(concept_scores(cluster.map, masks), luck))
        ]
        found += merge_same_label(own) if merge else own
    rows = [
        (image, class_name, one.layer, one.members[0], one.share, *row)
        for one in found
        for row in one.ranked()[:best]
    ]
    table = pd.DataFrame(rows, columns=list(LABEL_COLUMNS))
    table.attrs["merged"] = [
        {"image": image, "layer": one.layer, "cluster": one.members[0], "members": [*one.members]}
        for one in found
        if len(one.members) > 1
    ]
    return table


def _kept(table: pd.DataFrame, chance: float) -> dict[str, tuple[float, int]]:
    """Label to score and one vote, of those that are above 0 and no luck."""
    good = table[(table["score"] > GRAIN) & (table["chance"] <= chance)]
    return {str(n): (float(s), 1) for n, s in zip(good["label"], good["score"], strict=True)}


def _checked_size(masks: Mapping[str, np.ndarray]) -> tuple[int, int]:
    shapes = {np.shape(mask) for mask in masks.values()}
    kinds = {np.asarray(mask).dtype for mask in masks.values()}
    if len(shapes) > 1 or any(len(shape) != 2 or 0 in shape for shape in shapes):
        raise SoftCAMError(f"the masks have shapes {sorted(shapes)}: expected one shape, (H, W).")
    if any(kind.kind != "b" for kind in kinds):
        raise SoftCAMError(f"the masks are of {', '.join(map(str, kinds))}: expected bool.")
    return next(iter(shapes)) if shapes else (1, 1)


def _enlarged(cluster_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    cells = np.asarray(cluster_map)
    if cells.ndim != 2 or not cells.size or not np.isfinite(cells).all() or cells.min() < 0:
        raise SoftCAMError(
            f"the map has shape {cells.shape}: expected (h, w) with finite values, 0 or more."
        )
    return enlarge(torch.from_numpy(np.array(cells, np.float64))[None], size)[0].numpy()


class _Values:
    """A map at image size, ready to be compared with masks."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.sorted = np.sort(values, axis=None)[::-1]
        self.total = float(values.sum())
        self.transformed = np.fft.rfft2(values)

    def against(self, mask: np.ndarray) -> tuple[float, float, float, float, float]:
        """Area, IoU, mass, score and chance of one mask that is neither empty nor full."""
        count = int(mask.sum())
        area = count / mask.size
        if self.sorted[0] == self.sorted[-1]:
            return area, area / (2 - area), area, 0.0, 1.0
        region = self._highest(count)
        top = float(self.sorted[:count].sum()) / self.total
        there = np.fft.rfft2(mask)
        # At (0, 0) the map as it is, elsewhere each of its cyclic shifts over the image.
        overlap = _correlation(np.fft.rfft2(region), there, mask.shape) / count
        mass = _correlation(self.transformed, there, mask.shape) / self.total
        shifts = ((overlap - area) / (1 - area) + (mass - area) / (top - area)) / 2
        own, in_mask = float(region[mask].sum()) / count, float(self.values[mask].sum())
        score = ((own - area) / (1 - area) + (in_mask / self.total - area) / (top - area)) / 2
        chance = float((shifts >= score - GRAIN).mean())
        return area, own / (2 - own), in_mask / self.total, score, max(chance, 1 / mask.size)

    def _highest(self, count: int) -> np.ndarray:
        """1 on the highest pixels, `count` in all; those at the border value share what is left."""
        border = self.sorted[count - 1]
        above, tied = self.values > border, self.values == border
        return above + tied * ((count - above.sum()) / tied.sum())


def _correlation(a: np.ndarray, b: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """sum_x a(x + shift) b(x) for all cyclic shifts, from transforms."""
    return np.asarray(np.fft.irfft2(a * np.conj(b), shape))
