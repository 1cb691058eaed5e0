"""Shortcuts taken apart: where the evidence of a marker lies, what it is worth, and two repairs.

    parts = take_apart(explanation.contrast(1, 0), part_masks(data, rows))   # what the map says
    twin = redrawn(data, rows, "without marker")                             # what the model does
    mended = repair(model, data, avoid=("marker",), weight=0.1)              # right reasons, asked

What the map says is exact about cells and a hypothesis about pixels, since a cell sees more of the
image than it covers. The twin is an experiment on pixels. A repair is judged by the twin.
"""

from softcam.shortcuts.parts import ELSEWHERE, PartEvidence, part_masks, take_apart, widen
from softcam.shortcuts.redrawing import CHANGES, redrawn
from softcam.shortcuts.repairing import evidence_inside, repair

__all__ = [
    "CHANGES",
    "ELSEWHERE",
    "PartEvidence",
    "evidence_inside",
    "part_masks",
    "redrawn",
    "repair",
    "take_apart",
    "widen",
]
