"""Pictures: maps over images, panels of them, and curves from the results table.

Every function returns a matplotlib `Figure` (a notebook shows it) and writes nothing.
"""

from softcam.visualize.contact_sheet import contact_sheet, write_contact_sheet
from softcam.visualize.curves import (
    deletion_curves,
    insertion_curves,
    lambda_plot,
    patch_curves,
    reliability_diagram,
    training_history,
)
from softcam.visualize.global_labels import plot_global
from softcam.visualize.layers import plot_layers
from softcam.visualize.methods import method_gallery
from softcam.visualize.overlay import (
    CONTRIBUTION,
    colour_bar,
    common_limit,
    outline,
    show_evidence,
    show_image,
)
from softcam.visualize.panels import gallery, montage, prediction_panel
from softcam.visualize.publication import unpublishable, write_record
from softcam.visualize.save import read_alt, read_caption, save_figure
from softcam.visualize.style import describe, new_figure, seen_in

__all__ = [
    "CONTRIBUTION",
    "colour_bar",
    "common_limit",
    "contact_sheet",
    "deletion_curves",
    "describe",
    "gallery",
    "insertion_curves",
    "lambda_plot",
    "method_gallery",
    "montage",
    "new_figure",
    "outline",
    "patch_curves",
    "plot_global",
    "plot_layers",
    "prediction_panel",
    "read_alt",
    "read_caption",
    "reliability_diagram",
    "save_figure",
    "seen_in",
    "show_evidence",
    "show_image",
    "training_history",
    "unpublishable",
    "write_contact_sheet",
    "write_record",
]
