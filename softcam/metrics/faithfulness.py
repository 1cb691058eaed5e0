"""Is the map faithful? What the answers of a model on occluded images say of the map.

Curves and their areas count images whose target is predicted while nothing is hidden; the others
have nothing to lose. Their order of tiles does not change when a constant is added to the map.

Opti-CAM's three measures compare the probability p on the image with o on the image under its
map. Read them together: a map that is nearly 1 everywhere (Poppi et al., Revisiting the
evaluation of class activation mapping, CVPRW 2021, "Fake-CAM") hides nothing, so its drop is
almost 0 and its increase near one half, and only its gain says that it shows nothing.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from softcam.common import SoftCAMError
from softcam.metrics.masking import DELETED, REVEALED
from softcam.metrics.occlusion import OcclusionScores
from softcam.metrics.records import Ratios, divide
from softcam.metrics.registry import measure

__all__ = [
    "audc",
    "audc_probability",
    "auic",
    "auic_probability",
    "average_drop",
    "average_gain",
    "average_increase",
    "deletion_prediction",
    "deletion_probability",
    "insertion_prediction",
    "insertion_probability",
]

_deletion = partial(
    measure,
    direction="lower",
    source="SoftCAM, figure 3; Yeh et al., On the (in)fidelity and sensitivity, NeurIPS 2019",
    kind="occlusion",
    gauge="order",
    interpolation="bilinear",
    reads="deletion",
)
_insertion = partial(
    measure,
    direction="higher",
    source="Petsiuk et al., RISE, BMVC 2018",
    kind="occlusion",
    gauge="order",
    interpolation="bilinear",
    reads="insertion",
)
_masked = partial(
    measure, kind="occlusion", gauge="shift", interpolation="bilinear", reads="masked"
)


@_deletion(name="deletion-prediction", title="Deletion: still predicted", steps=DELETED)
def deletion_prediction(scores: OcclusionScores) -> Ratios:
    """Share of images still predicted as the target after i tiles."""
    return _curve(scores, scores.predicted.astype(float), len(DELETED), 0)


@_deletion(name="deletion-probability", title="Deletion: relative probability", steps=DELETED)
def deletion_probability(scores: OcclusionScores) -> Ratios:
    """Mean of p_i / p_0, the target's probability after i tiles relative to the untouched image.

    It may exceed 1.
    """
    return _curve(scores, scores.probability, len(DELETED), 0)


@_deletion(name="audc", title="Area under the deletion curve")
def audc(scores: OcclusionScores) -> Ratios:
    """Area under `deletion_prediction`, by trapezoids over [0, 1] of the points."""
    return _area(deletion_prediction(scores))


@_deletion(name="audc-probability", title="Area under the deletion curve of the probability")
def audc_probability(scores: OcclusionScores) -> Ratios:
    """Area under `deletion_probability`, by trapezoids over [0, 1] of the points."""
    return _area(deletion_probability(scores))


@_insertion(name="insertion-prediction", title="Insertion: already predicted", steps=REVEALED)
def insertion_prediction(scores: OcclusionScores) -> Ratios:
    """Share of images predicted as the target with so many per cent of their tiles shown."""
    return _curve(scores, scores.predicted.astype(float), len(REVEALED), -1)


@_insertion(name="insertion-probability", title="Insertion: relative probability", steps=REVEALED)
def insertion_probability(scores: OcclusionScores) -> Ratios:
    """Mean of the target's probability relative to that of the whole image; it may exceed 1."""
    return _curve(scores, scores.probability, len(REVEALED), -1)


@_insertion(name="auic", title="Area under the insertion curve")
def auic(scores: OcclusionScores) -> Ratios:
    """Area under `insertion_prediction`, by trapezoids over the share of tiles shown."""
    return _area(insertion_prediction(scores))


@_insertion(name="auic-probability", title="Area under the insertion curve of the probability")
def auic_probability(scores: OcclusionScores) -> Ratios:
    """Area under `insertion_probability`, by trapezoids over the share of tiles shown."""
    return _area(insertion_probability(scores))


@_masked(
    name="average-drop",
    title="Average drop",
    direction="lower",
    source="Opti-CAM, CVIU 2024, eq. 13",
)
def average_drop(scores: OcclusionScores) -> Ratios:
    """Mean of max(0, p - o) / p, in [0, 1]: what the map hides and the model needs.

    Alone it is fooled by a map that hides nothing; see `average_gain`. An image with p = 0 is
    excluded and counted.
    """
    p, o = _pair(scores, scores.probability)
    return _mean(scores, np.maximum(0, p - o), p)


@_masked(
    name="average-increase",
    title="Average increase",
    direction="higher",
    source="Opti-CAM, CVIU 2024, eq. 14",
)
def average_increase(scores: OcclusionScores) -> Ratios:
    """Share of images with p < o: the model is surer of the image under its map, by however little.

    Alone it is fooled by a map that hides almost nothing; see `average_gain`. Where p and o both
    round to 1, their distances from 1 tell them apart.
    """
    p, o = _pair(scores, scores.probability)
    left, left_masked = _pair(scores, scores.complement)
    return _mean(scores, (p < o) | (left_masked < left), np.ones(len(p)))


@_masked(
    name="average-gain",
    title="Average gain",
    direction="higher",
    source="Opti-CAM, CVIU 2024, eq. 15",
)
def average_gain(scores: OcclusionScores) -> Ratios:
    """Mean of max(0, o - p) / (1 - p), in [0, 1]: how much of the doubt goes away under the map.

    The counterpart of `average_drop`, on the same masked image. An image with 1 - p = 0 is
    excluded and counted.
    """
    left, left_masked = _pair(scores, scores.complement)
    return _mean(scores, np.maximum(0, left - left_masked), left)


def _curve(scores: OcclusionScores, values: np.ndarray, points: int, whole: int) -> Ratios:
    """Values (B, S) relative to the whole image's, over images predicted with nothing hidden."""
    _expect(scores, points)
    kept = scores.finite & scores.predicted[:, whole]
    start = np.where(kept, values[:, whole], 1)[:, None]  # a predicted class has p > 0
    asked = np.repeat(kept[:, None], points, 1)
    return Ratios(np.where(asked, values / start, 0), asked)


def _area(curve: Ratios) -> Ratios:
    """The area under each image's curve, by trapezoids over equal steps from 0 to 1."""
    area = (curve.numerator[:, 1:] + curve.numerator[:, :-1]).mean(1) / 2
    return Ratios(area, curve.denominator[:, 0])


def _pair(scores: OcclusionScores, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B,) on the image, and (B,) on the image under its map."""
    _expect(scores, 2)
    return values[:, 0], values[:, 1]


def _mean(scores: OcclusionScores, parts: np.ndarray, wholes: np.ndarray) -> Ratios:
    """Mean over images of part / whole, where the map is finite and the whole is not 0."""
    kept = scores.finite & (wholes > 0)
    return Ratios(np.where(kept, divide(parts, wholes), 0), kept)


def _expect(scores: OcclusionScores, points: int) -> None:
    if scores.points != points:
        raise SoftCAMError(
            f"expected answers at {points} points, found {scores.points}: deletion has "
            f"{len(DELETED)}, insertion {len(REVEALED)} and masked 2; ask `occlusion_scores` the "
            "question that the measure reads."
        )
