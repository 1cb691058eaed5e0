"""Against Quantus, where its definitions are ours; where they are not, what differs and why.

Quantus wants attributions at image size, so it gets the maps as we enlarge them. `abs=False` keeps
the sign; `normalise` divides by the largest |value|, which none of the three measures feels.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from softcam.metrics import (
    MapBatch,
    activation_precision,
    energy_outside,
    pointing_accuracy,
    relevance_rank_accuracy,
)

quantus = pytest.importorskip("quantus")
SIZE = (48, 48)


def scenes(cells: int = 6, images: int = 12) -> tuple[Tensor, Tensor]:
    """Random signed maps, and one rectangle an image."""
    draw = np.random.default_rng(11)
    findings = torch.zeros(images, *SIZE, dtype=torch.bool)
    for finding in findings:
        y, x = draw.integers(0, 30, 2)
        finding[y : y + 6 + x // 3, x : x + 17] = True
    return torch.from_numpy(draw.normal(size=(images, cells, cells))), findings


def quantus_scores(
    name: str, attributions: Tensor, findings: Tensor, **options: bool
) -> np.ndarray:
    """One score an image; no model is asked, as the attributions are given."""
    metric = getattr(quantus, name)(
        abs=False, normalise=options.pop("normalise", True), disable_warnings=True, **options
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = metric(
            model=None,
            x_batch=np.zeros((len(findings), 1, *SIZE)),
            y_batch=np.zeros(len(findings), int),
            a_batch=attributions.numpy()[:, None],
            s_batch=findings.numpy()[:, None],
        )
    return np.asarray(scores, dtype=float).ravel()


@pytest.mark.parametrize("normalise", [False, True])
def test_relevance_mass_accuracy_is_activation_precision(normalise: bool) -> None:
    """Of the positive part; each map is negative somewhere, so its minimum is zero already."""
    batch = MapBatch(*scenes())
    positive = batch.upsampled.clamp(min=0)
    scores = quantus_scores("RelevanceMassAccuracy", positive, batch.findings, normalise=normalise)
    np.testing.assert_allclose(activation_precision(batch).per_image[:, 0], scores, atol=1e-6)
    np.testing.assert_allclose(1 - energy_outside(batch).per_image[:, 0], scores, atol=1e-6)


def test_mass_accuracy_differs_on_signed_and_on_positive_maps() -> None:
    """Quantus sums what it gets: signed values cancel, and a common level counts.

    Activation precision takes the positive part and moves its minimum to zero, so on a map that
    is positive everywhere it is Quantus' score of the map minus its minimum.
    """
    maps, findings = scenes()
    signed = MapBatch(maps, findings)
    scores = quantus_scores("RelevanceMassAccuracy", signed.upsampled, findings)
    assert ((scores < 0) | (scores > 1)).any()  # no share any more
    lifted = MapBatch(maps - maps.amin((1, 2), keepdim=True) + 1, findings)
    ours = activation_precision(lifted).per_image[:, 0]
    as_it_is = quantus_scores("RelevanceMassAccuracy", lifted.upsampled, findings)
    assert np.abs(ours - as_it_is).max() > 0.01
    np.testing.assert_allclose(1 - energy_outside(lifted).per_image[:, 0], as_it_is, atol=1e-6)
    grounded = lifted.upsampled - lifted.upsampled.amin((1, 2), keepdim=True)
    np.testing.assert_allclose(
        ours, quantus_scores("RelevanceMassAccuracy", grounded, findings), atol=1e-6
    )


def test_mass_accuracy_without_evidence_is_a_nan_there_and_counted_here() -> None:
    """Quantus divides 0 by 0 in a batch with other maps, and stops at a batch of zeros alone."""
    maps, findings = scenes(images=2)
    maps[1] = -1
    batch = MapBatch(maps, findings)
    positive = batch.upsampled.clamp(min=0)
    scores = quantus_scores("RelevanceMassAccuracy", positive, findings, normalise=False)
    assert np.isnan(scores).tolist() == [False, True]
    assert activation_precision(batch).n_excluded == 1
    with pytest.raises(AssertionError, match="all equal to zero"):
        quantus_scores("RelevanceMassAccuracy", positive[1:], findings[1:])


def test_pointing_game_is_pointing_accuracy() -> None:
    batch = MapBatch(*scenes(images=60))
    ours = pointing_accuracy(batch).per_image[:, 0]
    np.testing.assert_allclose(
        ours, quantus_scores("PointingGame", batch.upsampled, batch.findings), atol=1e-6
    )
    assert 0 < ours.mean() < 1  # both outcomes occur


def test_pointing_game_takes_any_maximum_and_hits_where_nothing_is_marked() -> None:
    """Quantus hits if one of several equal maxima is marked: a constant map always hits.

    Ours points with the first, and with none on a constant map. For an empty finding Quantus
    stores NaN in a bool array, which reads as a hit; ours is excluded.
    """
    finding = torch.zeros(3, *SIZE, dtype=torch.bool)
    finding[:2, 24:, 24:] = True
    maps = torch.zeros(3, *SIZE)
    maps[0, 3, 3] = maps[0, 40, 40] = 1  # the first maximum is not marked, the second is
    maps[2, 3, 3] = 1
    scores = quantus_scores("PointingGame", maps.double(), finding, normalise=False)
    assert scores.tolist() == [1, 1, 1]
    np.testing.assert_array_equal(
        pointing_accuracy(MapBatch(maps, finding)).per_image[:, 0], [0, 0, np.nan]
    )


def test_relevance_rank_accuracy_is_the_same_without_ties() -> None:
    """On maps at image size, where no two pixels are equal."""
    _, findings = scenes()
    maps = torch.from_numpy(np.random.default_rng(3).normal(size=(len(findings), *SIZE)))
    batch = MapBatch(maps, findings)
    np.testing.assert_allclose(
        relevance_rank_accuracy(batch).per_image[:, 0],
        quantus_scores("RelevanceRankAccuracy", batch.upsampled, findings),
        atol=1e-6,
    )


def test_rank_accuracy_with_ties_is_what_quantus_gives_on_average() -> None:
    """Quantus takes equal pixels as its sort leaves them; ours is the mean over all orders.

    So the two differ on a map of few values, and Quantus comes to our value on average if a
    little noise draws the order.
    """
    draw = np.random.default_rng(8)
    _, findings = scenes(images=1)
    coarse = torch.from_numpy(draw.integers(0, 3, (1, *SIZE)).astype(float))
    ours = float(relevance_rank_accuracy(MapBatch(coarse, findings)).value[0])
    plain = quantus_scores("RelevanceRankAccuracy", coarse, findings)
    assert abs(ours - plain[0]) > 1e-3
    noise = torch.from_numpy(draw.uniform(0, 0.01, (300, *SIZE)))
    drawn = quantus_scores("RelevanceRankAccuracy", coarse + noise, findings.expand(300, -1, -1))
    assert abs(ours - drawn.mean()) < 4 * drawn.std() / np.sqrt(300)
