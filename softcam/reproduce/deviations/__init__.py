"""Where the paper, its public code and this project differ: what it should do, what it does.

`workflow/deviations.toml` holds every difference with the effect predicted, and when.
`write_deviations` measures what a reproduction allows, on its own networks and maps, and sets one
beside the other; a wrong prediction stays and is called wrong.
"""

from __future__ import annotations

from softcam.reproduce.deviations.page import BLOCK, refresh_deviations, traps_in_words
from softcam.reproduce.deviations.reading import read_traps
from softcam.reproduce.deviations.records import AGREES, Effect, Measured, Trap
from softcam.reproduce.deviations.writing import COLUMNS, read_deviations, write_deviations

__all__ = [
    "AGREES",
    "BLOCK",
    "COLUMNS",
    "Effect",
    "Measured",
    "Trap",
    "read_deviations",
    "read_traps",
    "refresh_deviations",
    "traps_in_words",
    "write_deviations",
]
