"""Finer maps from a trained network: stride traded for dilation, batch norm taken again."""

from softcam.finer.batch_norm import recalibrate_batch_norm
from softcam.finer.network import finer_maps
from softcam.finer.place import map_offset, shift_cells

__all__ = ["finer_maps", "map_offset", "recalibrate_batch_norm", "shift_cells"]
