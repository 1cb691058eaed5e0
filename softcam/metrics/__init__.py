"""Measures: does the model classify, does its map point, is the map faithful, and how sure is it?

Importing this package enters every measure into the list (`measures()`, `get_measure(name)`).
"""

from __future__ import annotations

from softcam.metrics import paper
from softcam.metrics.agreement import cascade_correlation, label_correlation
from softcam.metrics.causal import (
    evidence_on,
    twin_concordance,
    twin_r2,
    twin_rank,
    twin_slope,
    twin_slope_error,
)
from softcam.metrics.classification import classification_measures, classification_ratios
from softcam.metrics.consistency import (
    consistency_negative,
    consistency_positive,
    mean_and_deviation,
)
from softcam.metrics.energy import energy_outside, gini
from softcam.metrics.faithfulness import (
    audc,
    audc_probability,
    auic,
    auic_probability,
    average_drop,
    average_gain,
    average_increase,
    deletion_prediction,
    deletion_probability,
    insertion_prediction,
    insertion_probability,
)
from softcam.metrics.fills import FILLS, fill_name
from softcam.metrics.floors import centre_map, pointing_chance, random_maps, reference_ceiling
from softcam.metrics.hierarchical import (
    hierarchical_difference,
    hierarchical_ratio,
    hierarchical_statistic,
)
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
from softcam.metrics.masking import true_mask_map
from softcam.metrics.multi_label import macro_mean, multi_label_measures, multi_label_ratios
from softcam.metrics.occlusion import OcclusionScores, occlusion_scores
from softcam.metrics.patches import patch_count, patch_precision
from softcam.metrics.pointing_game import pointing_game_peak, pointing_game_share
from softcam.metrics.precision_recall import auprc
from softcam.metrics.ranking import best_iou, pixel_auprc, relevance_rank_accuracy
from softcam.metrics.records import LabelledMaps, MapBatch, Ratios
from softcam.metrics.registry import Measure, get_measure, measure, measure_maps, measures
from softcam.metrics.relative import fill_agreement, over_random, share_of_mask
from softcam.metrics.testing import (
    Permutation,
    holm,
    paired_permutation,
    paired_permutation_statistic,
)

__all__ = [
    "FILLS",
    "Interval",
    "LabelledMaps",
    "MapBatch",
    "Measure",
    "OcclusionScores",
    "Permutation",
    "Ratios",
    "activation_precision",
    "activation_sensitivity",
    "audc",
    "audc_probability",
    "auic",
    "auic_probability",
    "auprc",
    "average_drop",
    "average_gain",
    "average_increase",
    "best_iou",
    "bootstrap_ratio",
    "bootstrap_statistic",
    "cascade_correlation",
    "centre_map",
    "classification_measures",
    "classification_ratios",
    "consistency_negative",
    "consistency_positive",
    "deletion_prediction",
    "deletion_probability",
    "energy_outside",
    "evidence_on",
    "fill_agreement",
    "fill_name",
    "get_measure",
    "gini",
    "hierarchical_difference",
    "hierarchical_ratio",
    "hierarchical_statistic",
    "holm",
    "insertion_prediction",
    "insertion_probability",
    "label_correlation",
    "macro_mean",
    "mean_and_deviation",
    "measure",
    "measure_maps",
    "measures",
    "multi_label_measures",
    "multi_label_ratios",
    "occlusion_scores",
    "over_random",
    "paired_difference",
    "paired_permutation",
    "paired_permutation_statistic",
    "paired_statistic",
    "paper",
    "patch_count",
    "patch_precision",
    "pixel_auprc",
    "pointing_accuracy",
    "pointing_chance",
    "pointing_game_peak",
    "pointing_game_share",
    "random_maps",
    "reference_ceiling",
    "relevance_rank_accuracy",
    "share_of_mask",
    "true_mask_map",
    "twin_concordance",
    "twin_r2",
    "twin_rank",
    "twin_slope",
    "twin_slope_error",
]
