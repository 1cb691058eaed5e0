"""Protocol `paper`: the measures of the public code, to the digit and with its quirks."""

from __future__ import annotations

from softcam.metrics.paper.consistency import consistency_negative, consistency_positive
from softcam.metrics.paper.cubic import check_side, cubic_resize
from softcam.metrics.paper.mass import (
    activation_precision,
    activation_precision_hard,
    activation_sensitivity,
)
from softcam.metrics.paper.patches import (
    patch_count,
    patch_precision,
    patch_precision_all,
    patch_precision_positive,
    patch_precision_tp,
    patch_scores,
    select_cells,
)
from softcam.metrics.paper.pointing_game import pointing_game_counts
from softcam.metrics.paper.quirks import CORRECTED, PUBLIC, TRAPS, Quirks
from softcam.metrics.paper.tiles import (
    NO_TILE,
    audc,
    audc_confidence,
    deletion_confidence,
    deletion_prediction,
    first_bright_row,
    paper_tile_ranks,
)

__all__ = [
    "CORRECTED",
    "NO_TILE",
    "PUBLIC",
    "TRAPS",
    "Quirks",
    "activation_precision",
    "activation_precision_hard",
    "activation_sensitivity",
    "audc",
    "audc_confidence",
    "check_side",
    "consistency_negative",
    "consistency_positive",
    "cubic_resize",
    "deletion_confidence",
    "deletion_prediction",
    "first_bright_row",
    "paper_tile_ranks",
    "patch_count",
    "patch_precision",
    "patch_precision_all",
    "patch_precision_positive",
    "patch_precision_tp",
    "patch_scores",
    "pointing_game_counts",
    "select_cells",
]
