"""Are the marked pixels the brightest? Rank accuracy, the best overlap, and average precision.

All three read nothing but the order of the pixels of the map at image size, and rest on one sort
that they share (`MapBatch.ranking`). They are means over the images in which something is marked.
A map that is the same everywhere ranks nothing: each measure then gives the share of the image
that is marked. A finding that covers the whole image gives 1, whatever the map.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from softcam.metrics.ordering import MarkedLevels
from softcam.metrics.records import MapBatch, Ratios
from softcam.metrics.registry import measure

__all__ = ["best_iou", "pixel_auprc", "relevance_rank_accuracy"]


@measure(
    name="relevance-rank-accuracy",
    title="Relevance rank accuracy",
    direction="higher",
    source="Arras et al., CLEVR-XAI, Information Fusion 2022",
    gauge="order",
    interpolation="bilinear",
)
def relevance_rank_accuracy(batch: MapBatch) -> Ratios:
    """Share of the K brightest pixels that lie in the finding, where K pixels are marked.

    Where several pixels share the K-th value and not all of them fit, each counts by its chance
    to be among the K if the order of equal pixels is drawn: the expected share, without a draw.
    Chance is the mean area of the finding.
    """

    def share(levels: MarkedLevels) -> float:
        before = levels.hits[levels.last - 1] if levels.last else 0
        tied = levels.pixels[levels.last] - levels.brighter
        # No room is left where the K-th value lies between two marked ones.
        room = max(0, levels.marked - levels.brighter)
        return (before + (levels.hits[levels.last] - before) * room / tied) / levels.marked

    return _mean(batch, share)


@measure(
    name="iou-best",
    title="IoU at the best threshold",
    direction="higher",
    source="as MaxBoxAcc in Choe et al., CVPR 2020, but on masks and for each image",
    gauge="order",
    threshold="best for each image",
    interpolation="bilinear",
)
def best_iou(batch: MapBatch) -> Ratios:
    """Overlap of {A >= t} with the finding, intersection over union, at the t that is best.

    The maximum over all thresholds, exact, chosen for each image with its finding at hand. That
    is optimistic: no threshold known beforehand reaches it, and any map, random ones too, gets
    at least the share of the image that is marked. Read it beside its floor.
    """

    def overlap(levels: MarkedLevels) -> float:
        return float((levels.hits / (levels.pixels + levels.marked - levels.hits)).max())

    return _mean(batch, overlap)


@measure(
    name="pixel-auprc",
    title="Average precision of pixels",
    direction="higher",
    source="average precision, area under the precision-recall curve of pixels, as scikit-learn",
    gauge="order",
    interpolation="bilinear",
)
def pixel_auprc(batch: MapBatch) -> Ratios:
    """Precision averaged over the steps of recall, with the pixels of an image as the cases.

    Equal to `sklearn.metrics.average_precision_score`: no interpolation, and equal pixels enter
    together. Chance is about the mean area of the finding.
    """

    def average(levels: MarkedLevels) -> float:
        steps = levels.hits.copy()
        steps[1:] -= levels.hits[:-1]
        return float((steps * (levels.hits / levels.pixels)).sum() / levels.marked)

    return _mean(batch, average)


def _mean(batch: MapBatch, value: Callable[[MarkedLevels], float]) -> Ratios:
    values = [0.0 if levels is None else value(levels) for levels in batch.ranking]
    return Ratios.where(batch.scored, torch.tensor(values, dtype=torch.float64))
