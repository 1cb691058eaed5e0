"""What a class looks like to a network, layer by layer: labels that emerge and labels that fade.

    score(class, label, layer) = mean over the cluster maps of the class in the layer, 0 where a
                                 map lacks the label
    slope(class, label)        = least squares of the score over the position of the layer

Source: Bianchi et al., "Interpretable Network Visualizations", IJCAI 2024.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from softcam.common import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GLOBAL_COLUMNS", "global_labels", "layer_order", "least_squares_slope"]

GLOBAL_COLUMNS = ("class_name", "label", "layer", "score", "slope")
NEEDED = ("image", "class_name", "layer", "cluster", "label", "score")
DIGITS = 12  # slopes closer than that are equal


def global_labels(labels: pd.DataFrame, *, layers: Sequence[str] | None = None) -> pd.DataFrame:
    """The mean score of every label of a class in every layer, emerging labels first.

    Args:
        labels: of many images, as `label_clusters` or `match_concepts` gives them; tables of
            several images are joined with `pandas.concat`. Nothing hangs on the order of rows.
            A row with the label "" stands for a cluster map without labels, so that it counts.
        layers: all layers from the image to the logits. None orders the names by `layer_order`,
            which is wrong where names do not follow the network (`stem` comes after `blocks`).

    Returns:
        One row a class, label and layer: `class_name`, `label`, `layer`, `score`, 0 where the
        label is absent, `slope` a layer, the same in all rows of a label. Classes by alphabet;
        in a class the steepest rise first and the steepest fall last, of equals the higher mean
        score, then by alphabet; layers in order. A layer in which a class has no labelled map is
        no zero but unknown: it has no row there and no say in the slope. With one layer the slope
        is 0. `.attrs["layers"]` has all layers in order.

    Raises:
        DataError: a column is missing, a score is not finite, a label stands twice at one map, or
            a layer is not in `layers`.
    """
    import pandas as pd

    _check(labels)
    order = list(layers) if layers is not None else layer_order(map(str, labels["layer"]))
    if unknown := sorted({*map(str, labels["layer"])} - {*order}):
        raise DataError(
            f"layer {unknown[0]!r} of the labels is not in `layers` ({', '.join(order)})."
        )
    maps: dict[tuple[str, str], set[tuple[str, int]]] = {}
    scores: dict[tuple[str, str, str], list[float]] = {}
    table = labels[list(NEEDED)].fillna({"label": ""})  # as a CSV gives what is empty
    for image, name, layer, cluster, label, score in table.itertuples(index=False):
        maps.setdefault((str(name), str(layer)), set()).add((str(image), int(cluster)))
        if label:
            scores.setdefault((str(name), str(label), str(layer)), []).append(float(score))
    rows = []
    for name in sorted({name for name, _ in maps}):
        seen = [layer for layer in order if (name, layer) in maps]
        found = {
            label: [
                math.fsum(scores.get((name, label, layer), ())) / len(maps[name, layer])
                for layer in seen
            ]
            for label in {label for one, label, _ in scores if one == name}
        }
        rows += _ranked(name, found, seen, [order.index(layer) for layer in seen])
    table = pd.DataFrame(rows, columns=list(GLOBAL_COLUMNS))
    table.attrs["layers"] = order
    return table


def layer_order(names: Iterable[str]) -> list[str]:
    """Distinct names, with the numbers in them counted as numbers: layer2 before layer10."""
    return sorted({str(name) for name in names}, key=_natural)


def least_squares_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The slope of the line that fits best; 0 where all x are one."""
    middle, mean = math.fsum(x) / len(x), math.fsum(y) / len(y)
    spread = math.fsum((a - middle) ** 2 for a in x)
    rise = math.fsum((a - middle) * (b - mean) for a, b in zip(x, y, strict=True))
    return rise / spread if spread else 0.0


def _ranked(
    name: str, found: dict[str, list[float]], layers: list[str], places: list[int]
) -> list[tuple[str, str, str, float, float]]:
    """The rows of a class, in order."""
    slopes = {label: least_squares_slope(places, scores) for label, scores in found.items()}

    def rank(label: str) -> tuple[float, float, str]:
        return -round(slopes[label], DIGITS), -round(math.fsum(found[label]), DIGITS), label

    return [
        (name, label, layer, score, slopes[label])
        for label in sorted(found, key=rank)
        for layer, score in zip(layers, found[label], strict=True)
    ]


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def _check(labels: pd.DataFrame) -> None:
    if missing := [name for name in NEEDED if name not in labels]:
        raise DataError(
            f"the labels have no column {', '.join(missing)}: expected a table of label_clusters "
            "or match_concepts."
        )
    if wrong := [score for score in labels["score"] if not math.isfinite(score)]:
        raise DataError(f"a score of the labels is {wrong[0]}: expected finite numbers.")
    place = ["image", "class_name", "layer", "cluster", "label"]
    if twice := [list(row) for row in labels[labels.duplicated(place)][place].to_numpy()][:1]:
        raise DataError(
            f"the labels hold {twice[0]} twice (image, class, layer, cluster, label): expected "
            "each label once a map. Was one image labelled twice?"
        )
