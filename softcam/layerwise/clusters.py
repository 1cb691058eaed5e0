"""A layer's feature maps, weighed and merged into the few that matter to a class.

The hundreds of maps of a layer are too many to look at. Those that hardly raise the class's logit
are left out, those that look alike are merged, and what is left are cluster maps, each with its
share of the layer's weight.

    w_k                     weight of map k for the class (softcam.layerwise.weights), in per cent
    kept:                   w_k > 0.9 * 100 / D
    clusters C:             PCA, t-SNE, Ward (softcam.layerwise.grouping)
    W_C = sum w_k           kept: W_C >= max(max W / 3, mean W / 2)
    sum w_k A_k / sum w_k   the cluster map, scaled to [0, 1]

At 512, 256, 128 and 64 channels the threshold of a map is the 0.175, 0.35, 0.7 and 1.4 per cent of
the original, which lists these four. Unlike there, maps are merged at the layer's own size and
not at that of the image, which saves an enlargement and its undoing.

Source: Bianchi et al., "Interpretable Network Visualizations", IJCAI 2024.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from softcam.common import SoftCAMError, as_integer, as_number
from softcam.layerwise.grouping import FEWEST, canonical_order, group_maps, min_max
from softcam.layerwise.weights import weighed_layers

__all__ = ["ClusterMap", "LayerExplanation", "cluster_maps", "explain_layers"]


@dataclass(frozen=True)
class ClusterMap:
    """Maps of one layer that look alike, merged.

    Attributes:
        layer: its name in `model.named_modules()`.
        index: from 0, the largest share first.
        map: (h, w) float32 in [0, 1], at the layer's size; all 0 where nothing varies.
        share: per cent of the weight of all maps of the layer, in (0, 100].
        channels: the numbers of the merged maps, ascending.
    """

    layer: str
    index: int
    map: np.ndarray
    share: float
    channels: tuple[int, ...]


@dataclass(frozen=True)
class LayerExplanation:
    """What one layer sees that speaks for the class.

    Attributes:
        layer: its name in `model.named_modules()`.
        size: (h, w) of its maps, in cells.
        channels: D, how many maps it has.
        kept: how many of them are heavy enough to be clustered.
        clusters: the cluster maps, the largest share first; empty where no map has a weight.
        silhouette: in [-1, 1], how well the clusters are apart; None where nothing was clustered.
        notes: what a reader should know: clusters left out, maps too few to be clustered.
    """

    layer: str
    size: tuple[int, int]
    channels: int
    kept: int
    clusters: tuple[ClusterMap, ...]
    silhouette: float | None
    notes: tuple[str, ...] = ()


def explain_layers(
    model: nn.Module,
    image: Tensor,
    target: int | None = None,
    *,
    layers: Sequence[str] | None = None,
    seed: int = 0,
    min_share: float = 0.9,
    max_clusters: int = 8,
) -> tuple[LayerExplanation, ...]:
    """Cluster maps of several layers, for one image and one class.

    Two forward passes and one backward pass, whatever the number of layers. The network is left as
    it was: mode, hooks, `requires_grad` and `.grad`, also after an error.

    Args:
        model: a BlackBox, a SoftCAM, or a bare network that takes the image as it is.
        image: (3, H, W) or (1, 3, H, W), RGB in [0, 1].
        target: the class to explain, counted from 0; None takes the one with the highest logit.
        layers: names of `model.named_modules()`; None takes the last layer of each resolution, in
            the order in which they run (`default_layers`).
        seed: of t-SNE. The same seed gives the same clusters on the same machine.
        min_share: a map is kept if its weight is more than this part of an equal share.
        max_clusters: the largest number of clusters tried, 3 or more.

    Returns:
        One explanation a layer, in the order of `layers`.

    Raises:
        UnknownNameError: no such layer; the message carries the closest names.
        SoftCAMError: a layer that gives no map of more than one cell or does not run, an image or
            a class that does not fit, values that are not finite.
    """
    weighed = weighed_layers(model, image, target, layers)
    return tuple(
        cluster_maps(
            each.activations,
            each.weights,
            layer=each.layer,
            seed=seed,
            min_share=min_share,
            max_clusters=max_clusters,
        )
        for each in weighed
    )


def cluster_maps(
    activations: np.ndarray,
    weights: np.ndarray,
    *,
    layer: str = "",
    seed: int = 0,
    min_share: float = 0.9,
    max_clusters: int = 8,
) -> LayerExplanation:
    """Cluster maps from feature maps and their weights alone; needs no network.

    Defined for all of these: no weight above 0 (no clusters, and a note); up to three distinct
    maps (a cluster each); equal maps (in one cluster, whatever their weights); a constant map
    (counts as 0 everywhere when maps are compared); one channel (one cluster of 100 per cent).

    Args:
        activations: (D, h, w), finite.
        weights: (D,), finite, in any unit; one below 0 speaks against the class and counts as 0.
        layer, seed, min_share, max_clusters: as in `explain_layers`.

    Raises:
        SoftCAMError: shapes that do not fit, values that are not finite, options out of range.
    """
    maps, given = _checked(layer, activations, weights)
    as_integer("max_clusters", max_clusters, FEWEST, 10**6)
    as_integer("seed", seed, 0, 2**32 - 1)
    least = as_number("min_share", min_share) * 100 / len(maps)
    share = _per_cent(given)
    kept = np.flatnonzero(share > least)
    size = (maps.shape[1], maps.shape[2])
    if not len(kept):
        why = (
            "no map of this layer raises the logit: all weights are zero"
            if not share.any()
            else f"no map has more than {least:.3g} % of the weight"
        )
        return LayerExplanation(layer, size, len(maps), 0, (), None, (why,))
    # A zero may come with a minus (Hardswish), which is no difference: + 0 takes it off.
    rows = min_max(maps[kept]).reshape(len(kept), -1).astype(np.float32) + np.float32(0)
    order = canonical_order(rows, share[kept], maps[kept])
    kept, rows = kept[order], rows[order]
    labels, silhouette = group_maps(rows, max_clusters, seed)
    members = [kept[labels == label] for label in range(labels.max() + 1)]
    clusters, notes = _merged(layer, maps, share, members)
    if silhouette is None:
        notes = (f"{len(members)} distinct maps are too few to be clustered: one each", *notes)
    return LayerExplanation(layer, size, len(maps), len(kept), clusters, silhouette, notes)


def _checked(
    layer: str, activations: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    maps, given = np.asarray(activations), np.asarray(weights, np.float64)
    what = f"layer {layer!r}" if layer else "the layer"
    if maps.ndim != 3 or given.shape != (len(maps),) or not maps.size:
        raise SoftCAMError(
            f"{what} has maps {maps.shape} and weights {given.shape}: expected maps (D, h, w) and "
            "one weight a map, (D,)."
        )
    if not (np.isfinite(maps).all() and np.isfinite(given).all()):
        raise SoftCAMError(
            f"{what} has a map or a weight that is NaN or infinite: it has no explanation; look at "
            "the network's weights and at the image."
        )
    return maps.astype(np.float64), given


def _per_cent(weights: np.ndarray) -> np.ndarray:
    """Weights (D,) >= 0 that sum to 100, or all 0."""
    # Towards 1, exactly: the sum of very large weights would be infinite.
    positive = np.ldexp(np.maximum(weights, 0), -np.frexp(weights.max())[1])
    total = math.fsum(positive)  # exact, so that the order of the channels changes no digit
    return positive / total * 100 if total > 0 else positive


def _merged(
    layer: str, maps: np.ndarray, share: np.ndarray, members: list[np.ndarray]
) -> tuple[tuple[ClusterMap, ...], tuple[str, ...]]:
    """The cluster maps of groups of channels, weak ones left out, and a note on these."""
    total = np.array([math.fsum(share[group]) for group in members])
    heavy = total >= max(total.max() / 3, total.mean() / 2)
    found = []
    for group, weight in zip(members, total, strict=True):
        merged = np.tensordot(share[group] / weight, maps[group], 1)
        found.append((weight, min_max(merged).astype(np.float32), group))
    chosen = [each for each, keep in zip(found, heavy, strict=True) if keep]
    chosen.sort(key=lambda each: (-each[0], each[1].tobytes()))
    clusters = tuple(
        ClusterMap(layer, i, merged, float(weight), tuple(sorted(map(int, group))))
        for i, (weight, merged, group) in enumerate(chosen)
    )
    if heavy.all():
        return clusters, ()
    left = math.fsum(total[~heavy])
    return clusters, (
        f"{int((~heavy).sum())} of {len(members)} clusters left out, with {left:.1f} % of the "
        "layer's weight",
    )
