"""Scores of the labels of a cluster map, and cluster maps merged that share their top label.

Over the rounds of one cluster map that left a word,

    score(label) = share of the rounds with the label * (1 - 0.1 * their mean reveal step)

so what was recognised early and by many scores high, at most 1. A wrong guess divides by 4. The
original does not say what happens where right and wrong guesses share a label; here the score of
the wrong rounds is divided by 4 and added to that of the right ones:

    score = sum over the rounds r with the label of v_r * (1 - 0.1 * reveal_r) / rounds

with v_r = 1 after a right guess and 1/4 after a wrong one. Resigning is a wrong guess at step 5.

Source: Bianchi et al., "Interpretable Network Visualizations", IJCAI 2024.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softcam.layerwise.records import LAST

__all__ = ["LabelledMap", "merge", "score_labels", "share_weights", "worth"]

STEP_COST, WRONG = 0.1, 0.25
DIGITS = 12  # scores closer than that are equal, whatever order they were summed in


@dataclass(frozen=True)
class LabelledMap:
    """A cluster map with its labels.

    Attributes:
        members: the clusters it was merged from, ascending; the first gives its number.
        share: per cent of the layer's weight.
        labels: label -> (score in [0, 1], votes), never empty.
    """

    image: str
    class_name: str
    layer: str
    members: tuple[int, ...]
    share: float
    labels: dict[str, tuple[float, int]]

    def ranked(self) -> list[tuple[str, float, int]]:
        """(label, score, votes), best first; of equals more votes, then by alphabet."""
        rows = [(label, score, votes) for label, (score, votes) in self.labels.items()]
        return sorted(rows, key=lambda row: (-round(row[1], DIGITS), -row[2], row[0]))


def worth(correct: bool, resigned: bool, reveal: int) -> float:
    """What a round adds to the score of its label, before the division by the rounds."""
    step = LAST if resigned else reveal
    return (1.0 if correct and not resigned else WRONG) * (1 - STEP_COST * step)


def score_labels(rounds: Sequence[tuple[str, float]]) -> dict[str, tuple[float, int]]:
    """Label -> (score, votes), from the (label, worth) of the rounds of one map."""
    found: dict[str, list[float]] = {}
    for label, value in rounds:
        found.setdefault(label, []).append(value)
    # fsum rounds once, so the order of the rounds changes no digit.
    return {
        label: (math.fsum(values) / len(rounds), len(values)) for label, values in found.items()
    }


def share_weights(shares: Sequence[float]) -> np.ndarray:
    """Shares as weights that add up to 1; equal ones where all are 0."""
    given = np.asarray(shares, np.float64)
    return given / given.sum() if given.sum() > 0 else np.full(len(given), 1 / len(given))


def merge(maps: Sequence[LabelledMap]) -> list[LabelledMap]:
    """Maps of one image and layer with one top label as one map; ordered by image, layer, number.

    Shares and votes are summed; scores are averaged with the shares as weights, 0 where a map
    lacks the label. The shared label stays on top, so once is enough.
    """
    groups: dict[tuple[str, str, str], list[LabelledMap]] = {}
    for one in sorted(maps, key=_place):
        groups.setdefault((one.image, one.layer, one.ranked()[0][0]), []).append(one)
    return sorted(map(_as_one, groups.values()), key=_place)


def _place(one: LabelledMap) -> tuple[str, str, int]:
    return one.image, one.layer, one.members[0]


def _as_one(group: list[LabelledMap]) -> LabelledMap:
    if len(group) == 1:
        return group[0]
    weights = share_weights([one.share for one in group])
    labels = {}
    for label in sorted({label for one in group for label in one.labels}):
        scores, votes = zip(*(one.labels.get(label, (0.0, 0)) for one in group), strict=True)
        labels[label] = (math.fsum(weights * np.array(scores)), sum(votes))
    return LabelledMap(
        group[0].image,
        group[0].class_name,
        group[0].layer,
        tuple(sorted(cluster for one in group for cluster in one.members)),
        math.fsum(one.share for one in group),
        labels,
    )
