"""What players typed about cluster maps, as a few scored labels for each map.

Texts are normalised (softcam.layerwise.texts), those that mean the same get one label
(softcam.layerwise.vocabulary), labels are scored, and maps that share their top label are merged
(softcam.layerwise.scores).

Source: Bianchi et al., "Interpretable Network Visualizations", IJCAI 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.common import DataError
from softcam.layerwise.concepts import LABEL_COLUMNS
from softcam.layerwise.embedding import get_embedder
from softcam.layerwise.records import LAST
from softcam.layerwise.scores import LabelledMap, merge, score_labels, share_weights, worth
from softcam.layerwise.texts import MAX_TEXT, normalise
from softcam.layerwise.vocabulary import label_texts

if TYPE_CHECKING:
    import pandas as pd

    from softcam.layerwise.clusters import LayerExplanation

__all__ = ["label_clusters", "merge_maps", "shares_of"]

NEEDED = (
    "image", "layer", "cluster", "class_name", "correct", "resigned", "reveal", "words",
)  # fmt: skip

Key = tuple[str, str, int]  # image, layer, cluster


def label_clusters(
    rounds: pd.DataFrame,
    shares: Mapping[Key, float],
    *,
    class_names: Sequence[str],
    embed: Callable[[list[str]], np.ndarray] | None = None,
) -> pd.DataFrame:
    """The labels of every cluster map that players found words for.

    The texts of all rounds are clustered together, so that a label means the same in every image
    and layer. Nothing hangs on the order of the rows.

    Args:
        rounds: as `RoundStore.rounds` gives them; `reveal` 0..5, `correct` and `resigned` 0 or 1.
        shares: (image, layer, cluster) -> per cent of the layer's weight, see `shares_of`.
        class_names: all classes of the game; a text says nothing by naming one.
        embed: texts to (n, d) rows of length 1; None is `get_embedder()`.

    Returns:
        One row a label of a map, ordered by image, layer and cluster, then best first: `image`,
        `class_name`, `layer`, `cluster` (of a merged map its first), `share` (per cent, summed),
        `label`, `score` in [0, 1], `votes` (rounds). `.attrs["notes"]` says in sentences what was
        compared how and what was left out, `.attrs["merged"]` which maps were merged.

    Raises:
        DataError: a column is missing, a value is out of range, a cluster map has no share, an
            image is asked for as two classes, or `class_names` is one text.
    """
    _check(rounds, shares)
    if isinstance(class_names, str):
        raise DataError(f"class_names is {class_names!r}: expected a list, [{class_names!r}].")
    class_names = tuple(class_names)
    chosen = embed or get_embedder()
    texts = [normalise(_text(words), class_names) for words in rounds["words"]]
    notes = [str(getattr(chosen, "note", "Texts were compared by a function of the caller."))]
    notes += _left_out(list(rounds["words"]), texts)
    labels = label_texts([text for text in texts if text], chosen)
    found: dict[Key, list[tuple[str, float]]] = {}
    answers = (rounds[name] for name in ("correct", "resigned", "reveal"))
    for key, text, *answer in zip(_keys(rounds), texts, *answers, strict=True):
        if text:
            found.setdefault(key, []).append((labels[text], worth(*answer)))
    classes = _classes(rounds)
    maps = [
        LabelledMap(key[0], classes[key[0]], key[1], (key[2],), shares[key], score_labels(rows))
        for key, rows in found.items()
    ]
    return _frame(merge(maps), notes)


def shares_of(explanations: Mapping[str, Sequence[LayerExplanation]]) -> dict[Key, float]:
    """The shares of the cluster maps of several images, as `label_clusters` wants them.

    Args:
        explanations: image id -> what `explain_layers` gave for it.
    """
    return {
        (image, one.layer, cluster.index): cluster.share
        for image, layers in explanations.items()
        for one in layers
        for cluster in one.clusters
    }


def merge_maps(
    labels: pd.DataFrame, maps: Mapping[Key, np.ndarray], shares: Mapping[Key, float]
) -> dict[Key, np.ndarray]:
    """The cluster maps of a table of labels, merged where `label_clusters` merged their labels.

    Args:
        labels: as `label_clusters` gave it, with its `attrs`.
        maps: (image, layer, cluster) -> (h, w).
        shares: the weights of the mean, as given to `label_clusters`.

    Returns: (image, layer, cluster of the table) -> (h, w) float32, the mean weighted by share.

    Raises:
        DataError: the table has lost its `attrs`, or a map is missing.
    """
    if "merged" not in labels.attrs:
        raise DataError(
            "the table does not say which maps were merged: expected `.attrs` as label_clusters "
            "left it, which a table read from a file does not have."
        )
    merged = {(m["image"], m["layer"], m["cluster"]): m["members"] for m in labels.attrs["merged"]}
    out: dict[Key, np.ndarray] = {}
    for image, layer, cluster in dict.fromkeys(_keys(labels)):
        keys = [(image, layer, c) for c in merged.get((image, layer, cluster), [cluster])]
        if missing := [key for key in keys if key not in maps]:
            raise DataError(f"no map for {missing[0]}: expected one for every labelled cluster.")
        weights = share_weights([shares[key] for key in keys])
        pixels = np.stack([np.asarray(maps[key], np.float64) for key in keys])
        out[image, layer, cluster] = np.tensordot(weights, pixels, 1).astype(np.float32)
    return out


def _keys(table: pd.DataFrame) -> list[Key]:
    columns = (table["image"], table["layer"], table["cluster"])
    return [(str(i), str(layer), int(c)) for i, layer, c in zip(*columns, strict=True)]


def _check(rounds: pd.DataFrame, shares: Mapping[Key, float]) -> None:
    if missing := [name for name in NEEDED if name not in rounds]:
        raise DataError(
            f"the rounds have no column {', '.join(missing)}: expected what RoundStore.rounds() or "
            "read_rounds() gives."
        )
    for name, most in (("correct", 1), ("resigned", 1), ("reveal", LAST), ("cluster", 2**31)):
        wrong = [v for v in rounds[name] if not (0 <= v <= most and v == int(v))]
        if wrong:
            raise DataError(
                f"column {name} of the rounds holds {wrong[0]}: expected a whole number from 0 to "
                f"{most}."
            )
    for key in sorted(set(_keys(rounds))):
        share = shares.get(key)
        if share is None or not math.isfinite(share) or share < 0:
            raise DataError(
                f"the cluster map {key} was played and its share is {share}: expected per cent, "
                ">= 0, for every one; shares_of(explanations) gives them."
            )


def _classes(rounds: pd.DataFrame) -> dict[str, str]:
    """Image -> class; an image is asked for as one."""
    classes: dict[str, str] = {}
    for image, name in sorted({*zip(map(str, rounds["image"]), rounds["class_name"], strict=True)}):
        if classes.setdefault(image, name) != name:
            raise DataError(
                f"image {image!r} is asked for as {classes[image]!r} and as {name!r}: expected one "
                "class an image; give it an id for each class that it is explained for."
            )
    return classes


def _text(words: Any) -> str:
    return words if isinstance(words, str) else ""  # a missing value is no text


def _left_out(typed: Sequence[Any], texts: Sequence[str]) -> list[str]:
    """Sentences about rounds that are not compared as they were typed."""
    notes = []
    if empty := sum(not text for text in texts):
        notes.append(
            f"{empty} of {len(texts)} rounds have no word beside class names and words that say "
            "nothing: they are left out."
        )
    if long := sum(len(_text(words)) > MAX_TEXT for words in typed):
        notes.append(
            f"{long} of {len(texts)} texts are longer than {MAX_TEXT} characters: of each, at most "
            "that much was compared."
        )
    return notes


def _frame(maps: Sequence[LabelledMap], notes: list[str]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        (one.image, one.class_name, one.layer, one.members[0], one.share, *ranked)
        for one in maps
        for ranked in one.ranked()
    ]
    table = pd.DataFrame(rows, columns=list(LABEL_COLUMNS))
    table.attrs["notes"] = notes
    table.attrs["merged"] = [
        {"image": m.image, "layer": m.layer, "cluster": m.members[0], "members": list(m.members)}
        for m in maps
        if len(m.members) > 1
    ]
    return table
