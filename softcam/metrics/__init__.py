"""Measures: does the model classify, does its map point, is the map faithful, and how sure is it?

Importing this package enters every measure into the list (`measures()`, `get_measure(name)`).
"""

from __future__ import annotations

from softcam.metrics.classification import classification_measures, classification_ratios
from softcam.metrics.deletion import DeletionScores, audc, deletion_curve, deletion_scores
from softcam.metrics.floors import centre_map, pointing_chance, random_maps, reference_ceiling
from softcam.metrics.intervals import (
    Interval,
    bootstrap_ratio,
    bootstrap_statistic,
    paired_difference,
    paired_statistic,
)
from softcam.metrics.localisation import (
    activation_precision,
    activation_sensitivity,
    pointing_accuracy,
)
from softcam.metrics.patches import patch_precision
from softcam.metrics.records import MapBatch, Ratios
from softcam.metrics.registry import Measure, get_measure, measure, measure_maps, measures

__all__ = [
    "DeletionScores",
    "Interval",
    "MapBatch",
    "Measure",
    "Ratios",
    "activation_precision",
    "activation_sensitivity",
    "audc",
    "bootstrap_ratio",
    "bootstrap_statistic",
    "centre_map",
    "classification_measures",
    "classification_ratios",
    "deletion_curve",
    "deletion_scores",
    "get_measure",
    "measure",
    "measure_maps",
    "measures",
    "paired_difference",
    "paired_statistic",
    "patch_precision",
    "pointing_accuracy",
    "pointing_chance",
    "random_maps",
    "reference_ceiling",
]
