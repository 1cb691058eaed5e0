"""From many texts to few labels: texts that mean the same are called by one of their words.

    clusters          cosine distance, complete linkage; how many: the best silhouette
    representative    the word of a cluster with the largest summed cosine to all its texts, of
                      words in at least two rounds where there are any (ours)
    label             its most frequent form among the words of all players

Source: Bianchi et al., "Interpretable Network Visualizations", IJCAI 2024. Where the original
lemmatises with WordNet, forms of a word are found here by the rule of `texts.singular`, and only
among words that were typed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from softcam.layerwise.texts import STOP_WORDS, singular

__all__ = ["cluster_texts", "common_forms", "label_texts"]

DIGITS = 6  # to which cosines are rounded, so that ties do not hang on the order of a sum
SILHOUETTE_DIGITS = 9


def label_texts(texts: Sequence[str], embed: Callable[[list[str]], np.ndarray]) -> dict[str, str]:
    """The label of every distinct text.

    Args:
        texts: as `normalise` gives them, none empty, one a round: how often a text was typed
            counts in the choice of words, not of clusters. Their order does not matter.
        embed: texts to (n, d) rows of length 1.
    """
    counts = Counter(texts)
    distinct = sorted(counts)
    if not distinct:
        return {}
    words = sorted({word for text in distinct for word in text.split()} - STOP_WORDS)
    # One sorted call: the last digits of a sentence model hang on what is in a batch.
    both = sorted({*distinct, *words})
    row = {text: vector for text, vector in zip(both, embed(both), strict=True)}
    vectors = np.stack([row[text] for text in distinct]).astype(np.float64)
    clusters = cluster_texts(_distances(vectors))
    form = common_forms(texts)
    labels = {}
    for cluster in range(clusters.max() + 1):
        members = [text for text, c in zip(distinct, clusters, strict=True) if c == cluster]
        word = _representative(members, counts, row)
        labels.update(dict.fromkeys(members, form[word]))
    return labels


def cluster_texts(distances: np.ndarray) -> np.ndarray:
    """Which cluster each of d distinct texts belongs to, (d,) integers from 0.

    Every number of clusters from 2 to d - 1 is tried; the best silhouette wins, of equals the
    fewest clusters. Where none is above 0, the silhouette of d clusters, or none can be tried, with
    one or two texts, each text is its own cluster; where all lie at one place they are one.
    Repetitions must be left out: a text that was typed twice is a perfect cluster, so the best
    silhouette would part all texts that differ at all.

    Args:
        distances: (d, d), symmetric, 0 on the diagonal.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    d = len(distances)
    if d < 3 or not distances.any():
        return np.arange(d) if distances.any() else np.zeros(d, int)
    tree = linkage(squareform(distances, checks=False), "complete")
    member = np.arange(d)  # each text's cluster, named by the column that has its sums
    column = {node: node for node in range(d)}
    sums, size = distances.astype(np.float64), np.ones(d)
    best, chosen = 0.0, member.copy()
    for merged in range(d - 2):
        kept, gone = (column.pop(int(node)) for node in tree[merged, :2])
        column[d + merged] = kept
        sums[:, kept] += sums[:, gone]
        size[kept] += size[gone]
        sums[:, gone], size[gone] = np.inf, 1  # no cluster any more, and never the nearest
        member[member == gone] = kept
        value = round(_silhouette(sums, size, member), SILHOUETTE_DIGITS)
        if value > 0 and value >= best:
            best, chosen = value, member.copy()
    return np.unique(chosen, return_inverse=True)[1]


def _silhouette(sums: np.ndarray, size: np.ndarray, member: np.ndarray) -> float:
    """The mean silhouette of a clustering, in [-1, 1].

    (b - a) / max(a, b), where a is the mean distance to the others of the text's cluster and b
    that to the nearest other cluster; 0 for a text alone. Source: Rousseeuw, J. Comput. Appl.
    Math. 20, 1987.

    Args:
        sums: (d, columns) the summed distance of each text to all of a cluster.
        size: (columns,) texts of a cluster. member: (d,) the column of each text's cluster.
    """
    own, texts = size[member], np.arange(len(member))
    inside = sums[texts, member] / np.maximum(own - 1, 1)
    means = sums / size
    means[texts, member] = np.inf
    nearest = means.min(1)
    larger = np.maximum(inside, nearest)
    known = (own > 1) & (larger > 0)
    return float((np.where(known, nearest - inside, 0) / np.where(known, larger, 1)).mean())


def common_forms(texts: Sequence[str]) -> dict[str, str]:
    """Each word of the texts -> the form of it that occurs most often in them.

    Forms are words with one `singular`. Of equally frequent ones the shorter, then the first in
    the alphabet.
    """
    counts = Counter(word for text in texts for word in text.split())
    best: dict[str, str] = {}
    for word in sorted(counts, key=lambda word: (-counts[word], len(word), word)):
        best.setdefault(singular(word), word)
    return {word: best[singular(word)] for word in counts}


def _representative(
    members: Sequence[str], counts: Counter[str], row: dict[str, np.ndarray]
) -> str:
    """The word nearest to all texts of a cluster; of equals the more frequent, then by alphabet.

    A word of a single round is no candidate where others have more: a slip such as `darklung` is
    often the nearest to all.
    """
    often = np.array([counts[text] for text in members], np.float64)
    total = often @ np.stack([row[text] for text in members]).astype(np.float64)
    words: Counter[str] = Counter()
    for text in members:
        for word in set(text.split()) - STOP_WORDS:
            words[word] += counts[text]
    shared = [word for word in words if words[word] > 1] or list(words)
    cosine = {word: round(float(row[word].astype(np.float64) @ total), DIGITS) for word in shared}
    return min(shared, key=lambda word: (-cosine[word], -words[word], word))


def _distances(vectors: np.ndarray) -> np.ndarray:
    """(d, d) cosine distances of rows of length 1, in [0, 2], the same to both sides."""
    distances = np.round(np.clip(1 - vectors @ vectors.T, 0, 2), DIGITS)
    distances = (distances + distances.T) / 2
    np.fill_diagonal(distances, 0)
    return distances
