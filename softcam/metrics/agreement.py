"""Do two maps of one image say the same? Spearman's rank correlation over their cells.

For sanity checks a high value is bad news: a map that stays the same when the model is destroyed,
or was trained on shuffled labels, does not explain the model.

Sources: Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018; Spearman, Am. J.
Psychology 1904.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from softcam.common import SoftCAMError
from softcam.metrics.records import Ratios
from softcam.metrics.registry import measure

__all__ = ["STAGES", "cascade_correlation", "label_correlation", "mean_ranks"]

STAGES = 8  # the most stages in which a network is randomised
SOURCE = "Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018"


@measure(
    name="cascade-correlation",
    title="Rank correlation under cascading weight randomisation",
    direction="lower",
    source=SOURCE,
    unit="correlation",
    kind="sanity",
    gauge="order",
    steps=range(STAGES + 1),
)
def cascade_correlation(maps: Tensor, stages: Sequence[Tensor]) -> Ratios:
    """How much of a map is left after each stage of the randomisation, in [-1, 1].

    The mean over images of the rank correlation of the signed maps. Step 0 is the trained model
    itself and gives 1; the network has as many further steps as it has stages. An image counts
    at a step only if neither map is constant, infinite or NaN.

    Around 0 is best. A value far below 0 is the same map with its sign turned, which a
    randomised head can do: it has not vanished.

    Args:
        maps: (B, h, w), of the trained model.
        stages: S tensors (B, h, w), of the model after each stage.

    Returns:
        (B, S + 1).
    """
    steps = [_correlation(maps, each) for each in (maps, *stages)]
    return Ratios(
        np.concatenate([each.numerator for each in steps], 1),
        np.concatenate([each.denominator for each in steps], 1),
    )


@measure(
    name="label-correlation",
    title="Rank correlation with a model trained on shuffled labels",
    direction="lower",
    source=SOURCE,
    unit="correlation",
    kind="sanity",
    gauge="order",
)
def label_correlation(maps: Tensor, other: Tensor) -> Ratios:
    """How alike the maps of two models are, in [-1, 1]: (B, 1).

    The mean over images of the rank correlation of the signed maps. An image counts only if
    neither map is constant, infinite or NaN.

    Args:
        maps: (B, h, w), of the model trained on true labels.
        other: (B, h, w), of the model trained on shuffled ones.
    """
    return _correlation(maps, other)


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0 in each row of (N, n), the smallest first; equal values share their mean."""
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, 1)
    starts = np.ones(values.shape, bool)  # the first of a run of equal values
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    ends = np.ones(values.shape, bool)
    ends[:, :-1] = starts[:, 1:]
    place = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    first = np.maximum.accumulate(np.where(starts, place, 0), 1)
    last = np.where(ends, place, values.shape[1])[:, ::-1]
    last = np.minimum.accumulate(last, 1)[:, ::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last) / 2, 1)
    return ranks


def _correlation(maps: Tensor, other: Tensor) -> Ratios:
    """(B, 1): Spearman's correlation over the cells of each pair of maps."""
    if maps.ndim != 3 or maps.shape != other.shape or 0 in maps.shape[1:]:
        raise SoftCAMError(
            f"expected two sets of maps (B, h, w) of one shape, found {tuple(maps.shape)} and "
            f"{tuple(other.shape)}: compare maps of the same images at one resolution."
        )
    centred, finite = [], np.ones(len(maps), bool)
    for each in (maps, other):
        flat = each.detach().cpu().double().flatten(1).numpy()
        whole = np.isfinite(flat).all(1)
        finite &= whole
        centred.append(mean_ranks(np.where(whole[:, None], flat, 0)) - (flat.shape[1] - 1) / 2)
    a, b = centred
    # Ranks are halves, so these sums are exact and a constant map has a spread of exactly 0.
    spread = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    defined = finite & (spread > 0)
    values = np.clip((a * b).sum(1) / np.where(defined, spread, 1), -1, 1)
    return Ratios.where(torch.from_numpy(defined), torch.from_numpy(values))
