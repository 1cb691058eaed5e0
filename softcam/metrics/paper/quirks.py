"""The traps in the public definitions, one switch each.

All of them on is the public code; all of them off is protocol `corrected` at 512 px (at 496 px
the corrected patch is 32 px wide, the paper's 33). Switching one off alone measures that trap.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from softcam.common import choose

__all__ = ["CORRECTED", "PUBLIC", "TRAPS", "Quirks"]


@dataclass(frozen=True)
class Quirks:
    """How the public code reads a map, trap by trap; the defaults are the public code.

    Attributes:
        cubic: maps are resized with a cubic kernel, which rings, and without antialiasing. Off:
            bilinear up, area pooling down.
        displaced: the map is resized to s x s cells over the whole image, and cell (r, c) is
            read as patch [8r:8r+33, 8c:8c+33]: up to 19 px beside it. Off: the map is read at
            the centre of each patch.
        wraps: neighbours are suppressed by their flat index, so that a cell at one end of a row
            suppresses cells at the other end. Off: suppression stops at the border.
        chained: cells that were passed over suppress their neighbours too. Off: only selected
            ones do.
        lopsided: rows r-2 to r+1 and columns c-1 to c+2 are suppressed. Off: two to each side.
        absolute: cells above `threshold` are taken, in the unit of the map. Off: those above
            the quantile of protocol `corrected`.
        epsilon: a tiny number beside each denominator of activation precision and sensitivity,
            so that a map without positive evidence scores 0. Off: it is excluded from
            activation precision.
        transposed: rows and columns of the finding are exchanged. The public fundus and OCT code
            crops `mask[x:x+33, y:y+33]` (x the column) from masks that are stored transposed;
            True is what the same code does to masks that are not.
        threshold: where `absolute`; 1 for evidence in logits.
    """

    cubic: bool = True
    displaced: bool = True
    wraps: bool = True
    chained: bool = True
    lopsided: bool = True
    absolute: bool = True
    epsilon: bool = True
    transposed: bool = False
    threshold: float = 1.0

    def without(self, *names: str) -> Quirks:
        """The same with these traps off; an unknown one is an error with the closest names."""
        known = [each for each in vars(self) if each != "threshold"]
        return replace(self, **{choose("quirk", name, known): False for name in names})

    def at(self, threshold: float) -> Quirks:
        """The same with another absolute threshold, in the unit of the map."""
        return replace(self, threshold=threshold)


# The traps of the public code, in the order in which a map meets them.
TRAPS = tuple(each.name for each in fields(Quirks) if each.default is True)
PUBLIC = Quirks()
CORRECTED = PUBLIC.without(*TRAPS)
