"""What `to_softcam` makes of every architecture of timm and torchvision: the coverage table."""

from __future__ import annotations

from softcam.coverage.architecture import Row, look, measure, own_size
from softcam.coverage.catalogue import survey
from softcam.coverage.children import Limits
from softcam.coverage.field import receptive_field
from softcam.coverage.table import insert_block, read_table, refresh, totals, write_tables

__all__ = [
    "Limits",
    "Row",
    "insert_block",
    "look",
    "measure",
    "own_size",
    "read_table",
    "receptive_field",
    "refresh",
    "survey",
    "totals",
    "write_tables",
]
