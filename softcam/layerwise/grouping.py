"""Which maps of a layer look alike: PCA, t-SNE to two dimensions, Ward, silhouette.

t-SNE depends on the order of its points, so maps are put into one order first, and maps that are
equal to the last bit become one point: how the channels are numbered changes nothing. It runs in
one thread, so that the number of cores changes nothing either.

Source: step 3 of Bianchi et al., IJCAI 2024; van der Maaten & Hinton, "Visualizing data using
t-SNE", JMLR 2008; Ward, JASA 1963; Rousseeuw, "Silhouettes", J. Comput. Appl. Math. 1987.
"""

from __future__ import annotations

import numpy as np

__all__ = ["FEWEST", "canonical_order", "group_maps", "min_max"]

FEWEST = 3  # clusters; so many maps or fewer stay each by itself
COMPONENTS = 50
PERPLEXITY = 30.0


def min_max(maps: np.ndarray) -> np.ndarray:
    """Each map (..., h, w) from its minimum to its maximum on [0, 1]; a constant one becomes 0."""
    low = maps.min((-2, -1), keepdims=True)
    span = maps.max((-2, -1), keepdims=True) - low
    return (maps - low) / np.where(span > 0, span, 1)


def canonical_order(rows: np.ndarray, weights: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """The order (n,) of maps by the bytes of their rows (n, d): the same for any numbering.

    Of equal rows the lighter comes first, then by the maps (n, h, w) before they were scaled, as
    the digits of a sum hang on its order.
    """

    def key(i: int) -> tuple[bytes, float, bytes]:
        return rows[i].tobytes(), float(weights[i]), maps[i].tobytes()

    return np.array(sorted(range(len(rows)), key=key), int)


def group_maps(rows: np.ndarray, most: int, seed: int) -> tuple[np.ndarray, float | None]:
    """The cluster of each map, and the silhouette of the clustering.

    Three distinct maps or fewer are a cluster each: a silhouette needs more maps than clusters.

    Args:
        rows: (n, d) float32, maps scaled by `min_max` and flattened, in canonical order; n >= 1.
        most: the largest number of clusters; tried are 3 to this, as far as there are maps.
        seed: of t-SNE.

    Returns:
        labels (n,) from 0, and the mean silhouette in [-1, 1] in the plane of t-SNE, taken over
        distinct maps; None where nothing was clustered. Of equal ones the fewest clusters.
    """
    points, point_of = _distinct(rows)
    if len(points) <= FEWEST:
        return point_of, None
    labels, silhouette = _best_cut(_plane(points, seed), most)
    return labels[point_of], silhouette


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ones of sorted rows, and which of them each row is."""
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]).any(1)
    return rows[new], np.cumsum(new) - 1


def _plane(points: np.ndarray, seed: int) -> np.ndarray:
    """Distinct points (n, d) in the plane, (n, 2); n > 3."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    n, d = points.shape
    with threadpool_limits(1):
        reduced = PCA(min(COMPONENTS, n, d), svd_solver="full").fit_transform(points)
        perplexity = min(PERPLEXITY, (n - 1) / 3)
        tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed)
        return np.asarray(tsne.fit_transform(reduced))


def _best_cut(plane: np.ndarray, most: int) -> tuple[np.ndarray, float]:
    """Ward's clusters of points (n, 2), as many as have the best silhouette."""
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import silhouette_score

    found: list[tuple[float, np.ndarray]] = []
    for count in range(FEWEST, min(most, len(plane) - 1) + 1):
        labels = AgglomerativeClustering(count, linkage="ward").fit_predict(plane)
        found.append((float(silhouette_score(plane, labels)), labels))
    silhouette, labels = max(found, key=lambda each: each[0])  # of equal ones the first
    return labels, silhouette
