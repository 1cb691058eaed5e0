"""Finer maps from a trained network: stride traded for dilation, batch norm taken again."""

from softcam.finer.atrous import align_cells
from softcam.finer.batch_norm import recalibrate_batch_norm
from softcam.finer.network import finer_maps

__all__ = ["align_cells", "finer_maps", "recalibrate_batch_norm"]
